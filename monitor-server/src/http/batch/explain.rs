//! `GET /api/v1/batch-tasks/{name}/explain`

use axum::Json;
use axum::extract::State;
use monitor_wire::{BatchExplained, BatchExplanation, BatchRun, BatchStatus, BatchTask, Problem};
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::params::{PathParts, Strict, TimeUs};
use super::super::{Answer, App};
use super::dues::Dues;
use super::{agents, no_task};
use crate::store::{BatchRunsQuery, Store, StoreError};

/// So many due times are told at once.
const MOST: usize = 1_000;
/// Without a time, what was due in the past day is told, and what will be in the next.
const DAY_US: u64 = 86_400_000_000;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct ExplainParams {
    /// From then on, in Unix microseconds; a day ago if not given.
    #[param(value_type = Option<u64>)]
    from: Option<TimeUs>,
    /// Until before then; a day from now if not given.
    #[param(value_type = Option<u64>)]
    to: Option<TimeUs>,
}

/// Each due time of a batch task, and what was decided on it: also at times when no agent ran, as soon as one has told. What no agent has
/// told of is `unknown`.
#[utoipa::path(
    get,
    path = "/api/v1/batch-tasks/{name}/explain",
    tag = "batch tasks",
    params(("name" = String, Path, description = "The task"), ExplainParams),
    responses(
        (status = 200, description = "Its due times", body = BatchExplanation),
        (status = 404, description = "There never was such a task", body = Problem, content_type = "application/problem+json"),
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
    let explained = app.ask(move |store| explain(store, &asked, (from_us, to_us), now_us)).await?;
    explained.map(Json).ok_or_else(|| no_task(&name))
}

fn explain(store: &dyn Store, name: &str, (from_us, to_us): (u64, u64), now_us: u64) -> Result<Option<BatchExplanation>, StoreError> {
    let Some(task) = store.batch_task(name)? else { return Ok(None) };
    let mut runs: Vec<BatchRun> = Vec::new();
    let mut cursor = None;
    // Enough to tell one more than are told.
    while runs.len() <= 4 * MOST {
        let (task, from_us, to_us) = (Some(name.to_owned()), Some(from_us), Some(to_us));
        let page = store.batch_runs(&BatchRunsQuery { task, from_us, to_us, limit: MOST, cursor, ..BatchRunsQuery::default() })?;
        runs.extend(page.runs);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let decisions = store.batch_decisions(name, (from_us, to_us), MOST + 1)?;
    let agents_until = store.batch_agents()?;
    let mut due: Vec<BatchExplained> = runs
        .iter()
        .map(|run| BatchExplained {
            due_us: run.due_us,
            count: 1,
            decision: "started".to_owned(),
            reason: Some(run.trigger.clone()).filter(|trigger| !trigger.is_empty()),
            agent: run.agent.clone(),
            version: Some(run.version),
            run: Some(run.run.clone()),
        })
        .collect();
    due.extend(decisions.iter().map(|of| BatchExplained {
        due_us: of.first_due_us,
        count: of.count,
        decision: of.what.clone(),
        reason: Some(of.reason.clone()),
        agent: Some(of.agent.clone()),
        version: Some(of.version),
        run: of.blocked_by.clone(),
    }));
    // Due times by the newest version that nobody has told of.
    let is_told =
        |at: u64| runs.iter().any(|run| run.due_us == at) || decisions.iter().any(|of| (of.first_due_us..=of.last_due_us).contains(&at));
    let decided_until =
        agents(&task).into_iter().map(|agent| agents_until.iter().find(|(name, _)| *name == agent).map_or(0, |(_, until)| *until));
    let decided_until = decided_until.min().unwrap_or_default();
    let silent = dues_of(&task, from_us).take_while(|at| *at < to_us).filter(|at| !is_told(*at)).take(MOST + 1);
    due.extend(silent.map(|at| {
        let (decision, reason) = match () {
            () if at > now_us && is_paused(&task, at) => ("planned", Some("paused")),
            () if at > now_us => ("planned", None),
            () if at < task.changed_us || at <= decided_until => ("none", None),
            () => ("unknown", None),
        };
        let (decision, reason) = (decision.to_owned(), reason.map(str::to_owned));
        BatchExplained { due_us: at, count: 1, decision, reason, agent: None, version: None, run: None }
    }));
    due.sort_by(|a, b| (a.due_us, &a.agent, &a.run).cmp(&(b.due_us, &b.agent, &b.run)));
    let is_cut = due.len() > MOST || cursor.is_some();
    due.truncate(MOST);
    Ok(Some(BatchExplanation { due, is_cut }))
}

/// Due times of a task from then on; none of one that is deleted.
fn dues_of(task: &BatchTask, from_us: u64) -> impl Iterator<Item = u64> {
    let dues = Dues::of(task).filter(|_| task.status != BatchStatus::DELETED);
    let found: Vec<u64> = dues.iter().flat_map(|dues| dues.after(from_us.saturating_sub(1)).take(4 * MOST)).collect();
    found.into_iter()
}

fn is_paused(task: &BatchTask, at_us: u64) -> bool {
    task.status == BatchStatus::PAUSED && task.until_us.is_none_or(|until| at_us < until)
}
