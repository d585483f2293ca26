//! The input of a plan, and its actions.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ledger::{Run, TaskLedger};
use crate::run::RunId;

/// What the caller knows of the time.
#[derive(Debug, Clone, PartialEq)]
pub struct Now {
    /// Time of day.
    pub time: Timestamp,
    /// What the caller knows of the clock.
    pub clock: Clock,
    /// The start of the machine; None if the caller doesn't know it. Tasks with `@boot` start once for each.
    pub boot: Option<Boot>,
}

impl Now {
    /// A time that a clock shows which runs as clocks do.
    pub fn steady(time: Timestamp) -> Self {
        Self { time, clock: Clock::Steady, boot: None }
    }
}

/// What a caller knows of the clock since the last plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// It ran as clocks do, or was set back, or the caller wasn't there.
    Steady,
    /// It has jumped forward further than the machine's uptime explains, and isn't synchronised. For five minutes nothing is decided.
    Unsure {
        /// Time since the jump, by a clock that is never set.
        since: Duration,
    },
    /// It had jumped forward, and is synchronised now: what was due meanwhile was missed because of the clock.
    Jumped,
}

/// A start of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// Id of the start, another one each time.
    pub id: String,
    /// Time of the start.
    pub at: Timestamp,
}

/// Actions for the agent to carry out now.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// Actions and reports, in order.
    pub actions: Vec<Action>,
    /// The next time at which there may be something to be done, if nothing happens before. None: never.
    pub wake_at: Option<Timestamp>,
    /// The parts of the ledger that change.
    pub tasks: BTreeMap<String, TaskLedger>,
    /// The start of the machine for which tasks were started, if that changes.
    pub boot: Option<String>,
}

/// Due times of one task, from the first to the last. Those between that were decided otherwise have decisions of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dues {
    /// The first one.
    pub first: Timestamp,
    /// The last one.
    pub last: Timestamp,
    /// Number of due times, at most [`MOST_COUNTED`].
    pub count: u32,
}

/// Highest number of due times that is counted, more than a day has seconds. If there are more, `count` says so many.
pub const MOST_COUNTED: u32 = 100_000;

impl Dues {
    /// One due time.
    pub fn one(due: Timestamp) -> Self {
        Self { first: due, last: due, count: 1 }
    }
}

/// Something to be done or told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum Action {
    /// Start this run now.
    Start {
        /// The run; its state is [`State::Starting`](crate::State::Starting).
        run: Run,
    },
    /// This run was decided, and waits: another plan starts it or gives it up.
    Queue {
        /// The run; its state is [`State::Waiting`](crate::State::Waiting).
        run: Run,
        /// What it waits for.
        reason: Reason,
        /// It starts at this time or later.
        not_before: Timestamp,
        /// The run that it waits for.
        blocked_by: Option<RunId>,
    },
    /// An attempt failed, and another one waits.
    Retry {
        /// The attempt that failed.
        of: RunId,
        /// The next attempt.
        run: Run,
        /// It starts at this time or later.
        not_before: Timestamp,
    },
    /// End this run.
    Kill {
        /// The run.
        run: RunId,
        /// Why.
        reason: KillReason,
        /// The run that replaces it.
        replaced_by: Option<RunId>,
    },
    /// Tell that this run has run for longer than its timeout. It runs on.
    Overtime {
        /// The run.
        run: RunId,
        /// Its start.
        since: Timestamp,
    },
    /// Tell that nothing is started for these due times, because of what was so at these times.
    Skip {
        /// Name of the task.
        task: String,
        /// Version of the task.
        version: u64,
        /// The due times.
        dues: Dues,
        /// Why.
        reason: Reason,
        /// The run that was in the way.
        blocked_by: Option<RunId>,
        /// The run that was decided before and is given up.
        run: Option<RunId>,
    },
    /// Tell that nothing was started at these due times, because nothing could be.
    Missed {
        /// Name of the task.
        task: String,
        /// Version of the task.
        version: u64,
        /// The due times.
        dues: Dues,
        /// Why.
        reason: MissedReason,
        /// The run that makes up for them, or that was decided before and is given up.
        run: Option<RunId>,
    },
}

/// Reason for which a run waits or is skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// An earlier run of the task isn't over.
    Overlap,
    /// The task or the agent is paused.
    Paused,
    /// These are quiet hours.
    Quiet,
    /// A run of another task holds the lock.
    Lock,
    /// The agent runs as many runs as it may, or as many of this task wait as may.
    Full,
    /// Its time has not come: jitter, or the time before another attempt.
    Delay,
    /// The task is no longer in the book.
    Deleted,
    /// Tasks would start one another for ever.
    Cycle,
}

/// Reason for which due times were missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MissedReason {
    /// The agent wasn't there.
    AgentDown,
    /// The start didn't come within `start-within`.
    Deadline,
    /// The clock was set forward past them.
    Clock,
    /// More were missed than are made up for.
    Cap,
    /// The agent lost its database, and with it what it had decided.
    Rebuilt,
}

/// Reason for which a run is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KillReason {
    /// It ran for longer than `kill-after`.
    KillAfter,
    /// The next run replaces it.
    Replaced,
}

macro_rules! words {
    ($($name:ident { $($variant:ident = $word:literal),* $(,)? })*) => {$(
        impl $name {
            /// The reason in one word, as events have it.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }
    )*};
}

impl Action {
    /// The run that a plan gives up before its start, and why in words.
    pub fn given_up(&self) -> Option<(&RunId, &'static str, String)> {
        let (run, what, reason, blocked_by) = match self {
            Self::Skip { run, reason, blocked_by, .. } => (run.as_ref()?, "skipped", reason.word(), blocked_by.as_ref()),
            Self::Missed { run, reason, .. } => (run.as_ref()?, "missed", reason.word(), None),
            _ => return None,
        };
        Some((run, reason, given_up(what, reason, blocked_by.map(RunId::to_string).as_deref())))
    }
}

/// Why a run was given up before its start, in words: it was `skipped` or `missed`, for a reason, because of another run.
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
