//! `GET /api/v1/batch-tasks/{name}/explain`: the due times of a task as explained by [`monitor_tasks::explain`] from the agents' reports.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use monitor_store::{BatchRunsQuery, Store, StoreError};
use monitor_tasks::explain::{Decision, Explained, MOST_EXPLAINED, What, explain};
use monitor_tasks::ledger::Next;
use monitor_tasks::{Definition, Dues, Ledger, Paused, Place, Run, RunId, State as RunState, Task, TaskLedger, Trigger};
use monitor_wire::{BatchAgent, BatchDecision, BatchExplained, BatchExplanation, BatchRun, BatchStatus, BatchTask, BatchVersion, Problem};
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

use super::super::params::{PathParts, Strict, TimeUs};
use super::super::{Answer, App};
use super::dues::timestamp;
use super::{agents, no_task};

/// Maximum number of explanations in the response.
const MOST: usize = 1_000;
/// Default range: this time before and after now.
const DAY_US: u64 = 86_400_000_000;
/// Number of newest runs whose median is the usual duration.
const USUAL: usize = 50;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct ExplainParams {
    /// Begin of the range, in Unix microseconds (default: a day ago).
    #[param(value_type = Option<u64>)]
    from: Option<TimeUs>,
    /// End of the range, exclusive (default: a day from now).
    #[param(value_type = Option<u64>)]
    to: Option<TimeUs>,
}

/// Explains each due time of a batch task.
///
/// This includes due times at which no agent ran, once an agent has reported its decision. Due times that no agent has reported on are
/// `unknown`. Future due times are planned by the same rules, assuming that runs take as long as usual.
#[utoipa::path(
    get,
    path = "/api/v1/batch-tasks/{name}/explain",
    tag = "batch tasks",
    params(("name" = String, Path, description = "Name of the task"), ExplainParams),
    responses(
        (status = 200, description = "The due times and the decisions about them", body = BatchExplanation),
        (status = 404, description = "The task has never existed", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in super::super) async fn get_explain(
    State(app): State<App>,
    path: PathParts,
    Strict(params): Strict<ExplainParams>,
) -> Answer<BatchExplanation> {
    let name = path.text("name").to_owned();
    let now_us = app.clock.wall_us();
    let from_us = params.from.map_or(now_us.saturating_sub(DAY_US), |from| from.0);
    let to_us = params.to.map_or(now_us + DAY_US, |to| to.0);
    let asked = name.clone();
    let explained = app.ask(move |store| {
        let Some(task) = store.batch_task(&asked)? else { return Ok(None) };
        let agents = by_name(store)?;
        let told = Told::load(store, task, &agents, (from_us, to_us))?;
        Ok(Some(told.explain((from_us, to_us), now_us)))
    });
    explained.await?.map(Json).ok_or_else(|| no_task(&name))
}

/// Returns the known agents by name.
pub(super) fn by_name(store: &dyn Store) -> Result<BTreeMap<String, BatchAgent>, StoreError> {
    Ok(store.batch_agents()?.into_iter().map(|agent| (agent.name.clone(), agent)).collect())
}

/// Stored data about a task.
pub(super) struct Told<'a> {
    task: BatchTask,
    /// Agents that the task is for.
    own: Vec<String>,
    /// Versions of the definition, oldest first.
    versions: Vec<BatchVersion>,
    /// Runs that were due within the range.
    pub(super) runs: Vec<BatchRun>,
    decisions: Vec<BatchDecision>,
    /// Runs that have not ended.
    pub(super) open: Vec<BatchRun>,
    usual: Duration,
    /// Agents by name.
    known: &'a BTreeMap<String, BatchAgent>,
    /// True if there are more runs or decisions than were read.
    pub(super) is_cut: bool,
    /// Due time of the oldest run that was read. Runs that were due earlier may exist.
    known_from_us: u64,
}

