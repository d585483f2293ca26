//! Batch tasks, their runs, and the events that agents send about them.

use std::collections::BTreeMap;

use monitor_alerts::Sign;
use monitor_wire::{
    BatchAgent, BatchDecision, BatchRun, BatchRunsPage, BatchStatus, BatchTask, BatchTasksPage, BatchVersion, Event, KnownDues, State,
};

use super::alerts::Alerts;
use super::heartbeat::Heartbeats;
use super::{MemoryStore, contains};
use crate::batch::{
    BY_RULE, DECIDED, Decided, KEPT_US, MARKS, TaskHistory, TaskRow, VERSIONS, agent_of, cursor_of, decided_of, decision_of,
    latest_decision_us, mark_of, run_cursor, with_diffs,
};
use crate::signs::{LONG_PAUSE_US, PAST, of_pause};
use crate::{BatchQueries, BatchRunsQuery, BatchTasksQuery, Definition, Refused, StoreError, TaskChange, TasksChanged};

/// Key of a decision: task, first and last due time, agent, `what` and `reason`.
type DecisionKey = (String, u64, u64, String, String, String);

/// All data about batch tasks.
#[derive(Default)]
pub(super) struct Batch {
    /// Tasks by name, each with the revision of its last change.
    tasks: BTreeMap<String, (u64, TaskRow)>,
    versions: BTreeMap<(String, u64), BatchVersion>,
    runs: BTreeMap<(String, u64, String), BatchRun>,
    decisions: BTreeMap<DecisionKey, BatchDecision>,
    agents: BTreeMap<String, BatchAgent>,
    /// Tasks whose long pause was reported. True if the end of the pause was reported too.
    told_pauses: BTreeMap<String, bool>,
}

impl Batch {
    /// Applies all changes or none. Returns the versions of the tasks or the refusal, and the events about the changes.
    pub(super) fn change(&mut self, changes: &[TaskChange], heartbeats: &Heartbeats, now_us: u64) -> (TasksChanged, Vec<Event>) {
        let mut edited = Vec::new();
        for change in changes {
            let row = self.tasks.get(&change.name).map(|(_, row)| row);
            if TaskRow::is_new(row, change) && heartbeats.has(&change.name) {
                return (Err((change.name.clone(), Refused::OfHeartbeat)), Vec::new());
            }
            match TaskRow::edited(row, change, now_us) {
                Ok(new) => edited.push((&change.name, new)),
                Err(refused) => return (Err((change.name.clone(), refused)), Vec::new()),
            }
        }
        let (mut versions, mut events) = (Vec::new(), Vec::new());
        for (name, new) in edited {
            if let Some(new) = new {
                events.push(Event::BatchTaskChanged(new.event()));
                self.put(new);
            }
            versions.push(self.tasks.get(name).map_or(0, |(_, row)| row.version));
        }
        (Ok(versions), events)
    }

    pub(super) fn definition(&self, task: &str) -> Option<Definition> {
        self.tasks.get(task).map(|(_, row)| row.definition.clone())
    }

    pub(super) fn status(&self, task: &str) -> Option<BatchStatus> {
        self.tasks.get(task).map(|(_, row)| row.status.clone())
    }

    /// Returns a sign for each task whose pause has become long, and for each long pause that is over. Each is returned once.
    pub(super) fn long_pauses(&mut self, now_us: u64) -> Vec<Sign> {
        let mut signs = Vec::new();
        for (_, row) in self.tasks.values().filter(|(_, row)| row.status == BatchStatus::PAUSED) {
            let is_over = row.until_us.is_some_and(|until_us| until_us <= now_us);
            let is_long = row.changed_us.saturating_add(LONG_PAUSE_US) <= now_us;
            let told = self.told_pauses.get(&row.name).copied();
            if is_long && (told.is_none() && !is_over || told == Some(false) && is_over) {
                self.told_pauses.insert(row.name.clone(), is_over);
                signs.push(of_pause(row, is_over, now_us));
            }
        }
        signs
    }

