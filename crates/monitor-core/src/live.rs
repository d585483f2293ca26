//! A process from its start to its end, regardless of how it was begun.

use std::borrow::Cow;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::context::{Attached, Context, Token};
use crate::log::Line;
use crate::record::{EndExtra, Ended, Exit, Failure, Fields, Level, Origin, Outcome, StartExtra, Started, Updated, Value};
use crate::ring::TakenOut;
use crate::task::TaskRun;
use crate::told::Told;
use crate::{clock, current, ids, inside, log, panic, progress, ring, sending, switch, thread, trees, verdict};

/// A process that has not started.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) origin: Origin,
    pub(crate) attached: Attached,
    pub(crate) extra: StartExtra,
    /// The process of an earlier attempt.
    pub(crate) again: Option<Context>,
    /// Values to record right after the start.
    pub(crate) told: Told,
    /// The attempt of a queue task, if the process is one.
    pub(crate) task: Option<Box<TaskRun>>,
    /// True if the process is reported only if it fails.
    pub(crate) is_quiet: bool,
}

impl Draft {
    pub(crate) fn new(origin: Origin, attached: Attached, extra: StartExtra, again: Option<Context>) -> Self {
        Draft { origin, attached, extra, again, told: Told::default(), task: None, is_quiet: false }
    }

    /// Returns true if the process neither begins a tree or this program's part of a tree, nor continues a reported process.
    pub(crate) fn may_be_quiet(&self) -> bool {
        let Attached { parent, entry, .. } = self.attached;
        let goes_on = self.task.is_some() || self.again.is_some();
        let is_edge = matches!(&self.origin, Origin::Named(named) if named.kind == "cross_process");
        !goes_on && !entry && !is_edge && parent.is_some() && parent != current::inherited()
    }

    #[inline]
    pub(crate) fn start(self) -> Live {
        if self.is_quiet { Live::quiet(self, clock::now(), std::thread::panicking()) } else { self.start_at(None) }
    }

    /// Records the start: now, or at the given time in ticks.
    fn start_at(self, before: Option<u64>) -> Live {
        let _inside = inside::enter();
        let recording = switch::recording();
        let Draft { origin, attached: Attached { parent, attachment, entry }, mut extra, again, told, task, is_quiet: _ } = self;
        let own = again.and_then(|again| NonZeroU64::new(again.process()));
        let id = own.or_else(ring::new_id).unwrap_or_else(ids::new_process);
        let root = again.or(parent).map_or_else(|| ids::new_root_now(id.get()), Context::root);
        let attempt = extra.attempt;
        // Only the batch mark of the root is part of a tree's title.
        if let Some(batch) = extra.batch.as_ref().filter(|_| parent.is_some()) {
            extra.fields.push((Cow::Borrowed("batch"), Value::Text(batch.clone())));
        }
        let place = origin.place();
        let begun = before.unwrap_or_else(clock::now);
        let started = Started {
            root,
            id: id.get(),
            parent: parent.map_or(0, Context::process),
            origin,
            time_us: 0,
            thread: thread::name(),
            attachment,
            extra: if extra.is_empty() { None } else { Some(Box::new(extra)) },
        };
        let recorded = sending::started(started, begun);
        let context = if recorded { Context::new(root, id.get()) } else { parent };
        let entry = if recorded && entry { context } else { None };
        if let Some(entry) = entry {
            trees::enter(entry);
        }
        let live = Live {
            context,
            recorded: recorded.then_some(id),
            recording,
            entry,
            begun,
            place,
            unwinding: std::thread::panicking(),
            attempt,
            is_handed_on: AtomicBool::new(false),
            task,
            quiet: None,
        };
        live.tell(told);
        live
    }
}

/// A process that has begun and not ended.
#[derive(Debug)]
pub(crate) struct Live {
    /// Context for the children: the process itself, or its parent if there was no room to record the process.
    context: Option<Context>,
    recorded: Option<NonZeroU64>,
    /// The [`recording`](switch::recording) when the process began.
    recording: u32,
    entry: Option<Context>,
    /// Start in ticks.
    begun: u64,
    place: (&'static str, u32),
    /// True if the thread was already panicking when the process began.
    unwinding: bool,
    /// Number of the attempt, from 2. 0 for the first attempt.
    attempt: u32,
    /// True if the program may know the ids.
    is_handed_on: AtomicBool,
    /// The attempt of a queue task, if the process is one.
    task: Option<Box<TaskRun>>,
    /// The unreported start, if the process is reported only if it fails.
    quiet: Option<Box<Quiet>>,
}

#[derive(Debug)]
struct Quiet {
    draft: Draft,
    /// Key of the updates that are stored while the process runs.
    key: NonZeroU64,
}

impl Live {
    /// Creates a process that is reported only if it fails. `begun` is its start in ticks. Its children are attached to its parent.
    pub(crate) fn quiet(draft: Draft, begun: u64, was_panicking: bool) -> Self {
        let _inside = inside::enter();
        let (parent, place) = (draft.attached.parent, draft.origin.place());
        let quiet = Some(Box::new(Quiet { draft, key: ids::new_process() }));
        Live { begun, place, unwinding: was_panicking, quiet, ..Live::refused(parent) }
    }