impl<'a> Told<'a> {
    pub(super) fn load(
        store: &dyn Store,
        task: BatchTask,
        known: &'a BTreeMap<String, BatchAgent>,
        (from_us, to_us): (u64, u64),
    ) -> Result<Self, StoreError> {
        let name = &task.name;
        let of_task = || BatchRunsQuery { task: Some(name.clone()), ..BatchRunsQuery::default() };
        let newest = store.batch_runs(&BatchRunsQuery { limit: USUAL, ..of_task() })?.runs;
        let mut runs = Vec::new();
        let mut cursor = None;
        while runs.len() < MOST_EXPLAINED {
            let query = BatchRunsQuery { from_us: Some(from_us), to_us: Some(to_us), limit: MOST, cursor, ..of_task() };
            let page = store.batch_runs(&query)?;
            runs.extend(page.runs);
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        let mut versions = store.batch_versions(name)?;
        versions.reverse();
        // Runs are read newest first. For the time before the oldest one that was read, it is unknown which runs there were.
        let known_from_us = cursor.as_ref().and(runs.last()).map_or(0, |run| run.due_us);
        let decisions = store.batch_decisions(name, (from_us, to_us), MOST_EXPLAINED)?;
        Ok(Self {
            versions,
            is_cut: cursor.is_some() || decisions.len() == MOST_EXPLAINED,
            known_from_us,
            decisions,
            usual: usual(&newest),
            open: newest.into_iter().filter(|run| run.started_us.is_some() && run.ended_us.is_none()).collect(),
            runs,
            known,
            own: agents(&task),
            task,
        })
    }

    fn explain(&self, time: (u64, u64), now_us: u64) -> BatchExplanation {
        let (mut due, mut is_cut) = (Vec::new(), self.is_cut);
        for (agent, explained) in self.by_agent(time, now_us, None) {
            is_cut |= explained.len() == MOST_EXPLAINED;
            for of in explained {
                add(&mut due, &agent, self.word(&agent, &of), of);
            }
        }
        due.sort_by(|a, b| (a.due_us, &a.agent, &a.run).cmp(&(b.due_us, &b.agent, &b.run)));
        is_cut |= due.len() > MOST;
        due.truncate(MOST);
        BatchExplanation { due, is_cut }
    }

    /// Returns the due times per agent. Agents are those that the task is or was for, or only `wanted`.
    pub(super) fn by_agent(&self, (from_us, to_us): (u64, u64), now_us: u64, wanted: Option<&str>) -> Vec<(String, Vec<Explained>)> {
        let from_us = from_us.max(self.known_from_us);
        // A deleted task is no longer due.
        let to_us = if self.task.status == BatchStatus::DELETED { to_us.min(self.task.changed_us) } else { to_us };
        let own = &self.own;
        let told = self.runs.iter().filter_map(|run| run.agent.clone()).chain(self.decisions.iter().map(|of| of.agent.clone()));
        let all: BTreeSet<String> = own.iter().cloned().chain(told).collect();
        let explained = all.into_iter().filter(|agent| wanted.is_none_or(|wanted| wanted == agent)).map(|agent| {
            let place = own.iter().position(|name| *name == agent).map(|index| Place { index: index as u32, of: own.len() as u32 });
            let known = self.known.get(&agent);
            let pause = known.and_then(|known| Some(Paused { from: at(known.paused_from_us?), until: known.paused_until_us.map(at) }));
            let versions = place.map_or_else(Vec::new, |place| self.tasks(place, pause));
            let is_of = |run: &&BatchRun| self.agent_of(run) == Some(&agent);
            let decisions: Vec<Decision> = (self.runs.iter().filter(is_of).filter_map(started))
                .chain(self.decisions.iter().filter(|of| of.agent == agent).filter_map(decided))
                .collect();
            let ledger = versions.last().map(|task| ledger(task, self.open.iter().filter(is_of), now_us)).unwrap_or_default();
            let time = (at(from_us), at(to_us.saturating_sub(1)));
            let explained = explain(&versions, &decisions, &ledger, self.usual, at(now_us), time);
            (agent, explained)
        });
        explained.collect()
    }

    /// Returns the agent of a run. A run of an unknown agent is attributed to the task's first agent.
    pub(super) fn agent_of<'r>(&'r self, run: &'r BatchRun) -> Option<&'r String> {
        run.agent.as_ref().or(self.own.first())
    }

    /// Returns the decision on a due time as one word.
    pub(super) fn word(&self, agent: &str, of: &Explained) -> &'static str {
        let until_us = self.known.get(agent).map_or(0, |known| known.decided_us);
        match of.decision {
            // The agent has decided all due times until then and has reported none here, so none was due for it.
            What::Unknown if micros(of.due) <= until_us => "none",
            what => what.word(),
        }
    }

