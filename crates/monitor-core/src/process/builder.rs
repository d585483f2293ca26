//! Processes that are no functions, before they start.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::time::Duration;

use super::{Entered, Process};
use crate::attach::{Bond, attach};
use crate::context::Context;
use crate::current::CurrentGuard;
use crate::done::Done;
use crate::future::{Finish, Run, Succeed, Task};
use crate::levels::EventLevel;
use crate::live::{Draft, Live};
use crate::outcome::Reported;
use crate::record::{Named, Origin, StartExtra, Value};
use crate::task::TaskRun;
use crate::{inside, panic, switch};

/// A process that has not started yet.
///
/// ```
/// use monitor_client::Process;
///
/// let import = Process::builder("import").kind("job").batch("b1").field("table", "orders");
/// import.begin().succeed();
/// ```
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
    task: Option<Box<TaskRun>>,
}

impl Sketch {
    fn new(name: String, place: Option<&'static Location<'static>>) -> Self {
        let named = Named { name, kind: Cow::Borrowed("normal"), place };
        Sketch { named, bond: Bond::Current, extra: StartExtra::default(), again: None, task: None }
    }
}

impl ProcessBuilder {
    pub(super) fn new(name: impl Into<String>, place: &'static Location<'static>) -> Self {
        Self { draft: switch::is_recorded().then(|| Sketch::new(name.into(), Some(place))) }
    }

    /// An attempt of a task of a queue, of which something was told before: it is told, whatever is told of what begins now.
    pub(super) fn of_task(name: impl Into<String>, task: TaskRun, place: Option<&'static Location<'static>>) -> Self {
        let draft = (switch::is_on() && !inside::is_inside()).then(|| {
            let mut sketch = Sketch::new(name.into(), place);
            sketch.named.kind = Cow::Borrowed("task");
            sketch.extra.task = Some(task.native_id.clone());
            Sketch { task: Some(Box::new(task)), ..sketch }
        });
        Self { draft }
    }

    /// Its kind, `normal` by default: `job`, `step`, `span`, or any word of your own.
    ///
    /// ```
    /// use monitor_client::Process;
    ///
    /// Process::builder("import").kind("job").begin().succeed();
    /// ```
    pub fn kind(self, kind: impl Into<Cow<'static, str>>) -> Self {
        self.with(|draft| draft.named.kind = kind.into())
    }

    /// Starts it under this process instead of what is current.
    ///
    /// ```
    /// use monitor_client::{Context, Process};
    ///
    /// let other = Context::new(7, 8).unwrap(); // of a message, for example
    /// Process::builder("import").parent(other).begin().succeed();
    /// ```
    pub fn parent(self, parent: Context) -> Self {
        self.with(|draft| draft.bond = Bond::Under(parent))
    }

    /// Begins a new tree with it, whatever is current.
    ///
    /// ```
    /// use monitor_client::Process;
    ///
    /// Process::builder("import").root().begin().succeed();
    /// ```
    pub fn root(self) -> Self {
        self.with(|draft| draft.bond = Bond::NewTree)
    }

    /// Marks the batch that a root works on.
    ///
    /// ```
    /// use monitor_client::Process;
    ///
    /// Process::builder("import").root().batch("2026-11-22").begin().succeed();
    /// ```
    pub fn batch(self, batch: impl Into<String>) -> Self {
        self.with(|draft| draft.extra.batch = Some(batch.into()))
    }

    /// Adds a field.
    ///
    /// ```
    /// use monitor_client::Process;
    ///
    /// Process::builder("import").field("table", "orders").field("rows", 17).begin().succeed();
    /// ```
    pub fn field(self, key: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        self.with(|draft| draft.extra.fields.push((key.into(), value.into())))
    }

    /// It has to do with this other process, which is to it what the word says: `triggered_by`, `retry_of`.
    ///
    /// ```
    /// use monitor_client::{Context, Process};
    ///
    /// let other = Context::new(7, 8).unwrap(); // of a message, for example
    /// Process::builder("import").link(other, "triggered_by").begin().succeed();
    /// ```
    pub fn link(self, other: Context, relation: impl Into<String>) -> Self {
        self.with(|draft| draft.extra.links.push((other, relation.into())))
    }

    /// It stands in no source of this program: a command, for example.
    ///
    /// ```
    /// use monitor_client::Process;
    ///
    /// Process::builder("import").kind("script").nowhere().begin().succeed();
    /// ```
    pub fn nowhere(self) -> Self {
        self.with(|draft| draft.named.place = None)
    }

    /// After so long it is overdue.
    ///
    /// ```
    /// use monitor_client::Process;
    ///
    /// Process::builder("import").timeout(std::time::Duration::from_secs(30)).begin().succeed();
    /// ```
    pub fn timeout(self, timeout: Duration) -> Self {
        self.with(|draft| draft.extra.timeout_ms = Some(timeout.as_millis() as u64))
    }

    /// It is tried so many times at most. Said at the start of each attempt, so that the first one tells it as well.
    ///
    /// ```
    /// use monitor_client::Process;
    ///
    /// Process::builder("import").attempts(3).begin().succeed();
    /// ```
    pub fn attempts(self, most: u32) -> Self {
        self.with(|draft| draft.extra.attempts_of = Some(most).filter(|most| *most > 1))
    }

    /// It is the attempt of this number of the process with these ids: from 2 on one that has ended, whose name, kind and parent are
    /// to be the same; 1 for one that got its ids elsewhere. The highest attempt decides what became of the process.
    ///
    /// ```
    /// use monitor_client::{Context, Process};
    ///
    /// let other = Context::new(7, 8).unwrap(); // of a message, for example
    /// Process::builder("import").again(other, 2).begin().succeed();
    /// ```
    pub fn again(self, process: Context, attempt: u32) -> Self {
        self.with(|draft| {
            // The first one is nothing to tell of.
            draft.extra.attempt = if attempt > 1 { attempt } else { 0 };
            draft.again = Some(process);
        })
    }

    /// Starts it. It is not current and may be sent to another thread.
    ///
    /// ```
    /// use monitor_client::Process;
    ///
    /// let import = Process::builder("import").begin();
    /// std::thread::spawn(move || import.succeed()).join().unwrap();
    /// ```
    pub fn begin(self) -> Process {
        Process { live: self.attach().map(Draft::start) }
    }

    /// Starts it and makes it current on this thread.
    ///
    /// ```
    /// use monitor_client::Process;
    ///
    /// let import = Process::builder("import").enter();
    /// drop(Process::builder("a part of it").begin());
    /// import.succeed();
    /// ```
    pub fn enter(self) -> Entered {
        let process = self.begin();
        let current = CurrentGuard::of(process.live.as_ref().and_then(Live::push));
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
        let Sketch { named, bond, extra, again, task } = self.draft?;
        let origin = Origin::Named(Box::new(named));
        // What was told of a task before is to have its end.
        let level = if task.is_some() { EventLevel::All } else { switch::level_of(&origin) };
        if level == EventLevel::Off && again.is_none() {
            return None;
        }
        let attached = attach(bond, &origin)?;
        let mut draft = Draft { task, ..Draft::new(origin, attached, extra, again) };
        draft.is_quiet = level == EventLevel::Roots && draft.may_be_quiet();
        Some(draft)
    }
}

fn end<R: Reported<Way>, Way>(live: Option<Live>, returned: &R) {
    if let Some(live) = live {
        live.end_with(returned.failure());
    }
}
