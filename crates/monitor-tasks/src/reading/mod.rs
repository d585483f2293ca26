//! Reads user-written TOML or JSON. Reports all mistakes at once, each with its position and a suggestion.

mod mistake;
mod source;
mod values;
mod words;

pub use mistake::Mistake;
pub(crate) use source::LONGEST;
pub use source::Source;
pub use values::{Found, Reader, Table};

pub use crate::near::{did_you_mean, shown};

pub(crate) use values::UNITS;