    /// Creates a process without room for its record. Its children are attached to its parent.
    pub(crate) fn refused(parent: Option<Context>) -> Self {
        Live {
            context: parent,
            recorded: None,
            recording: switch::recording(),
            entry: None,
            begun: 0,
            place: ("", 0),
            unwinding: false,
            attempt: 0,
            is_handed_on: AtomicBool::new(true),
            task: None,
            quiet: None,
        }
    }

    /// Continues a call of a ring outside of the ring.
    pub(crate) fn taken_out(call: TakenOut) -> Self {
        let TakenOut { context, parent, attachment, is_entry, begun, site, was_panicking } = call;
        let started = Started {
            root: context.root(),
            id: context.process(),
            parent,
            origin: Origin::Site(site),
            time_us: 0,
            thread: thread::name(),
            attachment,
            extra: None,
        };
        sending::started_before(started, begun);
        let recorded = NonZeroU64::new(context.process());
        Live {
            context: Some(context),
            recorded,
            recording: switch::recording(),
            entry: is_entry.then_some(context),
            begun,
            place: (site.file, site.line),
            unwinding: was_panicking,
            attempt: 0,
            is_handed_on: AtomicBool::new(true),
            task: None,
            quiet: None,
        }
    }

    /// Makes the process current on this thread. New processes become its children or, if it has no row, children of its parent.
    pub(crate) fn push(&self) -> Option<Token> {
        match (self.recorded, &self.quiet) {
            (Some(_), _) => current::push_unread(self.context?),
            (None, Some(quiet)) => current::push_quiet(self.context?, quiet.key),
            // The context is the parent's, which this process must not end.
            (None, None) => current::push(self.context?),
        }
    }

    /// Returns true if the process has a row of its own.
    pub(crate) fn is_recorded(&self) -> bool {
        self.recorded.is_some()
    }

    pub(crate) fn context(&self) -> Option<Context> {
        self.context
    }

    /// Returns the context for code that may pass the ids on.
    pub(crate) fn handed_on(&self) -> Option<Context> {
        if let Some(id) = self.recorded
            && !self.is_handed_on.swap(true, Ordering::Relaxed)
        {
            sending::handed_on(id.get());
        }
        self.context
    }

    /// Returns true if the thread has begun to panic after the process began on it.
    pub(crate) fn panicked_meanwhile(&self) -> bool {
        std::thread::panicking() && !self.unwinding
    }

    pub(crate) fn update(&self, name: Option<String>, fields: Fields) {
        let _inside = inside::enter();
        if let (Some(id), Some(context)) = (self.recorded, self.context)
            && self.recording == switch::recording()
        {
            let updated = Updated { root: context.root(), id: id.get(), time_us: 0, name, fields, links: Vec::new() };
            sending::updated(updated, clock::now());
        }
    }

    /// Links the process to another process.
    pub(crate) fn link(&self, other: Context, relation: String) {
        let _inside = inside::enter();
        if let (Some(id), Some(context)) = (self.recorded, self.context)
            && self.recording == switch::recording()
        {
            let (root, links) = (context.root(), vec![(other, relation)]);
            sending::updated(Updated { root, id: id.get(), time_us: 0, name: None, fields: Fields::new(), links }, clock::now());
        }
    }

    pub(crate) fn progress(&self, done: Option<f64>, total: Option<f64>) {
        if let (Some(_), Some(context)) = (self.recorded, self.context)
            && self.recording == switch::recording()
        {
            progress::say(context, done, total);
        }
    }

    pub(crate) fn tell(&self, told: Told) {
        if !told.is_empty() {
            self.update(told.name, told.fields);
        }
    }

    pub(crate) fn log(&self, level: Level, stream: Option<&'static str>, message: String) {
        if let Some(context) = self.context.filter(|_| self.recording == switch::recording()) {
            log::say(context, Line { level, stream, message, ..Line::default() });
        }
    }

    pub(crate) fn end_with(self, failure: Option<Failure>) {
        match failure {
            Some(failure) => self.fail(failure),
            None => self.succeed(),
        }
    }

    pub(crate) fn succeed(self) {
        self.end(Outcome::Succeeded);
    }

    /// Ends a shared process as succeeded. Must be called once.
    pub(crate) fn succeed_in_place(&self) {
        self.end_as(Outcome::Succeeded, None);
    }

    pub(crate) fn cancel(self) {
        self.end(Outcome::Cancelled);
    }

