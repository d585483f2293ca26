//! What an agent asks of the server: its book, and the orders for it.

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

/// An answer that waits for a change may come so much later than asked for.
const GRACE: Duration = Duration::from_secs(20);

impl Client {
    /// `GET /api/v1/agents/{name}/book`: the tasks of an agent that were changed after a revision, 0 for all of them. The answer waits for
    /// a change, but no longer than `wait`.
    pub fn agent_book(&self, agent: &str, after: u64, wait: Duration) -> Call<AgentBook> {
        let call = self.call(Method::GET, &["api", "v1", "agents", agent, "book"]);
        call.parameter("after", &after).parameter("wait_ms", &wait.as_millis()).patience(wait + GRACE)
    }

    /// `GET /api/v1/agents/{name}/book?known=true`: all tasks of an agent, and what the server knows of it. An older server answers 400.
    pub fn known_agent_book(&self, agent: &str) -> Call<AgentBook> {
        self.agent_book(agent, 0, Duration::ZERO).parameter("known", &true)
    }

    /// `GET /api/v1/workers/{id}/commands`: opens the channel of a worker, by a key of 32 to 128 letters and digits that is the worker's own.
    ///
    /// # Errors
    /// When the server can't be reached, or refuses.
    pub async fn channel(&self, worker: WorkerId, key: &str, methods: &str) -> Result<Channel, Error> {
        let call: Call<Download> = self.call(Method::GET, &["api", "v1", "workers", &worker.to_string(), "commands"]);
        let response = call.header(CHANNEL_KEY, key).parameter("methods", methods).response().await?;
        let client = self.clone();
        let bound = Bound::new(client.settings().max_answer_bytes);
        let chunks = futures_util::stream::unfold(Some((response, bound)), move |left| chunk(client.clone(), left));
        Ok(Channel { client: self.clone(), blocks: SseByteStream::new(Box::pin(chunks) as Chunks) })
    }

    /// `POST /api/v1/commands/{id}/replies`: the word of a worker, by the key of its channel.
    pub fn reply(&self, id: CommandId, key: &str, reply: &CommandReply) -> Call<()> {
        let call = self.call(Method::POST, &["api", "v1", "commands", &id.to_string(), "replies"]);
        call.header(CHANNEL_KEY, key).json_body(serde_json::to_vec(reply).expect("a reply is JSON"))
    }
}

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>;

/// The channel of a worker: what it is asked to do.
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
    /// Waits for the next order. Dropping the future loses nothing. An order that can't be read is passed by.
    ///
    /// # Errors
    /// When the channel breaks, has been silent for too long, or an order is larger than an answer may be.
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

/// What comes next of an answer; nothing after an error.
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
