//! Sanitizes recorded text, so that it can't move the cursor, change colors or reverse the direction of text.

use std::borrow::Cow;
use std::fmt::Write;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Returns the text with control characters replaced by visible characters.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_active) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            // The Unicode block of control pictures has the same order.
            '\0'..='\u{1f}' => shown.extend(char::from_u32(0x2400 + u32::from(c))),
            '\u{7f}' => shown.push('\u{2421}'),
            _ if is_active(c) => {
                let _ = write!(shown, "<U+{:04X}>", u32::from(c));
            }
            _ => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// Returns the first and the last line of an error, which usually contain the reason. Sanitized.
pub fn one_line(text: &str) -> Cow<'_, str> {
    let mut lines = text.lines().map(|line| line.trim_matches([' ', '\t', '\r'])).filter(|line| !line.is_empty());
    match (lines.next(), lines.next_back()) {
        (Some(first), Some(last)) => format!("{} … {}", visible(first), visible(last)).into(),
        (Some(only), None) => visible(only),
        (None, _) => Cow::Borrowed(""),
    }
}

/// Returns true for control characters, line and paragraph separators, and characters that change the text direction or are invisible.
fn is_active(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        || matches!(c, '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Returns the width in terminal columns.
pub fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// Cuts the text to at most `columns` columns. A cut is marked by `…`.
pub fn fit(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let mut taken = 0;
    let mut cut = String::new();
    for c in text.chars() {
        let more = c.width().unwrap_or(0);
        if taken + more + 1 > columns {
            break;
        }
        taken += more;
        cut.push(c);
    }
    if columns > 0 {
        cut.push('…');
    }
    Cow::Owned(cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_become_visible_symbols() {
        for (text, shown) in [
            ("plain 根任务 👩‍🚀", "plain 根任务 👩‍🚀"),
            ("\u{1b}[31mred\u{7}\r\n\t\0", "␛[31mred␇␍␊␉␀"),
            ("\u{7f}\u{9b}31m", "␡<U+009B>31m"),
            ("a\u{202e}b\u{2066}c\u{200b}\u{feff}", "a<U+202E>b<U+2066>c<U+200B><U+FEFF>"),
        ] {
            assert_eq!(visible(text), shown);
        }
    }

    #[test]
    fn errors_with_many_lines_are_shown_on_one_line() {
        for (text, line) in [
            ("no such table", "no such table"),
            ("exit code 3\none\n\n  two\r\n\n", "exit code 3 … two"),
            ("\n\u{1b}[31mred\n", "␛[31mred"),
            ("\n \n", ""),
            ("a\u{9b}\nb\u{2028}c", "a<U+009B> … b<U+2028>c"),
        ] {
            assert_eq!(one_line(text), line);
        }
    }

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!(fit("根任务", 6), "根任务");
        assert_eq!(fit("根任务", 5), "根任…");
        assert_eq!(fit("根任务", 4), "根…");
        assert_eq!(fit("abc", 0), "");
    }
}
