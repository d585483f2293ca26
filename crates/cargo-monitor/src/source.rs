//! A crate's sources: its files, by following `mod` from the root as the compiler does, and the functions in them.

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
    /// In the order in which they stand.
    pub(crate) functions: Vec<Function>,
}

/// A function, method or function of a trait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Function {
    /// `crate::mod::Type::method`
    pub(crate) path: String,
    /// The line of its name, from 1.
    pub(crate) line: usize,
    /// First and last line, attributes and comments included.
    pub(crate) lines: (usize, usize),
    /// Lines of its body.
    pub(crate) body_lines: usize,
    pub(crate) parameters: Vec<String>,
    pub(crate) is_async: bool,
    /// Where an attribute can be put: a byte of the text.
    pub(crate) place: usize,
    /// Why it can't be woven.
    pub(crate) obstacle: Option<Obstacle>,
    /// Why it isn't woven unless someone asks for it.
    pub(crate) left_out: Option<LeftOut>,
    pub(crate) is_test: bool,
    /// What it calls, by name.
    pub(crate) callees: Vec<Callee>,
    /// It calls itself, directly or through others of its crate.
    pub(crate) is_recursive: bool,
}

impl Function {
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit("::").next().unwrap_or_default()
    }

    /// The name of its processes: that of a test is the harness's own.
    pub(crate) fn shown(&self) -> &str {
        self.path.split_once("::").filter(|_| self.is_test).map_or(&self.path, |(_, test)| test)
    }

    /// The type or trait that it is a method or function of.
    pub(crate) fn of_type(&self) -> Option<&str> {
        self.path.rsplit("::").nth(1).filter(|of| of.starts_with(|first: char| !first.is_lowercase() || first == '_'))
    }
}

/// Why a function can't be woven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Obstacle {
    /// `const fn`
    Const,
    /// `#[naked]`
    Naked,
    /// `...` in its parameters.
    Variadic,
    /// One of ours stands there already.
    Attributed,
    /// Of an allocator, a panic handler, a signal's way in: what the recorder itself needs.
    Beneath,
    /// It stands on one line with what precedes it, and so does its body.
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
