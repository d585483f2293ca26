//! The receiver: reads the stream, updates the state, and calls handlers and cameras.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use monitor_api::{Client, EventStream, Page, Pages, RootKey, Settings, StreamItem, Token};
use monitor_wire::{Backoff, ProcessId};
use tokio::runtime::Runtime;
use tokio::time::{Instant, sleep, timeout_at};

use crate::Error;
use crate::camera::Camera;
use crate::handlers::{Handled, Handlers, Received};
use crate::notice::{Notice, Tell, log};
use crate::position::Position;
use crate::shutter::Shutters;
use crate::state::State;

/// Interval at which the position is stored even if no matching events arrive.
const TICK: Duration = Duration::from_secs(10);
/// First and maximum pause between attempts to load the state. The pause is random up to a limit that doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(32);
/// Maximum page size of the server.
const PAGE: usize = 1_000;

/// Reason why [`Receiver::capture`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The maximum number of events was received.
    Limit,
    /// No event was received within the timeout.
    Timeout,
    /// A handler returned [`ControlFlow::Break`].
    Handler,
}

/// Filter of events, applied by the server.
#[derive(Debug, Default)]
struct Filter {
    types: Vec<String>,
    kinds: Vec<String>,
    root: Option<RootKey>,
    process: Option<ProcessId>,
    worker: Option<String>,
    name: Option<String>,
    task: Option<String>,
}

/// Receives events, each once and in order, and passes them to handlers.
///
/// ```no_run
/// # async fn example() -> Result<(), monitor_receiver::Error> {
/// use monitor_receiver::{Receiver, State, Token};
///
/// let mut receiver = Receiver::connect("https://monitor.example.com")?
///     .token(Token::new("a-token")?)
///     .types(["task-*"])
///     .worker("render@*")
///     .with_state(State::bounded(10_000, 5_000))
///     .position_file("/var/lib/announcer/position")
///     .on("task-failed", |event, state| println!("{}: one of {} tasks failed", event.number, state.task_count()));
/// receiver.capture(None, None, true).await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "it receives nothing before `capture`"]
pub struct Receiver {
    client: Client,
    filter: Filter,
    after: Option<u64>,
    handlers: Handlers,
    cameras: Shutters,
    tell: Tell,
    state: State,
    keeps_state: bool,
    position_path: Option<PathBuf>,
    position: Option<Position>,
    stream: Option<EventStream>,
    /// Runtime of [`Receiver::capture_blocking`]. It is reused, because connections are bound to it.
    runtime: Option<Runtime>,
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Receiver");
        debug.field("client", &self.client).field("filter", &self.filter).field("stream", &self.stream).finish_non_exhaustive()
    }
}

impl Receiver {
    /// Creates a receiver for the server at this URL. Does not connect yet.
    ///
    /// # Errors
    /// If it is not an http or https URL with a host.
    ///
    /// ```
    /// assert!(monitor_receiver::Receiver::connect("http://127.0.0.1:60010").is_ok());
    /// assert!(monitor_receiver::Receiver::connect("localhost").is_err());
    /// ```
    pub fn connect(url: &str) -> Result<Self, Error> {
        Ok(Self::new(Client::new(Settings::new(url)?)))
    }

