//! Policies of a task, read from its definition: what [`plan`](crate::plan()) needs to decide.

use std::time::Duration;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use crate::definition::{Definition, Missed, Overlap, Retry, Then};
use crate::ledger::Run;
use crate::plan::after;
use crate::rule::{Rule, dst, hash};
use crate::zone;

/// Due times of a rule that are compared with quiet hours: those of more than a year of days.
const MOST_TRIED: usize = 400;

/// How a run is tried again whose exit code says so, if its definition says nothing else.
const DEFAULT_RETRY: Retry = Retry { times: 3, backoff: Duration::from_secs(60) };
/// What is wrong with [`Policy::past_rules`].
pub const PAST_RULE: &str = "this rule never fires again: all of its times are past";
/// What is wrong with [`Policy::quiet_rules`].
pub const QUIET_RULE: &str = "this rule starts nothing: its due times lie in quiet hours that last longer than start-within";

/// Rules of time and policies of a task, ready to be used.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The definition says that nothing is to start by time.
    pub is_paused: bool,
    /// Rules of time.
    pub rules: Vec<Rule>,
    /// Zone of the rules and of the quiet hours.
    pub zone: TimeZone,
    /// What becomes of due times at which nothing could start.
    pub missed: Missed,
    /// What becomes of a due time while an earlier run runs.
    pub overlap: Overlap,
    /// How a failed run is tried again.
    pub retry: Option<Retry>,
    /// A run that can't start within this time is given up.
    pub start_within: Option<Duration>,
    /// Time between a due time and the start: the task's own share of `jitter`, the same for ever.
    pub delay: Duration,
    /// Times of the day at which nothing starts.
    pub quiet: Vec<Quiet>,
    /// Of the tasks with the same lock only one runs.
    pub lock: Option<String>,
    /// After so long a run is told of.
    pub timeout: Option<Duration>,
    /// After so long a run is ended.
    pub kill_after: Option<Duration>,
    /// Tasks that start when this one has ended.
    pub then: Then,
}

impl Policy {
    /// How often and how soon a run is tried again, if it is at all.
    pub fn retry(&self) -> Retry {
        self.retry.unwrap_or(DEFAULT_RETRY)
    }

    /// Whether a further attempt may follow a run that fails. Of one that somebody ended, none does.
    pub fn may_try_again(&self, run: &Run) -> bool {
        !run.is_killed && run.attempt <= self.retry().times
    }

    /// The policies of a definition. `agents_zone` is for definitions that name no zone.
    ///
    /// # Errors
    /// What can't be read, if the definition was not read by [`Definition::from_toml`] or [`Definition::from_json`].
    pub fn new(definition: &Definition, agents_zone: &TimeZone) -> Result<Self, String> {
        let rule = |text: &String| Rule::parse(text, &definition.name).map_err(|error| format!("rule {text:?}: {error}"));
        let quiet = |text: &String| Quiet::parse(text).ok_or_else(|| format!("quiet {text:?}: expected times such as 22:00-06:00"));
        Ok(Self {
            is_paused: definition.paused,
            rules: definition.rules.iter().map(rule).collect::<Result<_, _>>()?,
            zone: definition.zone.as_deref().map_or_else(|| Ok(agents_zone.clone()), zone::find)?,
            missed: definition.missed,
            overlap: definition.overlap,
            retry: definition.retry,
            start_within: definition.start_within,
            delay: share(&definition.name, definition.jitter.unwrap_or_default()),
            quiet: definition.quiet.iter().map(quiet).collect::<Result<_, _>>()?,
            lock: definition.lock.clone(),
            timeout: definition.timeout,
            kill_after: definition.kill_after,
            then: definition.then.clone(),
        })
    }

    /// End of the quiet hours that `at` lies in, or None if it lies in none.
    pub fn quiet_until(&self, at: Timestamp) -> Option<Timestamp> {
        self.quiet.iter().filter_map(|quiet| quiet.end(at, &self.zone)).max()
    }

    /// The places of rules that never fire after `now`, such as a time that is past.
    pub fn past_rules(&self, now: Timestamp) -> Vec<usize> {
        let is_past = |rule: &Rule| !rule.is_boot() && rule.next(now, &self.zone).is_none();
        (0..self.rules.len()).filter(|index| is_past(&self.rules[*index])).collect()
    }

    /// The places of rules that start nothing after `now`, because quiet hours last longer than `start-within` at each of their next due times.
    pub fn quiet_rules(&self, now: Timestamp) -> Vec<usize> {
        let Some(within) = self.start_within else { return Vec::new() };
        let is_quiet = |due: Timestamp| {
            let start = after(due, self.delay).unwrap_or(due);
            self.quiet_until(start).zip(after(start, within)).is_some_and(|(end, latest)| end > latest)
        };
        let dues = |rule: &Rule| {
            let next = |at: &Timestamp| rule.next(*at, &self.zone);
            std::iter::successors(rule.next(now, &self.zone), next).take(MOST_TRIED).collect::<Vec<_>>()
        };
        let is_meant = |rule: &Rule| {
            let dues = dues(rule);
            !dues.is_empty() && dues.into_iter().all(is_quiet)
        };
        (0..self.rules.len()).filter(|index| is_meant(&self.rules[*index])).collect()
    }

    /// Returns true if a rule is due when the machine has started.
    pub fn is_at_boot(&self) -> bool {
        self.rules.iter().any(Rule::is_boot)
    }

