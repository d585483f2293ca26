//! What is wrong with what was written, and where.

use std::fmt;

use serde::Serialize;

/// A mistake in a file or in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// The JSON pointer of the value that it is in, such as `/rules/0`.
    pub path: String,
    /// The line of the file, counted from 1. None for JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The character of the line, counted from 1. None for JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// What is wrong, what is expected, and what may be meant.
    pub message: String,
}

impl Mistake {
    /// The mistake after the name of its file: `gold.toml:3:1: rulse: there is no such key`.
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
