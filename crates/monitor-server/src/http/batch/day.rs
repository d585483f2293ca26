//! `GET /api/v1/batch-tasks/runs/day`: planned and actual runs of all tasks.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use monitor_store::{BatchRunsQuery, Store, StoreError};
use monitor_tasks::explain::{Explained, MOST_EXPLAINED, What};
use monitor_tasks::rehearse::CROWD;
use monitor_wire::{BatchAgent, BatchCrowd, BatchDay, BatchDayMark, BatchLane, BatchRun, BatchTask};
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::params::{Strict, TimeUs};
use super::super::problem::ApiError;
use super::super::refusals::Unreadable;
use super::super::{Answer, App};
use super::explain::{Told, by_name, micros};

/// Maximum length of the range, in microseconds: 26 hours, because a day on which the clock is set back has 25.
const LONGEST_US: u64 = 26 * 3_600_000_000;
/// Maximum distance in microseconds between two due times with the same result that are combined in one mark.
const CLOSE_US: u64 = 300_000_000;
/// Number of runs per task that are read from before the range, because they may have ended within it.
const BEFORE: usize = 10;
/// Maximum number of marks in the response.
const MOST_MARKS: usize = 50_000;
/// Maximum number of crowded minutes in the response.
const MOST_CROWDED: usize = 50;
const MINUTE_US: u64 = 60_000_000;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct DayParams {
    /// Begin of the range, in Unix microseconds.
    #[param(value_type = u64)]
    from: TimeUs,
    /// End of the range, exclusive, at most 26 hours after `from`.
    #[param(value_type = u64)]
    to: TimeUs,
    /// Only tasks whose names contain this text.
    q: Option<String>,
    /// Only tasks of this agent.
    agent: Option<String>,
}

/// Returns the past and future due times within a day, by agent and task, each with its result.
///
/// Due times that no agent has reported on are `unknown`. Runs and due times of a task are combined if they are close to each other and
/// have the same result, so that a task of every second needs no more space than one of every hour.
#[utoipa::path(
    get,
    path = "/api/v1/batch-tasks/runs/day",
    tag = "batch tasks",
    params(DayParams),
    responses(
        (status = 200, description = "The runs and due times of the day", body = BatchDay),
        Unreadable,
    )
)]
pub(in super::super) async fn get_day(State(app): State<App>, Strict(params): Strict<DayParams>) -> Answer<BatchDay> {
    let time @ (from_us, to_us) = (params.from.0, params.to.0);
    if to_us <= from_us || to_us - from_us > LONGEST_US {
        let detail = "parameter `to`: it is later than `from`, by 26 hours at most".to_owned();
        return Err(ApiError::Parameter { name: "to".to_owned(), detail });
    }
    let now_us = app.clock.wall_us();
    let text = params.q.unwrap_or_default().to_lowercase();
    let day = app.ask(move |store| {
        let agents = by_name(store)?;
        let mut day = Day::default();
        let tasks = store.batch_changes(0)?.into_iter().map(|(_, task)| task);
        for task in tasks.filter(|task| task.name.to_lowercase().contains(&text)) {
            day.add(store, task, &agents, params.agent.as_deref(), (time, now_us))?;
        }
        Ok(day.told(time))
    });
    Ok(Json(day.await?))
}

#[derive(Default)]
struct Day {
    lanes: Vec<BatchLane>,
    marks: usize,
    /// Number of tasks that start within each minute, by agent.
    starts: BTreeMap<(String, u64), u64>,
    is_cut: bool,
}

impl Day {
    fn add(
        &mut self,
        store: &dyn Store,
        task: BatchTask,
        known: &BTreeMap<String, BatchAgent>,
        wanted: Option<&str>,
        (time, now_us): ((u64, u64), u64),
    ) -> Result<(), StoreError> {
        if self.marks >= MOST_MARKS {
            self.is_cut = true;
            return Ok(());
        }
        let name = task.name.clone();
        let before = BatchRunsQuery { task: Some(name.clone()), to_us: Some(time.0), limit: BEFORE, ..BatchRunsQuery::default() };
        let before = store.batch_runs(&before)?.runs;
        let told = Told::load(store, task, known, time)?;
        self.is_cut |= told.is_cut;
        let reaches_in = |run: &&BatchRun| run.due_us < time.0 && run.started_us.is_some() && run.ended_us.is_none_or(|end| end > time.0);
        let earlier: BTreeMap<&str, &BatchRun> =
            before.iter().chain(&told.open).filter(reaches_in).map(|run| (run.run.as_str(), run)).collect();
        for (agent, explained) in told.by_agent(time, now_us, wanted) {
            self.is_cut |= explained.len() == MOST_EXPLAINED;
            let minutes: BTreeSet<u64> = explained.iter().filter(|of| is_planned_start(of)).map(|of| minute(micros(of.due))).collect();
            for minute in minutes {
                *self.starts.entry((agent.clone(), minute)).or_default() += 1;
            }
            let runs = earlier.values().copied().chain(&told.runs).filter(|run| told.agent_of(run) == Some(&agent)).map(ran);
            let others = explained.iter().filter(|of| of.decision != What::Started).map(|of| (told.word(&agent, of), of));
            let others = others.filter(|(word, _)| *word != "none").map(|(word, of)| not_run(word, of));
            let mut marks: Vec<BatchDayMark> = runs.chain(others).collect();
            marks.sort_by(|a, b| (a.due_us, &a.run).cmp(&(b.due_us, &b.run)));
            let marks = together(marks);
            if !marks.is_empty() {
                self.marks += marks.len();
                self.lanes.push(BatchLane { agent, task: name.clone(), marks });
            }
        }
        Ok(())
    }

