//! Queries for pages of jobs, and of the hosts of a job.

use monitor_jobs::HostRun;
use monitor_store::{JobHostRow, JobHostsQuery, JobRow, JobsQuery};
use monitor_wire::HostStatus;
use rusqlite::{Connection, Row, named_params, params};

use super::rows::{LISTED_COLUMNS, from_json, int, job_head, target};
use super::steps;

pub(super) fn jobs(from: &Connection, query: &JobsQuery) -> rusqlite::Result<Vec<JobRow>> {
    let sql = format!(
        "SELECT {LISTED_COLUMNS} FROM job WHERE (:status IS NULL OR status = :status) AND (:open IS NULL OR (ended IS NULL) = :open)
         AND (:name IS NULL OR instr(name, :name) > 0) AND (:from IS NULL OR created >= :from) AND (:before IS NULL OR id < :before)
         AND (:host IS NULL OR EXISTS (SELECT 1 FROM target WHERE target.host = :host AND target.job = job.id))
         ORDER BY id DESC LIMIT :limit"
    );
    let params = named_params! {
        ":status": query.status.map(|status| status.0),
        ":open": query.is_open,
        ":name": query.name,
        ":from": query.from_us.map(int),
        ":before": query.before.map(int),
        ":host": query.host.map(int),
        ":limit": int(query.limit as u64),
    };
    let mut heads = from.prepare_cached(&sql)?;
    let jobs = heads.query_map(params, job_head)?;
    jobs.map(|job| {
        let mut job = job?;
        job.steps = steps(from, job.id)?;
        let counts = counts(from, job.id, job.steps.len())?;
        Ok(JobRow { job, counts })
    })
    .collect()
}

/// Counts the hosts of each step by status, ascending.
fn counts(from: &Connection, job: u64, steps: usize) -> rusqlite::Result<Vec<Vec<(HostStatus, u32)>>> {
    let count = |row: &Row<'_>| row.get::<_, u32>(0);
    let targets = from.prepare_cached("SELECT count(*) FROM target WHERE job = ?")?.query_row([int(job)], count)?;
    let sql = "SELECT status, count(*) FROM run WHERE job = ? AND step = ? GROUP BY status ORDER BY status";
    let mut select = from.prepare_cached(sql)?;
    let counts = (0..steps).map(|step| {
        let read = |row: &Row<'_>| Ok((HostStatus(row.get(0)?), row.get::<_, u32>(1)?));
        let mut counts: Vec<_> = select.query_map(params![int(job), int(step as u64)], read)?.collect::<rusqlite::Result<_>>()?;
        // Hosts without a row wait for their first start.
        let waiting = targets.saturating_sub(counts.iter().map(|(_, count)| count).sum());
        if waiting > 0 {
            match counts.binary_search_by_key(&HostStatus::WAITING, |(status, _)| *status) {
                Ok(index) => counts[index].1 += waiting,
                Err(index) => counts.insert(index, (HostStatus::WAITING, waiting)),
            }
        }
        Ok(counts)
    });
    counts.collect()
}

/// Returns a page of hosts with the numbers of their rows, which begin at 1 and continue from one step to the next.
pub(super) fn hosts(from: &Connection, query: &JobHostsQuery) -> rusqlite::Result<Vec<(u64, JobHostRow)>> {
    let sql = "SELECT step.position * (SELECT count(*) FROM target WHERE job = :job) + target.position + 1 AS number, step.id,
               target.host, target.name, target.ip, target.cloud, run.state
               FROM step JOIN target ON target.job = step.job
               LEFT JOIN run ON run.job = step.job AND run.step = step.position AND run.position = target.position
               WHERE step.job = :job AND (:step IS NULL OR step.id = :step) AND (:tag IS NULL OR run.tag = :tag)
               AND (:status IS NULL OR coalesce(run.status, :waiting) = :status) AND number > :after
               ORDER BY step.position, target.position LIMIT :limit";
    let params = named_params! {
        ":job": int(query.job),
        ":step": query.step.map(int),
        ":tag": query.tag,
        ":status": query.status.map(|status| status.0),
        ":waiting": HostStatus::WAITING.0,
        ":after": int(query.after.unwrap_or(0)),
        ":limit": int(query.limit as u64),
    };
    let read = |row: &Row<'_>| {
        let has_row = row.get_ref(6)? != rusqlite::types::ValueRef::Null;
        let run = if has_row { from_json(row, 6)? } else { HostRun::default() };
        let host = JobHostRow { step_id: row.get::<_, i64>(1)? as u64, target: target(row, 2)?, run };
        Ok((row.get::<_, i64>(0)? as u64, host))
    };
    from.prepare_cached(sql)?.query_map(params, read)?.collect()
}
