//! Spans as processes.
//!
//! The process of a span is shared by the subscriber, which drops it when the span closes, and by each thread that has entered the span. It
//! ends when the last of them drops it. If a span is closed while a thread is still inside, its process stays current on that thread, and
//! other threads can't start children of it.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Instant;

use ::tracing::span::{Attributes, Id, Record};
use ::tracing::{Event, Metadata, Subscriber};
use monitor_core::record::{Failure, Fields, Named, Origin, Site};
use monitor_core::span::{Below, Span};
use monitor_core::switch::is_starting;
use monitor_core::{CurrentGuard, Level, Line, Value, inside, log_line};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::FailOn;
use super::closed::Closed;
use super::fields::Said;

/// Records spans as processes.
#[derive(Debug)]
pub(super) struct Spans {
    pub(super) with_timing: bool,
    pub(super) fail_on: FailOn,
    /// Number of this layer. Several subscribers use the same span ids, and if one subscriber has two of
    /// these layers, only the first records.
    number: u64,
    closed: Closed,
}

/// Extension of a span: its process, until the span closes.
#[derive(Debug)]
struct Recorded(Option<Arc<Shared>>);

/// The process of a span.
#[derive(Debug)]
struct Shared {
    /// Number of the layer that has recorded the span.
    layer: u64,
    /// `None` after the end.
    span: Option<Span>,
    /// Boxed, because most spans have no notes.
    notes: Mutex<Option<Box<Notes>>>,
}

#[derive(Debug, Default)]
struct Notes {
    failure: Option<Failure>,
    timing: Option<Timing>,
}

#[derive(Debug)]
struct Timing {
    /// Time at which the first thread entered the span, or the last thread left it.
    changed: Instant,
    entered: u32,
    busy_ns: u64,
    idle_ns: u64,
    thread: Option<String>,
}

/// A span that this thread has entered.
struct Entered {
    id: u64,
    was_panicking: bool,
    /// Declared before the process, so that it is dropped first and the process isn't current any more when it ends.
    current: CurrentGuard,
    process: Arc<Shared>,
}

thread_local! {
    static ENTERED: RefCell<Vec<Entered>> = const { RefCell::new(Vec::new()) };
}

