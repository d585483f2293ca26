//! Input of the planner, and the actions of a plan.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ledger::{Run, TaskLedger};
use crate::run::RunId;

/// Current time and state of the clock.
#[derive(Debug, Clone, PartialEq)]
pub struct Now {
    /// Current time.
    pub time: Timestamp,
    /// State of the clock.
    pub clock: Clock,
    /// Current boot of the machine. `None` if unknown. Tasks with `@boot` start once per boot.
    pub boot: Option<Boot>,
}

impl Now {
    /// Creates a time shown by a reliable clock.
    pub fn steady(time: Timestamp) -> Self {
        Self { time, clock: Clock::Steady, boot: None }
    }
}

/// State of the clock since the last plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The clock ran normally, was set back, or was not observed.
    Steady,
    /// The clock has jumped forward further than the machine's uptime explains, and is not synchronized. Nothing is decided for up to five
    /// minutes.
    Unsure {
        /// Time since the jump, measured by a monotonic clock.
        since: Duration,
    },
    /// The clock had jumped forward and is synchronized now. Due times in between count as missed because of the clock.
    Jumped,
}

/// A boot of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// Unique id of the boot.
    pub id: String,
    /// Time of the boot.
    pub at: Timestamp,
}

/// Actions for the agent to execute now.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// Actions and reports, in order.
    pub actions: Vec<Action>,
    /// Time of the next plan if no event occurs earlier. `None` if no time is relevant.
    pub wake_at: Option<Timestamp>,
    /// Changed tasks of the ledger.
    pub tasks: BTreeMap<String, TaskLedger>,
    /// Boot whose tasks were started, if changed.
    pub boot: Option<String>,
}

/// Due times of a task from the first to the last. Due times in between may have other decisions, which are separate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dues {
    /// First due time.
    pub first: Timestamp,
    /// Last due time.
    pub last: Timestamp,
    /// Number of due times, at most [`MOST_COUNTED`].
    pub count: u32,
}

/// Maximum counted number of due times. It exceeds the number of seconds in a day.
pub const MOST_COUNTED: u32 = 100_000;

impl Dues {
    /// Creates the value for a single due time.
    pub fn one(due: Timestamp) -> Self {
        Self { first: due, last: due, count: 1 }
    }
}

/// An action or report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum Action {
    /// Starts a run now.
    Start {
        /// The run, in state [`State::Starting`](crate::State::Starting).
        run: Run,
    },
    /// Reports that a decided run waits. A later plan starts it or gives it up.
    Queue {
        /// The run, in state [`State::Waiting`](crate::State::Waiting).
        run: Run,
        /// Reason for waiting.
        reason: Reason,
        /// Earliest start.
        not_before: Timestamp,
        /// Run that must end first.
        blocked_by: Option<RunId>,
    },
    /// Reports that an attempt has failed and another is waiting.
    Retry {
        /// The failed attempt.
        of: RunId,
        /// The next attempt.
        run: Run,
        /// Earliest start.
        not_before: Timestamp,
    },
    /// Ends a run.
    Kill {
        /// The run.
        run: RunId,
        /// Reason.
        reason: KillReason,
        /// The run that replaces it.
        replaced_by: Option<RunId>,
    },
    /// Reports that a run exceeds its timeout. The run continues.
    Overtime {
        /// The run.
        run: RunId,
        /// Start of the run.
        since: Timestamp,
    },
    /// Reports that no run is started for due times because of a policy.
    Skip {
        /// Name of the task.
        task: String,
        /// Version of the task.
        version: u64,
        /// The due times.
        dues: Dues,
        /// Reason.
        reason: Reason,
        /// Run that blocked the start.
        blocked_by: Option<RunId>,
        /// Previously decided run that is given up.
        run: Option<RunId>,
    },
    /// Reports that no run was started at due times because none could be started.
    Missed {
        /// Name of the task.
        task: String,
        /// Version of the task.
        version: u64,
        /// The due times.
        dues: Dues,
        /// Reason.
        reason: MissedReason,
        /// Run that makes up for them, or previously decided run that is given up.
        run: Option<RunId>,
    },
}

/// Reason for a wait or a skip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// An earlier run of the task is in progress.
    Overlap,
    /// The task or the agent is paused.
    Paused,
    /// Quiet hours.
    Quiet,
    /// A run of another task holds the lock.
    Lock,
    /// The agent runs its maximum number of runs, or the maximum number of runs of the task are waiting.
    Full,
    /// Delayed by jitter, or by the pause before a retry.
    Delay,
    /// The task was removed from the book.
    Deleted,
    /// The tasks would start one another in a cycle.
    Cycle,
}

/// Reason for missed due times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MissedReason {
    /// The agent was down.
    AgentDown,
    /// The run could not start within `start-within`.
    Deadline,
    /// The clock was set forward past them.
    Clock,
    /// More due times were missed than are made up for.
    Cap,
    /// The agent has lost its database with the decisions.
    Rebuilt,
}

/// Reason for ending a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KillReason {
    /// The run exceeded `kill-after`.
    KillAfter,
    /// The next run replaces it.
    Replaced,
}

macro_rules! words {
    ($($name:ident { $($variant:ident = $word:literal),* $(,)? })*) => {$(
        impl $name {
            /// Returns the reason in one word, as used in events.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }
    )*};
}

impl Action {
    /// Returns the run that the plan gives up before its start, the kind of the decision, and a description.
    pub fn given_up(&self) -> Option<(&RunId, &'static str, String)> {
        let (run, what, reason, blocked_by) = match self {
            Self::Skip { run, reason, blocked_by, .. } => (run.as_ref()?, "skipped", reason.word(), blocked_by.as_ref()),
            Self::Missed { run, reason, .. } => (run.as_ref()?, "missed", reason.word(), None),
            _ => return None,
        };
        Some((run, reason, given_up(what, reason, blocked_by.map(RunId::to_string).as_deref())))
    }
}

/// Describes why a run was given up before its start: it was `skipped` or `missed`, with the reason and the blocking run.
pub fn given_up(what: &str, reason: &str, blocked_by: Option<&str>) -> String {
    let by = blocked_by.map(|by| format!(", because of {by}")).unwrap_or_default();
    format!("{what} ({reason}){by}")
}

words! {
    Reason {
        Overlap = "overlap", Paused = "paused", Quiet = "quiet", Lock = "lock", Full = "full", Delay = "delay", Deleted = "deleted",
        Cycle = "cycle",
    }
    MissedReason { AgentDown = "agent-down", Deadline = "deadline", Clock = "clock", Cap = "cap", Rebuilt = "rebuilt" }
    KillReason { KillAfter = "kill-after", Replaced = "replaced" }
}
