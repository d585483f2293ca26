//! A layer for programs that use `tracing`: each span is a process, shown while it runs, and each event is a log line.
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
//! - A process of kind `span` begins when the span is created and ends when it is closed. The process is current while the span is entered:
//!   spans, attributed functions and [`Process`](crate::Process)es that begin during this time are its children. A span that begins within
//!   an attributed function is that function's child. `parent: None` begins a run, and an explicit parent takes precedence.
//! - `record` sets fields or replaces their values, and `follows_from` adds a link. The field `otel.name` sets the name.
//! - A process fails if an event of level ERROR occurs within its span ([`MonitorLayer::fail_on`]), if it has the field `otel.status_code =
//!   "ERROR"`, or if a panic unwinds through it. `#[instrument(err)]` emits such an event.
//! - `tracing` does not report that a span was abandoned, so a future that is dropped before its end counts as succeeded.
//!
//! `MONITOR_TRACING` specifies the recorded spans and events in the syntax of [`EnvFilter`](tracing_subscriber::EnvFilter), such as
//! `info,hyper=off`. The default is `info`. The children of a span that is not recorded are attached to its nearest recorded ancestor.
//! Additional filters can be set by `with_filter`. Without `MONITOR_ENABLED`, all callsites are disabled.

mod closed;
mod fields;
mod filter;
mod layer;
mod spans;

use ::tracing::Subscriber;
use tracing_subscriber::registry::LookupSpan;

pub use layer::MonitorLayer;

/// Creates a layer that records spans as processes.
///
/// # Examples
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

/// Events that make a process fail. A panic and `otel.status_code = "ERROR"` always do.
///
/// # Examples
///
/// ```
/// use monitor_client::tracing::FailOn;
///
/// assert_eq!(FailOn::default(), FailOn::Error);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailOn {
    /// An event of level ERROR within the span.
    #[default]
    Error,
    /// No event.
    Never,
}
