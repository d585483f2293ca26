//! Processes that are no functions.

use std::borrow::Cow;
use std::error::Error;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::time::Duration;

use crate::attach::{Bond, attach};
use crate::context::Context;
use crate::current::CurrentGuard;
use crate::done::Done;
use crate::future::{Finish, Run, Succeed, Task};
use crate::live::{Draft, Live};
use crate::outcome::{self, Reported};
use crate::panic;
use crate::record::{Exit, Level, Named, Origin, StartExtra, Value};
use crate::switch;
use crate::value::Amount;

/// A process that was begun by hand. It ends when it is dropped: failed if the thread panics meanwhile, else succeeded,
/// unless one of [`fail`](Self::fail), [`cancel`](Self::cancel) and [`succeed`](Self::succeed) said so before.
///
/// It is not current: only what is told so by [`context`](Self::context) becomes its child.
///
/// ```
/// use monitor_client::Process;
///
/// let upload = Process::builder("upload").field("bytes", 1024).begin();
/// match std::fs::read("/no/such/file") {
///     Ok(_) => upload.succeed(),
///     Err(error) => upload.fail(error),
/// }
/// ```
#[must_use = "the process ends as soon as it is dropped"]
#[derive(Debug)]
pub struct Process {
    live: Option<Live>,
}

impl Process {
    /// Begins to describe a process; [`begin`](ProcessBuilder::begin), [`enter`](ProcessBuilder::enter),
    /// [`run`](ProcessBuilder::run) or [`instrument`](ProcessBuilder::instrument) start it.
    ///
    /// Its parent is what is current; without that it begins a tree of its own.
    #[track_caller]
    pub fn builder(name: impl Into<String>) -> ProcessBuilder {
        let place = Location::caller();
        let draft = switch::is_recorded().then(|| {
            let named = Named { name: name.into(), kind: Cow::Borrowed("normal"), place: Some(place) };
            Sketch { named, bond: Bond::Current, extra: StartExtra::default(), again: None }
        });
        ProcessBuilder { draft }
    }

    /// What others can be started under: this process or, if there was no room to record it, its parent. `None` when
    /// nothing is recorded.
    pub fn context(&self) -> Option<Context> {
        self.live.as_ref().and_then(Live::handed_on)
    }

    /// Another program has begun it and was killed, and this one goes on with it, under the ids that
    /// [`again`](ProcessBuilder::again) was given. How long it took counts from the start that the other one told.
    pub fn taken_over(mut self) -> Self {
        if let Some(live) = &mut self.live {
            live.forget_begin();
        }
        self
    }

    /// Sets a field, or sets it anew.
    pub fn field(&self, key: impl Into<Cow<'static, str>>, value: impl Into<Value>) {
        if let Some(live) = &self.live {
            live.update(None, vec![(key.into(), value.into())]);
        }
    }

    /// Gives it another name. The latest one counts.
    ///
    /// ```
    /// use monitor_client::Process;
    ///
    /// let upload = Process::builder("upload").begin();
    /// upload.rename("upload report.pdf");
    /// ```
    pub fn rename(&self, name: impl Into<String>) {
        if let Some(live) = &self.live {
            live.update(Some(name.into()), Vec::new());
        }
    }

    /// It has to do with this other process, which is to it what the word says. What is known before it starts is said by
    /// [`ProcessBuilder::link`].
    ///
    /// ```
    /// use monitor_client::Process;
    ///
    /// let first = Process::builder("first try").begin();
    /// let second = Process::builder("second try").begin();
    /// if let Some(first) = first.context() {
    ///     second.link(first, "retry_of");
    /// }
    /// ```
    pub fn link(&self, other: Context, relation: impl Into<String>) {
        if let Some(live) = &self.live {
            live.link(other, relation.into());
        }
    }

    /// Says how far it is: how much is done, and of how much, if that is known. At most ten a second are sent, and always the last.
    ///
    /// ```
    /// use monitor_client::Process;
    ///
    /// let rows = ["a", "b", "c"];
    /// let import = Process::builder("import").begin();
    /// for (done, _row) in rows.iter().enumerate() {
    ///     import.progress(done, rows.len());
    /// }
    /// import.progress(3, None::<u64>);
    /// ```
    pub fn progress(&self, done: impl Amount, total: impl Amount) {
        if let Some(live) = &self.live {
            live.progress(done.amount(), total.amount());
        }
    }

