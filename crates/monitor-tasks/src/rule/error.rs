//! Mistakes in time rules, with their positions.

use std::fmt;

/// A mistake in a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleError {
    /// Field with the mistake, such as `hour`.
    pub field: Option<&'static str>,
    /// Column in characters, from 1.
    pub column: usize,
    /// Description of the mistake, the permitted values, and a suggestion.
    pub message: String,
}

impl RuleError {
    pub(super) fn new(column: usize, message: impl Into<String>) -> Self {
        Self { field: None, column, message: message.into() }
    }
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field {
            Some(field) => write!(f, "column {}, {field}: {}", self.column, self.message),
            None => write!(f, "column {}: {}", self.column, self.message),
        }
    }
}

impl std::error::Error for RuleError {}
