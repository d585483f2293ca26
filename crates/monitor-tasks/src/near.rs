//! The "did you mean" of an unknown word.

/// Returns `; did you mean WORD?` for the known word that is most like `typed`, or nothing if none is close.
pub fn did_you_mean<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    // A long word is no misspelling, and comparing one takes long.
    if typed.len() > 100 {
        return String::new();
    }
    let typed = typed.to_lowercase();
    let closeness = known.into_iter().map(|word| (strsim::jaro_winkler(&typed, &word.to_lowercase()), word));
    match closeness.max_by(|one, other| one.0.total_cmp(&other.0)) {
        Some((closeness, word)) if closeness > 0.8 => format!("; did you mean {word}?"),
        _ => String::new(),
    }
}

/// A word of the user's as an error repeats it: short, and without control characters.
pub fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        shown.push('…');
    }
    shown
}
