//! The book of an agent: the tasks that it starts.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::definition::Definition;
use crate::policy::Policy;

/// The tasks of an agent.
///
/// Whoever changes a task first plans with the old book up to the moment of the change, so that no due time falls between two versions.
#[derive(Debug, Clone, Default)]
pub struct Book {
    /// Tasks by name.
    pub tasks: BTreeMap<String, Task>,
    /// The agent as a whole is paused.
    pub paused: Option<Paused>,
    /// Most runs of all tasks at the same time; none: as many as are due.
    pub max_runs: Option<u32>,
}

impl Book {
    /// Puts a task into the book, in the place of an older version of it.
    pub fn put(&mut self, task: Task) {
        self.tasks.insert(task.definition.name.clone(), task);
    }

    /// The pauses that hold for a task: its own, the agent's, and that of its definition.
    pub(crate) fn pauses(&self, task: &Task) -> impl Iterator<Item = Paused> {
        let defined = task.policy.is_paused.then_some(Paused { from: task.since, until: None });
        task.paused.into_iter().chain(self.paused).chain(defined)
    }
}

/// A task as an agent has it.
#[derive(Debug, Clone)]
pub struct Task {
    /// Its definition.
    pub definition: Arc<Definition>,
    /// The definition's rules and policies.
    pub policy: Policy,
    /// Number of this version.
    pub version: u64,
    /// Since when this version holds at this agent. Due times before it are not this version's.
    pub since: Timestamp,
    /// The task is paused.
    pub paused: Option<Paused>,
    /// Place of this agent among those that run the task.
    pub place: Place,
}

impl Task {
    /// A task that this agent alone runs, and that is not paused.
    ///
    /// # Errors
    /// See [`Policy::new`].
    pub fn new(definition: Definition, version: u64, since: Timestamp, agents_zone: &TimeZone) -> Result<Self, String> {
        let policy = Policy::new(&definition, agents_zone)?;
        Ok(Self { definition: Arc::new(definition), policy, version, since, paused: None, place: Place::default() })
    }
}

/// A pause: due times from its begin until its end are skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// Begin of the pause.
    pub from: Timestamp,
    /// End of the pause; none: until somebody ends it.
    pub until: Option<Timestamp>,
}

impl Paused {
    /// Returns true if the pause holds at this time.
    pub fn is_at(&self, at: Timestamp) -> bool {
        self.from <= at && self.until.is_none_or(|until| at < until)
    }
}

/// Place of an agent among those that run a task: it numbers its runs so that no two agents give the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its place, from 0.
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
    /// The place of the agent `name` in a definition's `on`. None if the definition is for other agents.
    pub fn find(on: &[String], name: &str) -> Option<Self> {
        let index = on.iter().position(|agent| agent == name)?;
        Some(Self { index: index as u32, of: on.len() as u32 })
    }
}