impl Spans {
    pub(super) fn new() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Spans { with_timing: false, fail_on: FailOn::Error, number: LAST.fetch_add(1, Ordering::Relaxed), closed: Closed::new() }
    }

    /// Returns the process of a span, if this layer has recorded it.
    fn process<S: for<'a> LookupSpan<'a>>(&self, span: &SpanRef<'_, S>) -> Option<Arc<Shared>> {
        let extensions = span.extensions();
        extensions.get::<Recorded>()?.0.as_ref().filter(|process| process.layer == self.number).cloned()
    }

    /// Returns the parent of a new span.
    fn below<S: Subscriber + for<'a> LookupSpan<'a>>(&self, attributes: &Attributes<'_>, span: &SpanRef<'_, S>) -> Below {
        if attributes.is_contextual() {
            return Below::Current;
        }
        // If an explicit parent is filtered out, its nearest recorded ancestor is the parent.
        let parent = span.parent().and_then(|parent| self.process(&parent)?.span.as_ref()?.parent());
        parent.map_or(Below::Nothing, Below::Process)
    }

    /// Links a span to the span that it follows from, which may have closed.
    pub(super) fn follow<S: Subscriber + for<'a> LookupSpan<'a>>(&self, id: &Id, follows: &Id, context: &Context<'_, S>) {
        let Some(process) = context.span(id).and_then(|span| self.process(&span)) else { return };
        let open = context.span(follows).and_then(|span| self.process(&span)?.span.as_ref()?.context());
        if let (Some(span), Some(other)) = (&process.span, open.or_else(|| self.closed.find(follows.into_u64()))) {
            span.link(other, "follows_from");
        }
    }

    /// Leaves a span on this thread. The span may have closed.
    pub(super) fn leave(&self, id: &Id) {
        let left = ENTERED.try_with(|all| {
            let mut all = all.try_borrow_mut().ok()?;
            let at = all.iter().rposition(|entered| entered.id == id.into_u64() && entered.process.layer == self.number)?;
            Some(all.remove(at))
        });
        let Some(Entered { was_panicking, current, process, .. }) = left.ok().flatten() else { return };
        drop(current);
        if self.with_timing {
            process.note(|notes| notes.timing.iter_mut().for_each(Timing::leave));
        }
        if std::thread::panicking()
            && !was_panicking
            && let Some(failure) = process.span.as_ref().and_then(Span::panicked)
        {
            process.note_failure(Some(failure));
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if inside::is_inside() || !is_starting() {
            return;
        }
        let Some(span) = context.span(id) else { return };
        // No other thread knows the span yet. Hold the lock of its extensions for the whole function, so that it is acquired once.
        let mut extensions = span.extensions_mut();
        if extensions.get_mut::<Recorded>().is_some() {
            return;
        }
        let Fielded { name, fields, mut notes } = fielded(attributes);
        let below = self.below(attributes, &span);
        let Some(begun) = Span::begin(origin(attributes.metadata(), name), below, fields) else { return };
        if self.with_timing {
            notes.get_or_insert_default().timing = Some(Timing::new());
        }
        let process = Shared { layer: self.number, span: Some(begun), notes: Mutex::new(notes) };
        extensions.replace(Recorded(Some(Arc::new(process))));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(process) = context.span(id).and_then(|span| self.process(&span)) else { return };
        let mut said = Said::of(|said| values.record(said));
        match said.is_failed {
            Some(true) => process.note_failure(Some(said.status())),
            Some(false) => process.note_failure(None),
            None => {}
        }
        if let Some(span) = &process.span
            && (said.name.is_some() || !said.fields.is_empty())
        {
            span.update(said.name, said.fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        if inside::is_inside() || event.is_root() {
            return;
        }
        let level = level(*metadata.level());
        // While no new processes are reported, an error still decides the outcome of a span that was reported.
        if level != Level::Error && !is_starting() {
            return;
        }
        let span = context.event_span(event).and_then(|span| self.process(&span));
        let mut said = Said::of(|said| event.record(said));
        if level == Level::Error
            && self.fail_on == FailOn::Error
            && let Some(span) = &span
        {
            let place = metadata.file().zip(metadata.line()).map(|(file, line)| (Cow::Borrowed(file), line));
            span.note_failure(Some(said.failure(place)));
        }
        // For a contextual event, the current process may be a call of an attributed function within the span.
        let below = span.filter(|_| !event.is_contextual()).and_then(|process| process.span.as_ref()?.context());
        if below.is_none() && !event.is_contextual() {
            return;
        }
        let target = said.target.map_or_else(|| metadata.target().to_owned().into(), Cow::Owned);
        log_line(below, || Line { level, target: Some(target), message: said.message, fields: said.fields, ..Line::default() });
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if inside::is_inside() {
            return;
        }
        let Some(process) = context.span(id).and_then(|span| self.process(&span)) else { return };
        let Some(span) = &process.span else { return };
        if self.with_timing {
            process.note(|notes| notes.timing.iter_mut().for_each(Timing::enter));
        }
        let current = span.enter();
        let entered = Entered { id: id.into_u64(), was_panicking: std::thread::panicking(), current, process };
        let mut entered = Some(entered);
        // If the thread-locals are destroyed, the thread is about to end and the process is not made current.
        let _ = ENTERED.try_with(|all| all.try_borrow_mut().map(|mut all| all.extend(entered.take())));
        drop(entered);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let mut extensions = span.extensions_mut();
        let recorded = extensions.get_mut::<Recorded>();
        let process = recorded.and_then(|Recorded(process)| process.take_if(|process| process.layer == self.number));
        // Unlock the extensions first: the end of the process may emit an event, which needs them.
        drop(extensions);
        let Some(process) = process else { return };
        if let Some(own) = process.span.as_ref().and_then(Span::to_remember) {
            self.closed.add(id.into_u64(), own);
        }
        drop(process);
    }
}

impl Shared {
    fn note(&self, change: impl FnOnce(&mut Notes)) {
        if let Some(mut notes) = patiently(&self.notes) {
            change(notes.get_or_insert_default());
        }
    }

    /// Stores the failure. The latest one is reported.
    fn note_failure(&self, failure: Option<Failure>) {
        self.note(|notes| notes.failure = failure);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let Some(span) = self.span.take() else { return };
        let mut notes = self.notes.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(timing) = notes.as_mut().and_then(|notes| notes.timing.take()) {
            span.update(None, timing.fields());
        }
        let failure = span.panicked().or_else(|| notes?.failure);
        span.end(failure);
    }
}

/// Fields of a new span.
#[derive(Default)]
struct Fielded {
    name: Option<String>,
    fields: Fields,
    /// Contains a failure if the fields describe one.
    notes: Option<Box<Notes>>,
}

fn fielded(attributes: &Attributes<'_>) -> Fielded {
    // Skip the visitor for spans without fields, which are most.
    if attributes.metadata().fields().is_empty() {
        return Fielded::default();
    }
    let mut said = Said::of(|said| attributes.record(said));
    let failure = (said.is_failed == Some(true)).then(|| said.status());
    let notes = failure.map(|failure| Box::new(Notes { failure: Some(failure), timing: None }));
    Fielded { name: said.name, fields: said.fields, notes }
}

impl Timing {
    fn new() -> Self {
        Timing { changed: Instant::now(), entered: 0, busy_ns: 0, idle_ns: 0, thread: None }
    }

    fn enter(&mut self) {
        if self.entered == 0 {
            self.idle_ns += self.turn();
        }
        self.entered += 1;
        self.thread = std::thread::current().name().map(str::to_owned);
    }

    fn leave(&mut self) {
        self.entered = self.entered.saturating_sub(1);
        if self.entered == 0 {
            self.busy_ns += self.turn();
        }
    }

    /// Returns the time since the last change in nanoseconds, and sets the time of the last change to now.
    fn turn(&mut self) -> u64 {
        let now = Instant::now();
        let since = now.duration_since(std::mem::replace(&mut self.changed, now));
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    fn fields(mut self) -> Fields {
        self.idle_ns += self.turn();
        let mut fields = vec![(Cow::Borrowed("busy_ns"), self.busy_ns.into()), (Cow::Borrowed("idle_ns"), self.idle_ns.into())];
        fields.extend(self.thread.map(|thread| (Cow::Borrowed("thread"), Value::Text(thread))));
        fields
    }
}

/// Returns the origin of the processes of a callsite.
fn origin(metadata: &'static Metadata<'static>, name: Option<String>) -> Origin {
    let site = match (metadata.file(), metadata.line(), &name) {
        (Some(file), Some(line), None) => {
            monitor_core::span::site(std::ptr::from_ref(metadata).addr(), || Site::new(metadata.name(), "span", file, line))
        }
        _ => None,
    };
    site.map_or_else(
        || {
            let name = name.unwrap_or_else(|| metadata.name().to_owned());
            Origin::Named(Box::new(Named { name, kind: Cow::Borrowed("span"), place: None }))
        },
        Origin::Site,
    )
}

fn level(level: ::tracing::Level) -> Level {
    match level {
        ::tracing::Level::ERROR => Level::Error,
        ::tracing::Level::WARN => Level::Warn,
        ::tracing::Level::INFO => Level::Info,
        ::tracing::Level::DEBUG => Level::Debug,
        _ => Level::Trace,
    }
}

/// Acquires a lock that is held for short times only. Returns `None` after a number of tries: in a forked child,
/// the owner of the lock may not exist.
pub(super) fn patiently<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    const TRIES: u32 = 100_000;
    for turn in 0..TRIES {
        match mutex.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if turn < 100 => std::hint::spin_loop(),
            Err(TryLockError::WouldBlock) => std::thread::yield_now(),
        }
    }
    None
}
