//! Why a process failed, and where.

use serde::{Deserialize, Serialize};

use crate::words::ErrorKind;

/// A place in a program's source.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Source {
    /// The file, as the compiler names it.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
}

/// Why a process failed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Error {
    /// What kind of failure.
    pub kind: ErrorKind,
    /// Type of the error in the program.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub type_name: Option<String>,
    /// The error's own words.
    pub message: String,
    /// Its causes, nearest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<String>,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// The exit code of a command, or with the kind `signal` the signal's number, where the message doesn't say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// The last lines that a command wrote, with their indentation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<String>,
}

impl Error {
    /// An error of which no more is known.
    pub fn new(kind: ErrorKind, message: String) -> Self {
        Self { kind, type_name: None, message, chain: Vec::new(), source: None, code: None, tail: None }
    }
}
