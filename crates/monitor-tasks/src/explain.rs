//! Explains the due times of a task: past decisions with their reasons, and predicted decisions.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::book::{Book, Task};
use crate::ledger::{Ledger, Outcome, State};
use crate::plan::{Action, Dues};
use crate::rule::next_of;
use crate::run::{RunId, Trigger};
use crate::simulate::Simulation;

/// Maximum number of due times to explain at once. A day of `@every 5s` has 17,280.
pub const MOST_EXPLAINED: usize = 20_000;

/// A stored decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Due times of the decision.
    pub dues: Dues,
    /// Kind of the decision.
    pub what: What,
    /// Reason in one word: the trigger of a run, or the reason for not starting it.
    pub reason: String,
    /// Version of the task.
    pub version: u64,
    /// Run that was started or given up, or that makes up for missed due times.
    pub run: Option<RunId>,
    /// Run that blocked the start.
    pub blocked_by: Option<RunId>,
}

/// Decision about a due time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// A run was started.
    Started,
    /// A run waits.
    Waits,
    /// No run was started, because of a policy of the task.
    Skipped,
    /// No run was started, because the agent could not start one.
    Missed,
    /// The agent has not reported its decision.
    Unknown,
    /// A run is expected to start.
    WillStart,
    /// No run is expected to start.
    WillBeSkipped,
}

impl What {
    /// Returns the decision in one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Waits => "waits",
            Self::Skipped => "skipped",
            Self::Missed => "missed",
            Self::Unknown => "unknown",
            Self::WillStart => "will-start",
            Self::WillBeSkipped => "will-be-skipped",
        }
    }
}

impl Decision {
    /// Returns the name of the task and the decision of an action. `None` for actions on existing runs.
    pub fn of(action: &Action) -> Option<(&str, Self)> {
        let (task, dues, what, reason, version, run, blocked_by) = match action {
            Action::Start { run } => {
                (&run.id.task, Dues::one(run.id.due), What::Started, run.trigger.word(), run.version, Some(&run.id), None)
            }
            Action::Queue { run, reason, blocked_by, .. } => {
                (&run.id.task, Dues::one(run.id.due), What::Waits, reason.word(), run.version, Some(&run.id), blocked_by.as_ref())
            }
            Action::Skip { task, version, dues, reason, blocked_by, run } => {
                (task, *dues, What::Skipped, reason.word(), *version, run.as_ref(), blocked_by.as_ref())
            }
            Action::Missed { task, version, dues, reason, run } => (task, *dues, What::Missed, reason.word(), *version, run.as_ref(), None),
            Action::Retry { .. } | Action::Kill { .. } | Action::Overtime { .. } => return None,
        };
        let (run, blocked_by, reason) = (run.cloned(), blocked_by.cloned(), reason.to_owned());
        Some((task, Self { dues, what, reason, version, run, blocked_by }))
    }
}

/// An explained due time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explained {
    /// The due time.
    pub due: Timestamp,
    /// Past or predicted decision.
    pub decision: What,
    /// Reason in one word.
    pub reason: Option<String>,
    /// Version of the task.
    pub version: u64,
    /// The run, the run that blocked it, or the run that makes up for it.
    pub run: Option<RunId>,
}

/// Explains the due times of a task from `from` until `to`, as of `now`.
///
/// `versions` are the versions of the task in the order of their validity, `decisions` the stored decisions in the order in which they were
/// made, and `ledger` the agent's last report. Past due times without a decision are reported as unknown, because only the agent knows it.
/// Future due times are planned with runs of duration `usual`.
pub fn explain(
    versions: &[Task],
    decisions: &[Decision],
    ledger: &Ledger,
    usual: Duration,
    now: Timestamp,
    (from, to): (Timestamp, Timestamp),
) -> Vec<Explained> {
    let mut told: BTreeMap<Timestamp, Explained> = BTreeMap::new();
    for (index, task) in versions.iter().enumerate() {
        let end = versions.get(index + 1).map_or(now, |next| next.since).min(now).min(to);
        let mut at = from.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(from).max(task.since);
        while let Some(due) = next_of(&task.policy.rules, at, &task.policy.zone).filter(|due| *due <= end && told.len() < MOST_EXPLAINED) {
            at = due;
            told.insert(due, Explained { due, decision: What::Unknown, reason: None, version: task.version, run: None });
        }
    }
    // Process decisions about many due times first, so that decisions about single due times override them.
    let mut ordered: Vec<&Decision> = decisions.iter().collect();
    ordered.sort_by_key(|decision| decision.dues.count == 1);
    for decision in ordered {
        let explained = |due| Explained {
            due,
            decision: decision.what,
            reason: Some(decision.reason.clone()),
            version: decision.version,
            run: decision.run.clone().filter(|_| decision.blocked_by.is_none()).or_else(|| decision.blocked_by.clone()),
        };
        let Dues { first, last, count } = decision.dues;
        if count == 1 && (from..=to).contains(&first) {
            // Includes due times that no rule produces, such as requests and follow-ups of other tasks.
            told.insert(first, explained(first));
        } else if first <= last {
            // A decision of an unknown version is reported only at its first due time.
            if told.range(first..=last).next().is_none() && first <= to && last >= from {
                told.insert(first.max(from), explained(first.max(from)));
            }
            told.range_mut(first..=last).for_each(|(due, place)| *place = explained(*due));
        }
    }
    if let Some(task) = versions.last() {
        for explained in planned(task, ledger, usual, now, to) {
            told.entry(explained.due).or_insert(explained);
        }
    }
    told.into_values().filter(|explained| (from..=to).contains(&explained.due)).take(MOST_EXPLAINED).collect()
}

