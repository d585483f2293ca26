//! Reads the decisions on the due times of a task, and the durations of its runs, from the database.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use monitor_tasks::explain::{self, Decision, Explained, What};
use monitor_tasks::rehearse::{Rehearsal, rehearse};
use monitor_tasks::{Book, Definition, Dues, Paused, RunId, Task};
use rusqlite::{Row, params};

use crate::data::Database;
use crate::error::AgentError;

/// Number of newest runs used to compute the usual duration of a run (the median).
const USUAL: u32 = 30;

impl Database {
    /// Returns the pause of the whole agent.
    ///
    /// # Errors
    /// Returns an error if the database can't be read.
    pub fn paused(&self) -> Result<Option<Paused>, AgentError> {
        Ok(self.load()?.paused)
    }

    /// Explains the due times of a task from `from` to `to`, as of `now`. `None` if the database contains no version of the task. `zone` is the
    /// agent's time zone.
    ///
    /// # Errors
    /// Returns an error if the database can't be read.
    pub fn explain(
        &self,
        task: &str,
        (from, to): (Timestamp, Timestamp),
        now: Timestamp,
        zone: &TimeZone,
    ) -> Result<Option<Vec<Explained>>, AgentError> {
        let stored = self.load()?;
        let mut versions = self.versions(task, zone)?;
        if versions.is_empty() {
            return Ok(None);
        }
        let current = stored.tasks.iter().find(|row| row.definition.name == task);
        if let Some(newest) = versions.last_mut() {
            newest.paused = current.and_then(|row| row.paused).or(stored.paused);
        }
        let decisions = self.decisions(task, from, to)?;
        let mut durations = self.durations(task, Timestamp::UNIX_EPOCH, USUAL)?;
        durations.sort_unstable();
        let usual = durations.get(durations.len() / 2).copied().unwrap_or_default();
        // A removed task has no future due times.
        let until = if current.is_some() { to } else { to.min(now) };
        Ok(Some(explain::explain(&versions, &decisions, &stored.ledger, usual, now, (from, until))))
    }

    /// Rehearses a definition for the due times from `from` to `to`. The rehearsed runs take as long as the past runs of the task since `from`.
    /// Also returns the number of these past durations.
    ///
    /// # Errors
    /// Returns an error if the database or a rule of the definition can't be read.
    pub fn rehearse(
        &self,
        definition: &Definition,
        (from, to): (Timestamp, Timestamp),
        zone: &TimeZone,
    ) -> Result<(Rehearsal, usize), AgentError> {
        let unread = |why: String| AgentError::Foreign { path: definition.name.clone().into(), why };
        let task = Task::new(definition.clone(), 1, from, zone).map_err(unread)?;
        let mut durations = self.durations(&definition.name, from, u32::MAX)?;
        durations.reverse();
        let mut others = Book::default();
        for row in self.tasks()? {
            if let Ok(other) = Task::new(row.definition, row.version, from, zone) {
                others.put(Task { paused: row.paused, ..other });
            }
        }
        Ok((rehearse(&task, &durations, &others, from, to), durations.len()))
    }

    /// Returns the durations of up to `limit` runs of a task that started at or after `since`, newest first.
    fn durations(&self, task: &str, since: Timestamp, limit: u32) -> Result<Vec<Duration>, AgentError> {
        let sql = "SELECT ended_us - started_us FROM run
                   WHERE task = ? AND started_us >= ? AND ended_us >= started_us ORDER BY started_us DESC LIMIT ?";
        self.read(|connection| {
            let mut rows = connection.prepare(sql)?;
            let rows = rows.query_map(params![task, since.as_microsecond(), limit], |row| row.get::<_, i64>(0))?;
            rows.map(|us| us.map(|us| Duration::from_micros(us as u64))).collect()
        })
    }

    /// Returns the versions of a task that can still be read, oldest first.
    fn versions(&self, task: &str, zone: &TimeZone) -> Result<Vec<Task>, AgentError> {
        let sql = "SELECT version, time_us FROM version WHERE task = ? ORDER BY version";
        let numbers: Vec<(i64, i64)> =
            self.read(|connection| connection.prepare(sql)?.query_map([task], |row| Ok((row.get(0)?, row.get(1)?)))?.collect())?;
        let mut versions = Vec::new();
        for (number, time_us) in numbers {
            let since = Timestamp::from_microsecond(time_us).unwrap_or_default();
            let definition = self.definition(task, number as u64)?;
            versions.extend(definition.and_then(|definition| Task::new(definition, number as u64, since, zone).ok()));
        }
        Ok(versions)
    }

    /// Returns the decisions on due times of a task from `from` to `to`: first skipped and missed due times, then runs. Each of these two parts
    /// is in the order of the decisions.
    fn decisions(&self, task: &str, from: Timestamp, to: Timestamp) -> Result<Vec<Decision>, AgentError> {
        let runs = "SELECT due_us, version, cause, id FROM run WHERE task = ? AND due_us BETWEEN ? AND ? ORDER BY told_us";
        let others = "SELECT first_due_us, last_due_us, count, what, reason, version, run, blocked_by FROM decision
                      WHERE task = ? AND last_due_us >= ? AND first_due_us <= ? ORDER BY number";
        let within = params![task, from.as_microsecond(), to.as_microsecond()];
        self.read(|connection| {
            let mut found = connection.prepare(others)?.query_map(within, decision)?.collect::<Result<Vec<_>, _>>()?;
            let mut rows = connection.prepare(runs)?;
            let rows = rows.query_map(within, started)?;
            for run in rows {
                found.extend(run?);
            }
            Ok(found)
        })
    }
}

fn started(row: &Row<'_>) -> rusqlite::Result<Option<Decision>> {
    let (cause, id): (String, String) = (row.get(2)?, row.get(3)?);
    let trigger = serde_json::from_str::<monitor_tasks::Trigger>(&cause).map_or("", |trigger| trigger.word());
    // A further attempt is not the decision on a due time.
    Ok(id.parse().ok().filter(|_| trigger != "retry").map(|run: RunId| Decision {
        dues: Dues::one(run.due),
        what: What::Started,
        reason: trigger.to_owned(),
        version: row.get::<_, i64>(1).unwrap_or_default() as u64,
        run: Some(run),
        blocked_by: None,
    }))
}

fn decision(row: &Row<'_>) -> rusqlite::Result<Decision> {
    let time = |index| row.get(index).map(|us: i64| Timestamp::from_microsecond(us).unwrap_or_default());
    let run = |index| row.get::<_, Option<String>>(index).map(|run| run.and_then(|run| run.parse().ok()));
    Ok(Decision {
        dues: Dues { first: time(0)?, last: time(1)?, count: row.get(2)? },
        what: if row.get::<_, String>(3)? == "missed" { What::Missed } else { What::Skipped },
        reason: row.get(4)?,
        version: row.get::<_, i64>(5)? as u64,
        run: run(6)?,
        blocked_by: run(7)?,
    })
}
