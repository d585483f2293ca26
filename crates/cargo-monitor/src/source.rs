//! Reads a crate's sources: follows `mod` from the root file as the compiler does, and finds the functions in each file.

mod functions;
mod modules;
mod recursion;
mod tokens;
mod worth;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

#[cfg(test)]
pub(crate) use modules::read_text;
pub(crate) use modules::{absolute, read_crate};
pub(crate) use recursion::Callee;
pub(crate) use worth::LeftOut;

/// A file of a crate.
#[derive(Debug)]
pub(crate) struct SourceFile {
    /// Absolute, without `.` and `..`.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    /// In source order.
    pub(crate) functions: Vec<Function>,
}

/// A function, method or function of a trait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Function {
    /// `crate::mod::Type::method`
    pub(crate) path: String,
    /// Line of its name, starting at 1.
    pub(crate) line: usize,
    /// First and last line, attributes and comments included.
    pub(crate) lines: (usize, usize),
    /// Number of lines of the body, including those of its braces.
    pub(crate) body_lines: usize,
    pub(crate) parameters: Vec<String>,
    pub(crate) is_async: bool,
    /// Byte offset in the text at which an attribute can be inserted.
    pub(crate) place: usize,
    /// Reason why it can't be woven.
    pub(crate) obstacle: Option<Obstacle>,
    /// Reason why it is woven only if a rule includes it explicitly.
    pub(crate) left_out: Option<LeftOut>,
    pub(crate) is_test: bool,
    /// Functions that it calls, by name.
    pub(crate) callees: Vec<Callee>,
    /// True if it calls itself, directly or through other functions of its crate.
    pub(crate) is_recursive: bool,
}

impl Function {
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit("::").next().unwrap_or_default()
    }

    /// Returns the name of its processes. For a test, it is the name that the test harness uses.
    pub(crate) fn shown(&self) -> &str {
        self.path.split_once("::").filter(|_| self.is_test).map_or(&self.path, |(_, test)| test)
    }

    /// Returns the type or trait of a method or associated function.
    pub(crate) fn of_type(&self) -> Option<&str> {
        self.path.rsplit("::").nth(1).filter(|of| of.starts_with(|first: char| !first.is_lowercase() || first == '_'))
    }
}

/// Reason why a function can't be woven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Obstacle {
    /// `const fn`
    Const,
    /// `#[naked]`
    Naked,
    /// Has `...` among its parameters.
    Variadic,
    /// Already has an attribute of monitor-client.
    Attributed,
    /// Belongs to an allocator, a panic handler or similar code that the recorder itself depends on.
    Beneath,
    /// Shares one line with preceding code and with its body, so that an inserted attribute would move the columns of the body.
    OneLine,
}

impl Obstacle {
    pub(crate) fn why(self) -> &'static str {
        match self {
            Self::Const => "a const fn may run in the compiler",
            Self::Naked => "a naked function has no place for it",
            Self::Variadic => "a variadic function can't be wrapped",
            Self::Attributed => "it has an attribute of monitor-client already",
            Self::Beneath => "the recorder itself may call it",
            Self::OneLine => "it stands on one line with its body and what precedes it, and the body's columns would move",
        }
    }
}
