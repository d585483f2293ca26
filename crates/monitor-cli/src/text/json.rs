//! JSON for terminals and pipes, with all control characters escaped.

use std::fmt::Write as _;
use std::io::Write as _;

use serde_json::Value;

/// Prints an answer as JSON.
pub(crate) fn print_json(answer: &Value) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    // JSON escapes control characters below U+0020, but not those above U+007E.
    writeln!(out, "{}", escape_controls(&serde_json::to_string_pretty(answer)?))?;
    Ok(out.flush()?)
}

/// Passes JSON on, and escapes the control characters that JSON permits. A character may be split between two writes.
pub(crate) struct Escaping<W> {
    out: W,
    /// True if the last byte was the first byte of a control character above U+007F.
    is_begun: bool,
}

impl<W: std::io::Write> Escaping<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, is_begun: false }
    }
}

impl<W: std::io::Write> std::io::Write for Escaping<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut plain = 0;
        for (at, byte) in bytes.iter().enumerate() {
            // In UTF-8 these characters are 0xC2 and a byte from 0x80 to 0x9F.
            let escaped = match (std::mem::take(&mut self.is_begun), byte) {
                (true, 0x80..=0x9f) | (_, 0x7f) => Some(format!("\\u{byte:04x}")),
                (true, _) => {
                    self.out.write_all(&[0xc2])?;
                    None
                }
                _ => None,
            };
            self.is_begun = *byte == 0xc2;
            if escaped.is_some() || self.is_begun {
                self.out.write_all(&bytes[plain..at])?;
                plain = at + 1;
            }
            self.out.write_all(escaped.unwrap_or_default().as_bytes())?;
        }
        self.out.write_all(&bytes[plain..])?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// Escapes the control characters that JSON permits unescaped.
pub(crate) fn escape_controls(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if c != '\n' && c.is_control() {
            let _ = write!(escaped, "\\u{:04x}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_stays_json_without_raw_control_characters() {
        let value = serde_json::json!({"name": "a\u{1b}[31m\u{9b}31m\u{7f}\n根"});
        let text = escape_controls(&serde_json::to_string_pretty(&value).unwrap());
        assert!(!text.chars().any(|c| c != '\n' && c.is_control()), "{text:?}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    #[test]
    fn control_characters_are_escaped_however_the_json_is_cut() {
        let text = "{\"a\": \"\u{9b}31m\u{80}\u{9f}\u{a0}é\u{7f}根\u{c2}\"}\n";
        for length in 1..text.len() {
            let mut escaping = Escaping::new(Vec::new());
            text.as_bytes().chunks(length).for_each(|piece| escaping.write_all(piece).unwrap());
            assert_eq!(String::from_utf8(escaping.out).unwrap(), escape_controls(text), "{length}");
        }
    }
}
