//! Heartbeats of external jobs: when their next ping is due, and detection of missing pings.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use monitor_store::batch::{MARKS, mark_of};
use monitor_store::{BatchRunsQuery, HeartbeatRow, MissedPing, Store, StoreError};
use monitor_tasks::{Rule, zone};
use monitor_wire::{Heartbeat, HeartbeatDefinition, HeartbeatState};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::duties::{Duties, Duty};
use crate::ingest::{Ingest, IngestError};

/// Interval of the checks for missing pings.
const EVERY: Duration = Duration::from_secs(1);
/// Maximum period, grace or timeout: 400 days.
const LONGEST_MS: u64 = 400 * 86_400_000;
/// Minimum period and grace.
const SHORTEST_MS: u64 = 1_000;
/// A ping counts for the next due time if it arrives at most this much before it, because the clocks of two machines differ a little.
const EARLY_US: u64 = 60_000_000;

/// Schedule of the pings of a heartbeat.
#[derive(Debug, Clone)]
enum Expected {
    /// At this interval after the previous ping, in microseconds.
    After(u64),
    /// At the times of a rule in a time zone.
    By(Box<Rule>, TimeZone),
}

impl Expected {
    /// Parses the schedule of a heartbeat.
    fn of(definition: &HeartbeatDefinition) -> Result<Self, String> {
        match (&definition.rule, definition.every_ms) {
            (Some(rule), None) => {
                let rule = Rule::parse(rule, &definition.name).map_err(|error| format!("rule: {error}"))?;
                if rule.is_boot() {
                    return Err("rule: a heartbeat is expected at times of the clock, not when a machine starts".to_owned());
                }
                let zone = zone::find(definition.zone.as_deref().unwrap_or("UTC")).map_err(|why| format!("zone: {why}"))?;
                Ok(Self::By(Box::new(rule), zone))
            }
            (None, Some(every_ms)) => Ok(Self::After(every_ms.saturating_mul(1_000))),
            _ => Err("give a `rule` of time or a period `every_ms`, one of them".to_owned()),
        }
    }

    /// Returns the time at which the ping after the one at `seen_us` is due.
    fn due_us(&self, seen_us: u64) -> Option<u64> {
        let (rule, zone) = match self {
            Self::After(every_us) => return Some(seen_us.saturating_add(*every_us)),
            Self::By(rule, zone) => (rule, zone),
        };
        let next = |after_us: u64| {
            let after = Timestamp::from_microsecond(i64::try_from(after_us).ok()?).ok()?;
            u64::try_from(rule.next(after, zone)?.as_microsecond()).ok()
        };
        let first = next(seen_us)?;
        let second = next(first);
        // A ping shortly before a due time was meant for it.
        let is_early = second.is_some_and(|second| first - seen_us < EARLY_US.min((second - first) / 4));
        if is_early { second } else { Some(first) }
    }
}

/// Returns all mistakes of a definition, or an empty list.
pub(crate) fn mistakes(definition: &HeartbeatDefinition) -> Vec<String> {
    let HeartbeatDefinition { name, rule, zone, every_ms, grace_ms, timeout_ms, agent } = definition;
    let is_name = |name: &str| (1..=64).contains(&name.chars().count()) && name.chars().all(|c| c.is_alphanumeric() || ".-_@".contains(c));
    let mut mistakes = Vec::new();
    for (key, name) in [("name", Some(name)), ("agent", agent.as_ref())] {
        if let Some(name) = name.filter(|name| !is_name(name)) {
            let found: String = name.chars().take(80).collect();
            mistakes.push(format!("{key}: {found:?} can't be a name: use 1 to 64 letters, digits and `.`, `-`, `_`, `@`"));
        }
    }
    mistakes.extend(Expected::of(definition).err());
    if zone.is_some() && rule.is_none() {
        mistakes.push("zone: only a `rule` has a time zone".to_owned());
    }
    let times = [("every_ms", *every_ms), ("grace_ms", Some(*grace_ms)), ("timeout_ms", *timeout_ms)];
    for (key, ms) in times.into_iter().filter_map(|(key, ms)| ms.map(|ms| (key, ms))) {
        if !(SHORTEST_MS..=LONGEST_MS).contains(&ms) {
            mistakes.push(format!("{key}: {ms} ms is none from a second to 400 days"));
        }
    }
    mistakes
}

