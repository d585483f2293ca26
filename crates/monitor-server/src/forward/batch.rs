//! Batch of spans that was read from the log of events and must be sent.

use monitor_otlp::Part;

/// Events read from the log at a time.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) parts: Vec<Part>,
    /// Number of the last event that the batch covers.
    pub(super) next: u64,
    /// True if the log may contain more.
    pub(super) is_more: bool,
}
