//! Hosts and jobs in `jobs.db` of the data folder.

mod callbacks;
mod inventory;
mod lists;
mod rows;

use std::collections::BTreeMap;
use std::path::Path;

use monitor_jobs::{HostRun, JobState, StepState, Transition, apply};
use monitor_store::{HostRow, JobHostRow, JobHostsQuery, JobRow, JobStore, JobsQuery, NewJob, SavedRow, StoreError};
use monitor_wire::{CallbackDelivery, HostDefinition, HostStatus, JobCallback, JobStatus, Targets};
use rusqlite::{Connection, OptionalExtension, named_params, params};

use self::rows::{JOB_COLUMNS, from_json, int, job_head, step_head, target, to_json};
use crate::{Schema, SubjectFile};

/// Name of the database in the data folder.
const FILE: &str = "jobs.db";

/// The schema of the hosts and jobs, in `jobs.db`.
pub const SCHEMA: Schema = Schema {
    // `PMjb`.
    application_id: 0x504d_6a62,
    first: 1,
    steps: &[
        include_str!("schema.sql"),
        include_str!("warnings.sql"),
        include_str!("callbacks.sql"),
        include_str!("follow_ups.sql"),
        include_str!("inventory.sql"),
        include_str!("agents.sql"),
    ],
};

/// Hosts and jobs in a database of their own.
pub struct SqliteJobs(SubjectFile);

impl SqliteJobs {
    /// Opens the database in a data folder. Creates both if they don't exist.
    ///
    /// # Errors
    /// Returns an error if the file can't be opened, is damaged, or has a schema that is newer or unknown.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        Ok(Self(SubjectFile::open(folder, FILE, &SCHEMA)?))
    }
}

impl JobStore for SqliteJobs {
    fn hosts(&self) -> Result<Vec<HostRow>, StoreError> {
        self.0.read(inventory::hosts)
    }

    fn put_hosts(&self, definitions: &[HostDefinition], now_us: u64) -> Result<Vec<bool>, StoreError> {
        self.0.write(|to| definitions.iter().map(|definition| inventory::put_host(to, definition, now_us)).collect())
    }

    fn meet_host(&self, name: &str, now_us: u64) -> Result<(), StoreError> {
        self.0.write(|to| inventory::meet_host(to, name, now_us))
    }

    fn remove_host(&self, id: u64) -> Result<bool, StoreError> {
        Ok(self.0.write(|to| to.execute("DELETE FROM host WHERE id = ?", [int(id)]))? > 0)
    }

    fn saved_targets(&self) -> Result<Vec<SavedRow>, StoreError> {
        self.0.read(inventory::saved)
    }

    fn put_saved_targets(&self, name: &str, targets: &Targets) -> Result<(), StoreError> {
        self.0.write(|to| inventory::put_saved(to, name, targets, false))
    }

    fn remove_saved_targets(&self, name: &str) -> Result<bool, StoreError> {
        Ok(self.0.write(|to| to.execute("DELETE FROM saved_targets WHERE name = ?", [name]))? > 0)
    }

    fn put_inventory(&self, hosts: &[HostDefinition], saved: &BTreeMap<String, Targets>, now_us: u64) -> Result<(), StoreError> {
        self.0.write(|to| inventory::replace(to, hosts, saved, now_us))
    }

    fn add_job(&self, new: &NewJob, since_us: u64) -> Result<(JobState, bool), StoreError> {
        self.0.write(|to| {
            if let Some(request_id) = &new.request.request_id
                && let Some(job) = job_of_request(to, request_id, since_us)?
            {
                return Ok((job, false));
            }
            if let Some(followed) = new.follows {
                let sql = "SELECT id FROM job WHERE follows = ?";
                let next = to.query_row(sql, [int(followed)], |row| row.get::<_, i64>(0)).optional()?;
                if let Some(next) = next.map(|next| read_job(to, next as u64)).transpose()?.flatten() {
                    return Ok((next, false));
                }
                to.execute("UPDATE job SET can_be_followed = 0 WHERE id = ?", [int(followed)])?;
            }
            Ok((insert_job(to, new)?, true))
        })
    }

    fn job_of_request(&self, request_id: &str, since_us: u64) -> Result<Option<JobState>, StoreError> {
        self.0.read(|from| job_of_request(&*from.unchecked_transaction()?, request_id, since_us))
    }

    fn jobs_to_follow(&self) -> Result<Vec<u64>, StoreError> {
        let sql = "SELECT id FROM job WHERE can_be_followed AND status = ? ORDER BY id";
        self.0.read(|from| from.prepare_cached(sql)?.query_map([JobStatus::FAILED.0], |row| Ok(row.get::<_, i64>(0)? as u64))?.collect())
    }