/// Converts a heartbeat to the type of the API.
fn shown(row: HeartbeatRow, now_us: u64) -> Heartbeat {
    let due_us = Expected::of(&row.definition).ok().zip(row.seen_us).and_then(|(expected, seen)| expected.due_us(seen));
    let state = match (row.seen_us, due_us) {
        (None, _) => HeartbeatState::NEW,
        (_, Some(due)) if row.missed_us == Some(due) => HeartbeatState::MISSED,
        (_, Some(due)) if due < now_us => HeartbeatState::LATE,
        _ => HeartbeatState::UP,
    };
    Heartbeat {
        definition: row.definition,
        state,
        seen_us: row.seen_us,
        due_us,
        missed_us: row.missed_us,
        created_us: row.created_us,
        who: row.who,
        old_key_until_us: row.old.map(|(_, until)| until).filter(|until| *until > now_us),
        runs: Vec::new(),
    }
}

/// Returns a heartbeat as the API shows it, with its newest runs.
pub(crate) fn shown_with_runs(store: &dyn Store, row: HeartbeatRow, now_us: u64) -> Result<Heartbeat, StoreError> {
    let query = BatchRunsQuery { task: Some(row.definition.name.clone()), limit: MARKS, ..BatchRunsQuery::default() };
    let runs = store.batch_runs(&query)?.runs.into_iter().rev().map(|run| mark_of(&run)).collect();
    Ok(Heartbeat { runs, ..shown(row, now_us) })
}

/// Parts of the server that the duty uses.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) clock: Clock,
}

/// Starts the duty that detects missing pings.
pub(crate) fn begin(duties: &mut Duties, Parts { store, ingest, clock }: Parts, stopping: &CancellationToken) {
    let watch = Watch { since_us: clock.wall_us(), store, ingest, clock };
    let stopping = stopping.clone();
    duties.begin("heartbeats", move |duty| {
        let (watch, stopping) = (watch.clone(), stopping.clone());
        async move { watch.run(&duty, &stopping).await }
    });
}

#[derive(Clone)]
struct Watch {
    store: Arc<dyn Store>,
    ingest: Arc<Ingest>,
    clock: Clock,
    /// Start of the server. Earlier pings may have failed because the server was not running, so each job gets its grace from here on.
    since_us: u64,
}

/// Computed due times by name, with the definition and the last ping they were computed for. They are cached because evaluating a rule is
/// slow.
type Known = HashMap<String, (HeartbeatDefinition, u64, Option<u64>)>;

impl Watch {
    /// Checks at an interval until the server stops.
    async fn run(&self, duty: &Duty, stopping: &CancellationToken) {
        let mut known = Known::new();
        while stopping.run_until_cancelled(self.clock.sleep(EVERY)).await.is_some() {
            match self.look(&mut known).await {
                Ok(()) => duty.ran(Ok(()), EVERY),
                Err(IngestError::Stopped) => return,
                // The writer thread logs problems with the disk.
                Err(IngestError::Store(error)) if error.is_passing() => drop(duty.note(Err(error.to_string()), EVERY)),
                Err(error) => duty.ran(Err(format!("could not look for missing pings: {}", monitor_http::with_causes(&error))), EVERY),
            }
        }
    }

    async fn look(&self, known: &mut Known) -> Result<(), IngestError> {
        let (store, now_us, since_us, before) = (self.store.clone(), self.clock.wall_us(), self.since_us, std::mem::take(known));
        let looked = tokio::task::spawn_blocking(move || {
            let mut known = Known::new();
            let rows = store.heartbeats()?;
            let missed = rows.into_iter().filter_map(|row| missed(row, &before, &mut known, (since_us, now_us))).collect::<Vec<_>>();
            Ok::<_, StoreError>((missed, known))
        });
        let (missed, found) = looked.await.map_err(|_| IngestError::Stopped)??;
        *known = found;
        if missed.is_empty() {
            return Ok(());
        }
        self.ingest.change(move |store| Ok(((), store.miss_pings(&missed, now_us)?))).await
    }
}

