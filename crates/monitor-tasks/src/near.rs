//! Suggestions for misspelled words.

/// Returns `; did you mean WORD?` for the known word closest to `typed`, or an empty text if none is close.
pub fn did_you_mean<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    // A long word is unlikely to be a misspelling, and its comparison is slow.
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

/// Formats user input for an error message: shortened, without control characters.
pub fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        shown.push('…');
    }
    shown
}