/// Predicts decisions after `now`.
fn planned(task: &Task, ledger: &Ledger, usual: Duration, now: Timestamp, to: Timestamp) -> Vec<Explained> {
    let name = &task.definition.name;
    let mut book = Book::default();
    book.put(Task { policy: crate::Policy { then: crate::definition::Then::default(), ..task.policy.clone() }, ..task.clone() });
    let mut known = Ledger { boot: ledger.boot.clone(), ..Ledger::default() };
    known.tasks.extend(ledger.tasks.get(name).map(|known| (name.clone(), known.clone())));
    if let Some(known) = known.tasks.get_mut(name) {
        // The decisions on earlier due times are unknown, so they are not planned.
        known.until = known.until.max(now);
        known.search(task);
    }
    let open: Vec<_> = known.runs().filter(|run| run.is_open()).cloned().collect();
    let mut simulation = Simulation::new(&book, known, now);
    for run in open {
        let since = if let State::Running { since } | State::Starting { since } = run.state { since } else { now };
        simulation.ends(&run.id, crate::plan::after(since, usual).unwrap_or(now).max(now));
    }
    let mut planned = Vec::new();
    let mut takes = |_: &crate::Run| (usual, Outcome::Ok);
    while planned.len() < MOST_EXPLAINED {
        let Some((_, plan)) = simulation.step(to, &mut takes) else { break };
        for (_, decision) in plan.actions.iter().filter_map(Decision::of).filter(|(_, decision)| decision.dues.first > now) {
            let what = match decision.what {
                What::Started => What::WillStart,
                What::Skipped | What::Missed => What::WillBeSkipped,
                _ => continue,
            };
            let is_plain = decision.reason == Trigger::Time.word();
            let (run, version) = (decision.blocked_by.or(decision.run), decision.version);
            planned.push(Explained {
                due: decision.dues.first,
                decision: what,
                reason: Some(decision.reason).filter(|_| !is_plain),
                version,
                run,
            });
        }
    }
    planned
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::definition::Definition;
    use crate::plan::{Now, plan};

    fn time(text: &str) -> Timestamp {
        format!("2026-03-02T{text}Z").parse().unwrap()
    }

    #[test]
    fn each_due_time_has_a_decision_and_a_cause() {
        let task = |rule: &str, version, since| {
            let definition = Definition::from_toml(&format!("name = \"gold\"\nrules = [\"{rule}\"]\nkill-after = \"5h\"")).unwrap();
            Task::new(definition, version, time(since), &TimeZone::UTC).unwrap()
        };
        let versions = [task("0 * * * *", 1, "00:00:00"), task("30 * * * *", 2, "09:10:00")];
        let (mut book, mut ledger, mut decisions) = (Book::default(), Ledger::default(), Vec::new());
        book.put(versions[0].clone());
        let mut look = |book: &Book, ledger: &mut Ledger, at: &str| {
            let plan = plan(&Now::steady(time(at)), book, ledger);
            ledger.apply(&plan);
            for action in &plan.actions {
                decisions.extend(Decision::of(action).map(|(_, decision)| decision));
                if let Action::Start { run } = action {
                    ledger.started(&run.id, time(at));
                }
            }
        };
        look(&book, &mut ledger, "00:30:00");
        look(&book, &mut ledger, "01:00:00");
        look(&book, &mut ledger, "02:00:00");
        let first: RunId = "gold@20260302T010000Z.1".parse().unwrap();
        ledger.ended(&first, time("02:30:00"), Outcome::Ok);
        // The agent is down until 07:20.
        look(&book, &mut ledger, "07:20:00");
        let second: RunId = "gold@20260302T070000Z.1".parse().unwrap();
        ledger.ended(&second, time("07:30:00"), Outcome::Ok);
        book.put(versions[1].clone());
        look(&book, &mut ledger, "09:10:00");
        look(&book, &mut ledger, "09:30:00");
        // From here until 11:00 the agent sends no reports.
        let told =
            explain(&versions, &decisions, &ledger, Duration::from_secs(90 * 60), time("11:00:00"), (time("00:00:00"), time("13:59:59")));
        let lines: Vec<_> = told
            .iter()
            .map(|of| {
                let what = serde_json::to_value(of.decision).unwrap();
                let run = of.run.as_ref().map(|run| run.due.to_string()[11..16].to_owned()).unwrap_or_default();
                let line = format!(
                    "{} {} {} v{} {run}",
                    &of.due.to_string()[11..16],
                    what.as_str().unwrap(),
                    of.reason.as_deref().unwrap_or_default(),
                    of.version
                );
                line.trim_end().to_owned()
            })
            .collect();
        assert_eq!(
            lines,
            [
                "01:00 started time v1 01:00",
                "02:00 skipped overlap v1 01:00",
                "03:00 missed agent-down v1 07:00",
                "04:00 missed agent-down v1 07:00",
                "05:00 missed agent-down v1 07:00",
                "06:00 missed agent-down v1 07:00",
                "07:00 started missed v1 07:00",
                "08:00 unknown  v1",
                "09:00 unknown  v1",
                "09:30 started time v2 09:30",
                "10:30 unknown  v2",
                "11:30 will-start  v2 11:30",
                "12:30 will-be-skipped overlap v2 11:30",
                "13:30 will-start  v2 13:30"
            ]
        );
    }
}
