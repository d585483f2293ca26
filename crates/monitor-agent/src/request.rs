//! What a person or a program asks of the agent.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Something that an agent is asked to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Request {
    /// Answer: it is asked whether the loop that decides goes round.
    Ping,
    /// Start a run of a task now.
    Run {
        /// Name of the task.
        task: String,
        /// Arguments that follow the command's own.
        #[serde(default)]
        args: Vec<String>,
    },
    /// Start another run of a run's task, with the run's own arguments.
    Rerun {
        /// Id of the run.
        run: String,
        /// For the run's own due time and with the version of the task that the run had, instead of now and as the task is now.
        #[serde(default)]
        as_it_was: bool,
    },
    /// Start nothing of a task, or nothing at all.
    Pause {
        /// Name of the task; none: the agent.
        task: Option<String>,
        /// Until then; none: until somebody says otherwise.
        until: Option<Timestamp>,
    },
    /// Start what is due again.
    Resume {
        /// Name of the task; none: the agent.
        task: Option<String>,
    },
    /// End a run, or all runs of a task.
    Kill {
        /// Id of the run, or name of the task.
        what: String,
        /// At once, without SIGTERM before.
        #[serde(default)]
        now: bool,
    },
    /// End. Runs go on.
    Stop,
}

/// The agent's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It does so, with these runs.
    Done {
        /// Ids of runs that were asked for or are ended.
        runs: Vec<String>,
    },
    /// It doesn't.
    Refused {
        /// Why.
        why: String,
    },
}