    /// Creates a receiver that uses this client.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            filter: Filter::default(),
            after: None,
            handlers: Handlers::default(),
            cameras: Shutters::default(),
            tell: Box::new(log()),
            state: State::default(),
            keeps_state: false,
            position_path: None,
            position: None,
            stream: None,
            runtime: None,
        }
    }

    /// Sets the token to send to the server. It needs the scope `read`.
    pub fn token(mut self, token: Token) -> Self {
        self.client = self.client.with_token(token);
        self
    }

    /// Receives only events of these types: words or globs, such as `task-*`.
    pub fn types(mut self, types: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.filter.types = types.into_iter().map(Into::into).collect();
        self
    }

    /// Receives only events of processes of these kinds, such as `task` or `run`.
    pub fn kinds(mut self, kinds: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.filter.kinds = kinds.into_iter().map(Into::into).collect();
        self
    }

    /// Receives only events of this tree, given by number or id, and events of workers, which belong to no tree.
    pub fn root(mut self, root: impl Into<RootKey>) -> Self {
        self.filter.root = Some(root.into());
        self
    }

    /// Receives only events of this process.
    pub fn process(mut self, id: ProcessId) -> Self {
        self.filter.process = Some(id);
        self
    }

    /// Receives only events reported by a worker, and events about its processes. The worker is given by id, or by a glob for its name
    /// `program@host` or `program@host:pid`.
    pub fn worker(mut self, worker: impl Into<String>) -> Self {
        self.filter.worker = Some(worker.into());
        self
    }

    /// Receives only events of processes with exactly this name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.filter.name = Some(name.into());
        self
    }

    /// Receives only events of the queue task with this native id.
    pub fn task(mut self, uuid: impl Into<String>) -> Self {
        self.filter.task = Some(uuid.into());
        self
    }

    /// Starts after this event. Without it, and without a [position file](Self::position_file), receives only new events.
    pub fn after(mut self, number: u64) -> Self {
        self.after = Some(number);
        self
    }

    /// Continues where the last receiver with this file stopped. The number of each event whose handlers have returned is stored in the
    /// file. After a kill, at most the event being handled is delivered again. Only one receiver can use the file at a time.
    pub fn position_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.position_path = Some(path.into());
        self
    }

    /// Registers a function for events whose type matches: a word, or a glob such as `task-*` or `*`. A panic is reported by a [`Notice`],
    /// and the other handlers are still called. [`ControlFlow::Break`] ends the capture. In that case the event does not count as handled,
    /// and the next capture starts with it.
    pub fn on<H: Handled>(mut self, types: &str, mut handle: impl FnMut(&Received, &State) -> H + Send + 'static) -> Self {
        self.handlers.add(types, Box::new(move |event: &Received, state: &State| handle(event, state).flow()));
        self
    }

    /// Maintains this state and passes it to handlers. Without it, handlers receive an empty state, and nothing needs to be maintained.
    pub fn with_state(mut self, state: State) -> Self {
        (self.state, self.keeps_state) = (state, true);
        self
    }

    /// Registers a camera that takes a picture of the state at this interval, if the state has changed, and at the end of each
    /// [capture](Self::capture). Implies that a state is maintained.
    pub fn camera(mut self, camera: impl Camera + 'static, frequency: Duration) -> Self {
        self.cameras.add(Box::new(camera), frequency);
        self.keeps_state = true;
        self
    }

    /// Calls a function with each notice. By default, notices go to `tracing`, and warnings to stderr if no subscriber is set.
    ///
    /// ```
    /// # use monitor_receiver::{Notice, Receiver};
    /// let receiver = Receiver::connect("http://127.0.0.1:60010")?.notices(|notice| {
    ///     if let Notice::Gap { until, .. } = notice {
    ///         eprintln!("some events before {until} are lost");
    ///     }
    /// });
    /// # Ok::<(), monitor_receiver::Error>(())
    /// ```
    pub fn notices(mut self, tell: impl FnMut(&Notice<'_>) + Send + 'static) -> Self {
        self.tell = Box::new(tell);
        self
    }

    /// Returns the state. It is empty unless it is [maintained](Self::with_state).
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Receives events until `limit` events were received, or none was received for `timeout`. Without both, it runs until an error or a
    /// handler ends it. With `wakeup`, the state is first loaded from the server: all workers, and tasks of the selected
    /// [kinds](Self::kinds), by default those of queues. (Functions and spans are not loaded; they are known from their next event on.)
    ///
    /// It can be called again, and continues where it stopped. That is also true after its future was dropped, for example by `select!`.
    ///
    /// Handlers and cameras run on the thread that polls the future. While they run, no events are read, and none are lost.
    ///
    /// # Errors
    /// If the server refuses permanently, the type pattern of a handler is invalid, or the position can't be stored.
    pub async fn capture(&mut self, limit: Option<u64>, timeout: Option<Duration>, wakeup: bool) -> Result<Ended, Error> {
        self.begin(wakeup).await?;
        let (mut left, mut quiet_since) = (limit, Instant::now());
        let ended = loop {
            if left == Some(0) {
                break Ended::Limit;
            }
            let deadline = timeout.map(|timeout| quiet_since + timeout);
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                break Ended::Timeout;
            }
            let until = [deadline, self.cameras.due()].into_iter().flatten().fold(Instant::now() + TICK, Instant::min);
            let Some(stream) = &mut self.stream else { unreachable!("it was opened above") };
            let reached = match timeout_at(until, stream.next()).await {
                Ok(Ok(StreamItem::Event { number, message })) => {
                    if self.take(&Received { number, message }).is_break() {
                        (self.stream, self.after) = (None, Some(number - 1));
                        break Ended::Handler;
                    }
                    (left, quiet_since) = (left.map(|left| left - 1), Instant::now());
                    Some(number)
                }
                Ok(Ok(StreamItem::Gap { after, until })) => {
                    if self.keeps_state {
                        self.load().await?;
                    }
                    (self.tell)(&Notice::Gap { after, until });
                    Some(until)
                }
                Ok(Ok(StreamItem::Connected { after })) => {
                    (self.tell)(&Notice::Connected { after });
                    Some(after)
                }
                Ok(Ok(StreamItem::Interrupted { error, pause })) => {
                    (self.tell)(&Notice::Interrupted { error: &error, pause });
                    None
                }
                Ok(Ok(_)) => None,
                Ok(Err(error @ monitor_api::Error::Unreadable { .. })) => {
                    (self.tell)(&Notice::Unreadable { error: &error });
                    None
                }
                Ok(Err(error)) => return Err(error.into()),
                // No matching event has arrived; the stream's position includes skipped events.
                Err(_) => stream.position(),
            };
            if let (Some(position), Some(number)) = (&mut self.position, reached) {
                position.keep(number)?;
            }
            self.cameras.shoot_if_due(&mut self.state, &mut *self.tell);
        };
        self.cameras.shoot(&mut self.state, &mut *self.tell);
        Ok(ended)
    }

    /// Like [`Receiver::capture`], for programs that are not async.
    ///
    /// # Errors
    /// As for [`Receiver::capture`].
    ///
    /// # Panics
    /// If called in an async context.
    pub fn capture_blocking(&mut self, limit: Option<u64>, timeout: Option<Duration>, wakeup: bool) -> Result<Ended, Error> {
        let new = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime of one thread");
        let runtime = self.runtime.take().unwrap_or_else(new);
        let ended = runtime.block_on(self.capture(limit, timeout, wakeup));
        self.runtime = Some(runtime);
        ended
    }

    /// Lets each camera take a last picture, if the state has changed since its previous one. For programs that exit during a capture.
    pub fn last_pictures(&mut self) {
        self.cameras.shoot(&mut self.state, &mut *self.tell);
    }

    /// Returns the names of the cameras whose last picture failed.
    pub fn failing_cameras(&self) -> Vec<String> {
        self.cameras.failing()
    }

    async fn begin(&mut self, wakeup: bool) -> Result<(), Error> {
        self.handlers.check()?;
        if let (None, Some(path)) = (&self.position, &self.position_path) {
            self.position = Some(Position::open(path)?);
        }
        let as_of = if wakeup && self.keeps_state { Some(self.load().await?) } else { None };
        if self.stream.is_none() {
            let kept = self.position.as_ref().and_then(Position::number);
            self.stream = Some(self.open(kept.or(self.after).or(as_of)));
        }
        Ok(())
    }

    fn open(&self, after: Option<u64>) -> EventStream {
        let Filter { types, kinds, root, process, worker, name, task } = &self.filter;
        let mut request = self.client.stream();
        if !types.is_empty() {
            request = request.types(types);
        }
        if !kinds.is_empty() {
            request = request.kinds(kinds);
        }
        if let Some(root) = root {
            request = request.root(root.clone());
        }
        if let Some(process) = process {
            request = request.process(*process);
        }
        if let Some(worker) = worker {
            request = request.worker(worker);
        }
        if let Some(name) = name {
            request = request.name(name);
        }
        if let Some(task) = task {
            request = request.task(task);
        }
        if let Some(after) = after {
            request = request.after(after);
        }
        request.open()
    }

    fn take(&mut self, event: &Received) -> ControlFlow<()> {
        if self.keeps_state {
            self.state.apply(event);
        }
        self.handlers.handle(event, &self.state, &mut *self.tell)
    }

    /// Loads the state from the server. Returns the number of the newest event that is included in all of it.
    async fn load(&mut self) -> Result<u64, Error> {
        let (most_tasks, most_workers) = self.state.bounds();
        let (mut workers, mut as_of) = (Vec::new(), None);
        let mut pages = self.client.workers().limit(most_workers.clamp(1, PAGE)).pages();
        while workers.len() < most_workers
            && let Some(page) = self.next_page(&mut pages).await?
        {
            as_of.get_or_insert(page.as_of);
            workers.extend(page.workers.into_iter().map(|worker| (worker, page.as_of)));
        }
        let kinds = if self.filter.kinds.is_empty() { vec!["task".to_owned()] } else { self.filter.kinds.clone() };
        let mut tasks = Vec::new();
        // The server lists these kinds only by tree.
        for kind in kinds.iter().filter(|kind| !["normal", "cross_thread", "span"].contains(&kind.as_str())) {
            let mut pages = self.client.processes().kind(kind).limit(most_tasks.clamp(1, PAGE)).pages();
            let mut left = most_tasks;
            while left > 0
                && let Some(page) = self.next_page(&mut pages).await?
            {
                as_of.get_or_insert(page.as_of);
                left = left.saturating_sub(page.processes.len());
                tasks.extend(page.processes.into_iter().map(|process| (process, page.as_of)));
            }
        }
        // The pages are newest first. Insert the oldest first, so that the newest are kept.
        workers.truncate(most_workers);
        workers.reverse();
        tasks.reverse();
        self.state.reload(&tasks, &workers);
        Ok(as_of.unwrap_or(0))
    }

    async fn next_page<P: Page>(&mut self, pages: &mut Pages<P>) -> Result<Option<P>, Error> {
        let mut backoff = Backoff::default();
        loop {
            match pages.next().await {
                Ok(page) => return Ok(page),
                Err(error) if error.is_temporary() => {
                    let pause = backoff.next(FIRST_PAUSE, LONGEST_PAUSE).max(error.retry_after().unwrap_or_default());
                    (self.tell)(&Notice::Interrupted { error: &error, pause });
                    sleep(pause).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
