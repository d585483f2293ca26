//! The event stream, which resumes after an interruption.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use monitor_wire::{Backoff, ProcessId, StreamMessage};
use reqwest::Method;
use serde::de::Error as _;
use sse_stream::{Sse, SseByteStream};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::calls::RootKey;
use crate::client::Client;
use crate::error::Error;

/// Upper bound of the first pause after an interruption. It doubles with each further attempt.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(32);

impl Client {
    /// `GET /api/v1/stream`: begins the description of an event stream. The server sends each event after it is stored durably.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let mut stream = client.stream().open();
    /// println!("{:?}", stream.next().await?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn stream(&self) -> StreamRequest {
        StreamRequest { client: self.clone(), query: Vec::new(), after: None }
    }
}

/// Filters and starting position of an event stream. Created by [`Client::stream`].
///
/// # Examples
///
/// ```no_run
/// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
/// let mut stream = client.stream().root(2106).types(["process-*"]).open();
/// println!("{:?}", stream.next().await?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is read before it is opened"]
pub struct StreamRequest {
    client: Client,
    query: Vec<(&'static str, String)>,
    after: Option<u64>,
}

impl StreamRequest {
    /// Selects events of these types, such as `process-ended`. Globs such as `task-*` are allowed.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let mut stream = client.stream().types(["process-ended", "task-*"]).open();
    /// println!("{:?}", stream.next().await?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn types(self, types: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let types: Vec<_> = types.into_iter().map(|word| word.as_ref().to_owned()).collect();
        self.parameter("types", types.join(","))
    }

    /// Selects events of this run, by its number or its id, and events of workers, which belong to no run.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let mut stream = client.stream().root(2106).open();
    /// println!("{:?}", stream.next().await?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn root(self, root: impl Into<RootKey>) -> Self {
        self.parameter("root", root.into().0)
    }

    /// Selects events of this process.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let mut stream = client.stream().process("a3ce929d0e0e4736".parse().expect("16 hex digits")).open();
    /// println!("{:?}", stream.next().await?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn process(self, id: ProcessId) -> Self {
        self.parameter("process", id.to_string())
    }

    /// Selects events reported by this worker, and events about processes that it executes. The worker is an [id](monitor_wire::WorkerId),
    /// or a glob for its name `program@host` or `program@host:pid`, such as `render@*`.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let mut stream = client.stream().worker("render@*").open();
    /// println!("{:?}", stream.next().await?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn worker(self, worker: impl std::fmt::Display) -> Self {
        self.parameter("worker", worker.to_string())
    }

    /// Selects events of processes of these kinds, such as `task`.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let mut stream = client.stream().kinds(["task", "job"]).open();
    /// println!("{:?}", stream.next().await?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn kinds(self, kinds: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let kinds: Vec<_> = kinds.into_iter().map(|word| word.as_ref().to_owned()).collect();
        self.parameter("kind", kinds.join(","))
    }

    /// Selects events of the queue task with this id in its queue.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let mut stream = client.stream().task("5f0c1d6e-8a57-4a4d-9d0c-2f6f0f9c2b11").open();
    /// println!("{:?}", stream.next().await?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn task(self, uuid: &str) -> Self {
        self.parameter("task", uuid.to_owned())
    }

    /// Selects events of processes with exactly this name.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let mut stream = client.stream().name("compile").open();
    /// println!("{:?}", stream.next().await?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn name(self, name: &str) -> Self {
        self.parameter("name", name.to_owned())
    }

    /// Selects only the newest event of every run among those sent together, with the run and no other model. For clients that show lists
    /// of runs.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let mut stream = client.stream().roots_only().open();
    /// println!("{:?}", stream.next().await?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn roots_only(self) -> Self {
        self.parameter("subject", "roots".to_owned())
    }

    /// Starts with the event after this number: an `as_of` of any answer, or the number of an event. By default,
    /// the stream starts with new events.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let page = client.roots().await?;
    /// let mut stream = client.stream().after(page.as_of).open(); // no event is missed after the list was read
    /// println!("{:?}", stream.next().await?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn after(mut self, number: u64) -> Self {
        self.after = Some(number);
        self
    }

    /// Sends a [gap](StreamItem::Gap) instead of the missed events if there are more than `events` of them. For clients that reload faster
    /// than they process the events.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let mut stream = client.stream().after(1_000).within(10_000).open();
    /// println!("{:?}", stream.next().await?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn within(self, events: u64) -> Self {
        self.parameter("within", events.to_string())
    }

    /// Creates the stream. It connects at the first read.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let mut stream = client.stream().open();
    /// println!("{:?}", stream.next().await?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn open(self) -> EventStream {
        EventStream {
            client: self.client,
            is_whole: self.query.iter().all(|(name, _)| *name == "within"),
            query: self.query,
            position: self.after,
            connecting: None,
            connection: None,
            resume_at: None,
            backoff: Backoff::default(),
            told: VecDeque::new(),
        }
    }

    fn parameter(mut self, name: &'static str, value: String) -> Self {
        self.query.retain(|(known, _)| *known != name);
        self.query.push((name, value));
        self
    }
}

