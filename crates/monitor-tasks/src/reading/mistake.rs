//! Mistakes in user-written files, with their positions.

use std::fmt;

use serde::Serialize;

/// A mistake in a file or in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// JSON pointer of the value, such as `/rules/0`.
    pub path: String,
    /// Line number, from 1. `None` for JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// Column in characters, from 1. `None` for JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// Description of the mistake, the expected value, and a suggestion.
    pub message: String,
}

impl Mistake {
    /// Formats the mistake with a file name: `gold.toml:3:1: rulse: there is no such key`.
    pub fn in_file(&self, file: impl fmt::Display) -> String {
        let colon = if self.line.is_some() { ":" } else { ": " };
        format!("{file}{colon}{self}")
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, "{line}:{column}: ")?;
        }
        let path = self.path.trim_start_matches('/').replace('/', ".");
        if path.is_empty() { f.write_str(&self.message) } else { write!(f, "{path}: {}", self.message) }
    }
}

impl std::error::Error for Mistake {}
