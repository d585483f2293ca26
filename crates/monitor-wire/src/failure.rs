//! Errors of failed processes, and their places in the source.

use serde::{Deserialize, Serialize};

use crate::words::ErrorKind;

/// A place in a program's source.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Source {
    /// Path of the file, as recorded by the compiler.
    pub file: String,
    /// Line number, from 1.
    pub line: u32,
}

/// The error of a failed process.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Error {
    /// Kind of the failure.
    pub kind: ErrorKind,
    /// Type of the error in the program.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub type_name: Option<String>,
    /// Error message.
    pub message: String,
    /// Causes of the error, the nearest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<String>,
    /// Place of the error in the program's source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Exit code of a command, or number of the signal if the kind is `signal`. Only set if the message does not contain it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// Last lines of the command's output, with their indentation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<String>,
}

impl Error {
    /// Creates an error with only a kind and a message.
    pub fn new(kind: ErrorKind, message: String) -> Self {
        Self { kind, type_name: None, message, chain: Vec::new(), source: None, code: None, tail: None }
    }
}
