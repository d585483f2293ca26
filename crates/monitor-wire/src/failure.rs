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

    /// Returns the message and its causes, the nearest first. A cause that the text before it already contains at its end is omitted.
    pub fn links(&self) -> Vec<&str> {
        let mut links = Vec::<&str>::with_capacity(1 + self.chain.len());
        for link in std::iter::once(&self.message).chain(&self.chain) {
            if !link.is_empty() && links.last().is_none_or(|last| !last.ends_with(link.as_str())) {
                links.push(link);
            }
        }
        links
    }

    /// Returns the error on one line, `context: cause`, without the number of an operating system error at the end. `shown` formats each
    /// link.
    pub fn line(&self, shown: impl Fn(&str) -> String) -> String {
        let mut links = self.links();
        if let Some(last) = links.last_mut() {
            *last = without_os_code(last);
        }
        links.into_iter().map(shown).collect::<Vec<_>>().join(": ")
    }
}

/// Removes the suffix ` (os error 2)`.
fn without_os_code(text: &str) -> &str {
    let before = text.strip_suffix(')').map(|text| text.trim_end_matches(|digit: char| digit.is_ascii_digit()));
    before.and_then(|text| text.strip_suffix(" (os error ")).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(links: &[&str]) -> Error {
        let (message, chain) = links.split_first().unwrap();
        Error { chain: chain.iter().map(|cause| (*cause).to_owned()).collect(), ..Error::new(ErrorKind::ERROR, (*message).to_owned()) }
    }

    #[test]
    fn one_line_reads_context_then_cause() {
        for (links, line) in [
            (&["can't write a.json", "No such file (os error 2)"][..], "can't write a.json: No such file"),
            (&["import failed", "query failed", "no such table"], "import failed: query failed: no such table"),
            (&["can't read: No such file (os error 2)", "No such file (os error 2)"], "can't read: No such file"),
            (&["same", "same"], "same"),
            (&["", "cause"], "cause"),
            (&["(os error x)"], "(os error x)"),
            (&["lone (os error 5) here"], "lone (os error 5) here"),
        ] {
            assert_eq!(error(links).line(str::to_owned), line);
        }
    }
}
