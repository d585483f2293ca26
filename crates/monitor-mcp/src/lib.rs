//! Tools for coding assistants, by the Model Context Protocol: which runs failed, and why.
//!
//! The tools query the HTTP API through [`Ask`], so that a caller has the same rights and leaves the same audit entries as in any other use
//! of the API. Recorded text is untrusted: each answer has it in fields named `recorded`, without control characters.
#![forbid(unsafe_code)]

mod answer;
mod arguments;
mod ask;
mod assistant;
mod catalog;
#[cfg(feature = "http")]
mod over_http;
#[cfg(feature = "stdio")]
mod over_stdio;
mod recorded;
mod tools;

pub use ask::{Ask, Failure, Request};
pub use assistant::{Allow, Assistant};
#[cfg(feature = "http")]
pub use over_http::answer;
#[cfg(feature = "stdio")]
pub use over_stdio::serve;
