//! A JSON tokenizer that returns slices of the text. Methods return `None` for invalid JSON and for unusual values.

/// A text and the current position in it.
pub(super) struct Scan<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
}

impl<'a> Scan<'a> {
    pub(super) fn peek(&self) -> u8 {
        // Zero marks the end of the text, because no token is zero.
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    pub(super) fn skip_space(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    pub(super) fn eat(&mut self, token: u8) -> Option<()> {
        self.skip_space();
        let is_there = self.peek() == token;
        self.at += usize::from(is_there);
        is_there.then_some(())
    }

    pub(super) fn eat_word(&mut self, word: &str) -> Option<()> {
        self.skip_space();
        let is_there = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        self.at += if is_there { word.len() } else { 0 };
        is_there.then_some(())
    }

    /// Reads the next key of an object and the colon after it. The inner `None` means that the object has ended.
    #[allow(clippy::option_option, reason = "the outer one is for `?`: it stops reading")]
    pub(super) fn key(&mut self, is_first: &mut bool) -> Option<Option<&'a str>> {
        if *is_first {
            self.eat(b'{')?;
        }
        if self.eat(b'}').is_some() {
            return Some(None);
        }
        if !std::mem::take(is_first) {
            self.eat(b',')?;
        }
        let key = self.string()?;
        self.eat(b':')?;
        Some(Some(key))
    }

    /// Reads a string without escapes.
    pub(super) fn string(&mut self) -> Option<&'a str> {
        self.eat(b'"')?;
        let begin = self.at;
        let bytes = &self.text.as_bytes()[begin..];
        let mut length = 0;
        for word in bytes.as_chunks::<8>().0 {
            let special = special(u64::from_le_bytes(*word));
            if special != 0 {
                length += special.trailing_zeros() as usize / 8;
                return self.close(begin, length);
            }
            length += 8;
        }
        length += bytes[length..].iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
        self.close(begin, length)
    }

    fn close(&mut self, begin: usize, length: usize) -> Option<&'a str> {
        let end = begin + length;
        self.at = end + 1;
        (self.text.as_bytes()[end] == b'"').then(|| &self.text[begin..end])
    }

    /// Reads a whole number of at most 18 digits, so that it can't overflow.
    pub(super) fn number(&mut self) -> Option<u64> {
        self.skip_space();
        let digits = self.text.as_bytes()[self.at..].iter().take(19).take_while(|byte| byte.is_ascii_digit());
        let (number, length) = digits.fold((0_u64, 0), |(number, length), digit| (10 * number + u64::from(digit - b'0'), length + 1));
        if !(1..19).contains(&length) || (length > 1 && self.peek() == b'0') {
            return None;
        }
        self.at += length;
        Some(number)
    }

    /// Reads a value that may be `null`. The outer `None` means that the value can't be read, the inner `None` that it is `null`.
    #[allow(clippy::option_option, reason = "two different questions")]
    pub(super) fn or_null<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        self.skip_space();
        if self.peek() == b'n' { self.eat_word("null").map(|()| None) } else { read(self).map(Some) }
    }

    /// Returns the text of a value. Its end is found by counting brackets, so it need not be valid JSON; the caller has to parse it.
    pub(super) fn value(&mut self) -> Option<&'a str> {
        self.skip_space();
        let (begin, bytes) = (self.at, self.text.as_bytes());
        let mut depth = 0_usize;
        loop {
            match *bytes.get(self.at)? {
                b'"' => {
                    self.at += 1;
                    loop {
                        while let Some(word) = bytes.get(self.at..).and_then(|rest| rest.first_chunk())
                            && special(u64::from_le_bytes(*word)) == 0
                        {
                            self.at += 8;
                        }
                        match *bytes.get(self.at)? {
                            b'"' => break,
                            b'\\' => self.at += 2,
                            _ => self.at += 1,
                        }
                    }
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth > 0 => depth -= 1,
                b',' | b'}' | b']' if depth == 0 => return Some(&self.text[begin..self.at]),
                _ => {}
            }
            self.at += 1;
            if depth == 0 && matches!(bytes[self.at - 1], b'"' | b'}' | b']') {
                return Some(&self.text[begin..self.at]);
            }
        }
    }

    /// Reads an exit code or a signal. Negative numbers are unusual.
    pub(super) fn small(&mut self) -> Option<i32> {
        i32::try_from(self.number()?).ok()
    }

    /// Reads a string that may have escapes.
    pub(super) fn text(&mut self) -> Option<String> {
        let begin = self.at;
        if let Some(text) = self.string() {
            return Some(text.to_owned());
        }
        self.at = begin;
        serde_json::from_str(self.value()?).ok()
    }
}

/// Marks the bytes that end a string or need a closer look: quotes, backslashes and control characters. Sets the top bit of each such byte.
/// Only the lowest mark is reliable, since bytes above it may be marked wrongly.
fn special(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const TOPS: u64 = ONES << 7;
    let below = |word: u64, bound: u64| word.wrapping_sub(bound * ONES) & !word & TOPS;
    let is = |byte: u8| below(word ^ (u64::from(byte) * ONES), 1);
    is(b'"') | is(b'\\') | below(word, 0x20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_text_is_found_at_any_position() {
        for length in 0..40 {
            for (end, is_text) in [("\"", true), ("\\\"", false), ("\n\"", false), ("", false)] {
                for filler in ['a', '\u{7f}', 'é', '订', '\u{1f600}'] {
                    let text = format!("\"{}", filler.to_string().repeat(length));
                    let mut scan = Scan { text: &format!("{text}{end},{:20}", ""), at: 0 };
                    let expected = is_text.then(|| text[1..].to_owned());
                    assert_eq!(scan.string().map(str::to_owned), expected, "{:?}", scan.text);
                    assert!(!is_text || scan.eat(b',').is_some());
                }
            }
        }
    }

    #[test]
    fn numbers_are_whole_and_fit() {
        for (text, expected) in [
            ("0", Some(0)),
            ("7 ", Some(7)),
            ("999999999999999999", Some(999_999_999_999_999_999)),
            ("1000000000000000000", None),
            ("18446744073709551616", None),
            ("07", None),
            ("-1", None),
            ("", None),
            ("\"7\"", None),
        ] {
            assert_eq!(Scan { text, at: 0 }.number(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_value_ends_at_its_closing_bracket() {
        for (text, expected) in [
            (r#"{"a":[1,"}\"]"]},"#, Some(r#"{"a":[1,"}\"]"]}"#)),
            ("12,", Some("12")),
            (r#""a\\","b""#, Some(r#""a\\""#)),
            ("null}", Some("null")),
            (r#"{"a":1"#, None),
            (r#""a\"#, None),
            ("", None),
        ] {
            assert_eq!(Scan { text, at: 0 }.value(), expected, "{text:?}");
        }
    }
}
