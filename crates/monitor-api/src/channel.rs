//! API calls of an agent: its task definitions and its orders.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use monitor_wire::{AgentBook, CHANNEL_KEY, CommandId, CommandOrder, CommandReply, WorkerId};
use reqwest::{Method, Response};
use sse_stream::SseByteStream;

use crate::call::{Call, Download};
use crate::client::Client;
use crate::error::Error;
use crate::stream::Bound;

/// Additional wait for an answer that the server sends after a change.
const GRACE: Duration = Duration::from_secs(20);

/// Agents, and the channels of workers.
impl Client {
    /// `GET /api/v1/agents/{name}/book`: returns the tasks of an agent that were changed after the revision `after`, or all tasks for 0.
    /// The server waits for a change, but not longer than `wait`.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let book = client.agent_book("build-1", 0, std::time::Duration::from_secs(30)).await?;
    /// println!("{} tasks at revision {}", book.tasks.len(), book.revision);
    /// # Ok(())
    /// # }
    /// ```
    pub fn agent_book(&self, agent: &str, after: u64, wait: Duration) -> Call<AgentBook> {
        let call = self.call(Method::GET, &["api", "v1", "agents", agent, "book"]);
        call.parameter("after", &after).parameter("wait_ms", &wait.as_millis()).patience(wait + GRACE)
    }

    /// `GET /api/v1/agents/{name}/book?known=true`: returns all tasks of an agent, and the server's knowledge of the agent.
    /// Older servers answer with status 400.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let book = client.known_agent_book("build-1").await?;
    /// println!("{:?}", book.known);
    /// # Ok(())
    /// # }
    /// ```
    pub fn known_agent_book(&self, agent: &str) -> Call<AgentBook> {
        self.agent_book(agent, 0, Duration::ZERO).parameter("known", &true)
    }

    /// `GET /api/v1/workers/{id}/commands`: opens the channel of a worker.
    ///
    /// `key` is the worker's secret, of 32 to 128 letters and digits. `methods` are the names of the methods that the worker executes,
    /// separated by commas.
    ///
    /// # Errors
    ///
    /// Returns an error if the server can't be reached, or refuses the request.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// use monitor_api::wire::{CommandReply, CommandStatus, WorkerId};
    ///
    /// # let worker: WorkerId = "0199a3ce929d0e0e47360199a3ce929d".parse().expect("32 hex digits");
    /// let key = "0123456789abcdef0123456789abcdef"; // use random digits
    /// let mut channel = client.channel(worker, key, "ping").await?;
    /// let order = channel.next().await?;
    /// let reply = CommandReply { worker_id: worker, status: CommandStatus::OK, value: None, error: None };
    /// client.reply(order.id, key, &reply).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn channel(&self, worker: WorkerId, key: &str, methods: &str) -> Result<Channel, Error> {
        let call: Call<Download> = self.call(Method::GET, &["api", "v1", "workers", &worker.to_string(), "commands"]);
        let response = call.header(CHANNEL_KEY, key).parameter("methods", methods).response().await?;
        let client = self.clone();
        let bound = Bound::new(client.settings().max_answer_bytes);
        let chunks = futures_util::stream::unfold(Some((response, bound)), move |left| chunk(client.clone(), left));
        Ok(Channel { client: self.clone(), blocks: SseByteStream::new(Box::pin(chunks) as Chunks) })
    }

    /// `POST /api/v1/commands/{id}/replies`: sends a worker's reply, with the key of its channel.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// use monitor_api::wire::{CommandReply, CommandStatus, WorkerId};
    ///
    /// # let worker: WorkerId = "0199a3ce929d0e0e47360199a3ce929d".parse().expect("32 hex digits");
    /// let key = "0123456789abcdef0123456789abcdef"; // use random digits
    /// let mut channel = client.channel(worker, key, "ping").await?;
    /// let order = channel.next().await?;
    /// let reply = CommandReply { worker_id: worker, status: CommandStatus::OK, value: None, error: None };
    /// client.reply(order.id, key, &reply).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn reply(&self, id: CommandId, key: &str, reply: &CommandReply) -> Call<()> {
        let call = self.call(Method::POST, &["api", "v1", "commands", &id.to_string(), "replies"]);
        call.header(CHANNEL_KEY, key).json_body(serde_json::to_vec(reply).expect("a reply is JSON"))
    }
}

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>;

/// The channel of a worker, on which it receives orders. Created by [`Client::channel`].
///
/// # Examples
///
/// ```no_run
/// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
/// use monitor_api::wire::{CommandReply, CommandStatus, WorkerId};
///
/// # let worker: WorkerId = "0199a3ce929d0e0e47360199a3ce929d".parse().expect("32 hex digits");
/// let key = "0123456789abcdef0123456789abcdef"; // use random digits
/// let mut channel = client.channel(worker, key, "ping").await?;
/// let order = channel.next().await?;
/// let reply = CommandReply { worker_id: worker, status: CommandStatus::OK, value: None, error: None };
/// client.reply(order.id, key, &reply).await?;
/// # Ok(())
/// # }
/// ```
pub struct Channel {
    client: Client,
    blocks: SseByteStream<Chunks>,
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel").field("client", &self.client).finish_non_exhaustive()
    }
}

impl Channel {
    /// Waits for the next order. Orders that can't be parsed are skipped.
    ///
    /// # Cancel safety
    ///
    /// This method is cancel safe: dropping the future loses no order.
    ///
    /// # Errors
    ///
    /// Returns an error if the channel breaks, has been silent for too long, or an order exceeds the maximum size of an answer.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// # let worker = "0199a3ce929d0e0e47360199a3ce929d".parse().expect("32 hex digits");
    /// # let key = "0123456789abcdef0123456789abcdef";
    /// let mut channel = client.channel(worker, key, "ping").await?;
    /// println!("{}", channel.next().await?.method);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn next(&mut self) -> Result<CommandOrder, Error> {
        let ended = |source: Box<dyn std::error::Error + Send + Sync>| Error::Broken { url: self.client.shown(), source };
        loop {
            let block = match self.blocks.next().await {
                Some(Ok(block)) => block,
                Some(Err(sse_stream::Error::Body(source))) => return Err(source.downcast::<Error>().map_or_else(ended, |error| *error)),
                Some(Err(error)) => return Err(Error::Unreadable { url: self.client.shown(), source: error.into() }),
                None => return Err(ended("the channel ended".into())),
            };
            if block.event.as_deref() == Some("command")
                && let Some(order) = block.data.and_then(|data| serde_json::from_str(&data).ok())
            {
                return Ok(order);
            }
        }
    }
}

/// Returns the next chunk of an answer, and the state for the chunk after it. `None` at the end and after an error.
async fn chunk(client: Client, left: Option<(Response, Bound)>) -> Option<(Result<Bytes, Error>, Option<(Response, Bound)>)> {
    let (mut response, mut bound) = left?;
    match client.chunk(&mut response).await {
        Ok(Some(chunk)) if !bound.is_kept(chunk.as_ref()) => {
            let error = Error::Oversized { url: client.shown(), limit_bytes: client.settings().max_answer_bytes };
            Some((Err(error), None))
        }
        Ok(Some(chunk)) => Some((Ok(Bytes::copy_from_slice(chunk.as_ref())), Some((response, bound)))),
        Ok(None) => None,
        Err(error) => Some((Err(error), None)),
    }
}