/// Item of an event stream. Returned by [`EventStream::next`].
///
/// # Examples
///
/// ```no_run
/// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
/// use monitor_api::StreamItem;
///
/// let mut stream = client.stream().types(["process-ended"]).open();
/// loop {
///     match stream.next().await? {
///         StreamItem::Event { number, message } => println!("{number}: {}", message.event.type_name()),
///         StreamItem::Gap { until, .. } => println!("events up to {until} were missed"),
///         StreamItem::Interrupted { error, pause } => println!("{error}; next attempt in {pause:?}"),
///         _ => {}
///     }
/// #   break;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum StreamItem {
    /// The server sends events from here on. Occurs again after each interruption.
    Connected {
        /// The next events have numbers greater than this value.
        after: u64,
    },
    /// An event.
    Event {
        /// Number of the event. Numbers ascend, and each occurs once.
        number: u64,
        /// The event, and the models that it changed.
        message: Box<StreamMessage>,
    },
    /// Events were missed and are no longer available. The client must reload all data.
    Gap {
        /// Number of the last event before the gap, if it is known.
        after: Option<u64>,
        /// Number of the last missed event. The stream continues after it.
        until: u64,
    },
    /// The connection broke. It is reopened after a pause. No events are missed except those in a [`StreamItem::Gap`].
    Interrupted {
        /// Cause of the interruption.
        error: Error,
        /// Pause before the next attempt.
        pause: Duration,
    },
}

/// An event stream. Created by [`StreamRequest::open`].
///
/// After an interruption, the stream reconnects with increasing pauses and resumes at its position.
///
/// # Cancel safety
///
/// [`EventStream::next`] is cancel safe: dropping its future loses no item, so it can be used in `tokio::select!`.
///
/// # Examples
///
/// ```no_run
/// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
/// use monitor_api::StreamItem;
///
/// let mut stream = client.stream().kinds(["task"]).open();
/// let mut ticks = tokio::time::interval(std::time::Duration::from_secs(1));
/// loop {
///     tokio::select! {
///         item = stream.next() => if let StreamItem::Event { message, .. } = item? {
///             println!("{}", message.event.type_name());
///         },
///         _ = ticks.tick() => println!("at event {:?}", stream.position()),
///     }
/// #   if stream.position().is_some() { break }
/// }
/// # Ok(())
/// # }
/// ```
pub struct EventStream {
    client: Client,
    query: Vec<(&'static str, String)>,
    /// True if the stream has no filter, so that event numbers are consecutive.
    is_whole: bool,
    /// Number of the newest event that was returned or skipped.
    position: Option<u64>,
    /// Kept across calls, so that a dropped future of `next` does not restart the connection.
    connecting: Option<Connecting>,
    connection: Option<Connection>,
    resume_at: Option<Instant>,
    backoff: Backoff,
    /// Items to return before more data is read.
    told: VecDeque<StreamItem>,
}

type Connecting = Pin<Box<dyn Future<Output = Result<Connection, Error>> + Send>>;
type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, ReadError>> + Send>>;

struct Connection {
    blocks: SseByteStream<Chunks>,
    /// Time of the last received data.
    heard: Instant,
    is_greeted: bool,
}

/// Reason why the stream of bytes ended.
#[derive(Debug)]
enum ReadError {
    Broken(reqwest::Error),
    Oversized,
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the stream broke off")
    }
}

