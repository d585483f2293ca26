//! Policies of a task, derived from its definition as input for [`plan`](crate::plan()).

use std::time::Duration;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use crate::definition::{Definition, Missed, Overlap, Retry, Then};
use crate::ledger::Run;
use crate::plan::after;
use crate::rule::{Rule, dst, hash};
use crate::zone;

/// Maximum number of due times of a rule that are compared with quiet hours. Covers daily rules for more than a year.
const MOST_TRIED: usize = 400;

/// Default retries for exit codes marked `retry`.
const DEFAULT_RETRY: Retry = Retry { times: 3, backoff: Duration::from_secs(60) };
/// Message about [`Policy::past_rules`].
pub const PAST_RULE: &str = "this rule never fires again: all of its times are past";
/// Message about [`Policy::quiet_rules`].
pub const QUIET_RULE: &str = "this rule starts nothing: its due times lie in quiet hours that last longer than start-within";

/// Parsed time rules and policies of a task.
#[derive(Debug, Clone)]
pub struct Policy {
    /// True if the definition is paused, so that time rules start nothing.
    pub is_paused: bool,
    /// Time rules.
    pub rules: Vec<Rule>,
    /// Time zone of the rules and of the quiet hours.
    pub zone: TimeZone,
    /// Handling of due times at which nothing could start.
    pub missed: Missed,
    /// Handling of a due time while an earlier run is in progress.
    pub overlap: Overlap,
    /// Retries of failed runs.
    pub retry: Option<Retry>,
    /// Maximum delay of a start, after which a run is given up.
    pub start_within: Option<Duration>,
    /// Constant offset between due time and start: the task's share of `jitter`.
    pub delay: Duration,
    /// Daily periods without starts.
    pub quiet: Vec<Quiet>,
    /// Lock name. Only one of the tasks with the same lock runs at a time.
    pub lock: Option<String>,
    /// Duration after which an alert is raised.
    pub timeout: Option<Duration>,
    /// Duration after which a run is ended.
    pub kill_after: Option<Duration>,
    /// Tasks to start after this task.
    pub then: Then,
}

impl Policy {
    /// Returns the number and pause of retries.
    pub fn retry(&self) -> Retry {
        self.retry.unwrap_or(DEFAULT_RETRY)
    }

    /// Returns true if a failed run may be retried. A run that was ordered to end is not retried.
    pub fn may_try_again(&self, run: &Run) -> bool {
        !run.is_killed && run.attempt <= self.retry().times
    }

    /// Creates the policies of a definition. `agents_zone` is used for definitions without a zone.
    ///
    /// # Errors
    /// The first invalid value, which is possible only if the definition was not created by [`Definition::from_toml`] or
    /// [`Definition::from_json`].
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

    /// Returns the end of the quiet hours that contain `at`. `None` outside of quiet hours.
    pub fn quiet_until(&self, at: Timestamp) -> Option<Timestamp> {
        self.quiet.iter().filter_map(|quiet| quiet.end(at, &self.zone)).max()
    }

    /// Returns the indices of rules that never fire after `now`, such as a time in the past.
    pub fn past_rules(&self, now: Timestamp) -> Vec<usize> {
        let is_past = |rule: &Rule| !rule.is_boot() && rule.next(now, &self.zone).is_none();
        (0..self.rules.len()).filter(|index| is_past(&self.rules[*index])).collect()
    }

    /// Returns the indices of rules that start nothing after `now`, because at each of their next due times the quiet hours last longer
    /// than `start-within`.
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

    /// Returns true if a rule is due at boot.
    pub fn is_at_boot(&self) -> bool {
        self.rules.iter().any(Rule::is_boot)
    }

    /// Returns the maximum number of simultaneous runs of the task.
    pub(crate) fn most_at_once(&self) -> usize {
        match self.overlap {
            Overlap::Allow(count) => count as usize,
            Overlap::Skip | Overlap::Queue(_) | Overlap::Replace => 1,
        }
    }
}

/// A daily period, which may extend over midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quiet {
    from: Time,
    to: Time,
}

impl Quiet {
    /// Parses `22:00-06:00`.
    pub fn parse(text: &str) -> Option<Self> {
        let (from, to) = text.split_once('-')?;
        let time = |text: &str| {
            let (hour, minute) = text.split_once(':')?;
            Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
        };
        let (from, to) = (time(from)?, time(to)?);
        (from != to).then_some(Self { from, to })
    }

    /// Returns the end of the period, if `at` lies within it.
    pub fn end(self, at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let civil = zone.to_datetime(at);
        let time = civil.time();
        let is_over_midnight = self.from > self.to;
        let is_within = if is_over_midnight { time >= self.from || time < self.to } else { (self.from..self.to).contains(&time) };
        if !is_within {
            return None;
        }
        let last = if is_over_midnight && time >= self.from { civil.date().checked_add(1.day()).ok()? } else { civil.date() };
        // If the clock shows the end twice, the first occurrence may be before `at`.
        let end = dst::instant(last.to_datetime(self.to), zone)?;
        if end > at { Some(end) } else { zone.to_ambiguous_timestamp(last.to_datetime(self.to)).later().ok().filter(|end| *end > at) }
    }
}

/// Returns a task's constant share of a duration, derived from its name: whole milliseconds between zero and the whole duration.
pub fn share(task: &str, whole: Duration) -> Duration {
    // The seven fields of rules use the numbers below 7.
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
    fn quiet_hours_may_end_on_the_next_day() {
        check("22:00-06:00", "UTC", "2026-03-01T21:59:59Z", None);
        check("22:00-06:00", "UTC", "2026-03-01T22:00:00Z", Some("2026-03-02T06:00:00Z"));
        check("22:00-06:00", "UTC", "2026-03-02T05:59:59Z", Some("2026-03-02T06:00:00Z"));
        check("22:00-06:00", "UTC", "2026-03-02T06:00:00Z", None);
        check("12:00-13:00", "Asia/Shanghai", "2026-03-02T04:30:00Z", Some("2026-03-02T05:00:00Z"));
        check("12:00-13:00", "Asia/Shanghai", "2026-03-02T05:00:00Z", None);
    }

    #[test]
    fn quiet_hours_end_where_the_clock_changes() {
        // The clock skips 02:00 to 03:00 in spring and shows it twice in autumn.
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
        // At least one due time lies outside of quiet hours.
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
