//! Spans that were read from the log of events, on their way.

use monitor_otlp::Part;

/// What was read from the log at once.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) parts: Vec<Part>,
    /// Number of the last event that it covers.
    pub(super) next: u64,
    /// There may be more in the log.
    pub(super) is_more: bool,
}
