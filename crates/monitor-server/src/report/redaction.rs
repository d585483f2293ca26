//! Patterns of names whose log lines and fields are left out.

use std::str::FromStr;

use globset::{Glob, GlobSet};

/// Maximum number of patterns.
pub const MOST_REDACTIONS: usize = 100;

/// Maximum length of a pattern, in bytes.
pub(crate) const LONGEST: usize = 1_000;

/// A pattern of names of processes.
#[derive(Debug, Clone)]
pub struct Redaction {
    text: String,
    names: GlobSet,
}

/// Why patterns are not accepted.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RedactionError {
    /// It matches no name.
    #[error("the pattern is empty: name the processes, for example `login*`")]
    Empty,
    /// It is longer than the limit.
    #[error("the pattern has {0} bytes: give at most {LONGEST}")]
    TooLong(usize),
    /// It is not a pattern.
    #[error("{pattern:?} is not a pattern of names: {reason}")]
    Pattern {
        /// The text that was given.
        pattern: String,
        /// The mistake in it.
        reason: globset::ErrorKind,
    },
    /// There are more than the limit.
    #[error("{0} patterns: give at most {MOST_REDACTIONS}, for example with `{{a,b}}` in one")]
    TooMany(usize),
}

impl Redaction {
    /// The pattern as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn is_match(&self, name: &str) -> bool {
        self.names.is_match(name)
    }
}

impl FromStr for Redaction {
    type Err = RedactionError;

    fn from_str(text: &str) -> Result<Self, RedactionError> {
        match text.len() {
            0 => return Err(RedactionError::Empty),
            length if length > LONGEST => return Err(RedactionError::TooLong(length)),
            _ => {}
        }
        // A set returns an error for a pattern that needs too much memory; a single matcher panics.
        let names = Glob::new(text).and_then(|glob| GlobSet::builder().add(glob).build());
        let wrong = |error: globset::Error| RedactionError::Pattern { pattern: text.to_owned(), reason: error.kind().clone() };
        Ok(Self { text: text.to_owned(), names: names.map_err(wrong)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_names_and_an_invalid_pattern_is_refused() {
        let matching = |pattern: &str, name: &str| pattern.parse::<Redaction>().unwrap().is_match(name);
        assert!(matching("log{in,out}*", "logout of user") && matching("read a, b", "read a, b") && matching("*", "a/b"));
        assert!(!matching("log{in,out}", "login 1") && !matching("read a", "read a, b"));
        for (pattern, words) in [
            ("", "the pattern is empty"),
            ("[a", "\"[a\" is not a pattern of names: unclosed character class"),
            ("{a", "\"{a\" is not"),
            (&*"a".repeat(LONGEST + 1), "1001 bytes: give at most 1000"),
        ] {
            let error = pattern.parse::<Redaction>().unwrap_err().to_string();
            assert!(error.contains(words), "{pattern}: {error}");
        }
        assert!(matching(&"a".repeat(LONGEST), &"a".repeat(LONGEST)));
    }
}