    fn refuse_follow_up(&self, id: u64, reason: &str) -> Result<(), StoreError> {
        let sql = "UPDATE job SET can_be_followed = 0, warnings = json_insert(warnings, '$[#]', ?2) WHERE id = ?1";
        self.0.write(|to| to.execute(sql, params![int(id), reason]).map(drop))
    }

    fn open_jobs(&self) -> Result<Vec<u64>, StoreError> {
        let sql = "SELECT id FROM job WHERE ended IS NULL \
                   UNION SELECT job FROM run WHERE status = ?1 AND state ->> 'is_stopping' ORDER BY 1";
        self.0.read(|from| {
            from.prepare_cached(sql)?.query_map([HostStatus::UNREACHABLE.0], |row| Ok(row.get::<_, i64>(0)? as u64))?.collect()
        })
    }

    fn job(&self, id: u64) -> Result<Option<JobState>, StoreError> {
        self.0.read(|from| {
            // One transaction, so that all rows are of the same moment.
            let snapshot = from.unchecked_transaction()?;
            read_job(&snapshot, id)
        })
    }

    fn jobs(&self, query: &JobsQuery) -> Result<Vec<JobRow>, StoreError> {
        self.0.read(|from| lists::jobs(&*from.unchecked_transaction()?, query))
    }

    fn job_hosts(&self, query: &JobHostsQuery) -> Result<Vec<(u64, JobHostRow)>, StoreError> {
        self.0.read(|from| lists::hosts(&*from.unchecked_transaction()?, query))
    }

    fn change_job(&self, id: u64, changes: &[Transition], callback: Option<&JobCallback>) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.0.write(|to| {
            let Some(mut job) = read_head(to, id)? else { return Ok(()) };
            let sql = "INSERT INTO run(job, step, position, status, tag, state) VALUES(?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE \
                       SET status = excluded.status, tag = excluded.tag, state = excluded.state";
            let mut put_run = to.prepare_cached(sql)?;
            let mut add_change = to.prepare_cached("INSERT INTO change(job, change) VALUES(?, ?)")?;
            for change in changes {
                if let Transition::Host { step, host, run, .. } = change {
                    let (step, host) = (int(*step as u64), int(*host as u64));
                    put_run.execute(params![int(id), step, host, run.status.0, run.tag, to_json(run)])?;
                } else {
                    apply(&mut job, change);
                }
                add_change.execute(params![int(id), to_json(change)])?;
            }
            if let Some(callback) = callback {
                callbacks::add(to, callback)?;
            }
            write_head(to, &job)
        })
    }

    fn waiting_callbacks(&self, limit: usize) -> Result<Vec<(String, CallbackDelivery)>, StoreError> {
        self.0.read(|from| callbacks::waiting(from, limit))
    }

    fn put_delivery(&self, delivery: &CallbackDelivery) -> Result<(), StoreError> {
        self.0.write(|to| callbacks::put(to, delivery))
    }

    fn callbacks(&self, job: u64, before: Option<u64>, limit: usize) -> Result<Option<Vec<CallbackDelivery>>, StoreError> {
        self.0.read(|from| callbacks::page(from, job, before, limit))
    }

    fn job_changes(&self, after: u64, limit: usize) -> Result<Vec<(u64, u64, Transition)>, StoreError> {
        let sql = "SELECT number, job, change FROM change WHERE number > ? ORDER BY number LIMIT ?";
        self.0.read(|from| {
            let change = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64, from_json(row, 2)?));
            from.prepare_cached(sql)?.query_map([int(after), int(limit as u64)], change)?.collect()
        })
    }

    fn forget_changes(&self, until: u64) -> Result<(), StoreError> {
        self.0.write(|to| to.execute("DELETE FROM change WHERE number <= ?", [int(until)]).map(drop))
    }

    fn remove_jobs(&self, before_us: u64, limit: usize) -> Result<Vec<u64>, StoreError> {
        let sql = "DELETE FROM job WHERE id IN (SELECT id FROM job WHERE ended < ? ORDER BY ended, id LIMIT ?) RETURNING id";
        let mut removed: Vec<u64> = self.0.write(|to| {
            let id = |row: &rusqlite::Row<'_>| Ok(row.get::<_, i64>(0)? as u64);
            to.prepare_cached(sql)?.query_map([int(before_us), int(limit as u64)], id)?.collect()
        })?;
        removed.sort_unstable();
        Ok(removed)
    }
}

