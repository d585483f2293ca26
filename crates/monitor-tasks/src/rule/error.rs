//! What is wrong with a rule, and where.

use std::fmt;

/// A mistake in a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleError {
    /// The field that it is in, such as `hour`, if it is in one.
    pub field: Option<&'static str>,
    /// The character where it begins, counted from 1.
    pub column: usize,
    /// What is wrong, what is allowed, and what may be meant.
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
