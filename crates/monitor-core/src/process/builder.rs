//! Processes without a function, before they start.

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
/// # Examples
///
/// ```
/// use monitor_client::Process;
///
/// let import = Process::builder("import").kind("job").batch("b1").field("table", "orders");
/// import.begin().succeed();
/// ```
#[must_use = "nothing is started until `begin`, `enter`, `run` or `instrument` is called"]
pub struct ProcessBuilder {
    /// `None` if nothing is recorded.
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

    /// Creates an attempt of a queue task with earlier events. It is reported regardless of the current levels.
    pub(super) fn of_task(name: impl Into<String>, task: TaskRun, place: Option<&'static Location<'static>>) -> Self {
        let draft = (switch::is_on() && !inside::is_inside()).then(|| {
            let mut sketch = Sketch::new(name.into(), place);
            sketch.named.kind = Cow::Borrowed("task");
            sketch.extra.task = Some(task.native_id.clone());
            Sketch { task: Some(Box::new(task)), ..sketch }
        });
        Self { draft }
    }

    /// Sets the kind: `job`, `step`, `span`, or any other word. The default is `normal`.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::Process;
    ///
    /// Process::builder("import").kind("job").begin().succeed();
    /// ```
    pub fn kind(self, kind: impl Into<Cow<'static, str>>) -> Self {
        self.with(|draft| draft.named.kind = kind.into())
    }

    /// Sets the parent, instead of the current process.
    ///
    /// # Examples
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

    /// Begins a new run, even if a process is current.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::Process;
    ///
    /// Process::builder("import").root().begin().succeed();
    /// ```
    pub fn root(self) -> Self {
        self.with(|draft| draft.bond = Bond::NewTree)
    }

    /// Sets the batch mark of a root.
    ///
    /// # Examples
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
    /// # Examples
    ///
    /// ```
    /// use monitor_client::Process;
    ///
    /// Process::builder("import").field("table", "orders").field("rows", 17).begin().succeed();
    /// ```
    pub fn field(self, key: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        self.with(|draft| draft.extra.fields.push((key.into(), value.into())))
    }

    /// Links the process to another process; `relation` is the other process's role: `triggered_by`, `retry_of`.
    ///
    /// # Examples
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

    /// Removes the place in the source, for a process without one, such as a command.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::Process;
    ///
    /// Process::builder("import").kind("script").nowhere().begin().succeed();
    /// ```
    pub fn nowhere(self) -> Self {
        self.with(|draft| draft.named.place = None)
    }

    /// Sets the time after which the process is overdue.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::Process;
    ///
    /// Process::builder("import").timeout(std::time::Duration::from_secs(30)).begin().succeed();
    /// ```
    pub fn timeout(self, timeout: Duration) -> Self {
        self.with(|draft| draft.extra.timeout_ms = Some(timeout.as_millis() as u64))
    }

    /// Sets the maximum number of attempts. Set it at the start of each attempt, so that it is known from the first attempt on.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::Process;
    ///
    /// Process::builder("import").attempts(3).begin().succeed();
    /// ```
    pub fn attempts(self, most: u32) -> Self {
        self.with(|draft| draft.extra.attempts_of = Some(most).filter(|most| *most > 1))
    }

    /// Starts this attempt of the process with these ids. For an attempt from 2 on, the name, kind and parent must be those of the earlier
    /// attempts. For 1, the process gets its ids from elsewhere. The highest attempt determines the state of the process.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::{Context, Process};
    ///
    /// let other = Context::new(7, 8).unwrap(); // of a message, for example
    /// Process::builder("import").again(other, 2).begin().succeed();
    /// ```
    pub fn again(self, process: Context, attempt: u32) -> Self {
        self.with(|draft| {
            // The first attempt is not recorded as a number.
            draft.extra.attempt = if attempt > 1 { attempt } else { 0 };
            draft.again = Some(process);
        })
    }

    /// Starts the process. It is not current and can be sent to another thread.
    ///
    /// # Examples
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

    /// Starts the process and makes it current on this thread.
    ///
    /// # Examples
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

    /// Calls `work` within the process. The process fails if `work` returns an `Err` or panics.
    ///
    /// # Examples
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

    /// Wraps a future as the process. Its parent is the process that is current now. It begins when the future is first polled, fails if
    /// the future returns an `Err` or panics, and is cancelled if the future is dropped before its end.
    ///
    /// # Examples
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

    /// Calls `work` like [`run`](Self::run), with any return type. Only a panic is a failure.
    ///
    /// # Examples
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

    /// Wraps a future like [`instrument`](Self::instrument), with any output type. Only a panic is a failure.
    ///
    /// # Examples
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
        // The end of a task that was already reported must be reported.
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
