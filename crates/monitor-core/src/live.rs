//! A process from its start to its end, by whatever it was begun.

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

/// All that is known of a process before it starts.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) origin: Origin,
    pub(crate) attached: Attached,
    pub(crate) extra: StartExtra,
    /// The process that it is another attempt of.
    pub(crate) again: Option<Context>,
    /// Told of it right after its start.
    pub(crate) told: Told,
    /// It is an attempt of a task of a queue.
    pub(crate) task: Option<Box<TaskRun>>,
    /// It is told only if it fails.
    pub(crate) is_quiet: bool,
}

impl Draft {
    pub(crate) fn new(origin: Origin, attached: Attached, extra: StartExtra, again: Option<Context>) -> Self {
        Draft { origin, attached, extra, again, told: Told::default(), task: None, is_quiet: false }
    }

    /// Returns true if it neither begins a tree, or this program's part of one, nor goes on with something that was told.
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

    /// Tells its start: now, or that it began before, in ticks.
    fn start_at(self, before: Option<u64>) -> Live {
        let _inside = inside::enter();
        let recording = switch::recording();
        let Draft { origin, attached: Attached { parent, attachment, entry }, mut extra, again, told, task, is_quiet: _ } = self;
        let own = again.and_then(|again| NonZeroU64::new(again.process()));
        let id = own.or_else(ring::new_id).unwrap_or_else(ids::new_process);
        let root = again.or(parent).map_or_else(|| ids::new_root_now(id.get()), Context::root);
        let attempt = extra.attempt;
        // Only the root's own mark is in the title of a tree.
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
    /// What is current within: itself or, if there was no room to record it, its parent.
    context: Option<Context>,
    recorded: Option<NonZeroU64>,
    /// What was [`recording`](switch::recording) when it began.
    recording: u32,
    entry: Option<Context>,
    /// In ticks.
    begun: u64,
    place: (&'static str, u32),
    /// Its thread was panicking already when it began.
    unwinding: bool,
    /// From 2; 0 for the first one.
    attempt: u32,
    /// Others may know its ids.
    is_handed_on: AtomicBool,
    /// It is an attempt of a task of a queue.
    task: Option<Box<TaskRun>>,
    /// Its start, if that is told only when it has failed.
    quiet: Option<Box<Quiet>>,
}

#[derive(Debug)]
struct Quiet {
    draft: Draft,
    /// What it says of itself while it runs is kept by this.
    key: NonZeroU64,
}

impl Live {
    /// A process that is told only if it fails; it began at that time, in ticks. What it starts hangs below its parent.
    pub(crate) fn quiet(draft: Draft, begun: u64, was_panicking: bool) -> Self {
        let _inside = inside::enter();
        let (parent, place) = (draft.attached.parent, draft.origin.place());
        let quiet = Some(Box::new(Quiet { draft, key: ids::new_process() }));
        Live { begun, place, unwinding: was_panicking, quiet, ..Live::refused(parent) }
    }

    /// A process for which there was no room: what it starts hangs below its parent.
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

    /// A call of a ring that goes on without it.
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

    /// Makes it current on this thread: what it starts hangs below it or, if it has no row, below its parent.
    pub(crate) fn push(&self) -> Option<Token> {
        match (self.recorded, &self.quiet) {
            (Some(_), _) => current::push_unread(self.context?),
            (None, Some(quiet)) => current::push_quiet(self.context?, quiet.key),
            // To end it is none of its business.
            (None, None) => current::push(self.context?),
        }
    }

    /// Returns true if it has a row of its own.
    pub(crate) fn is_recorded(&self) -> bool {
        self.recorded.is_some()
    }

    pub(crate) fn context(&self) -> Option<Context> {
        self.context
    }

    /// The same for somebody who may tell others.
    pub(crate) fn handed_on(&self) -> Option<Context> {
        if let Some(id) = self.recorded
            && !self.is_handed_on.swap(true, Ordering::Relaxed)
        {
            sending::handed_on(id.get());
        }
        self.context
    }

    /// Whether the thread began to panic since the process began on it.
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

    /// It has to do with another process.
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

    /// Ends one that is shared, which is to be done once.
    pub(crate) fn succeed_in_place(&self) {
        self.end_as(Outcome::Succeeded, None);
    }

    pub(crate) fn cancel(self) {
        self.end(Outcome::Cancelled);
    }

    /// By an error: `?` leaves no trace, so its place is where the process is defined.
    pub(crate) fn fail(self, failure: Failure) {
        let _inside = inside::enter();
        let failure = self.placed(failure);
        self.end(Outcome::Failed(Box::new(failure)));
    }

    /// A failure at the place where the process is defined.
    fn placed(&self, failure: Failure) -> Failure {
        let (file, line) = self.place;
        Failure { place: (!file.is_empty()).then(|| (file.into(), line)), ..failure }
    }

    /// By a panic: its place is its own, if the hook saw it.
    pub(crate) fn panic(self, failure: Failure) {
        let _inside = inside::enter();
        self.end(Outcome::Failed(Box::new(failure)));
    }

    /// As a command.
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

    /// How long it takes is not measured from here.
    pub(crate) fn forget_begin(&mut self) {
        self.begun = 0;
    }

    /// Ends without a word: failed if the thread panics, else succeeded.
    pub(crate) fn close(self) {
        if self.panicked_meanwhile() {
            self.panic(panic::latest());
        } else {
            self.succeed();
        }
    }

    /// The attempt of a task of a queue that it is.
    pub(crate) fn task(&mut self) -> Option<&mut TaskRun> {
        self.task.as_deref_mut()
    }

    /// Tells the start of a quiet one now if it has failed, by its end or as it has said.
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