    /// Returns the durations of the last successful runs of a task without `run`, latest due time first, in nanoseconds.
    pub(super) fn past_ns(&self, task: &str, run: &str) -> Vec<u64> {
        let is_meant = |of: &&BatchRun| of.task == task && of.run != run && of.outcome == State::SUCCEEDED;
        self.runs.values().rev().filter(is_meant).filter_map(|run| run.elapsed_ns).take(PAST).collect()
    }

    fn put(&mut self, row: TaskRow) {
        let revision = self.tasks.values().map(|(revision, _)| *revision).max().unwrap_or(0) + 1;
        if row.is_version_after(self.tasks.get(&row.name).map(|(_, row)| row)) {
            let TaskRow { version, changed_us, who, status, definition, .. } = row.clone();
            let version = BatchVersion { version, time_us: changed_us, who, status, definition, diff: Vec::new() };
            self.versions.insert((row.name.clone(), version.version), version);
        }
        self.told_pauses.remove(&row.name);
        self.tasks.insert(row.name.clone(), (revision, row));
    }

    /// Applies an event about a task, an agent's progress, or a decision about due times.
    pub(super) fn take(&mut self, event: &Event, now_us: u64) {
        match event {
            Event::BatchTaskChanged(changed) => {
                if let Some(new) = TaskRow::told(self.tasks.get(&changed.task).map(|(_, row)| row), changed) {
                    self.put(new);
                }
            }
            Event::AgentDecided(decided) => {
                let known = self.agents.entry(decided.agent.clone()).or_default();
                if known.decided_us <= decided.until_us || known.decided_us > latest_decision_us(now_us) {
                    *known = agent_of(decided);
                }
            }
            event => {
                let Some(of) = decision_of(event) else { return };
                let from = of.last_due_us.saturating_sub(KEPT_US);
                let task = of.task.clone();
                let key = (task.clone(), of.first_due_us, of.last_due_us, of.agent.clone(), of.what.clone(), of.reason.clone());
                self.decisions.insert(key, of);
                self.decisions.retain(|key, _| key.0 != task || key.1 >= from);
            }
        }
    }

    /// Stores a run, and deletes runs of the task that were due more than [`KEPT_US`] before it.
    pub(super) fn take_run(&mut self, run: BatchRun) {
        let (task, from) = (run.task.clone(), run.due_us.saturating_sub(KEPT_US));
        self.runs.insert((task.clone(), run.due_us, run.run.clone()), run);
        self.runs.retain(|key, _| key.0 != task || key.1 >= from);
    }

    fn show(&self, row: &TaskRow, alerts: &Alerts) -> BatchTask {
        let runs = || self.runs.values().rev().filter(|run| run.task == row.name).take(MARKS);
        let last_decision = self.decisions.values().rev().find(|of| of.task == row.name);
        row.clone().show(TaskHistory {
            runs: runs().map(mark_of).collect(),
            last_run: runs().next().cloned(),
            last_decision: last_decision.map(|of| (of.what.clone(), of.last_due_us)),
            last_warning_us: alerts.last_warning_us(&row.name),
        })
    }
}

impl BatchQueries for MemoryStore {
    fn batch_tasks(&self, query: &BatchTasksQuery) -> Result<BatchTasksPage, StoreError> {
        let state = self.state();
        let after = query.cursor.as_deref().unwrap_or_default();
        let is_meant = |row: &&TaskRow| {
            let is_behind = row.name.as_str() > after && row.status != BatchStatus::DELETED;
            is_behind && query.text.as_ref().is_none_or(|text| contains(&row.name, text))
        };
        let rows: Vec<_> = state.batch.tasks.values().map(|(_, row)| row).filter(is_meant).collect();
        let tasks: Vec<_> = rows.iter().take(query.limit).map(|row| state.batch.show(row, &state.alerts)).collect();
        let next_cursor = tasks.last().filter(|_| rows.len() > query.limit).map(|task| task.name.clone());
        Ok(BatchTasksPage { tasks, next_cursor, as_of: state.seq })
    }