impl std::error::Error for ReadError {}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("EventStream");
        debug.field("client", &self.client).field("query", &self.query).field("position", &self.position).finish_non_exhaustive()
    }
}

impl EventStream {
    /// Returns the number of the newest event that was returned, or skipped by a filter. Another stream can resume there.
    /// `None` before the first connection.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let mut stream = client.stream().open();
    /// stream.next().await?;
    /// if let Some(position) = stream.position() {
    ///     let continued = client.stream().after(position).open();
    ///     println!("{continued:?}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn position(&self) -> Option<u64> {
        self.position
    }

    /// Waits for the next item.
    ///
    /// # Errors
    ///
    /// Returns an error if the server refuses permanently (the token has expired, or the run does not exist), or the answer is not from a
    /// Process Monitor server. After a message that can't be parsed ([`Error::Unreadable`]), the next call continues with the message after
    /// it.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// use monitor_api::StreamItem;
    ///
    /// let mut stream = client.stream().types(["process-ended"]).open();
    /// loop {
    ///     match stream.next().await? {
    ///         StreamItem::Event { number, message } => println!("{number}: {}", message.event.type_name()),
    ///         StreamItem::Gap { until, .. } => println!("events up to {until} were missed"),
    ///         StreamItem::Interrupted { error, pause } => println!("{error}; next attempt in {pause:?}"),
    ///         _ => {}
    ///     }
    /// #   break;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn next(&mut self) -> Result<StreamItem, Error> {
        loop {
            if let Some(told) = self.told.pop_front() {
                return Ok(told);
            }
            if let Some(at) = self.resume_at {
                sleep_until(at).await;
                self.resume_at = None;
            }
            let Some(connection) = &mut self.connection else {
                let connecting = match &mut self.connecting {
                    Some(connecting) => connecting,
                    None => self.connecting.insert(Box::pin(connect(self.client.clone(), self.query.clone(), self.position))),
                };
                let connected = connecting.await;
                self.connecting = None;
                match connected {
                    Ok(connection) => self.connection = Some(connection),
                    Err(error) => return self.interrupted(error),
                }
                continue;
            };
            let silence = self.client.settings().silence_timeout;
            let Ok(block) = timeout_at(connection.heard + silence, connection.blocks.next()).await else {
                return self.interrupted(self.client.silent(silence));
            };
            connection.heard = Instant::now();
            match block {
                Some(Ok(block)) => self.take(block)?,
                Some(Err(error)) => return self.interrupted(self.read_error(error)),
                None => {
                    let url = self.client.shown();
                    return self.interrupted(Error::Broken { url, source: "the stream ended".into() });
                }
            }
        }
    }

    fn interrupted(&mut self, error: Error) -> Result<StreamItem, Error> {
        self.connection = None;
        let pause = self.backoff.next(FIRST_PAUSE, LONGEST_PAUSE).max(error.retry_after().unwrap_or_default());
        self.resume_at = Some(Instant::now() + pause);
        if error.is_temporary() { Ok(StreamItem::Interrupted { error, pause }) } else { Err(error) }
    }

    fn read_error(&self, error: sse_stream::Error) -> Error {
        let url = self.client.shown();
        match error {
            sse_stream::Error::Body(source) => match source.downcast::<ReadError>().map(|error| *error) {
                Ok(ReadError::Broken(error)) => self.client.broken(error),
                Ok(ReadError::Oversized) => Error::Oversized { url, limit_bytes: self.client.settings().max_answer_bytes },
                Err(source) => Error::Broken { url, source },
            },
            error => Error::Unreadable { url, source: error.into() },
        }
    }

    /// Converts a block to items.
    fn take(&mut self, block: Sse) -> Result<(), Error> {
        let number = block.id.as_deref().and_then(|id| id.parse::<u64>().ok());
        let Some(data) = block.data else {
            // The first message of the connection, or a message that there are no new events up to a number.
            let Some(number) = number else { return Ok(()) };
            self.backoff.reset();
            let after = *self.position.insert(self.position.unwrap_or(number).max(number));
            self.greet(after);
            return Ok(());
        };
        let Some(number) = number else { return Err(self.unreadable("a message has no number".to_owned())) };
        self.backoff.reset();
        if block.event.as_deref() == Some("reset") {
            self.told.push_back(StreamItem::Gap { after: self.position.replace(number), until: number });
            self.greet(number);
            return Ok(());
        }
        // Skip an event that was returned before the interruption.
        if self.position.is_some_and(|position| number <= position) {
            return Ok(());
        }
        let before = self.position.replace(number);
        if self.is_whole && before.is_some_and(|before| before + 1 < number) {
            self.told.push_back(StreamItem::Gap { after: before, until: number - 1 });
        }
        let message = serde_json::from_str(&data).map_err(|error| self.unreadable(error.to_string()))?;
        self.told.push_back(StreamItem::Event { number, message });
        Ok(())
    }

    fn greet(&mut self, after: u64) {
        if let Some(connection) = &mut self.connection
            && !std::mem::replace(&mut connection.is_greeted, true)
        {
            self.told.push_back(StreamItem::Connected { after });
        }
    }

    fn unreadable(&self, why: String) -> Error {
        Error::Unreadable { url: self.client.shown(), source: serde_json::Error::custom(why).into() }
    }
}

