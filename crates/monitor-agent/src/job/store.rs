//! Runs of jobs and unsent reports in the agent's database.

use monitor_wire::{JobOrder, JobReport, JobReportEvent, JobRunKey};
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};

use crate::data::Database;
use crate::error::AgentError;

/// Time that an ended run stays in the database and on the disk, in microseconds: one day.
const KEPT_US: u64 = 24 * 3_600 * 1_000_000;

/// State of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RunState {
    /// The order is stored. The script may have been started if the run has a folder.
    Accepted,
    /// The script was started.
    Started,
    /// The run has ended, with this event.
    Ended(JobReportEvent),
}

impl RunState {
    /// Returns true unless the order was refused, or its script could not begin in time.
    pub(super) fn was_accepted(&self) -> bool {
        match self {
            Self::Accepted | Self::Started => true,
            Self::Ended(event) => event.shows_acceptance(),
        }
    }
}

/// A run that has not ended.
#[derive(Debug, Clone)]
pub(super) struct OpenRun {
    pub(super) key: JobRunKey,
    /// `None` if the database with the order was lost.
    pub(super) order: Option<JobOrder>,
    pub(super) is_started: bool,
    pub(super) expires_us: u64,
}

impl Database {
    /// State of a run, and the time of its last change. `None` if the run is unknown.
    pub(super) fn job_run(&self, key: &JobRunKey) -> Result<Option<(RunState, u64)>, AgentError> {
        let sql = "SELECT state, ended, changed_us FROM job_run WHERE job = ? AND step = ? AND host = ? AND attempt = ?";
        let of = |row: &Row<'_>| {
            let (state, ended): (String, Option<String>) = (row.get(0)?, row.get(1)?);
            let state = match ended.and_then(|ended| serde_json::from_str(&ended).ok()) {
                Some(event) => RunState::Ended(event),
                None if state == "started" => RunState::Started,
                None => RunState::Accepted,
            };
            Ok((state, row.get::<_, i64>(2)? as u64))
        };
        self.read(|connection| connection.prepare_cached(sql)?.query_row(columns(key), of).optional())
    }

    /// The newest former attempt that was accepted, of those of which at most one may run, with its state and the time of its last change.
    pub(super) fn accepted_attempt(&self, order: &JobOrder) -> Result<Option<(JobRunKey, RunState, u64)>, AgentError> {
        let first = if order.since == 0 { order.key.attempt } else { order.since };
        for attempt in (first..order.key.attempt).rev() {
            let former = JobRunKey { attempt, ..order.key };
            let Some((state, changed_us)) = self.job_run(&former)? else { continue };
            if state.was_accepted() && self.job_root(&former)?.as_ref() == Some(&order.root_id) {
                return Ok(Some((former, state, changed_us)));
            }
        }
        Ok(None)
    }

    /// Id of the tree of the job that a run belongs to, if it is known.
    pub(super) fn job_root(&self, key: &JobRunKey) -> Result<Option<String>, AgentError> {
        self.read(|connection| root_of(connection, key))
    }

    /// Number of the newest attempt of this job, step and host.
    pub(super) fn newest_job_attempt(&self, key: &JobRunKey) -> Result<Option<u32>, AgentError> {
        let sql = "SELECT max(attempt) FROM job_run WHERE job = ? AND step = ? AND host = ?";
        let (job, step, host, _) = columns(key);
        self.read(|connection| connection.prepare_cached(sql)?.query_row((job, step, host), |row| row.get(0)))
    }

    /// Returns true if the server wants the run to be ended.
    pub(super) fn is_job_stopped(&self, key: &JobRunKey) -> Result<bool, AgentError> {
        let sql = "SELECT is_stopped FROM job_run WHERE job = ? AND step = ? AND host = ? AND attempt = ?";
        let found = self.read(|connection| connection.prepare_cached(sql)?.query_row(columns(key), |row| row.get(0)).optional());
        Ok(found?.unwrap_or(false))
    }

    /// Runs that have not ended, first accepted first.
    pub(super) fn open_job_runs(&self) -> Result<Vec<OpenRun>, AgentError> {
        let sql = "SELECT job, step, host, attempt, job_order, state, expires_us FROM job_run WHERE state != 'ended' ORDER BY rowid";
        let of = |row: &Row<'_>| {
            let order: Option<String> = row.get(4)?;
            Ok(OpenRun {
                key: key_of(row)?,
                order: order.and_then(|order| serde_json::from_str(&order).ok()),
                is_started: row.get::<_, String>(5)? == "started",
                expires_us: row.get::<_, i64>(6)? as u64,
            })
        };
        self.read(|connection| connection.prepare_cached(sql)?.query_map([], of)?.collect())
    }

    /// Unsent reports, oldest first.
    pub(super) fn job_reports(&self, limit: usize) -> Result<Vec<JobReport>, AgentError> {
        let sql = "SELECT report, number FROM job_report ORDER BY number LIMIT ?";
        let of = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)? as u64));
        let rows: Vec<_> = self.read(|connection| connection.prepare_cached(sql)?.query_map([limit as i64], of)?.collect())?;
        let read = |(report, number): (String, u64)| {
            let report = serde_json::from_str::<JobReport>(&report);
            Some(JobReport { number, ..report.inspect_err(|error| tracing::error!(number, %error, "a report can't be read")).ok()? })
        };
        Ok(rows.into_iter().filter_map(read).collect())
    }

    /// Returns true if the database has an unsent report about the run.
    pub(super) fn has_job_report(&self, key: &JobRunKey) -> Result<bool, AgentError> {
        self.read(|connection| has_report(connection, key))
    }

    /// Ended runs whose reports the server has, a day after their end.
    pub(super) fn job_runs_to_forget(&self, now_us: u64) -> Result<Vec<JobRunKey>, AgentError> {
        let sql = "SELECT job, step, host, attempt FROM job_run WHERE state = 'ended' AND changed_us < ? AND expires_us < ? LIMIT 1000";
        let (old, now) = (now_us.saturating_sub(KEPT_US) as i64, now_us as i64);
        self.read(|connection| {
            let found: Vec<JobRunKey> = connection.prepare_cached(sql)?.query_map([old, now], key_of)?.collect::<Result<_, _>>()?;
            let mut left = Vec::new();
            for key in found {
                if !has_report(connection, &key)? {
                    left.push(key);
                }
            }
            Ok(left)
        })
    }
}