/// Returns the missing ping of a heartbeat, if one is missing and has not been reported.
fn missed(row: HeartbeatRow, before: &Known, known: &mut Known, (since_us, now_us): (u64, u64)) -> Option<MissedPing> {
    let HeartbeatRow { definition, seen_us, missed_us, .. } = row;
    let (name, seen_us, grace_us) = (definition.name.clone(), seen_us?, definition.grace_ms.saturating_mul(1_000));
    let same = before.get(&name).filter(|(of, seen, _)| *of == definition && *seen == seen_us).map(|(.., due)| *due);
    let due = same.unwrap_or_else(|| Expected::of(&definition).ok()?.due_us(seen_us));
    known.insert(name.clone(), (definition, seen_us, due));
    let due_us = due?;
    let is_missed = now_us >= due_us.max(since_us).saturating_add(grace_us) && missed_us != Some(due_us);
    is_missed.then_some(MissedPing { name, seen_us, due_us })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(rule: Option<&str>, every_ms: Option<u64>) -> HeartbeatDefinition {
        let (name, rule) = ("nightly".to_owned(), rule.map(str::to_owned));
        HeartbeatDefinition { name, rule, zone: None, every_ms, grace_ms: 60_000, timeout_ms: None, agent: None }
    }

    fn at(text: &str) -> u64 {
        text.parse::<Timestamp>().unwrap().as_microsecond() as u64
    }

    #[test]
    fn the_next_ping_is_due_by_a_rule_or_a_period() {
        let due = |definition: &HeartbeatDefinition, seen| Expected::of(definition).unwrap().due_us(at(seen)).unwrap();
        let nightly = definition(Some("30 2 * * *"), None);
        assert_eq!(due(&nightly, "2026-11-21T02:45:00Z"), at("2026-11-22T02:30:00Z"));
        assert_eq!(due(&nightly, "2026-11-21T02:29:30Z"), at("2026-11-22T02:30:00Z"), "its clock is half a minute behind");
        assert_eq!(due(&nightly, "2026-11-21T02:20:00Z"), at("2026-11-21T02:30:00Z"), "that was another run");
        assert_eq!(due(&definition(Some("* * * * *"), None), "2026-11-21T02:20:30Z"), at("2026-11-21T02:21:00Z"));
        assert_eq!(due(&definition(None, Some(90_000)), "2026-11-21T02:20:30Z"), at("2026-11-21T02:22:00Z"));
        let berlin = HeartbeatDefinition { zone: Some("Europe/Berlin".to_owned()), ..nightly };
        assert_eq!(due(&berlin, "2026-11-21T02:45:00Z"), at("2026-11-22T01:30:00Z"));
    }

    #[test]
    fn all_mistakes_of_a_definition_are_reported_together() {
        assert_eq!(mistakes(&definition(None, Some(1_000))), Vec::<String>::new());
        let wrong = HeartbeatDefinition {
            name: "a b\r\n".to_owned(),
            rule: None,
            zone: Some("UTC".to_owned()),
            every_ms: Some(0),
            grace_ms: u64::MAX,
            timeout_ms: Some(1),
            agent: Some(String::new()),
        };
        let told = mistakes(&wrong);
        for (told, begin) in told.iter().zip(["name:", "agent:", "zone:", "every_ms:", "grace_ms:", "timeout_ms:"]) {
            assert!(told.starts_with(begin), "{told}");
        }
        assert_eq!(told.len(), 6, "{told:#?}");
        for (rule, every, words) in [
            (Some("0 25 * * *"), None, "rule:"),
            (Some("@boot"), None, "not when a machine starts"),
            (None, None, "one of them"),
            (Some("@daily"), Some(1_000), "one of them"),
        ] {
            let told = mistakes(&definition(rule, every));
            assert!(told.len() == 1 && told[0].contains(words), "{rule:?} {every:?}: {told:?}");
        }
    }

    const S: u64 = 1_000_000;

    #[test]
    fn a_ping_is_missed_once_after_its_grace_and_no_sooner_than_that_after_the_server_began() {
        let row = |seen, missed| HeartbeatRow {
            definition: definition(None, Some(60_000)),
            key_hash: [0; 32],
            old: None,
            created_us: 0,
            who: String::new(),
            seen_us: seen,
            missed_us: missed,
        };
        let is_missed = |row: HeartbeatRow, since, now| missed(row, &Known::new(), &mut Known::new(), (since, now)).is_some();
        assert!(!is_missed(row(None, None), 0, 999 * S), "none is expected before the first one");
        assert!(!is_missed(row(Some(0), None), 0, 119 * S));
        assert!(is_missed(row(Some(0), None), 0, 120 * S));
        assert!(!is_missed(row(Some(0), Some(60 * S)), 0, 999 * S), "it was told");
        assert!(!is_missed(row(Some(0), None), 500 * S, 559 * S), "the server was away");
        assert!(is_missed(row(Some(0), None), 500 * S, 560 * S));
    }
}