fn insert_job(to: &Connection, new: &NewJob) -> rusqlite::Result<JobState> {
    let NewJob { request, by, follows, targets, verdict, created_us } = new;
    let sql = "INSERT INTO job(status, name, request_id, request, by, created, warnings, follows, can_be_followed)
               VALUES(:status, :name, :request_id, :request, :by, :created, :warnings, :follows, :can_be_followed)";
    to.execute(
        sql,
        named_params! {
            ":status": JobStatus::WAITING.0,
            ":name": request.name.as_deref().unwrap_or_default(),
            ":request_id": request.request_id,
            ":request": to_json(request),
            ":by": by,
            ":created": int(*created_us),
            ":warnings": to_json(&verdict.warnings),
            ":follows": follows.map(int),
            ":can_be_followed": request.follow_up().is_some(),
        },
    )?;
    let id = to.last_insert_rowid();
    let mut steps = Vec::new();
    for position in 0..request.steps.len() {
        let sql = "INSERT INTO step(job, position, status, attempt, batches) VALUES(?, ?, ?, 1, 0)";
        let status = new.first_status(position);
        to.prepare_cached(sql)?.execute(params![id, int(position as u64), status.0])?;
        steps.push(StepState {
            id: to.last_insert_rowid() as u64,
            status,
            attempt: 1,
            batches: 0,
            started_us: None,
            ended_us: None,
            hosts: vec![HostRun::default(); targets.len()],
        });
    }
    let mut insert = to.prepare_cached("INSERT INTO target(job, position, host, name, ip, cloud) VALUES(?, ?, ?, ?, ?, ?)")?;
    for (position, target) in targets.iter().enumerate() {
        let host = target.host_id.map(int);
        insert.execute(params![id, int(position as u64), host, target.name, target.ip, int(target.cloud_id)])?;
    }
    Ok(JobState {
        id: id as u64,
        status: JobStatus::WAITING,
        request: request.clone(),
        by: by.clone(),
        follows: *follows,
        followed_by: None,
        warnings: verdict.warnings.clone(),
        targets: targets.clone(),
        steps,
        created_us: *created_us,
        started_us: None,
        ended_us: None,
    })
}

/// Reads a job and its steps, without targets and hosts.
fn read_head(from: &Connection, id: u64) -> rusqlite::Result<Option<JobState>> {
    let sql = format!("SELECT {JOB_COLUMNS} FROM job WHERE id = ?");
    let Some(mut job) = from.prepare_cached(&sql)?.query_row([int(id)], job_head).optional()? else { return Ok(None) };
    job.steps = steps(from, id)?;
    Ok(Some(job))
}

/// Reads the steps of a job, without their hosts.
fn steps(from: &Connection, job: u64) -> rusqlite::Result<Vec<StepState>> {
    let sql = "SELECT id, status, attempt, batches, started, ended FROM step WHERE job = ? ORDER BY position";
    from.prepare_cached(sql)?.query_map([int(job)], step_head)?.collect()
}

fn job_of_request(from: &Connection, request_id: &str, since_us: u64) -> rusqlite::Result<Option<JobState>> {
    let sql = "SELECT id FROM job WHERE request_id = ? AND created >= ? ORDER BY id LIMIT 1";
    let id = from.query_row(sql, params![request_id, int(since_us)], |row| row.get::<_, i64>(0)).optional()?;
    Ok(id.map(|id| read_job(from, id as u64)).transpose()?.flatten())
}

fn read_job(from: &Connection, id: u64) -> rusqlite::Result<Option<JobState>> {
    let Some(mut job) = read_head(from, id)? else { return Ok(None) };
    let sql = "SELECT host, name, ip, cloud FROM target WHERE job = ? ORDER BY position";
    job.targets = from.prepare_cached(sql)?.query_map([int(id)], |row| target(row, 0))?.collect::<rusqlite::Result<_>>()?;
    for step in &mut job.steps {
        step.hosts = vec![HostRun::default(); job.targets.len()];
    }
    let mut select = from.prepare_cached("SELECT step, position, state FROM run WHERE job = ?")?;
    let mut rows = select.query([int(id)])?;
    while let Some(row) = rows.next()? {
        let (step, host) = (row.get::<_, i64>(0)? as usize, row.get::<_, i64>(1)? as usize);
        if let Some(run) = job.steps.get_mut(step).and_then(|step| step.hosts.get_mut(host)) {
            *run = from_json(row, 2)?;
        }
    }
    Ok(Some(job))
}

