//! Batch tasks as pure words: rules of time, definitions of tasks, and what is to be done now.
//!
//! Nothing here reads a clock, a file or a database: whoever calls says what time it is.

pub mod definition;
pub mod duration;
mod near;
pub mod rule;
pub mod zone;

pub use definition::{Definition, Mistake};
pub use rule::{Rule, RuleError};
