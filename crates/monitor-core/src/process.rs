//! Processes begun by hand, without a function.

mod builder;

use std::borrow::Cow;
use std::error::Error;
use std::ops::Deref;
use std::panic::Location;

pub use self::builder::ProcessBuilder;
use crate::context::Context;
use crate::current::CurrentGuard;
use crate::live::Live;
use crate::outcome;
use crate::record::{Exit, Level, Value};
use crate::task::TaskRun;
use crate::value::Amount;

/// A process that was begun by hand. When it is dropped, it ends as failed if the thread has begun to panic, and otherwise as succeeded,
/// unless [`fail`](Self::fail), [`cancel`](Self::cancel) or [`succeed`](Self::succeed) was called before.
///
/// It is not current. Other processes become its children only through its [`context`](Self::context).
///
/// # Examples
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
    /// Begins the description of a process. [`begin`](ProcessBuilder::begin), [`enter`](ProcessBuilder::enter),
    /// [`run`](ProcessBuilder::run) or [`instrument`](ProcessBuilder::instrument) start it.
    ///
    /// Its parent is the current process. Without a current process, it begins a run of its own.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::Process;
    ///
    /// let import = Process::builder("import").kind("job").begin();
    /// import.succeed();
    /// ```
    #[track_caller]
    pub fn builder(name: impl Into<String>) -> ProcessBuilder {
        ProcessBuilder::new(name, Location::caller())
    }

    /// Begins the description of an attempt of a queue task, which is received at this place.
    #[doc(hidden)]
    pub fn of_task(name: impl Into<String>, task: TaskRun, place: Option<&'static Location<'static>>) -> ProcessBuilder {
        ProcessBuilder::of_task(name, task, place)
    }

    /// Returns the context under which other processes can be started: this process or, if there was no room to record it, its parent.
    /// `None` if nothing is recorded.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::Process;
    ///
    /// let import = Process::builder("import").begin();
    /// let part = Process::builder("part");
    /// let part = match import.context() {
    ///     Some(import) => part.parent(import).begin(),
    ///     None => part.begin(),
    /// };
    /// # drop(part);
    /// ```
    pub fn context(&self) -> Option<Context> {
        self.live.as_ref().and_then(Live::handed_on)
    }

    /// Declares that another program has begun this process and was killed, and that this program continues it under the ids passed to
    /// [`again`](ProcessBuilder::again). The duration is measured from the start that the other program recorded.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::Process;
    /// use monitor_client::Context;
    ///
    /// let ids = Context::new(7, 8).unwrap(); // stored by the program that was killed
    /// let import = Process::builder("import").again(ids, 1).begin().taken_over();
    /// import.succeed();
    /// ```
    pub fn taken_over(mut self) -> Self {
        if let Some(live) = &mut self.live {
            live.forget_begin();
        }
        self
    }

    /// Sets a field, or replaces its value.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::Process;
    ///
    /// let import = Process::builder("import").begin();
    /// import.field("rows", 17);
    /// import.field("table", "orders");
    /// ```
    pub fn field(&self, key: impl Into<Cow<'static, str>>, value: impl Into<Value>) {
        if let Some(live) = &self.live {
            live.update(None, vec![(key.into(), value.into())]);
        }
    }

    /// Renames the process. The last name is used.
    ///
    /// # Examples
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

    /// Links the process to another process; `relation` is the other process's role. Links that are known before the start are set by
    /// [`ProcessBuilder::link`].
    ///
    /// # Examples
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

    /// Reports the progress: the amount done, and the total amount if it is known. At most ten reports per
    /// second are sent, and always the last.
    ///
    /// # Examples
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

    /// Adds a line to the log of the process.
    ///
    /// # Examples
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

    /// Adds a line that a command has written to `stdout`, `stderr` or its `terminal`.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::Process;
    ///
    /// let sort = Process::builder("sort").kind("script").nowhere().begin();
    /// sort.log_output("stderr", "sort: no such file");
    /// ```
    pub fn log_output(&self, stream: &'static str, line: impl Into<String>) {
        if let Some(live) = &self.live {
            live.log(Level::Info, Some(stream), line.into());
        }
    }

    /// Ends the process as succeeded.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::Process;
    ///
    /// Process::builder("import").begin().succeed();
    /// ```
    pub fn succeed(mut self) {
        if let Some(live) = self.live.take() {
            live.succeed();
        }
    }

    /// Ends the process as cancelled.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::Process;
    ///
    /// Process::builder("import").begin().cancel();
    /// ```
    pub fn cancel(mut self) {
        if let Some(live) = self.live.take() {
            live.cancel();
        }
    }

    /// Ends the process with the exit status of a command.
    ///
    /// # Examples
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

    /// Returns the attempt of a queue task, to set how it ends.
    #[doc(hidden)]
    pub fn task(&mut self) -> Option<&mut TaskRun> {
        self.live.as_mut().and_then(Live::task)
    }

    /// Ends the process as failed by an error, which is recorded with its sources. Text is accepted as well.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::Process;
    ///
    /// if let Err(error) = "many".parse::<u32>() {
    ///     Process::builder("import").begin().fail(error);
    /// }
    /// Process::builder("import").begin().fail("there is no such table");
    /// ```
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
/// It is bound to its thread:
///
/// # Examples
///
/// ```compile_fail,E0277
/// let entered = monitor_client::Process::builder("here").enter();
/// std::thread::spawn(move || drop(entered));
/// ```
///
/// ```
/// use monitor_client::Process;
///
/// let import = Process::builder("import").enter();
/// Process::builder("a part of it").begin().succeed();
/// import.field("rows", 17); // it is a `Process`
/// import.succeed();
/// ```
#[must_use = "the process ends as soon as it is dropped"]
#[derive(Debug)]
pub struct Entered {
    process: Process,
    current: CurrentGuard,
}

impl Entered {
    /// Ends the process as succeeded.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::Process;
    ///
    /// Process::builder("import").enter().succeed();
    /// ```
    pub fn succeed(self) {
        self.leave().succeed();
    }

    /// Ends the process as cancelled.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::Process;
    ///
    /// Process::builder("import").enter().cancel();
    /// ```
    pub fn cancel(self) {
        self.leave().cancel();
    }

    /// Ends the process as failed by an error, which is recorded with its sources. Text is accepted as well.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::Process;
    ///
    /// Process::builder("import").enter().fail("there is no such table");
    /// ```
    pub fn fail<'e, E: Into<Box<dyn Error + 'e>>>(self, error: E) {
        self.leave().fail(error);
    }

    /// Ends being current and returns the process, which continues and can be sent to another thread.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::Process;
    ///
    /// let import = Process::builder("import").enter().leave();
    /// std::thread::spawn(move || import.succeed()).join().unwrap();
    /// ```
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
