//! Reasons to refuse a command, a channel or a reply.

use monitor_store::StoreError;
use monitor_wire::{CommandId, ProcessId, RootId, WorkerId};

use super::AllowedCommands;
use super::agents::refusal;

/// The reason why a command, a channel or a reply is refused. The sender reads its message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// A parameter can't be read, or its value isn't allowed.
    #[error("{detail}")]
    Parameter {
        /// Its name.
        name: String,
        /// The mistake, and the allowed values.
        detail: String,
    },

    /// No worker has this id.
    #[error("there is no worker {0}: `GET /api/v1/workers` lists those that there are")]
    UnknownWorker(WorkerId),
    /// No worker has this name.
    #[error("there is no worker {name:?} online{near} (`GET /api/v1/workers` lists those that there are)")]
    UnknownName {
        /// The name, or its beginning.
        name: String,
        /// Names the most similar one, if one is similar.
        near: String,
    },
    /// A channel of a worker that has sent no events.
    #[error("there is no worker {0}: it opens its channel once it has sent events")]
    SilentWorker(WorkerId),
    /// There is no such tree.
    #[error("there is no tree {0}: `GET /api/v1/roots` lists the trees that there are")]
    UnknownTree(RootId),
    /// There is no such process.
    #[error("there is no process {process} in tree {root}: `GET /api/v1/roots` lists the trees that there are")]
    UnknownProcess {
        /// Its id.
        process: ProcessId,
        /// Its tree.
        root: RootId,
    },
    /// There is no such command.
    #[error("there is no command {0}: `GET /api/v1/commands` lists those that are remembered")]
    UnknownCommand(CommandId),

    /// The server's setting `commands` doesn't allow the method.
    #[error("this server passes no {method:?} on to programs: its setting `commands` is `{setting}`, which whoever runs it has chosen")]
    NotPassedOn {
        /// The method, or its beginning.
        method: String,
        /// The setting.
        setting: AllowedCommands,
    },
    /// A method that only the server itself sends to agents.
    #[error("{}", refusal(.method, *.route))]
    NotForAgents {
        /// The method.
        method: String,
        /// The route that sends it to agents, if one does.
        route: Option<&'static str>,
    },
    /// The key of a reply is not that of the worker's channel.
    #[error("the key is none of worker {0}'s channel: it is bound to the one who first opened it")]
    WrongKey(WorkerId),
    /// A reply by a worker that was not asked.
    #[error("the command {id} is not for worker {worker}")]
    NotAsked {
        /// The command.
        id: CommandId,
        /// The worker that replied.
        worker: WorkerId,
    },
    /// Another program opens the channel of an agent.
    #[error("the commands of the agent {0:?} are told to a token of that name, of scope `agent`: the token's name is the agent's")]
    NotTheAgent(String),

    /// No worker that is meant does this.
    #[error(
        "nobody does {method:?}: {who}. A worker does with a queue that can (`TaskControl::on_{method}`, or a `TaskSource` with this \
         method), started with MONITOR_COMMANDS=all or read,{method}; `GET /api/v1/commands/methods` names those that do"
    )]
    NotOffered {
        /// The method.
        method: String,
        /// The number of workers that offer it, in words.
        who: String,
    },
    /// An `Idempotency-Key` that another command has.
    #[error("the Idempotency-Key is that of command {0}, which asks for something else: take a new key")]
    OtherKey(CommandId),
    /// A channel that is bound to another key.
    #[error("the channel of worker {0} belongs to another key: the first one who opens a worker's channel has it")]
    OtherChannel(WorkerId),
    /// Another worker has taken a command that one worker is to do.
    #[error("the command {0} was taken by another worker")]
    TakenByOther(CommandId),
    /// A durable command was answered before it was taken.
    #[error("the command {0} is durable: reply `taken` first, and do it after a 204")]
    NotTaken(CommandId),
    /// A second answer of a worker.
    #[error("the command {0} has its answer from this worker already")]
    Answered(CommandId),
    /// The command ended before the reply came.
    #[error("the command {0} is over: nobody waits for this answer any more")]
    Late(CommandId),

    /// The largest number of channels is open.
    #[error("{0} workers hold a channel, which is all that the setting `max-channels` allows")]
    TooManyChannels(usize),
    /// The largest number of commands is waiting.
    #[error("{0} wait for answers already, which is all that is allowed: try again later")]
    TooManyWaiting(String),

    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A task of the server broke off.
    #[error("a task of the server broke off")]
    Failed(#[from] tokio::task::JoinError),
}