    /// It says something, which is kept in its log.
    ///
    /// ```
    /// use monitor_client::{Level, Process};
    ///
    /// let upload = Process::builder("upload").begin();
    /// upload.log(Level::Warn, "the server is slow");
    /// ```
    pub fn log(&self, level: Level, message: impl Into<String>) {
        if let Some(live) = &self.live {
            live.log(level, None, message.into());
        }
    }

    /// A line of what a command writes to `stdout`, `stderr` or its `terminal`.
    pub fn log_output(&self, stream: &'static str, line: impl Into<String>) {
        if let Some(live) = &self.live {
            live.log(Level::Info, Some(stream), line.into());
        }
    }

    /// It succeeded.
    pub fn succeed(mut self) {
        if let Some(live) = self.live.take() {
            live.succeed();
        }
    }

    /// It was given up.
    pub fn cancel(mut self) {
        if let Some(live) = self.live.take() {
            live.cancel();
        }
    }

    /// It was a command, which ended so.
    ///
    /// ```
    /// use monitor_client::Process;
    /// use monitor_client::launcher::Exit;
    ///
    /// let sort = Process::builder("sort").kind("script").nowhere().begin();
    /// sort.exited(Exit { code: Some(2), message: Some("exit code 2: no such file".to_owned()), ..Exit::default() });
    /// ```
    pub fn exited(mut self, exit: Exit) {
        if let Some(live) = self.live.take() {
            live.exited(exit);
        }
    }

    /// It failed by an error, which is kept with its sources; text will do as well.
    pub fn fail<'e, E: Into<Box<dyn Error + 'e>>>(mut self, error: E) {
        if let Some(live) = self.live.take() {
            live.fail(outcome::of_error::<E>(&*error.into()));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(live) = self.live.take() {
            live.close();
        }
    }
}

/// A process that is current on this thread until it is dropped.
///
/// Bound to its thread:
/// ```compile_fail,E0277
/// let entered = monitor_client::Process::builder("here").enter();
/// std::thread::spawn(move || drop(entered));
/// ```
#[must_use = "the process ends as soon as it is dropped"]
#[derive(Debug)]
pub struct Entered {
    process: Process,
    current: CurrentGuard,
}

impl Entered {
    /// It succeeded.
    pub fn succeed(self) {
        self.leave().succeed();
    }

    /// It was given up.
    pub fn cancel(self) {
        self.leave().cancel();
    }

    /// It failed by an error, which is kept with its sources; text will do as well.
    pub fn fail<'e, E: Into<Box<dyn Error + 'e>>>(self, error: E) {
        self.leave().fail(error);
    }

    /// The process goes on and is no longer current; it may be sent to another thread.
    pub fn leave(self) -> Process {
        drop(self.current);
        self.process
    }
}

impl Deref for Entered {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

/// A process that has not started yet.
#[must_use = "nothing is started until `begin`, `enter`, `run` or `instrument` is called"]
pub struct ProcessBuilder {
    /// None: nothing is recorded.
    draft: Option<Sketch>,
}

struct Sketch {
    named: Named,
    bond: Bond,
    extra: StartExtra,
    again: Option<Context>,
}

impl ProcessBuilder {
    /// Its kind, `normal` by default: `job`, `step`, `span`, or any word of your own.
    pub fn kind(self, kind: impl Into<Cow<'static, str>>) -> Self {
        self.with(|draft| draft.named.kind = kind.into())
    }

    /// Starts it under this process instead of what is current.
    pub fn parent(self, parent: Context) -> Self {
        self.with(|draft| draft.bond = Bond::Under(parent))
    }

    /// Begins a new tree with it, whatever is current.
    pub fn root(self) -> Self {
        self.with(|draft| draft.bond = Bond::NewTree)
    }

    /// Marks the batch that a root works on.
    pub fn batch(self, batch: impl Into<String>) -> Self {
        self.with(|draft| draft.extra.batch = Some(batch.into()))
    }

    /// Adds a field.
    pub fn field(self, key: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        self.with(|draft| draft.extra.fields.push((key.into(), value.into())))
    }

    /// It has to do with this other process, which is to it what the word says: `triggered_by`, `retry_of`.
    pub fn link(self, other: Context, relation: impl Into<String>) -> Self {
        self.with(|draft| draft.extra.links.push((other, relation.into())))
    }

    /// It stands in no source of this program: a command, for example.
    pub fn nowhere(self) -> Self {
        self.with(|draft| draft.named.place = None)
    }

    /// After so long it is overdue.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.with(|draft| draft.extra.timeout_ms = Some(timeout.as_millis() as u64))
    }

