//! Words that others may add to: what is unknown is kept and shown as it came.

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

            /// The words known here, in their natural order.
            pub const KNOWN: &'static [Self] = &[$(Self::$word),+];

            /// The word itself.
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
    /// What a process is.
    Kind {
        /// Begins a tree.
        ROOT = "root",
        /// A function or any piece of work.
        NORMAL = "normal",
        /// A function that another thread runs.
        CROSS_THREAD = "cross_thread",
        /// A function that another operating-system process called.
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
        /// One host of a step.
        HOST = "host",
        /// A span of a tracing library.
        SPAN = "span",
    }
);

open_word!(
    /// Where a process is. An unknown outcome is a state of its own.
    State {
        /// Queued, not begun.
        PENDING = "pending",
        /// Begun, not ended.
        RUNNING = "running",
        /// Ended well.
        SUCCEEDED = "succeeded",
        /// Ended with an error, a panic, an exit code or a signal.
        FAILED = "failed",
        /// Given up before its end.
        CANCELLED = "cancelled",
        /// Not ended, and its worker is lost.
        LOST = "lost",
    }
);

impl State {
    /// Its last attempt ended, and another one is to come. It isn't among the known ones that are counted apart.
    pub const RETRYING: Self = Self(Cow::Borrowed("retrying"));
}

open_word!(
    /// How a process ended.
    Outcome {
        /// It did what it should.
        SUCCEEDED = "succeeded",
        /// It did not.
        FAILED = "failed",
        /// It was given up.
        CANCELLED = "cancelled",
    }
);

open_word!(
    /// How far a task of a queue is.
    Phase {
        /// It was put into its queue.
        SENT = "sent",
        /// A worker took it from its queue.
        RECEIVED = "received",
        /// A worker began to work on it.
        STARTED = "started",
        /// It ended well.
        SUCCEEDED = "succeeded",
        /// It failed.
        FAILED = "failed",
        /// A worker refused it.
        REJECTED = "rejected",
        /// It went back into its queue.
        REQUEUED = "requeued",
        /// It is not to be done any more.
        REVOKED = "revoked",
        /// Its last attempt failed, and the next one was not heard of yet.
        RETRIED = "retried",
    }
);

open_word!(
    /// How a process came by its parent.
    Attachment {
        /// By its context, or by ids handed to it.
        EXPLICIT = "explicit",
        /// The one tree that its program was running.
        INFERRED = "inferred",
        /// There was none to be found.
        UNATTACHED = "unattached",
    }
);

open_word!(
    /// How a process lost its parent.
    Loss {
        /// It began without a context.
        UNATTACHED = "unattached",
        /// It names a parent that the server doesn't know.
        ORPHAN = "orphan",
    }
);

open_word!(
    /// What likely gives a process its parent.
    Fix {
        /// Its thread is started by `monitor_client::spawn_thread`.
        SPAWN_THREAD = "spawn_thread",
        /// Its task is started by `monitor_client::tokio::spawn`, or its thread by `spawn_blocking`.
        TOKIO_SPAWN = "tokio_spawn",
        /// Its future is polled elsewhere: `.in_current()`.
        IN_CURRENT = "in_current",
        /// Nothing ran that could be its parent: it begins a tree, or its caller is to be monitored.
        BEGIN = "begin",
        /// The parent's own program has to tell of the parent.
        TELL_PARENT = "tell_parent",
    }
);

open_word!(
    /// What kind of failure an error tells of.
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
    /// Where a worker is.
    WorkerState {
        /// It reports.
        ONLINE = "online",
        /// It said goodbye.
        OFFLINE = "offline",
        /// Its heartbeat is overdue.
        LOST = "lost",
    }
);

open_word!(
    /// How a command stands with one worker.
    CommandStatus {
        /// It waits for the worker.
        WAITING = "waiting",
        /// The worker has taken it and is at it.
        TAKEN = "taken",
        /// The worker has done it.
        OK = "ok",
        /// The worker failed to do it.
        ERROR = "error",
        /// The worker may not do it (`MONITOR_COMMANDS`).
        REFUSED = "refused",
        /// The worker doesn't know the method, or takes no commands at all.
        UNSUPPORTED = "unsupported",
        /// The worker did not answer in time.
        UNANSWERED = "unanswered",
        /// The worker has ended or is lost.
        GONE = "gone",
        /// Nobody came for it in time.
        EXPIRED = "expired",
    }
);

impl CommandStatus {
    /// Returns true if nothing else can become of the command with this worker.
    pub fn is_final(&self) -> bool {
        *self != Self::WAITING && *self != Self::TAKEN
    }
}

impl WorkerState {
    /// Those who relay what it says are silent, so nobody knows how it is. What it has open goes on as far as is known.
    pub const UNHEARD: Self = Self(Cow::Borrowed("unheard"));
}

open_word!(
    /// What a worker is for.
    WorkerRole {
        /// A program that records itself.
        PROGRAM = "program",
        /// The one on a machine that starts commands.
        AGENT = "agent",
        /// It tells of what others do, such as the workers of a queue.
        BRIDGE = "bridge",
    }
);

open_word!(
    /// What a batch task is.
    BatchStatus {
        /// Its rules start runs.
        ACTIVE = "active",
        /// Its rules start nothing.
        PAUSED = "paused",
        /// It is gone; its runs and versions are still told.
        DELETED = "deleted",
    }
);

open_word!(
    /// Why a run that was due was skipped.
    SkipReason {
        /// An earlier run of the task still ran.
        OVERLAP = "overlap",
        /// The task or its agent was paused.
        PAUSED = "paused",
        /// It was a quiet time of the task.
        QUIET = "quiet",
        /// A task with the same lock ran.
        LOCK = "lock",
        /// As many runs waited or ran as may.
        FULL = "full",
    }
);

open_word!(
    /// Why runs that were due were missed.
    MissedReason {
        /// The agent didn't run.
        AGENT_DOWN = "agent-down",
        /// They could not start within the time that the task gives them.
        DEADLINE = "deadline",
        /// The clock jumped over them.
        CLOCK = "clock",
        /// More were missed than are made up for.
        CAP = "cap",
        /// The agent lost its database, and with it what it had decided.
        REBUILT = "rebuilt",
        /// No ping of the heartbeat came.
        NO_PING = "no-ping",
    }
);

open_word!(
    /// How a heartbeat stands.
    HeartbeatState {
        /// No ping ever came, so that none is expected.
        NEW = "new",
        /// The last ping came in time.
        UP = "up",
        /// The next ping is due, and may still come in time.
        LATE = "late",
        /// No ping came in time.
        MISSED = "missed",
    }
);