    fn batch_task(&self, name: &str) -> Result<Option<BatchTask>, StoreError> {
        let state = self.state();
        Ok(state.batch.tasks.get(name).map(|(_, row)| state.batch.show(row, &state.alerts)))
    }

    fn batch_versions(&self, name: &str) -> Result<Vec<BatchVersion>, StoreError> {
        let state = self.state();
        let versions = state.batch.versions.iter().rev().filter(|((task, _), _)| task == name).map(|(_, version)| version.clone());
        Ok(with_diffs(versions.take(VERSIONS + 1).collect()))
    }

    fn batch_runs(&self, query: &BatchRunsQuery) -> Result<BatchRunsPage, StoreError> {
        let malformed = |cursor: &String| StoreError::Cursor { cursor: cursor.clone() };
        let behind = query.cursor.as_ref().map(|cursor| run_cursor(cursor).ok_or_else(|| malformed(cursor))).transpose()?;
        let state = self.state();
        let is_meant = |run: &&BatchRun| {
            query.task.as_ref().is_none_or(|task| run.task == *task)
                && query.from_us.is_none_or(|from| run.due_us >= from)
                && query.to_us.is_none_or(|to| run.due_us < to)
                && (query.exit_code.is_none() || run.result_code == query.exit_code.map(i64::from))
                && query.outcome.as_ref().is_none_or(|outcome| run.outcome == *outcome)
                && (query.agent.is_none() || run.agent == query.agent)
                && behind.is_none_or(|place| (run.due_us, run.run.as_str()) < place)
        };
        let mut runs: Vec<BatchRun> = state.batch.runs.values().filter(is_meant).cloned().collect();
        runs.sort_by(|a, b| (b.due_us, &b.run).cmp(&(a.due_us, &a.run)));
        let is_more = runs.len() > query.limit;
        runs.truncate(query.limit);
        let next_cursor = runs.last().filter(|_| is_more).map(cursor_of);
        Ok(BatchRunsPage { runs, next_cursor, as_of: state.seq })
    }

    fn batch_decisions(&self, task: &str, (from_us, to_us): (u64, u64), limit: usize) -> Result<Vec<BatchDecision>, StoreError> {
        let state = self.state();
        let touches = |of: &&BatchDecision| of.task == task && of.first_due_us < to_us && of.last_due_us >= from_us;
        Ok(state.batch.decisions.values().filter(touches).take(limit).cloned().collect())
    }

    fn batch_decided(&self, task: &str, agent: &str) -> Result<Decided, StoreError> {
        let batch = &self.state().batch;
        let version = batch.tasks.get(task).and_then(|(_, row)| batch.versions.get(&(row.name.clone(), row.version)));
        let is_by_rule =
            |run: &&BatchRun| run.task == task && run.agent.as_deref() == Some(agent) && BY_RULE.contains(&run.trigger.as_str());
        let runs = batch.runs.values().rev().filter(is_by_rule).map(|run| KnownDues { first_us: run.due_us, last_us: run.due_us });
        let others = batch.decisions.values().rev().filter(|of| of.task == task && of.agent == agent);
        let others = others.map(|of| KnownDues { first_us: of.first_due_us, last_us: of.last_due_us });
        let lists = [runs.take(DECIDED).collect(), others.take(DECIDED).collect()];
        Ok(decided_of(version.map_or(0, |version| version.time_us), lists))
    }

    fn batch_changes(&self, after: u64) -> Result<Vec<(u64, BatchTask)>, StoreError> {
        let state = self.state();
        let newer = state.batch.tasks.values().filter(|(revision, _)| *revision > after);
        let mut changes: Vec<_> = newer.map(|(revision, row)| (*revision, row.clone().show(TaskHistory::default()))).collect();
        changes.sort_by_key(|(revision, _)| *revision);
        Ok(changes)
    }

    fn batch_agents(&self) -> Result<Vec<BatchAgent>, StoreError> {
        Ok(self.state().batch.agents.values().cloned().collect())
    }
}
