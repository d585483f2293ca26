//! Rows of the tables of hosts and jobs.

use monitor_jobs::{JobState, StepState, Target};
use monitor_wire::JobStatus;
use rusqlite::Row;
use rusqlite::types::Type;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The columns that [`job_head`] reads.
pub(super) const JOB_COLUMNS: &str = "job.id, job.status, job.request, job.by, job.created, job.started, job.ended, job.warnings,
    job.follows, (SELECT next.id FROM job AS next WHERE next.follows = job.id)";

/// The columns that [`job_head`] reads for a list. SQLite reads one request at a time, and returns the small part that lists show.
pub(super) const LISTED_COLUMNS: &str = "job.id, job.status,
    json_object('name', job.request ->> 'name', 'account', job.request ->> 'account', 'rolling', json(job.request -> 'rolling'),
        'targets', json('{}'), 'steps', json((SELECT json_group_array(json_object('name', value ->> 'name', 'script', '')) FROM
            (SELECT value FROM json_each(job.request, '$.steps') ORDER BY id)))),
    job.by, job.created, job.started, job.ended, job.warnings, job.follows,
    (SELECT next.id FROM job AS next WHERE next.follows = job.id)";

pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("these types have text keys only")
}

pub(super) fn from_json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}

pub(super) fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<u64>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(|number| number as u64))
}

/// Reads a job without its steps and targets.
pub(super) fn job_head(row: &Row<'_>) -> rusqlite::Result<JobState> {
    Ok(JobState {
        id: row.get::<_, i64>(0)? as u64,
        status: JobStatus(row.get(1)?),
        request: from_json(row, 2)?,
        by: row.get(3)?,
        warnings: from_json(row, 7)?,
        follows: number(row, 8)?,
        followed_by: number(row, 9)?,
        targets: Vec::new(),
        steps: Vec::new(),
        created_us: row.get::<_, i64>(4)? as u64,
        started_us: number(row, 5)?,
        ended_us: number(row, 6)?,
    })
}

/// Reads a step without its hosts.
pub(super) fn step_head(row: &Row<'_>) -> rusqlite::Result<StepState> {
    Ok(StepState {
        id: row.get::<_, i64>(0)? as u64,
        status: JobStatus(row.get(1)?),
        attempt: row.get(2)?,
        batches: row.get(3)?,
        started_us: number(row, 4)?,
        ended_us: number(row, 5)?,
        hosts: Vec::new(),
    })
}

/// Reads a target from four columns that begin at `first`.
pub(super) fn target(row: &Row<'_>, first: usize) -> rusqlite::Result<Target> {
    Ok(Target {
        host_id: row.get::<_, Option<i64>>(first)?.map(|id| id as u64),
        name: row.get(first + 1)?,
        ip: row.get(first + 2)?,
        cloud_id: row.get::<_, i64>(first + 3)? as u64,
    })
}
