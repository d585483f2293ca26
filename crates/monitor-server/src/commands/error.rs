//! Reasons to refuse a command, a channel or a reply.

use monitor_store::StoreError;
use monitor_wire::{CommandId, ProcessId, RootId, WorkerId};

use super::AllowedCommands;
use super::agents::refusal;

/// Reason for refusing a command, a channel or a reply. Its text is sent to the client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// A parameter can't be parsed, or its value isn't allowed.
    #[error("{detail}")]
    Parameter {
        /// Name of the parameter.
        name: String,
        /// Mistake and allowed values.
        detail: String,
    },

    /// No worker has this id.
    #[error("there is no worker {0}: `GET /api/v1/workers` lists those that there are")]
    UnknownWorker(WorkerId),
    /// No worker has this name.
    #[error("there is no worker {name:?} online{near} (`GET /api/v1/workers` lists those that there are)")]
    UnknownName {
        /// The name or its beginning.
        name: String,
        /// Hint with the most similar name, if there is one.
        near: String,
    },
    /// The worker has not sent any events, so it can't open a channel.
    #[error("there is no worker {0}: it opens its channel once it has sent events")]
    SilentWorker(WorkerId),
    /// The run does not exist.
    #[error("there is no run {0}: `GET /api/v1/roots` lists the runs")]
    UnknownTree(RootId),
    /// The process does not exist.
    #[error("there is no process {process} in tree {root}: `GET /api/v1/roots` lists the trees that there are")]
    UnknownProcess {
        /// Id of the process.
        process: ProcessId,
        /// Root of the process.
        root: RootId,
    },
    /// The command does not exist.
    #[error("there is no command {0}: `GET /api/v1/commands` lists those that are remembered")]
    UnknownCommand(CommandId),

    /// The server's setting `commands` doesn't allow the method.
    #[error("this server passes no {method:?} on to programs: its setting `commands` is `{setting}`, which its operator has chosen")]
    NotPassedOn {
        /// The method or its beginning.
        method: String,
        /// The setting.
        setting: AllowedCommands,
    },
    /// Only the server itself sends this method to agents.
    #[error("{}", refusal(.method, *.route))]
    NotForAgents {
        /// The method.
        method: String,
        /// Route that sends it to agents, if there is one.
        route: Option<&'static str>,
    },
    /// The key of a reply is not that of the worker's channel.
    #[error("the key is none of worker {0}'s channel: it is bound to the one who first opened it")]
    WrongKey(WorkerId),
    /// The command was not sent to the worker that replied.
    #[error("the command {id} is not for worker {worker}")]
    NotAsked {
        /// Id of the command.
        id: CommandId,
        /// Worker that replied.
        worker: WorkerId,
    },
    /// A program without the agent's token tries to open the agent's channel.
    #[error(
        "only a token with the agent's name {0:?} and the scope `agent` receives its commands: create one with `monitor token create {0} --scope agent`"
    )]
    NotTheAgent(String),

    /// No target supports the method.
    #[error(
        "no worker supports {method:?}: {who}. A worker supports it with a queue that can do it (`TaskControl::on_{method}`, or a `TaskSource` with this \
         method), started with MONITOR_COMMANDS=all or read,{method}; `GET /api/v1/commands/methods` names those that support it"
    )]
    NotOffered {
        /// The method.
        method: String,
        /// Text with the number of workers that support it.
        who: String,
    },
    /// The `Idempotency-Key` belongs to another command.
    #[error("the Idempotency-Key is that of command {0}, which asks for something else: take a new key")]
    OtherKey(CommandId),
    /// The channel is bound to another key.
    #[error("the channel of worker {0} belongs to another key: the first one who opens a worker's channel has it")]
    OtherChannel(WorkerId),
    /// Another worker has taken the command, which is for one worker.
    #[error("the command {0} was taken by another worker")]
    TakenByOther(CommandId),
    /// The reply to a durable command arrived before the worker has taken the command.
    #[error("the command {0} is durable: reply `taken` first, and do it after a 204")]
    NotTaken(CommandId),
    /// The worker has already replied.
    #[error("the command {0} has its answer from this worker already")]
    Answered(CommandId),
    /// The command ended before the reply arrived.
    #[error("the command {0} is over: this answer arrived too late")]
    Late(CommandId),

    /// The maximum number of channels is open.
    #[error("{0} workers hold a channel, which is all that the setting `max-channels` allows")]
    TooManyChannels(usize),
    /// The maximum number of commands is waiting.
    #[error("{0} wait for answers already, which is all that is allowed: try again later")]
    TooManyWaiting(String),

    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A task of the server panicked or was cancelled.
    #[error("a task of the server broke off")]
    Failed(#[from] tokio::task::JoinError),
}