    /// Returns the versions of the task as an agent has them, including a pause of the whole agent. Versions that this server can't parse,
    /// such as those of a newer agent's files, are omitted.
    fn tasks(&self, place: Place, pause: Option<Paused>) -> Vec<Task> {
        let mut tasks: Vec<Task> = self
            .versions
            .iter()
            .filter_map(|version| {
                let mut definition = Definition::from_json(Value::Object(version.definition.clone())).ok()?;
                if version.status == BatchStatus::DELETED {
                    definition.rules.clear();
                }
                let task = Task::new(definition, version.version, at(version.time_us), &TimeZone::system()).ok()?;
                Some(Task { place, ..task })
            })
            .collect();
        if let Some(newest) = tasks.last_mut() {
            let own = Paused { from: at(self.task.changed_us), until: self.task.until_us.map(at) };
            newest.paused = Some(own).filter(|_| self.task.status == BatchStatus::PAUSED).or(pause);
        }
        tasks
    }
}

/// Returns the median duration of these runs.
fn usual(runs: &[BatchRun]) -> Duration {
    let mut took: Vec<u64> = runs.iter().filter_map(|run| run.elapsed_ns).collect();
    took.sort_unstable();
    Duration::from_nanos(took.get(took.len() / 2).copied().unwrap_or_default())
}

fn started(run: &BatchRun) -> Option<Decision> {
    Some(Decision {
        dues: Dues::one(timestamp(run.due_us)?),
        what: What::Started,
        reason: run.trigger.clone(),
        version: run.version,
        run: run.run.parse().ok(),
        blocked_by: None,
    })
}

fn decided(of: &BatchDecision) -> Option<Decision> {
    Some(Decision {
        dues: Dues {
            first: timestamp(of.first_due_us)?,
            last: timestamp(of.last_due_us)?,
            count: u32::try_from(of.count).unwrap_or(u32::MAX),
        },
        what: if of.what == "skipped" { What::Skipped } else { What::Missed },
        reason: of.reason.clone(),
        version: of.version,
        run: None,
        blocked_by: of.blocked_by.as_ref().and_then(|run| run.parse().ok()),
    })
}

/// Returns the known state of the runs that are currently running.
fn ledger<'a>(task: &Task, open: impl Iterator<Item = &'a BatchRun>, now_us: u64) -> Ledger {
    let run = |run: &BatchRun| {
        Some(Run {
            id: run.run.parse::<RunId>().ok()?,
            version: run.version,
            trigger: Trigger::Time,
            attempt: 1,
            step: task.place.of,
            lock: task.policy.lock.clone(),
            chain: Vec::new(),
            repeats: None,
            state: RunState::Running { since: at(run.started_us?) },
            is_overtime: false,
            is_killed: false,
            is_unstarted: false,
        })
    };
    let known = TaskLedger {
        until: at(now_us),
        next: Next { version: (task.version, task.since), due: None },
        ran: Vec::new(),
        runs: open.filter_map(run).collect(),
        used: BTreeMap::new(),
    };
    Ledger { tasks: [(task.definition.name.clone(), known)].into_iter().collect(), boot: None }
}

/// Adds an explanation. Consecutive equal explanations are combined.
fn add(due: &mut Vec<BatchExplained>, agent: &str, decision: &str, of: Explained) {
    let due_us = micros(of.due);
    let is_told = !matches!(of.decision, What::Unknown | What::WillStart | What::WillBeSkipped);
    let explained = BatchExplained {
        due_us,
        count: 1,
        decision: decision.to_owned(),
        reason: of.reason.filter(|reason| !reason.is_empty()),
        agent: Some(agent.to_owned()),
        version: is_told.then_some(of.version),
        run: of.run.map(|run| run.to_string()),
    };
    let is_same = |last: &&mut BatchExplained| {
        *last == &BatchExplained { due_us: last.due_us, count: last.count, ..explained.clone() } && of.decision != What::Started
    };
    match due.last_mut().filter(is_same) {
        Some(last) => last.count += 1,
        None => due.push(explained),
    }
}

/// Converts a time to Unix microseconds.
pub(super) fn micros(at: Timestamp) -> u64 {
    u64::try_from(at.as_microsecond()).unwrap_or_default()
}

fn at(us: u64) -> Timestamp {
    timestamp(us).unwrap_or(Timestamp::MAX)
}
