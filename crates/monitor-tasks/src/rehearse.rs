//! Rehearses a definition with past durations, before it is saved.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::book::{Book, Task};
use crate::ledger::{Ledger, Outcome};
use crate::plan::{Action, MissedReason, Reason};
use crate::rule::next_of;
use crate::run::Trigger;
use crate::simulate::Simulation;

/// Maximum number of steps of a rehearsal.
const MOST_STEPS: usize = 200_000;
/// Minimum number of starts in a minute that counts as crowded.
pub const CROWD: u32 = 5;
/// Maximum number of crowded minutes in the result.
const MOST_CROWDED: usize = 10;
/// Maximum number of due times per task that are searched for crowded minutes.
const MOST_DUE: usize = 50_000;

/// Result of a rehearsal.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rehearsal {
    /// Number of due times.
    pub due: u32,
    /// Number of runs, including retries.
    pub starts: u32,
    /// Number of due times that were reached during an earlier run.
    pub overlaps: u32,
    /// Number of due times without a start, by reason.
    pub skipped: BTreeMap<&'static str, u32>,
    /// Longest delay between due time and start.
    #[serde(serialize_with = "seconds")]
    pub longest_wait: Duration,
    /// Number of runs that exceed the timeout.
    pub overtime: u32,
    /// Number of runs that are ended because of `kill-after`.
    pub killed: u32,
    /// Minutes at which many tasks start, most crowded first.
    pub crowded: Vec<Crowded>,
    /// End of the rehearsed period, if it was cut because of too many steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut_at: Option<Timestamp>,
}

/// A minute of the day at which many tasks are due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Crowded {
    /// The minute, in the zone of the rehearsed task: `00:00`.
    pub minute: String,
    /// Maximum number of starts in this minute on a single day.
    pub starts: u32,
    /// Advice.
    pub hint: String,
}

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

/// Rehearses a task from `from` to `to`. The runs take the `durations` in turn, repeatedly; without durations, runs take no time. `others`
/// are the tasks of the agent, for crowded minutes; an older version of the task among them is ignored.
pub fn rehearse(task: &Task, durations: &[Duration], others: &Book, from: Timestamp, to: Timestamp) -> Rehearsal {
    let mut book = Book::default();
    let mut tried = Task { since: from, paused: None, ..task.clone() };
    // Follow-up tasks are not rehearsed.
    tried.policy.then = crate::definition::Then::default();
    tried.policy.is_paused = false;
    book.put(tried);
    let mut found = Rehearsal {
        due: 0,
        starts: 0,
        overlaps: 0,
        skipped: BTreeMap::new(),
        longest_wait: Duration::ZERO,
        overtime: 0,
        killed: 0,
        crowded: crowded(task, others, from, to),
        cut_at: None,
    };
    let mut simulation = Simulation::new(&book, Ledger::default(), from);
    let mut next = durations.iter().cycle();
    let mut takes = |_: &crate::Run| (next.next().copied().unwrap_or_default(), Outcome::Ok);
    let mut steps = 0;
    while let Some((now, plan)) = simulation.step(to, &mut takes) {
        for action in &plan.actions {
            match action {
                Action::Start { run } => {
                    found.starts += 1;
                    found.due += u32::from(matches!(run.trigger, Trigger::Time | Trigger::Missed));
                    let waited = run.id.due.duration_until(now);
                    found.longest_wait = found.longest_wait.max(waited.try_into().unwrap_or_default());
                }
                Action::Queue { reason: Reason::Overlap, .. } => found.overlaps += 1,
                Action::Skip { dues, reason, .. } => {
                    found.due += dues.count;
                    found.overlaps += if matches!(reason, Reason::Overlap | Reason::Full) { dues.count } else { 0 };
                    *found.skipped.entry(reason.word()).or_default() += dues.count;
                }
                Action::Missed { dues, .. } => {
                    found.due += dues.count;
                    *found.skipped.entry(MissedReason::Deadline.word()).or_default() += dues.count;
                }
                Action::Overtime { .. } => found.overtime += 1,
                Action::Kill { reason: crate::plan::KillReason::KillAfter, .. } => found.killed += 1,
                Action::Kill { .. } | Action::Queue { .. } | Action::Retry { .. } => {}
            }
        }
        steps += 1;
        if steps == MOST_STEPS {
            found.cut_at = Some(now);
            break;
        }
    }
    found
}

/// Returns the minutes of the day at which this task and many others are due.
fn crowded(task: &Task, others: &Book, from: Timestamp, to: Timestamp) -> Vec<Crowded> {
    let name = &task.definition.name;
    let mut own = BTreeMap::new();
    count(task, from, to, &mut own);
    let mut all = own.clone();
    for other in others.tasks.values().filter(|other| other.definition.name != *name && other.paused.is_none()) {
        count(other, from, to, &mut all);
    }
    let mut by_minute: BTreeMap<String, u32> = BTreeMap::new();
    for (minute, starts) in all.into_iter().filter(|(minute, starts)| *starts >= CROWD && own.contains_key(minute)) {
        let Ok(at) = Timestamp::from_second(minute * 60) else { continue };
        let shown = task.policy.zone.to_datetime(at).strftime("%H:%M").to_string();
        let most = by_minute.entry(shown).or_default();
        *most = starts.max(*most);
    }
    let mut crowded: Vec<_> = by_minute.into_iter().collect();
    crowded.sort_by(|(one_minute, one), (minute, starts)| starts.cmp(one).then_with(|| one_minute.cmp(minute)));
    crowded.truncate(MOST_CROWDED);
    let hint = |(minute, starts): (String, u32)| Crowded { hint: format!("{starts} start at {minute}: spread with H"), minute, starts };
    crowded.into_iter().map(hint).collect()
}