/// Adds a run with this order, which the server gets a report about.
pub(super) fn write_accepted(to: &Transaction<'_>, order: &JobOrder, text: Option<&str>, now_us: u64) -> rusqlite::Result<()> {
    let sql = "INSERT INTO job_run(job, step, host, attempt, job_order, state, changed_us, expires_us, root) VALUES(?, ?, ?, ?, ?, 'accepted', ?, ?, ?)";
    let (job, step, host, attempt) = columns(&order.key);
    let expires_us = order.expires_us.min(i64::MAX as u64) as i64;
    to.execute(sql, params![job, step, host, attempt, text, now_us as i64, expires_us, order.root_id])?;
    write_report(to, &order.key, now_us, JobReportEvent::Accepted)
}

/// Adds a run that was found by its folder.
pub(super) fn write_found(to: &Transaction<'_>, key: &JobRunKey, now_us: u64) -> rusqlite::Result<()> {
    let sql = "INSERT OR IGNORE INTO job_run(job, step, host, attempt, state, changed_us, expires_us) VALUES(?, ?, ?, ?, 'started', ?, ?)";
    let (job, step, host, attempt) = columns(key);
    to.execute(sql, params![job, step, host, attempt, now_us as i64, now_us as i64]).map(drop)
}

/// Stores that the script was started, and queues the report.
pub(super) fn write_started(to: &Transaction<'_>, key: &JobRunKey, at_us: u64, interpreter: Option<String>) -> rusqlite::Result<()> {
    let sql = "UPDATE job_run SET state = 'started', changed_us = ?5 WHERE job = ?1 AND step = ?2 AND host = ?3 AND attempt = ?4";
    let (job, step, host, attempt) = columns(key);
    to.execute(sql, params![job, step, host, attempt, at_us as i64])?;
    write_report(to, key, at_us, JobReportEvent::Started { interpreter })
}

/// Stores that the server wants the run to be ended.
pub(super) fn write_stopped(to: &Transaction<'_>, key: &JobRunKey) -> rusqlite::Result<()> {
    let sql = "UPDATE job_run SET is_stopped = 1 WHERE job = ? AND step = ? AND host = ? AND attempt = ?";
    to.execute(sql, columns(key)).map(drop)
}

/// Stores the end of a run, and queues the report. The run may be unknown so far; then `root` is the tree of its job.
pub(super) fn write_ended(
    to: &Transaction<'_>,
    key: &JobRunKey,
    root: Option<&str>,
    (at_us, expires_us): (u64, u64),
    event: JobReportEvent,
) -> rusqlite::Result<()> {
    let sql =
        "INSERT INTO job_run(job, step, host, attempt, state, ended, changed_us, expires_us, root) VALUES(?1, ?2, ?3, ?4, 'ended', ?5, ?6, ?7, ?8)
               ON CONFLICT DO UPDATE SET state = 'ended', ended = ?5, changed_us = ?6, job_order = NULL";
    let (job, step, host, attempt) = columns(key);
    let text = serde_json::to_string(&event).unwrap_or_default();
    to.execute(sql, params![job, step, host, attempt, text, at_us as i64, expires_us.min(i64::MAX as u64) as i64, root])?;
    write_report(to, key, at_us, event)
}