    fn told(mut self, (from_us, to_us): (u64, u64)) -> BatchDay {
        self.lanes.sort_by(|a, b| (&a.agent, &a.task).cmp(&(&b.agent, &b.task)));
        let crowds = self.starts.into_iter().filter(|(_, starts)| *starts >= u64::from(CROWD));
        let mut crowded: Vec<BatchCrowd> = crowds.map(|((agent, minute_us), starts)| BatchCrowd { agent, minute_us, starts }).collect();
        crowded.sort_by(|a, b| b.starts.cmp(&a.starts).then_with(|| a.minute_us.cmp(&b.minute_us)));
        crowded.truncate(MOST_CROWDED);
        BatchDay { from_us, to_us, lanes: self.lanes, crowded, is_cut: self.is_cut }
    }
}

/// True if the run starts, or started, because of a rule.
fn is_planned_start(of: &Explained) -> bool {
    match of.decision {
        What::Started => of.reason.as_deref() == Some("time"),
        What::WillStart | What::Waits | What::Unknown => true,
        What::Skipped | What::Missed | What::WillBeSkipped => false,
    }
}

fn minute(us: u64) -> u64 {
    us / MINUTE_US * MINUTE_US
}

fn ran(run: &BatchRun) -> BatchDayMark {
    BatchDayMark {
        due_us: run.due_us,
        last_us: run.due_us,
        count: 1,
        decision: What::Started.word().to_owned(),
        reason: Some(run.trigger.clone()).filter(|trigger| !trigger.is_empty()),
        outcome: Some(run.outcome.clone()),
        started_us: run.started_us,
        ended_us: run.ended_us,
        run: Some(run.run.clone()),
        root_id: Some(run.root_id),
    }
}

fn not_run(word: &str, of: &Explained) -> BatchDayMark {
    let due_us = micros(of.due);
    BatchDayMark {
        due_us,
        last_us: due_us,
        count: 1,
        decision: word.to_owned(),
        reason: of.reason.clone().filter(|reason| !reason.is_empty()),
        outcome: None,
        started_us: None,
        ended_us: None,
        run: of.run.as_ref().map(ToString::to_string),
        root_id: None,
    }
}

/// Combines marks, sorted by due time, that are close to each other and have the same result. Running runs are not combined.
fn together(marks: Vec<BatchDayMark>) -> Vec<BatchDayMark> {
    let mut told: Vec<BatchDayMark> = Vec::new();
    // Index of the last mark of each kind.
    let mut last: BTreeMap<(String, Option<String>, Option<String>), usize> = BTreeMap::new();
    for mark in marks {
        let is_open = mark.outcome.is_some() && mark.ended_us.is_none();
        let outcome = mark.outcome.as_ref().map(ToString::to_string);
        let kind = (mark.decision.clone(), mark.reason.clone(), outcome);
        let near = last.get(&kind).map(|at| &mut told[*at]).filter(|near| !is_open && mark.due_us - near.last_us <= CLOSE_US);
        if let Some(near) = near {
            near.count += 1;
            near.last_us = mark.due_us;
            near.started_us = [near.started_us, mark.started_us].into_iter().flatten().min();
            near.ended_us = near.ended_us.max(mark.ended_us);
            continue;
        }
        if !is_open {
            last.insert(kind, told.len());
        }
        told.push(mark);
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(due_s: u64, decision: &str, outcome: Option<&str>, ended_s: Option<u64>) -> BatchDayMark {
        let us = |seconds: u64| seconds * 1_000_000;
        BatchDayMark {
            due_us: us(due_s),
            last_us: us(due_s),
            count: 1,
            decision: decision.to_owned(),
            reason: None,
            outcome: outcome.map(Into::into),
            started_us: outcome.map(|_| us(due_s) + 1),
            ended_us: ended_s.map(us),
            run: Some(format!("gold@{due_s}")),
            root_id: None,
        }
    }

    #[test]
    fn equal_outcomes_within_five_minutes_are_grouped() {
        let marks = vec![
            mark(0, "started", Some("succeeded"), Some(1)),
            mark(5, "started", Some("failed"), Some(6)),
            mark(300, "started", Some("succeeded"), Some(900)),
            mark(310, "started", Some("running"), None),
            mark(320, "started", Some("running"), None),
            mark(330, "missed", None, None),
            mark(600, "started", Some("succeeded"), Some(601)),
            mark(601, "missed", None, None),
            mark(901, "started", Some("succeeded"), Some(902)),
            mark(902, "missed", None, None),
        ];
        let told: Vec<_> = together(marks)
            .into_iter()
            .map(|of| (of.due_us / 1_000_000, of.last_us / 1_000_000, of.count, of.ended_us.map(|us| us / 1_000_000)))
            .collect();
        let expected = [
            (0, 600, 3, Some(900)),
            (5, 5, 1, Some(6)),
            (310, 310, 1, None),
            (320, 320, 1, None),
            (330, 601, 2, None),
            (901, 901, 1, Some(902)),
            (902, 902, 1, None),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn runs_of_every_second_are_one_mark() {
        let marks = (0..86_400).map(|second| mark(second, "started", Some("succeeded"), Some(second + 1))).collect();
        let told = together(marks);
        assert_eq!((told.len(), told[0].count, told[0].ended_us), (1, 86_400, Some(86_400_000_000)));
    }
}
