//! What crosses to the deciding loop from other threads: news of runs, the server's tasks, and requests.
//!
//! Threads send them by a channel without a limit, and the loop takes them one after another. So the state of an agent has one owner and needs
//! no lock. tests/agent covers it by killing the agent at any moment.

use jiff::Timestamp;
use monitor_tasks::RunId;
use monitor_wire::AgentBook;
use tokio::sync::oneshot;

use crate::request::{Answer, Request};
use crate::verdict::RunVerdict;

/// Messages to the thread that decides.
#[derive(Debug)]
pub(crate) enum AgentMessage {
    /// The command of a run runs.
    Started { run: RunId, at: Timestamp },
    /// A run has ended.
    Ended { run: RunId, at: Timestamp, verdict: Box<RunVerdict> },
    /// A run was never started, and nobody is about to.
    Unstarted { run: RunId },
    /// The server has sent tasks.
    ServerTasks(ServerTasks),
    /// The server can't be asked for its knowledge of the agent.
    Unanswered {
        /// True if asking again is useless.
        is_final: bool,
    },
    /// The agent is asked to do something.
    Request(PendingRequest),
    /// The agent is to end.
    Stop,
}

/// Tasks that the link has fetched from the server.
#[derive(Debug)]
pub(crate) struct ServerTasks {
    pub(crate) book: AgentBook,
    /// True if the book contains all tasks. False if it contains only changed ones.
    pub(crate) is_whole: bool,
    /// Receives true once the agent has stored the tasks.
    pub(crate) done: oneshot::Sender<bool>,
}

/// A request until its answer is stored.
#[derive(Debug)]
pub(crate) struct PendingRequest {
    /// Who has sent it.
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
    /// A request of the server: its answer goes to the channel.
    pub(crate) fn over_channel(by: String, until: Timestamp, request: Request, to: oneshot::Sender<Answer>) -> Self {
        Self { by, until, request: Ok(request), answer: None, to: To::Channel(to) }
    }
}
