//! Open sets of words. Values that this version doesn't know are stored and shown unchanged.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! open_word {
    ($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $word:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        #[serde(transparent)]
        pub struct $name(Cow<'static, str>);

        impl $name {
            $($(#[$word_doc])* pub const $word: Self = Self(Cow::Borrowed($text));)+

            /// The known words, in their natural order.
            pub const KNOWN: &'static [Self] = &[$(Self::$word),+];

            /// Returns the word as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$word,)+
                    _ => Self(Cow::Owned(text.to_owned())),
                }
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(Cow::Owned(text))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

open_word!(
    /// The kind of a process.
    Kind {
        /// The root of a run.
        ROOT = "root",
        /// A function, or any other piece of work.
        NORMAL = "normal",
        /// A function that another thread executes.
        CROSS_THREAD = "cross_thread",
        /// A function that was called by another operating-system process.
        CROSS_PROCESS = "cross_process",
        /// A command.
        SCRIPT = "script",
        /// A run of a batch task.
        RUN = "run",
        /// A task of a queue.
        TASK = "task",
        /// A job on many hosts.
        JOB = "job",
        /// A step of a job.
        STEP = "step",
        /// A host of a step.
        HOST = "host",
        /// A span of a tracing library.
        SPAN = "span",
    }
);

open_word!(
    /// The state of a process. A process that ended with an unknown outcome has this outcome as its state.
    State {
        /// Queued, not started.
        PENDING = "pending",
        /// Started, not ended.
        RUNNING = "running",
        /// Ended successfully.
        SUCCEEDED = "succeeded",
        /// Ended with an error, a panic, an exit code or a signal.
        FAILED = "failed",
        /// Cancelled before its end.
        CANCELLED = "cancelled",
        /// No end was received, and the worker is lost.
        LOST = "lost",
    }
);

impl State {
    /// The last attempt ended, and another one is planned. This state is not in `KNOWN` and has no count of its own.
    pub const RETRYING: Self = Self(Cow::Borrowed("retrying"));
}

open_word!(
    /// The outcome of a process.
    Outcome {
        /// Ended successfully.
        SUCCEEDED = "succeeded",
        /// Ended with a failure.
        FAILED = "failed",
        /// Cancelled before its end.
        CANCELLED = "cancelled",
    }
);

open_word!(
    /// The phase of a queue task.
    Phase {
        /// Put into its queue.
        SENT = "sent",
        /// Received by a worker.
        RECEIVED = "received",
        /// Started by a worker.
        STARTED = "started",
        /// Ended successfully.
        SUCCEEDED = "succeeded",
        /// Failed.
        FAILED = "failed",
        /// Refused by a worker.
        REJECTED = "rejected",
        /// Returned to its queue.
        REQUEUED = "requeued",
        /// Revoked, terminated or expired.
        REVOKED = "revoked",
        /// The last attempt failed. No event of the next attempt has been received yet.
        RETRIED = "retried",
    }
);

open_word!(
    /// The way a process got its parent.
    Attachment {
        /// From its context, or from ids that were passed to it.
        EXPLICIT = "explicit",
        /// The only run that its program was running at that time, or the call that started its thread.
        INFERRED = "inferred",
        /// No parent was found.
        UNATTACHED = "unattached",
    }
);

open_word!(
    /// The reason why a process has no parent.
    Loss {
        /// It was started without a context.
        UNATTACHED = "unattached",
        /// It refers to a parent that the server doesn't know.
        ORPHAN = "orphan",
    }
);

open_word!(
    /// The change that is likely to give a process its parent.
    Fix {
        /// Start its thread with `monitor_client::spawn_thread`.
        SPAWN_THREAD = "spawn_thread",
        /// Start its task with `monitor_client::tokio::spawn`, or its thread with `spawn_blocking`.
        TOKIO_SPAWN = "tokio_spawn",
        /// Call `.in_current()` on its future, because the future is polled elsewhere.
        IN_CURRENT = "in_current",
        /// No process ran that could be its parent. Let it begin a run, or monitor its caller.
        BEGIN = "begin",
        /// Let the parent's program report the parent.
        TELL_PARENT = "tell_parent",
    }
);

open_word!(
    /// The kind of a failure.
    ErrorKind {
        /// A returned error.
        ERROR = "error",
        /// A panic.
        PANIC = "panic",
        /// An exit code.
        EXIT = "exit",
        /// A signal.
        SIGNAL = "signal",
    }
);

open_word!(
    /// The state of a worker.
    WorkerState {
        /// It sends events or heartbeats.
        ONLINE = "online",
        /// It reported its own end.
        OFFLINE = "offline",
        /// Its heartbeat is overdue.
        LOST = "lost",
    }
);

open_word!(
    /// The status of a command for one worker.
    CommandStatus {
        /// Waits for the worker.
        WAITING = "waiting",
        /// The worker has accepted the command and is executing it.
        TAKEN = "taken",
        /// The worker has executed the command.
        OK = "ok",
        /// The worker failed to execute the command.
        ERROR = "error",
        /// The worker's settings don't allow the command (`MONITOR_COMMANDS`).
        REFUSED = "refused",
        /// The worker doesn't know the method, or accepts no commands at all.
        UNSUPPORTED = "unsupported",
        /// The worker did not reply in time.
        UNANSWERED = "unanswered",
        /// The worker has ended or is lost.
        GONE = "gone",
        /// No worker accepted the command in time.
        EXPIRED = "expired",
    }
);

impl CommandStatus {
    /// Returns true if the status can't change any more.
    pub fn is_final(&self) -> bool {
        *self != Self::WAITING && *self != Self::TAKEN
    }
}

impl WorkerState {
    /// The workers that relay its events are silent, so its state is not known. Its open processes keep their state.
    pub const UNHEARD: Self = Self(Cow::Borrowed("unheard"));
}

open_word!(
    /// The role of a worker.
    WorkerRole {
        /// A program that records its own processes.
        PROGRAM = "program",
        /// The program that starts commands on a machine.
        AGENT = "agent",
        /// A program that reports for others, such as for the workers of a queue.
        BRIDGE = "bridge",
    }
);

open_word!(
    /// The status of a batch task.
    BatchStatus {
        /// Its rules start runs.
        ACTIVE = "active",
        /// Its rules start no runs.
        PAUSED = "paused",
        /// Deleted. Its runs and versions are still shown.
        DELETED = "deleted",
    }
);

open_word!(
    /// The reason why a due run was skipped.
    SkipReason {
        /// An earlier run of the task was still running.
        OVERLAP = "overlap",
        /// The task or its agent was paused.
        PAUSED = "paused",
        /// The run was due in quiet hours of the task.
        QUIET = "quiet",
        /// A run of another task with the same lock was running.
        LOCK = "lock",
        /// The maximum number of running or waiting runs was reached.
        FULL = "full",
        /// The start of the run was still delayed, by jitter or the time before a further attempt.
        DELAY = "delay",
        /// The task was deleted.
        DELETED = "deleted",
        /// Tasks would have started each other without end.
        CYCLE = "cycle",
    }
);

open_word!(
    /// The reason why due runs were missed.
    MissedReason {
        /// The agent was not running.
        AGENT_DOWN = "agent-down",
        /// The runs could not start within the time that the task allows.
        DEADLINE = "deadline",
        /// The clock was set forward past the due times.
        CLOCK = "clock",
        /// More runs were missed than the task makes up for.
        CAP = "cap",
        /// The agent lost its database, and with it the decisions about these runs.
        REBUILT = "rebuilt",
        /// No ping of the heartbeat was received.
        NO_PING = "no-ping",
    }
);

open_word!(
    /// The state of a heartbeat.
    HeartbeatState {
        /// No ping has been received yet, so none is expected.
        NEW = "new",
        /// The last ping was received in time.
        UP = "up",
        /// The next ping is due, and its grace period is not over.
        LATE = "late",
        /// No ping was received within the grace period.
        MISSED = "missed",
    }
);
