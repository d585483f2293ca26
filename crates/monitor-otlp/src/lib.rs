//! Processes as spans of OpenTelemetry, and what a receiver of OTLP over HTTP answers to them.
//!
//! The server takes processes out of its store, and a program that sends spans by itself folds its own events ([`Collector`]); what a span
//! says is the same. No I/O, no clock: whoever uses it has an HTTP client of its own.
#![forbid(unsafe_code)]

mod answer;
mod collector;
mod headers;
mod json;
mod part;
pub mod proto;
mod span;

pub use answer::{Answer, LONGEST_ANSWER, traces_path};
pub use collector::Collector;
pub use headers::OtlpHeaders;
pub use part::Part;
pub use span::{SCOPE, STATE, event, has_counted_all, is_over, resource, span, times};

/// The most lines of a process's log that go with its span; others are counted.
pub const MOST_LINES: usize = 1_000;