/// Counts the starts of a task in each minute.
fn count(task: &Task, from: Timestamp, to: Timestamp, minutes: &mut BTreeMap<i64, u32>) {
    let mut at = from - SignedDuration::from_nanos(1);
    for _ in 0..MOST_DUE {
        let Some(due) = next_of(&task.policy.rules, at, &task.policy.zone).filter(|due| *due <= to) else { return };
        at = due;
        // A task that is due every second counts once per minute.
        let delayed = due.checked_add(SignedDuration::try_from(task.policy.delay).unwrap_or_default()).unwrap_or(due);
        let minute = delayed.as_second().div_euclid(60);
        *minutes.entry(minute).or_default() += 1;
        if let Some(next) = Timestamp::from_second((due.as_second().div_euclid(60) + 1) * 60 - 1).ok().filter(|end| *end > at) {
            at = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::definition::Definition;

    fn task(text: &str) -> Task {
        let definition = Definition::from_toml(text).expect("no mistakes");
        Task::new(definition, 1, "2026-01-01T00:00Z".parse().unwrap(), &TimeZone::UTC).unwrap()
    }

    fn month() -> (Timestamp, Timestamp) {
        ("2026-03-01T00:00:00Z".parse().unwrap(), "2026-03-31T23:59:59Z".parse().unwrap())
    }

    fn minutes(minutes: &[u64]) -> Vec<Duration> {
        minutes.iter().map(|minutes| Duration::from_secs(minutes * 60)).collect()
    }

    #[test]
    fn past_durations_show_overlaps_and_waits() {
        let (from, to) = month();
        // Every tenth run takes 72 minutes.
        let durations = minutes(&[5, 5, 5, 5, 5, 5, 5, 5, 5, 72]);
        let queue =
            rehearse(&task("name = \"gold\"\nrules = [\"30 * * * *\"]\noverlap = \"queue 3\""), &durations, &Book::default(), from, to);
        assert_eq!((queue.due, queue.starts), (744, 744));
        assert_eq!((queue.overlaps, queue.longest_wait), (74, Duration::from_secs(12 * 60)));
        assert_eq!(queue.skipped, BTreeMap::new());
        let skip = rehearse(&task("name = \"gold\"\nrules = [\"30 * * * *\"]"), &durations, &Book::default(), from, to);
        assert_eq!((skip.due, skip.starts), (744, 744 - skip.overlaps));
        assert_eq!(skip.skipped, BTreeMap::from([("overlap", skip.overlaps)]));
        assert_eq!((skip.overlaps, skip.longest_wait), (67, Duration::ZERO));
    }

    #[test]
    fn limits_of_time_are_counted() {
        let (from, to) = month();
        let text = "name = \"gold\"\nrules = [\"0 1 * * *\"]\ntimeout = \"10m\"\nkill-after = \"30m\"";
        let found = rehearse(&task(text), &minutes(&[5, 20, 40]), &Book::default(), from, to);
        assert_eq!((found.starts, found.overtime, found.killed), (31, 20, 10));
    }

    #[test]
    fn crowded_minutes_are_reported_with_a_remedy() {
        let (from, to) = month();
        let mut book = Book::default();
        for index in 0..13 {
            book.put(task(&format!("name = \"task-{index}\"\nrules = [\"0 0 * * *\", \"{} 5 * * *\"]", index * 4)));
        }
        let midnight = task("name = \"gold\"\nrules = [\"@daily\", \"8 5 * * *\"]");
        let found = rehearse(&midnight, &[], &book, from, to);
        assert_eq!(
            found.crowded,
            [Crowded { minute: "00:00".to_owned(), starts: 14, hint: "14 start at 00:00: spread with H".to_owned() }]
        );
        assert_eq!(rehearse(&task("name = \"gold\"\nrules = [\"30 12 * * *\"]"), &[], &book, from, to).crowded, []);
        // An older version of the task does not count.
        book.put(midnight.clone());
        assert_eq!(rehearse(&midnight, &[], &book, from, to).crowded[0].starts, 14);
    }

    #[test]
    fn a_rehearsal_of_every_second_comes_to_an_end() {
        let (from, _) = month();
        let to = "2027-03-01T00:00:00Z".parse().unwrap();
        let found = rehearse(&task("name = \"gold\"\nrules = [\"0 0 1 1 *\"]"), &[], &Book::default(), from, to);
        assert_eq!((found.starts, found.cut_at), (1, None));
        let end = from + SignedDuration::from_mins(30);
        let found =
            rehearse(&task("name = \"gold\"\nrules = [\"* * * * * *\"]"), &[Duration::from_millis(1_500)], &Book::default(), from, end);
        assert_eq!((found.due, found.starts, found.overlaps), (1_800, 900, 900));
    }
}