/// Queues a report. Its number is at least the current time, so that numbers ascend even if the database is lost.
pub(super) fn write_report(to: &Transaction<'_>, key: &JobRunKey, at_us: u64, event: JobReportEvent) -> rusqlite::Result<()> {
    let root = root_of(to, key)?;
    write_report_of(to, key, root, at_us, event)
}

/// Queues a report about a run of the job with this tree.
pub(super) fn write_report_of(
    to: &Transaction<'_>,
    key: &JobRunKey,
    root_id: Option<String>,
    at_us: u64,
    event: JobReportEvent,
) -> rusqlite::Result<()> {
    let last: Option<i64> = to.query_row("SELECT seq FROM sqlite_sequence WHERE name = 'job_report'", [], |row| row.get(0)).optional()?;
    let number = last.map_or(0, |last| last + 1).max(monitor_runs::now_us() as i64);
    let report = JobReport { number: number as u64, key: *key, root_id, at_us, event };
    let text = serde_json::to_string(&report).unwrap_or_default();
    to.execute("INSERT INTO job_report(number, run, report) VALUES(?, ?, ?)", params![number, key.run_id(), text]).map(drop)
}

/// Deletes the reports up to this number, which the server has.
pub(super) fn drop_reports(to: &Transaction<'_>, number: u64) -> rusqlite::Result<()> {
    to.execute("DELETE FROM job_report WHERE number <= ?", [number as i64]).map(drop)
}

/// Deletes an ended run.
pub(super) fn drop_run(to: &Transaction<'_>, key: &JobRunKey) -> rusqlite::Result<()> {
    let sql = "DELETE FROM job_run WHERE job = ? AND step = ? AND host = ? AND attempt = ? AND state = 'ended'";
    to.execute(sql, columns(key)).map(drop)
}

fn root_of(connection: &Connection, key: &JobRunKey) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT root FROM job_run WHERE job = ? AND step = ? AND host = ? AND attempt = ?";
    let root = connection.prepare_cached(sql)?.query_row(columns(key), |row| row.get(0)).optional()?;
    Ok(root.flatten())
}

fn has_report(connection: &Connection, key: &JobRunKey) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM job_report WHERE run = ?")?.exists([key.run_id()])
}

fn columns(key: &JobRunKey) -> (i64, i64, i64, u32) {
    (key.job as i64, key.step as i64, key.host as i64, key.attempt)
}

fn key_of(row: &Row<'_>) -> rusqlite::Result<JobRunKey> {
    let number = |index| row.get::<_, i64>(index).map(|number| number as u64);
    Ok(JobRunKey { job: number(0)?, step: number(1)?, host: number(2)?, attempt: row.get(3)? })
}

#[cfg(test)]
mod tests {
    use monitor_wire::HostStatus;

    use super::*;

    #[test]
    fn an_ended_run_is_forgotten_when_its_reports_are_sent_a_day_has_passed_and_its_order_has_expired() {
        let data = tempfile::tempdir().unwrap();
        let mut database = Database::open(data.path()).unwrap();
        let key = JobRunKey { job: 1, step: 2, host: u64::MAX, attempt: 1 };
        let ended = |status| JobReportEvent::Ended { status, exit_code: None, reason: None, tag: None, output_bytes: 0, omitted_bytes: 0 };
        let (expires_us, late) = (9 * KEPT_US, 10 * KEPT_US);
        database.write(|to| write_ended(to, &key, None, (1, expires_us), ended(HostStatus::REFUSED))).unwrap();
        assert_eq!(database.job_run(&key).unwrap(), Some((RunState::Ended(ended(HostStatus::REFUSED)), 1)));
        assert_eq!(database.job_runs_to_forget(late).unwrap(), [], "the server has not got the report");
        let reports = database.job_reports(9).unwrap();
        assert_eq!((reports.len(), reports[0].key), (1, key));
        database.write(|to| drop_reports(to, reports[0].number)).unwrap();
        assert_eq!(database.job_runs_to_forget(5 * KEPT_US).unwrap(), [], "its order could still be repeated");
        assert_eq!(database.job_runs_to_forget(late).unwrap(), [key]);
        database.write(|to| drop_run(to, &key)).unwrap();
        assert_eq!(database.job_run(&key).unwrap(), None);
    }

    #[test]
    fn numbers_of_reports_ascend_even_if_the_database_is_lost() {
        let key = JobRunKey { job: 1, step: 2, host: 3, attempt: 1 };
        let mut numbers = Vec::new();
        for _ in 0..2 {
            let data = tempfile::tempdir().unwrap();
            let mut database = Database::open(data.path()).unwrap();
            for _ in 0..2 {
                database.write(|to| write_report(to, &key, 1, JobReportEvent::Accepted)).unwrap();
            }
            numbers.extend(database.job_reports(9).unwrap().iter().map(|report| report.number));
        }
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    }
}
