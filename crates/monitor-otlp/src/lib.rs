//! Converts processes to OpenTelemetry spans, and interprets the answers of OTLP/HTTP receivers.
//!
//! The server creates spans from its store. A program that sends spans without a server folds its own events with [`Collector`]. Both
//! produce the same spans. The crate does no I/O and reads no clock; the caller provides the HTTP client.
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

/// Maximum number of log lines in a span. Further lines are counted.
pub const MOST_LINES: usize = 1_000;
