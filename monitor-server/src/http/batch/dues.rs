//! When tasks are due.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use monitor_tasks::rule::{dst, next_of};
use monitor_tasks::{Rule, zone};
use monitor_wire::{BatchStatus, BatchTask, NextDue};
use serde_json::Value;

/// Rules and the zone that they are read in.
pub(super) struct Dues {
    rules: Vec<Rule>,
    zone: TimeZone,
}

impl Dues {
    /// Reads rules as they were written for a task of this name.
    ///
    /// # Errors
    /// What is wrong with the first one that can't be read, or with the zone.
    pub(super) fn read(rules: &[&str], zone: Option<&str>, task: &str) -> Result<Self, String> {
        let rule = |text: &&str| Rule::parse(text, task).map_err(|error| format!("rule {text:?}: {error}"));
        let rules = rules.iter().map(rule).collect::<Result<_, _>>()?;
        Ok(Self { rules, zone: zone.map_or_else(|| Ok(TimeZone::system()), zone::find)? })
    }

    /// The rules of a task; none if they can't be read here, as those of a newer agent's files.
    pub(super) fn of(task: &BatchTask) -> Option<Self> {
        let rules = task.definition.get("rules").and_then(Value::as_array);
        let rules: Vec<&str> = rules.into_iter().flatten().filter_map(Value::as_str).collect();
        Self::read(&rules, task.definition.get("zone").and_then(Value::as_str), &task.name).ok()
    }

    /// Due times after this one, the soonest first, in Unix microseconds.
    pub(super) fn after(&self, after_us: u64) -> impl Iterator<Item = u64> {
        let mut at = timestamp(after_us);
        std::iter::from_fn(move || {
            at = next_of(&self.rules, at?, &self.zone);
            at.and_then(|at| u64::try_from(at.as_microsecond()).ok())
        })
    }

    /// A due time as people read it.
    pub(super) fn show(&self, due_us: u64) -> NextDue {
        let at = timestamp(due_us).unwrap_or_default();
        let local = at.to_zoned(self.zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
        let moved = self.rules.iter().find_map(|rule| rule.moved_from(at, &self.zone));
        let note = match (moved, dst::pass(at, &self.zone)) {
            (Some(named), _) => Some(format!("the clock skips {}: due at the first instant after", named.strftime("%H:%M:%S"))),
            (None, Some(pass)) => {
                Some(format!("the clock shows this time twice: this is the {} one", if pass == 1 { "first" } else { "second" }))
            }
            (None, None) => None,
        };
        NextDue { due_us, local, note }
    }

    pub(super) fn zone(&self) -> &str {
        self.zone.iana_name().unwrap_or("local")
    }

    pub(super) fn is_at_boot(&self) -> bool {
        self.rules.iter().any(Rule::is_boot)
    }
}

pub(super) fn timestamp(us: u64) -> Option<Timestamp> {
    Timestamp::from_microsecond(i64::try_from(us).ok()?).ok()
}

/// Fills in when a task is due next, at most so many times.
pub(super) fn fill(task: &mut BatchTask, now_us: u64, count: usize) {
    let after_us = match (&task.status, task.until_us) {
        (status, _) if *status == BatchStatus::ACTIVE => now_us,
        // A due time at the end of the pause is no longer in it.
        (status, Some(until_us)) if *status == BatchStatus::PAUSED => now_us.max(until_us.saturating_sub(1)),
        _ => return,
    };
    task.next_us = Dues::of(task).map_or_else(Vec::new, |dues| dues.after(after_us).take(count).collect());
}
