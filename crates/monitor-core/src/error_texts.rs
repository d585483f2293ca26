//! Error texts of the failures that a fold counts. Messages that differ only in numbers, ids and quoted parts share a text.

use std::collections::BTreeMap;

/// Maximum number of texts per fold. Further failures are only counted.
pub(crate) const MAX_TEXTS: usize = 100;
/// Number of characters of a message that are compared.
const MAX_CHARS: usize = 200;
/// Minimum number of hexadecimal digits of an id. At least one of them must be a decimal digit.
const ID_CHARS: usize = 7;

/// The distinct error texts of a fold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorTexts(BTreeMap<String, Failures>);

/// Failures with the same text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failures {
    /// Number of failures.
    pub count: u64,
    /// End of the first failure, in ticks.
    pub first: u64,
    /// End of the last failure, in ticks.
    pub last: u64,
}

impl ErrorTexts {
    /// Adds a failure that ended at this time.
    pub fn add(&mut self, message: &str, at: u64) {
        let text = shared_text(message);
        if let Some(failures) = self.0.get_mut(&text) {
            failures.count += 1;
            failures.first = failures.first.min(at);
            failures.last = failures.last.max(at);
        } else if self.0.len() < MAX_TEXTS {
            self.0.insert(text, Failures { count: 1, first: at, last: at });
        }
    }

    /// Returns the texts with their failures.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Failures)> {
        self.0.iter().map(|(text, failures)| (text.as_str(), *failures))
    }

    /// Returns the approximate size in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.0.keys().map(|text| text.len() + size_of::<(String, Failures)>()).sum()
    }
}

/// Returns the part of a message that similar messages share: numbers, ids and quoted parts are replaced by `…`.
pub(crate) fn shared_text(message: &str) -> String {
    let mut text = String::with_capacity(message.len().min(MAX_CHARS));
    let mut rest = message.char_indices().nth(MAX_CHARS).map_or(message, |(end, _)| &message[..end]);
    while let Some(first) = rest.chars().next() {
        let may_quote = match first {
            '"' | '`' => true,
            // Otherwise it is an apostrophe.
            '\'' => text.chars().last().is_none_or(|before| before.is_whitespace() || "([=:,".contains(before)),
            _ => false,
        };
        let quoted = rest[first.len_utf8()..].find(first).filter(|_| may_quote);
        let taken = if let Some(length) = quoted {
            text.extend([first, '…', first]);
            length + 2
        } else if first.is_ascii_alphanumeric() {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
            add_word(&mut text, &rest[..end]);
            end
        } else if first == '-' && text.ends_with('…') && id_length(&rest[1..]).is_some() {
            // The next part of a UUID.
            1 + id_length(&rest[1..]).unwrap_or(0)
        } else if matches!(first, '.' | ',' | ':') && text.ends_with('…') && rest[1..].starts_with(|c: char| c.is_ascii_digit()) {
            // The next part of a decimal number or a time.
            1 + rest[1..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - 1)
        } else {
            text.push(first);
            first.len_utf8()
        };
        rest = &rest[taken..];
    }
    text
}

/// Adds a word of letters and digits.
fn add_word(text: &mut String, word: &str) {
    let is_prefixed =
        word.strip_prefix("0x").is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if is_prefixed || id_length(word).is_some_and(|length| length >= ID_CHARS) {
        text.push('…');
        return;
    }
    for c in word.chars() {
        match c {
            '0'..='9' if text.ends_with('…') => {}
            '0'..='9' => text.push('…'),
            _ => text.push(c),
        }
    }
}

/// Returns the length of the hexadecimal word at the beginning, if it contains a decimal digit.
fn id_length(rest: &str) -> Option<usize> {
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
    let word = &rest.as_bytes()[..end];
    (word.iter().all(u8::is_ascii_hexdigit) && word.iter().any(u8::is_ascii_digit)).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_ids_and_quoted_parts_are_made_equal() {
        for (message, expected) in [
            ("order 4711 not found", "order … not found"),
            ("no file \"a b.txt\" in `src`", "no file \"…\" in `…`"),
            ("can't open 'x y', it isn't there", "can't open '…', it isn't there"),
            ("at 0x7ffe12ab: bad", "at …: bad"),
            ("request 3f2b8c1e-9d4a-4c1f-8a52-0123456789ab failed", "request … failed"),
            ("commit 87d18d4c is gone, defaced too", "commit … is gone, defaced too"),
            ("took 12:33:01.5, limit 3.14", "took …, limit …"),
            ("unknown unit m2, or u32", "unknown unit m…, or u…"),
            ("订单 8823 超时", "订单 … 超时"),
            ("a lone \" and '", "a lone \" and '"),
            ("", ""),
        ] {
            assert_eq!(shared_text(message), expected, "{message}");
        }
        assert_eq!(shared_text(&"ä".repeat(300)), "ä".repeat(200));
    }

    #[test]
    fn first_and_last_failure_are_kept_and_texts_are_limited() {
        let mut texts = ErrorTexts::default();
        for (at, message) in [(7, "line 3"), (5, "line 1"), (9, "line 2")] {
            texts.add(message, at);
        }
        assert_eq!(texts.iter().collect::<Vec<_>>(), [("line …", Failures { count: 3, first: 5, last: 9 })]);
        (0..300).for_each(|text: u32| texts.add(&"x".repeat(text as usize % 200), 1));
        assert_eq!(texts.iter().count(), MAX_TEXTS);
    }
}
