//! Filters typed after `/`: words such as `state:failed`, and free text.

/// A parsed filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Pairs of word and value, each word at most once.
    pub(crate) words: Vec<(String, String)>,
    /// Free text.
    pub(crate) text: String,
}

impl Filter {
    /// Parses a filter. Only `names` are words; other text with a colon is free text. A value can be quoted.
    pub(crate) fn read(typed: &str, names: &[&str]) -> Self {
        let mut filter = Self::default();
        let mut rest = typed.trim();
        let mut text = Vec::new();
        while !rest.is_empty() {
            let name = rest.split_once(':').map(|(name, _)| name).filter(|name| names.contains(name));
            let (value, after) = split(name.map_or(rest, |name| &rest[name.len() + 1..]));
            match name {
                Some(name) => {
                    filter.words.retain(|(known, _)| known != name);
                    filter.words.push((name.to_owned(), value.to_owned()));
                }
                None => text.push(value),
            }
            rest = after.trim_start();
        }
        filter.text = text.join(" ");
        filter
    }

    pub(crate) fn word(&self, name: &str) -> Option<&str> {
        self.words.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Returns the first word or quoted text, and the rest.
fn split(text: &str) -> (&str, &str) {
    if let Some((quoted, after)) = text.strip_prefix('"').and_then(|text| text.split_once('"')) {
        return (quoted, after);
    }
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filter_keys_and_free_text_are_separated() {
        let names = &["state", "name"];
        for (typed, words, text) in [
            ("", &[][..], ""),
            ("  no such  table ", &[][..], "no such table"),
            ("state:failed table", &[("state", "failed")][..], "table"),
            ("name:\"nightly import\" 根", &[("name", "nightly import")][..], "根"),
            ("http://x state:a state:b", &[("state", "b")][..], "http://x"),
            ("name:\"open", &[("name", "\"open")][..], ""),
            ("state:", &[("state", "")][..], ""),
        ] {
            let words: Vec<_> = words.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert_eq!(Filter::read(typed, names), Filter { words, text: text.to_owned() }, "{typed}");
        }
    }
}
