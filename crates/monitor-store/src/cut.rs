//! Shortens texts to a maximum length.

/// Returns the last index up to `most` at which a text can be cut without splitting a character.
pub fn boundary(text: &str, most: usize) -> usize {
    (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default()
}

/// Cuts a text to `most_bytes`. A text that was cut ends with `…` if there is room for it; without that room the result is empty.
pub fn cut(text: &str, most_bytes: usize) -> String {
    if text.len() <= most_bytes {
        return text.to_owned();
    }
    let Some(room) = most_bytes.checked_sub('…'.len_utf8()) else { return String::new() };
    format!("{}…", &text[..boundary(text, room)])
}
