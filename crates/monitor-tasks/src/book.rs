//! The book of an agent: its tasks with their versions and pauses.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::definition::Definition;
use crate::policy::Policy;

/// The tasks of an agent.
///
/// Before a task is changed, the caller must plan with the old book up to the moment of the change, so that no due time is lost between two
/// versions.
#[derive(Debug, Clone, Default)]
pub struct Book {
    /// Tasks by name.
    pub tasks: BTreeMap<String, Task>,
    /// Pause of the whole agent.
    pub paused: Option<Paused>,
    /// Maximum number of simultaneous runs of all tasks. `None` for no limit.
    pub max_runs: Option<u32>,
}

impl Book {
    /// Adds a task, or replaces an older version of it.
    pub fn put(&mut self, task: Task) {
        self.tasks.insert(task.definition.name.clone(), task);
    }

    /// Returns the pauses that apply to a task: its own, the agent's, and that of its definition.
    pub(crate) fn pauses(&self, task: &Task) -> impl Iterator<Item = Paused> {
        let defined = task.policy.is_paused.then_some(Paused { from: task.since, until: None });
        task.paused.into_iter().chain(self.paused).chain(defined)
    }
}

/// A task of an agent.
#[derive(Debug, Clone)]
pub struct Task {
    /// Definition of the task.
    pub definition: Arc<Definition>,
    /// Rules and policies of the definition.
    pub policy: Policy,
    /// Version number.
    pub version: u64,
    /// Start of this version's validity at this agent. Earlier due times do not belong to this version.
    pub since: Timestamp,
    /// Pause of the task.
    pub paused: Option<Paused>,
    /// Place of this agent among those that run the task.
    pub place: Place,
}

impl Task {
    /// Creates an unpaused task that only this agent runs.
    ///
    /// # Errors
    /// See [`Policy::new`].
    pub fn new(definition: Definition, version: u64, since: Timestamp, agents_zone: &TimeZone) -> Result<Self, String> {
        let policy = Policy::new(&definition, agents_zone)?;
        Ok(Self { definition: Arc::new(definition), policy, version, since, paused: None, place: Place::default() })
    }
}

/// A pause. Due times within it are skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// Start of the pause.
    pub from: Timestamp,
    /// End of the pause. `None` until it is ended explicitly.
    pub until: Option<Timestamp>,
}

impl Paused {
    /// Returns true if the pause is in effect at this time.
    pub fn is_at(&self, at: Timestamp) -> bool {
        self.from <= at && self.until.is_none_or(|until| at < until)
    }
}

/// Place of an agent among those that run a task. The agent derives run numbers from it, so that no two agents create the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Position, from 0.
    pub index: u32,
    /// Number of agents.
    pub of: u32,
}

impl Default for Place {
    fn default() -> Self {
        Self { index: 0, of: 1 }
    }
}

impl Place {
    /// Returns the place of the agent `name` in a definition's `on`. `None` if the definition is for other agents.
    pub fn find(on: &[String], name: &str) -> Option<Self> {
        let index = on.iter().position(|agent| agent == name)?;
        Some(Self { index: index as u32, of: on.len() as u32 })
    }
}