    /// Most runs of the task that run at the same time.
    pub(crate) fn most_at_once(&self) -> usize {
        match self.overlap {
            Overlap::Allow(count) => count as usize,
            Overlap::Skip | Overlap::Queue(_) | Overlap::Replace => 1,
        }
    }
}

/// Times of the day from one to another, which may lie on the next day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quiet {
    from: Time,
    to: Time,
}

impl Quiet {
    /// Reads `22:00-06:00`.
    pub fn parse(text: &str) -> Option<Self> {
        let (from, to) = text.split_once('-')?;
        let time = |text: &str| {
            let (hour, minute) = text.split_once(':')?;
            Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
        };
        let (from, to) = (time(from)?, time(to)?);
        (from != to).then_some(Self { from, to })
    }

    /// The end of these hours, if `at` lies within them.
    pub fn end(self, at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let civil = zone.to_datetime(at);
        let time = civil.time();
        let is_over_midnight = self.from > self.to;
        let is_within = if is_over_midnight { time >= self.from || time < self.to } else { (self.from..self.to).contains(&time) };
        if !is_within {
            return None;
        }
        let last = if is_over_midnight && time >= self.from { civil.date().checked_add(1.day()).ok()? } else { civil.date() };
        // Where the clock shows the end twice, the first may lie before `at`.
        let end = dst::instant(last.to_datetime(self.to), zone)?;
        if end > at { Some(end) } else { zone.to_ambiguous_timestamp(last.to_datetime(self.to)).later().ok().filter(|end| *end > at) }
    }
}

/// A task's own part of a duration: it follows from the name and never changes. In whole milliseconds, up to the whole duration.
pub fn share(task: &str, whole: Duration) -> Duration {
    // Rules have seven fields, each with a number of its own below 7.
    const JITTER: usize = 7;
    let millis = whole.as_millis().min(u128::from(u64::MAX - 1)) as u64;
    Duration::from_millis(hash(task, JITTER) % (millis + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(quiet: &str, zone: &str, at: &str, end: Option<&str>) {
        let quiet = Quiet::parse(quiet).unwrap();
        let found = quiet.end(at.parse().unwrap(), &zone::find(zone).unwrap());
        assert_eq!(found.map(|end| end.to_string()).as_deref(), end, "{quiet:?} at {at}");
    }

    #[test]
    fn quiet_hours_end_on_the_next_day_if_they_must() {
        check("22:00-06:00", "UTC", "2026-03-01T21:59:59Z", None);
        check("22:00-06:00", "UTC", "2026-03-01T22:00:00Z", Some("2026-03-02T06:00:00Z"));
        check("22:00-06:00", "UTC", "2026-03-02T05:59:59Z", Some("2026-03-02T06:00:00Z"));
        check("22:00-06:00", "UTC", "2026-03-02T06:00:00Z", None);
        check("12:00-13:00", "Asia/Shanghai", "2026-03-02T04:30:00Z", Some("2026-03-02T05:00:00Z"));
        check("12:00-13:00", "Asia/Shanghai", "2026-03-02T05:00:00Z", None);
    }

    #[test]
    fn quiet_hours_end_where_the_clock_changes() {
        // The clock skips 02:00 to 03:00, and shows 02:00 to 03:00 twice.
        check("01:00-02:30", "Europe/Berlin", "2026-03-29T00:30:00Z", Some("2026-03-29T01:00:00Z"));
        check("01:00-02:30", "Europe/Berlin", "2026-10-25T00:15:00Z", Some("2026-10-25T00:30:00Z"));
        check("01:00-02:30", "Europe/Berlin", "2026-10-25T01:15:00Z", Some("2026-10-25T01:30:00Z"));
        check("01:00-02:30", "Europe/Berlin", "2026-10-25T00:45:00Z", None);
    }

    #[test]
    fn rules_that_start_nothing_any_more_are_found() {
        let now = "2026-11-25T12:00:00Z".parse().unwrap();
        let policy = |text: &str| {
            let definition = Definition::from_toml(&format!("name = \"gold\"\n{text}")).unwrap();
            Policy::new(&definition, &TimeZone::UTC).unwrap()
        };
        let rules = "rules = [\"2024-12-24T18:00Z\", \"@boot\", \"0 0 0 1 1 * 1999\", \"30 2 * * *\", \"2026-11-25T12:00:01Z\"]";
        assert_eq!(policy(rules).past_rules(now), [0, 2]);
        let nightly = "rules = [\"30 2 * * *\", \"30 5 * * *\", \"30 12 * * *\", \"@boot\"]\nquiet = [\"22:00-06:00\"]";
        assert_eq!(policy(nightly).quiet_rules(now), [0; 0], "they wait until the end of the quiet hours");
        assert_eq!(policy(&format!("{nightly}\nstart-within = \"1h\"")).quiet_rules(now), [0]);
        // At least one of its due times lies elsewhere.
        let mixed = "rules = [\"30 2,12 * * *\"]\nquiet = [\"22:00-06:00\"]\nstart-within = \"1h\"";
        assert_eq!(policy(mixed).quiet_rules(now), [0; 0]);
    }

    #[test]
    fn a_share_of_jitter_follows_from_the_name() {
        let minute = Duration::from_secs(60);
        assert_eq!(share("gold", minute), share("gold", minute));
        assert_eq!(share("gold", Duration::ZERO), Duration::ZERO);
        assert!((0..100).all(|index| share(&format!("task-{index}"), minute) <= minute));
        let seconds: std::collections::BTreeSet<_> = (0..200).map(|index| share(&format!("task-{index}"), minute).as_secs()).collect();
        assert!(seconds.len() > 40, "{}", seconds.len());
    }
}
