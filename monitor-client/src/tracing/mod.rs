//! A layer for programs that have `tracing` already: each span is a process, shown while it runs, and each event a line of a log.
//!
//! ```
//! use tracing_subscriber::prelude::*;
//!
//! tracing_subscriber::registry().with(monitor_client::tracing::layer()).init();
//!
//! let import = tracing::info_span!("import", table = "orders").entered();
//! tracing::info!(rows = 17, "read"); // a line of the log of `import`
//! drop(import);
//! ```
//!
//! - A process of kind `span` begins when the span is created and ends when it is closed. While it is entered it is current: spans,
//!   attributed functions and [`Process`](crate::Process)es that begin there hang below it, and a span within an attributed function hangs
//!   below that. `parent: None` begins a tree, and an explicit parent wins.
//! - `record` sets fields anew, `follows_from` is a link. The field `otel.name` is the name.
//! - A process failed if there was an event of level ERROR within its span ([`MonitorLayer::fail_on`]), if it has the field
//!   `otel.status_code = "ERROR"`, or if a panic went through it. `#[instrument(err)]` makes such an event.
//! - `tracing` has no word for a span that was given up: a future that is dropped before its end has succeeded here, too.
//!
//! `MONITOR_TRACING` says which spans and events are taken, as [`EnvFilter`](tracing_subscriber::EnvFilter) has it: `info` unless it is set,
//! or `info,hyper=off`. What hangs below a span that is not taken hangs below the next one up. Filters of your own go on top of it by
//! `with_filter`. Without `MONITOR_ENABLED` every callsite is told that nobody listens.

mod closed;
mod fields;
mod filter;
mod layer;
mod spans;

use ::tracing::Subscriber;
use tracing_subscriber::registry::LookupSpan;

pub use layer::MonitorLayer;

/// Makes a layer that records spans as processes.
///
/// ```
/// use tracing_subscriber::prelude::*;
///
/// let subscriber = tracing_subscriber::registry().with(monitor_client::tracing::layer());
/// tracing::subscriber::with_default(subscriber, || {
///     let _span = tracing::info_span!("import").entered();
/// });
/// ```
pub fn layer<S: Subscriber + for<'a> LookupSpan<'a>>() -> MonitorLayer<S> {
    MonitorLayer::new()
}

/// What makes a process failed, besides a panic and `otel.status_code = "ERROR"`.
///
/// ```
/// use monitor_client::tracing::FailOn;
///
/// assert_eq!(FailOn::default(), FailOn::Error);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailOn {
    /// An event of level ERROR within its span.
    #[default]
    Error,
    /// No event.
    Never,
}
