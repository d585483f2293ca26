//! Messages from other threads to the deciding loop: starts and ends of runs, the server's tasks, and requests.
//!
//! The threads send the messages through an unbounded channel, and the loop handles them one at a time. The state of the agent therefore has
//! one owner and needs no lock. `tests/agent` covers this by killing the agent at arbitrary moments.

use jiff::Timestamp;
use monitor_tasks::RunId;
use monitor_wire::AgentBook;
use tokio::sync::oneshot;

use crate::request::{Answer, Request};
use crate::verdict::RunVerdict;

/// A message to the deciding loop.
#[derive(Debug)]
pub(crate) enum AgentMessage {
    /// The command of a run has started.
    Started { run: RunId, at: Timestamp },
    /// A run has ended.
    Ended { run: RunId, at: Timestamp, verdict: Box<RunVerdict> },
    /// A run was not started, and no launcher is going to start it.
    Unstarted { run: RunId },
    /// The server has sent tasks.
    ServerTasks(ServerTasks),
    /// The server did not send its knowledge of the agent, because the request failed.
    Unanswered {
        /// True if another request would also fail.
        is_final: bool,
    },
    /// A request from the server or from a local command.
    Request(PendingRequest),
    /// The agent must stop.
    Stop,
}

/// Tasks that the link has fetched from the server.
#[derive(Debug)]
pub(crate) struct ServerTasks {
    pub(crate) book: AgentBook,
    /// True if the book contains all tasks. False if it contains only changed tasks.
    pub(crate) is_whole: bool,
    /// Receives true once the agent has stored the tasks.
    pub(crate) done: oneshot::Sender<bool>,
}

/// A request until its answer is stored.
#[derive(Debug)]
pub(crate) struct PendingRequest {
    /// Name of the sender.
    pub(crate) by: String,
    /// Time when its sender stops waiting.
    pub(crate) until: Timestamp,
    pub(crate) request: Result<Request, String>,
    /// The answer to a request that was handled but could not be stored yet.
    pub(crate) answer: Option<Answer>,
    pub(crate) to: To,
}

/// Receiver of the answer.
#[derive(Debug)]
pub(crate) enum To {
    /// Number of the request in the database.
    Row(i64),
    Channel(oneshot::Sender<Answer>),
}

impl PendingRequest {
    /// Creates a request from the server. Its answer is sent to the channel.
    pub(crate) fn over_channel(by: String, until: Timestamp, request: Request, to: oneshot::Sender<Answer>) -> Self {
        Self { by, until, request: Ok(request), answer: None, to: To::Channel(to) }
    }
}