    /// It is tried so many times at most. Said at the start of each attempt, so that the first one tells it as well.
    pub fn attempts(self, most: u32) -> Self {
        self.with(|draft| draft.extra.attempts_of = Some(most).filter(|most| *most > 1))
    }

    /// It is the attempt of this number of the process with these ids: from 2 on one that has ended, whose name, kind and parent are
    /// to be the same; 1 for one that got its ids elsewhere. The highest attempt decides what became of the process.
    pub fn again(self, process: Context, attempt: u32) -> Self {
        self.with(|draft| {
            // The first one is nothing to tell of.
            draft.extra.attempt = if attempt > 1 { attempt } else { 0 };
            draft.again = Some(process);
        })
    }

    /// Starts it. It is not current and may be sent to another thread.
    pub fn begin(self) -> Process {
        Process { live: self.attach().map(Draft::start) }
    }

    /// Starts it and makes it current on this thread.
    pub fn enter(self) -> Entered {
        let process = self.begin();
        let current = CurrentGuard::enter_unread(process.live.as_ref().and_then(Live::context));
        Entered { process, current }
    }

    /// Calls `work` within it. An `Err` or a panic is its failure.
    ///
    /// ```
    /// use monitor_client::Process;
    ///
    /// let port = Process::builder("read the port").run(|process| {
    ///     process.field("from", "text");
    ///     "60010".parse::<u16>()
    /// });
    /// assert_eq!(port, Ok(60010));
    /// ```
    pub fn run<R: Reported<Way>, Way>(self, work: impl FnOnce(&Process) -> R) -> R {
        let mut entered = self.enter();
        let result = catch_unwind(AssertUnwindSafe(|| work(&entered.process)));
        let live = entered.process.live.take();
        drop(entered);
        match result {
            Ok(returned) => {
                end(live, &returned);
                returned
            }
            Err(payload) => {
                if let Some(live) = live {
                    live.panic(panic::caught(&*payload));
                }
                resume_unwind(payload)
            }
        }
    }

    /// Makes a process of a future: below what is current now, begun when it is first polled, cancelled if it is dropped
    /// before its end. An `Err` or a panic is its failure.
    ///
    /// ```
    /// use monitor_client::Process;
    ///
    /// # async fn example() -> std::io::Result<()> {
    /// async fn fetch() -> std::io::Result<()> {
    ///     Ok(())
    /// }
    ///
    /// Process::builder("fetch").instrument(fetch()).await
    /// # }
    /// ```
    pub fn instrument<F: Future<Output: Reported<Way>>, Way>(self, future: F) -> impl Future<Output = F::Output> + use<F, Way> {
        let task = self.attach().map_or_else(Task::off, Task::pending);
        Run::new(task, future, Finish(|done: Done<_, F::Output>| done.end(Reported::failure)))
    }

    /// Calls `work` within it like [`run`](Self::run), whatever it returns: only a panic is a failure.
    ///
    /// ```
    /// use monitor_client::Process;
    ///
    /// let words = Process::builder("count words").run_any(|_| "two words".split(' ').count());
    /// assert_eq!(words, 2);
    /// ```
    pub fn run_any<R>(self, work: impl FnOnce(&Process) -> R) -> R {
        let mut returned = None;
        self.run(|process| returned = Some(work(process)));
        returned.expect("the work was done, or has panicked")
    }

    /// Makes a process of a future like [`instrument`](Self::instrument), whatever it returns: only a panic is a failure.
    ///
    /// ```
    /// use monitor_client::Process;
    ///
    /// # async fn example() {
    /// let words: usize = Process::builder("count words").instrument_any(async { "two words".split(' ').count() }).await;
    /// # }
    /// ```
    pub fn instrument_any<F: Future>(self, future: F) -> impl Future<Output = F::Output> + use<F> {
        let task = self.attach().map_or_else(Task::off, Task::pending);
        Run::new(task, future, Succeed)
    }

    fn with(mut self, change: impl FnOnce(&mut Sketch)) -> Self {
        if let Some(draft) = &mut self.draft {
            change(draft);
        }
        self
    }

    fn attach(self) -> Option<Draft> {
        let Sketch { named, bond, extra, again } = self.draft?;
        let origin = Origin::Named(Box::new(named));
        let attached = attach(bond, &origin)?;
        Some(Draft::new(origin, attached, extra, again))
    }
}

fn end<R: Reported<Way>, Way>(live: Option<Live>, returned: &R) {
    if let Some(live) = live {
        live.end_with(returned.failure());
    }
}
