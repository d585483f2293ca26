//! Sanitizing of external text.

/// Replacement for a secret value.
const SECRET: &str = "***";
/// Minimum length of a secret. Replacing shorter values would make a message unreadable.
const SHORTEST_SECRET: usize = 4;

/// Returns the text as one line of at most `most_chars` characters. Line breaks become `⏎`. Other characters that would break a line, or
/// change the direction of the text after them, are replaced by their codes.
pub fn clean(text: &str, most_chars: usize) -> String {
    let mut cleaned = String::with_capacity(text.len().min(4 * most_chars));
    for (place, c) in text.trim_end_matches(['\r', '\n']).replace("\r\n", "\n").chars().enumerate() {
        if place == most_chars {
            cleaned.push('…');
            break;
        }
        match c {
            '\t' => cleaned.push(' '),
            '\n' => cleaned.push_str(" ⏎ "),
            c if c.is_control() || is_direction(c) => cleaned.extend(c.escape_unicode()),
            c => cleaned.push(c),
        }
    }
    cleaned
}

/// True if a character is invisible and changes how the following text is displayed.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{206f}' | '\u{61c}' | '\u{feff}')
}

/// Replaces these values in the text.
pub fn redact(text: &str, secrets: &[String]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| secret.len() >= SHORTEST_SECRET) {
        text = text.replace(secret.as_str(), SECRET);
    }
    text
}
