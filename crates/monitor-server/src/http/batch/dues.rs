//! Due times of batch tasks.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use monitor_tasks::rule::{dst, next_of};
use monitor_tasks::{Rule, zone};
use monitor_wire::{BatchAgent, BatchStatus, BatchTask, NextDue};
use serde_json::Value;

/// Rules and their time zone.
pub(super) struct Dues {
    rules: Vec<Rule>,
    zone: TimeZone,
}

impl Dues {
    /// Parses the rules of a task with this name.
    ///
    /// # Errors
    /// Describes the mistake of the first rule that can't be parsed, or of the zone.
    pub(super) fn read(rules: &[&str], zone: Option<&str>, task: &str) -> Result<Self, String> {
        let rule = |text: &&str| Rule::parse(text, task).map_err(|error| format!("rule {text:?}: {error}"));
        let rules = rules.iter().map(rule).collect::<Result<_, _>>()?;
        Ok(Self { rules, zone: zone.map_or_else(|| Ok(TimeZone::system()), zone::find)? })
    }

    /// Returns the rules of a task. `None` if this server can't parse them, such as rules from the files of a newer agent.
    pub(super) fn of(task: &BatchTask) -> Option<Self> {
        let rules = task.definition.get("rules").and_then(Value::as_array);
        let rules: Vec<&str> = rules.into_iter().flatten().filter_map(Value::as_str).collect();
        Self::read(&rules, task.definition.get("zone").and_then(Value::as_str), &task.name).ok()
    }

    /// Returns the due times after `after_us` in ascending order, in Unix microseconds.
    pub(super) fn after(&self, after_us: u64) -> impl Iterator<Item = u64> {
        let mut at = timestamp(after_us);
        std::iter::from_fn(move || {
            at = next_of(&self.rules, at?, &self.zone);
            at.and_then(|at| u64::try_from(at.as_microsecond()).ok())
        })
    }

    /// Formats a due time in the zone of the rules.
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

/// Fills in up to `count` next due times of a task, and the reason why its rules start nothing at present.
pub(super) fn fill(task: &mut BatchTask, now_us: u64, count: usize, agents: &[BatchAgent]) {
    if task.status != BatchStatus::ACTIVE && task.status != BatchStatus::PAUSED {
        return;
    }
    let is_defined = task.definition.get("paused") == Some(&Value::Bool(true));
    let by_person = (task.status == BatchStatus::PAUSED).then_some(task.until_us).filter(|until| until.is_none_or(|until| until > now_us));
    let own = super::agents(task);
    let is_refused = |name: &String| agents.iter().any(|agent| agent.name == *name && agent.files_only);
    let refused = (task.agent.is_none() && own.iter().all(is_refused)).then_some(None);
    let by_agents = pause_of_agents(&own, now_us, agents);
    let pauses = [("refused", refused), ("definition", is_defined.then_some(None)), ("person", by_person), ("agent", by_agents)];
    task.paused_by = pauses.iter().find(|(_, pause)| pause.is_some()).map(|(by, _)| (*by).to_owned());
    let ends: Option<Vec<u64>> = pauses.into_iter().filter_map(|(_, pause)| pause).collect();
    // A task in a pause without an end is never due. A due time at the end of a pause is outside the pause.
    let Some(ends) = ends else { return };
    let after_us = ends.into_iter().fold(now_us, |after, end| after.max(end.saturating_sub(1)));
    task.next_us = Dues::of(task).map_or_else(Vec::new, |dues| dues.after(after_us).take(count).collect());
}

/// Returns the end of the common pause if all agents of a task are paused. The inner `None` is a pause without an end.
#[allow(clippy::option_option, reason = "a pause may have no end")]
fn pause_of_agents(own: &[String], now_us: u64, agents: &[BatchAgent]) -> Option<Option<u64>> {
    let pause = |name: &String| agents.iter().find(|agent| agent.name == *name)?.pause_at(now_us);
    let pauses: Vec<Option<u64>> = own.iter().map(pause).collect::<Option<_>>()?;
    Some(pauses.into_iter().flatten().min())
}
