//! The layer: [`Spans`] with the filter of `MONITOR_TRACING`.

use std::any::TypeId;

use ::tracing::level_filters::LevelFilter;
use ::tracing::span::{Attributes, Id, Record};
use ::tracing::subscriber::Interest;
use ::tracing::{Dispatch, Event, Metadata, Subscriber};
use tracing_subscriber::filter::Filtered;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::FailOn;
use super::filter::Wanted;
use super::spans::Spans;

/// Layer that records spans as processes. Created by [`layer`](super::layer).
///
/// # Examples
///
/// ```
/// use monitor_client::tracing::{FailOn, MonitorLayer, layer};
/// use tracing_subscriber::Registry;
/// use tracing_subscriber::prelude::*;
///
/// let ours: MonitorLayer<Registry> = layer().with_timing(true).fail_on(FailOn::Never);
/// let subscriber = tracing_subscriber::registry().with(ours);
/// # tracing::subscriber::with_default(subscriber, || drop(tracing::info_span!("import")));
/// ```
#[derive(Debug)]
pub struct MonitorLayer<S>(Filtered<Spans, Wanted, S>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> MonitorLayer<S> {
    pub(super) fn new() -> Self {
        // Start recording here and not inside a subscriber, where the recorder's own messages would return to the subscriber.
        Self(Spans::new().with_filter(Wanted::read()))
    }

    /// Records for each process how long its span was entered (`busy_ns`), how long it was not (`idle_ns`), and the thread on which it was
    /// last entered (`thread`). The fields are sent when the process ends.
    ///
    /// # Examples
    ///
    /// ```
    /// use tracing_subscriber::prelude::*;
    ///
    /// let subscriber = tracing_subscriber::registry().with(monitor_client::tracing::layer().with_timing(true));
    /// # tracing::subscriber::with_default(subscriber, || drop(tracing::info_span!("import")));
    /// ```
    #[must_use]
    pub fn with_timing(mut self, with_timing: bool) -> Self {
        self.0.inner_mut().with_timing = with_timing;
        self
    }

    /// Sets which events make a process fail.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::tracing::{FailOn, layer};
    /// use tracing_subscriber::prelude::*;
    ///
    /// let subscriber = tracing_subscriber::registry().with(layer().fail_on(FailOn::Never));
    /// # tracing::subscriber::with_default(subscriber, || drop(tracing::info_span!("import")));
    /// ```
    #[must_use]
    pub fn fail_on(mut self, fail_on: FailOn) -> Self {
        self.0.inner_mut().fail_on = fail_on;
        self
    }
}

// `Filtered` discards notifications about a span that has closed: leaving a span that was closed first, and following from a closed span.
// `Spans` is called directly for these. It is also called directly for notifications about spans that it has recorded, because it
// recognises them itself and `Filtered` would repeat the lookup of the span. `Filtered` is called if the filter depends on spans.
impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for MonitorLayer<S> {
    fn on_follows_from(&self, span: &Id, follows: &Id, context: Context<'_, S>) {
        self.0.inner().follow(span, follows, &context);
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        self.0.inner().leave(id);
        if self.0.filter().has_spans() {
            self.0.on_exit(id, context);
        }
    }

    fn on_register_dispatch(&self, subscriber: &Dispatch) {
        self.0.on_register_dispatch(subscriber);
    }

    fn on_layer(&mut self, subscriber: &mut S) {
        self.0.on_layer(subscriber);
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        self.0.register_callsite(metadata)
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        self.0.enabled(metadata, context)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.0.max_level_hint()
    }

    fn event_enabled(&self, event: &Event<'_>, context: Context<'_, S>) -> bool {
        self.0.event_enabled(event, context)
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.0.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if self.0.filter().has_spans() {
            self.0.on_record(id, values, context);
        } else {
            self.0.inner().on_record(id, values, context);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        self.0.on_event(event, context);
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if self.0.filter().has_spans() {
            self.0.on_enter(id, context);
        } else {
            self.0.inner().on_enter(id, context);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if self.0.filter().has_spans() {
            self.0.on_close(id, context);
        } else {
            self.0.inner().on_close(id, context);
        }
    }

    fn on_id_change(&self, old: &Id, new: &Id, context: Context<'_, S>) {
        self.0.on_id_change(old, new, context);
    }

    #[allow(unsafe_code, reason = "a subscriber finds by this that the layer has a filter of its own; there is no safe way to tell it")]
    unsafe fn downcast_raw(&self, id: TypeId) -> Option<*const ()> {
        if id == TypeId::of::<Self>() {
            return Some(std::ptr::from_ref(self).cast());
        }
        // SAFETY: the contracts of the caller and of `Filtered` equal ours: the pointer is to a value of type `id` that lives as long as
        // `self`, because the filtered layer is a part of `self`.
        unsafe { self.0.downcast_raw(id) }
    }
}