async fn connect(client: Client, query: Vec<(&'static str, String)>, after: Option<u64>) -> Result<Connection, Error> {
    let mut url = client.address(&["api", "v1", "stream"])?;
    let after = after.map(|after| ("after", after.to_string()));
    if after.is_some() || !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query).extend_pairs(after);
    }
    let settings = client.settings();
    let response = client.answer(client.request(Method::GET, url)?, settings.silence_timeout).await?;
    let content_type = response.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !content_type.starts_with("text/event-stream") {
        let (url, status) = (client.shown(), response.status().as_u16());
        return Err(Error::Foreign { url, status, location: None, retry_after: None });
    }
    let mut bound = Bound::new(settings.max_answer_bytes);
    let chunks = response.bytes_stream().map(move |chunk| {
        let chunk = chunk.map_err(ReadError::Broken)?;
        if bound.is_kept(&chunk) { Ok(chunk) } else { Err(ReadError::Oversized) }
    });
    Ok(Connection { blocks: SseByteStream::new(Box::pin(chunks) as Chunks), heard: Instant::now(), is_greeted: false })
}

/// Counts the bytes since the last empty line, to limit the size of a message.
pub(crate) struct Bound {
    limit_bytes: usize,
    bytes: usize,
    is_at_end_of_line: bool,
}

impl Bound {
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, bytes: 0, is_at_end_of_line: false }
    }

    /// Counts the bytes of a chunk. Returns false if a message is too large.
    pub(crate) fn is_kept(&mut self, chunk: &[u8]) -> bool {
        for byte in chunk {
            let is_end = matches!(byte, b'\n' | b'\r');
            self.bytes = if is_end && self.is_at_end_of_line { 0 } else { self.bytes + 1 };
            self.is_at_end_of_line = is_end;
            if self.bytes > self.limit_bytes {
                return false;
            }
        }
        true
    }
}