    /// Ends the process as failed by an error. `?` leaves no trace, so the place of the failure is the definition of the process.
    pub(crate) fn fail(self, failure: Failure) {
        let _inside = inside::enter();
        let failure = self.placed(failure);
        self.end(Outcome::Failed(Box::new(failure)));
    }

    /// Sets the place of a failure to the definition of the process.
    fn placed(&self, failure: Failure) -> Failure {
        let (file, line) = self.place;
        Failure { place: (!file.is_empty()).then(|| (file.into(), line)), ..failure }
    }

    /// Ends the process as failed by a panic. The failure contains the place of the panic, if the hook has seen it.
    pub(crate) fn panic(self, failure: Failure) {
        let _inside = inside::enter();
        self.end(Outcome::Failed(Box::new(failure)));
    }

    /// Ends the process with the exit status of a command.
    pub(crate) fn exited(mut self, exit: Exit) {
        let _inside = inside::enter();
        let Exit { code, signal, reason, message, type_name, is_apart, tail, retry, is_cancelled } = exit;
        let exit_code = code;
        let outcome = match message {
            _ if is_cancelled => Outcome::Cancelled,
            None => Outcome::Succeeded,
            Some(message) => {
                let kind = if signal.is_some() { "signal" } else { "exit" };
                let code = signal.or(code).filter(|_| is_apart);
                Outcome::Failed(Box::new(Failure { kind, type_name: type_name.map(Into::into), message, code, tail, ..Failure::default() }))
            }
        };
        let extra = EndExtra { exit_code, signal, reason, attempt: self.attempt, retry, task: None };
        let outcome = if self.quiet.is_some() { self.tell_failed(outcome) } else { outcome };
        self.end_as(outcome, Some(Box::new(extra)));
    }

    /// Removes the start time, so that no duration is measured.
    pub(crate) fn forget_begin(&mut self) {
        self.begun = 0;
    }

    /// Ends the process as failed if the thread has begun to panic, and otherwise as succeeded.
    pub(crate) fn close(self) {
        if self.panicked_meanwhile() {
            self.panic(panic::latest());
        } else {
            self.succeed();
        }
    }

    /// Returns the attempt of a queue task.
    pub(crate) fn task(&mut self) -> Option<&mut TaskRun> {
        self.task.as_deref_mut()
    }

    /// Records the start of an unreported process if it has failed, by its outcome or by a recorded failure.
    #[cold]
    #[inline(never)]
    fn tell_failed(&mut self, outcome: Outcome) -> Outcome {
        let Some(quiet) = self.quiet.take().filter(|_| self.recording == switch::recording()) else { return outcome };
        let _inside = inside::enter();
        let Quiet { draft, key } = *quiet;
        let outcome = match (verdict::take(key.get()), outcome) {
            (Some(failure), Outcome::Succeeded | Outcome::Cancelled) => Outcome::Failed(Box::new(self.placed(failure))),
            (_, outcome) => outcome,
        };
        if let Outcome::Failed(_) = outcome {
            let Live { context, recorded, .. } = draft.start_at(Some(self.begun));
            (self.context, self.recorded) = (context, recorded);
        }
        outcome
    }

    fn end(mut self, outcome: Outcome) {
        let outcome = if self.quiet.is_some() { self.tell_failed(outcome) } else { outcome };
        let task = self.task.take();
        let extra = (self.attempt > 0 || task.is_some()).then(|| {
            let (retry, task) = task.map(|task| task.end(&outcome, self.attempt.max(1))).unzip();
            Box::new(EndExtra { attempt: self.attempt, retry: retry.flatten(), task, ..EndExtra::default() })
        });
        self.end_as(outcome, extra);
    }

    fn end_as(&self, outcome: Outcome, extra: Option<Box<EndExtra>>) {
        let end = clock::now();
        if self.recording != switch::recording() {
            return;
        }
        let _inside = inside::enter();
        if let Some(entry) = self.entry {
            trees::leave(entry);
        }
        if let (Some(id), Some(context)) = (self.recorded, self.context) {
            let outcome = match (verdict::take(id.get()), outcome) {
                (Some(failure), Outcome::Succeeded | Outcome::Cancelled) => Outcome::Failed(Box::new(self.placed(failure))),
                (_, outcome) => outcome,
            };
            let ended = Ended { root: context.root(), id: id.get(), time_us: 0, elapsed_ns: None, outcome, extra };
            progress::ended(id.get());
            sending::ended(ended, self.begun, end);
        }
    }
}

impl StartExtra {
    pub(crate) fn is_empty(&self) -> bool {
        self.batch.is_none()
            && self.fields.is_empty()
            && self.timeout_ms.is_none()
            && self.attempt == 0
            && self.attempts_of.is_none()
            && self.links.is_empty()
            && self.task.is_none()
    }
}
