//! Words of others, made harmless.

/// Stands for a value that is secret.
const SECRET: &str = "***";
/// Shorter values are no secrets: they would make a message unreadable.
const SHORTEST_SECRET: usize = 4;

/// The text in one line of at most so many characters. Ends of lines become `⏎`; other characters that would break a line, or turn the
/// direction of what follows, are told by their codes.
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

/// Returns true if a character is not seen, and changes how what follows is.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{206f}' | '\u{61c}' | '\u{feff}')
}

/// The text without any of these values.
pub fn redact(text: &str, secrets: &[String]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| secret.len() >= SHORTEST_SECRET) {
        text = text.replace(secret.as_str(), SECRET);
    }
    text
}