/// Writes what [`read_head`] has read.
fn write_head(to: &Connection, job: &JobState) -> rusqlite::Result<()> {
    let sql = "UPDATE job SET status = ?2, started = ?3, ended = ?4 WHERE id = ?1";
    to.execute(sql, params![int(job.id), job.status.0, job.started_us.map(int), job.ended_us.map(int)])?;
    for step in &job.steps {
        let sql = "UPDATE step SET status = ?2, attempt = ?3, batches = ?4, started = ?5, ended = ?6 WHERE id = ?1";
        let StepState { id, status, attempt, batches, started_us, ended_us, .. } = step;
        to.prepare_cached(sql)?.execute(params![int(*id), status.0, attempt, batches, started_us.map(int), ended_us.map(int)])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use monitor_jobs::{Contact, Contacts, Target, Verdict, plan};
    use monitor_store::jobs::listed;
    use monitor_store::suite::jobs::{JobPlace, request};
    use monitor_wire::{JobRequest, Rolling, StepRequest};

    use super::*;

    struct InFolder(tempfile::TempDir);

    impl JobPlace for InFolder {
        type Store = SqliteJobs;

        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn open(&self) -> SqliteJobs {
            SqliteJobs::open(self.0.path()).unwrap()
        }
    }

    monitor_store::job_suite!(InFolder);

    #[test]
    fn a_job_of_the_first_schema_has_no_warnings_and_its_hosts_come_from_no_file() {
        let place = InFolder::new();
        let old = SubjectFile::open(place.0.path(), FILE, &Schema { steps: &SCHEMA.steps[..1], ..SCHEMA }).unwrap();
        let sql = "INSERT INTO job(status, name, request, by, created) VALUES(1, 'check', ?, 'ada', 1)";
        old.write(|to| to.execute(sql, [to_json(&request("check", 1))])).unwrap();
        let web = HostDefinition { name: "web-1".to_owned(), ..HostDefinition::default() };
        let sql = "INSERT INTO host(name, definition, created) VALUES('web-1', ?, 7)";
        old.write(|to| to.execute(sql, [to_json(&web)])).unwrap();
        drop(old);
        let store = place.open();
        let job = store.job(1).unwrap().unwrap();
        assert_eq!((job.request, job.warnings), (request("check", 1), Vec::new()));
        assert_eq!(store.hosts().unwrap(), [HostRow { id: 1, definition: web, created_us: 7, is_from_file: false, has_agent: false }]);
        assert_eq!(store.saved_targets().unwrap(), []);
    }

    #[test]
    fn a_list_contains_the_small_part_of_each_request() {
        let place = InFolder::new();
        let store = place.open();
        let whole = JobRequest {
            account: Some("app".to_owned()),
            rolling: Some(Rolling { expression: "1 10%".to_owned(), parallel: Some(3), ..Rolling::default() }),
            ..request("a \"b\"", 12)
        };
        let named = |(number, step): (usize, StepRequest)| StepRequest { name: Some(format!("step {number}")), ..step };
        let whole = JobRequest { steps: whole.steps.iter().cloned().enumerate().map(named).collect(), ..whole };
        for request in [whole.clone(), request("plain", 1)] {
            let new =
                NewJob { request, by: "ada".to_owned(), follows: None, targets: Vec::new(), verdict: Verdict::default(), created_us: 1 };
            store.add_job(&new, 0).unwrap();
        }
        let rows = store.jobs(&JobsQuery { limit: 9, ..JobsQuery::default() }).unwrap();
        let requests: Vec<_> = rows.into_iter().map(|row| row.job.request).collect();
        assert_eq!(requests, [listed(&request("plain", 1)), listed(&whole)]);
    }

    #[test]
    fn a_job_with_100_000_hosts_is_stored_and_a_change_writes_only_its_rows() {
        const HOSTS: u64 = 100_000;
        let place = InFolder::new();
        let store = place.open();
        let target = |id| Target { host_id: Some(id), name: format!("web-{id}"), ip: None, cloud_id: 0 };
        let new = NewJob {
            request: request("big", 1),
            by: "ada".to_owned(),
            follows: None,
            targets: (1..=HOSTS).map(target).collect(),
            verdict: Verdict::default(),
            created_us: 1,
        };
        let (mut job, _) = store.add_job(&new, 0).unwrap();
        let contacts: Contacts = (1..=HOSTS).map(|id| (id, Contact { has_agent: true, last_us: 1, ..Contact::default() })).collect();
        let planned = plan(1, &job, &contacts);
        assert_eq!(planned.directives.len() as u64, HOSTS);
        store.change_job(job.id, &planned.transitions, None).unwrap();
        for transition in &planned.transitions {
            apply(&mut job, transition);
        }
        assert_eq!(store.job(job.id).unwrap().unwrap(), job);
        let sums = |from: &Connection| {
            let sums = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
            from.query_row("SELECT sum(status), count(*) FROM run", [], sums)
        };
        let rows = || store.0.read(sums).unwrap();
        let before = rows();
        let mut run = job.steps[0].hosts[7].clone();
        run.status = HostStatus::RUNNING;
        store.change_job(job.id, &[Transition::Host { step: 0, host: 7, run: Box::new(run), at_us: 2 }], None).unwrap();
        assert_eq!(rows(), (before.0 + 2, HOSTS as i64));
        assert_eq!(store.job_changes(planned.transitions.len() as u64, 10).unwrap().len(), 1);
    }
}
