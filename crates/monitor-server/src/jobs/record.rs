//! Records the processes of jobs: a job, its steps, and the hosts in each step.
//!
//! The recorder is a worker with a permanent id. Each change of the job store becomes two events, whose numbers are derived from the number of
//! the change. So a change that is recorded again after a crash counts once.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use monitor_jobs::{HostRun, JobState, Transition};
use monitor_store::packed::Packed;
use monitor_store::signs::{JOB_ID, JOB_NAME, JOB_STATUS};
use monitor_store::{JobStore, RootKey, Store, StoreError};
use monitor_store_sqlite::write_private;
use monitor_wire::{
    Batch, Error, ErrorKind, Event, Fields, HostStatus, JobStatus, Kind, Link, Outcome, ProcessEnded, ProcessId, ProcessQueued,
    ProcessStarted, ProcessUpdated, RootId, VERSION, WorkerId, WorkerRef,
};
use serde_json::json;

use super::ids;
use crate::access::random;

/// File of the worker's id.
const FILE: &str = "job-worker";
/// Number of events of a change.
const EVENTS: u64 = 2;
/// Number of changes in a batch.
const CHANGES: usize = 500;

/// A change with its number and the number of its job.
type Change = (u64, u64, Transition);

/// Creates the events of changes.
pub(super) struct Recorder {
    worker: WorkerRef,
    store: Arc<dyn Store>,
    jobs: Arc<dyn JobStore>,
}

/// State of a process as it was recorded.
#[derive(Debug, Clone)]
struct Seen {
    attempt: u32,
    is_started: bool,
    outcome: Option<Outcome>,
}

/// Description of a process and its new state.
struct News {
    root: RootId,
    id: ProcessId,
    parent: Option<ProcessId>,
    kind: Kind,
    name: String,
    at_us: u64,
    fields: Fields,
    links: Vec<Link>,
    state: NewState,
}

enum NewState {
    Waiting,
    Running,
    Ended { outcome: Outcome, reason: String, exit_code: Option<i32>, error: Option<String> },
}

impl Recorder {
    /// Reads the id of the worker from the data folder. `is_new` is true if the job store is new: its numbers begin at 1, so the worker is
    /// a new one, too.
    pub(super) fn open(folder: &Path, is_new: bool, store: Arc<dyn Store>, jobs: Arc<dyn JobStore>) -> Result<Self, StoreError> {
        let path = folder.join(FILE);
        let known = std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse::<WorkerId>().ok());
        let id = if let Some(id) = known.filter(|_| !is_new) {
            id
        } else {
            let disk = |source| StoreError::Disk { action: "write the id of the worker for jobs to", path: path.clone(), source };
            let id = random(16).ok().and_then(|hex| hex.parse::<WorkerId>().ok());
            let id = id.ok_or_else(|| disk(std::io::Error::other("the operating system gives no random numbers")))?;
            write_private(&path, &format!("{id}\n")).map_err(disk)?;
            id
        };
        let hostname = gethostname::gethostname().to_string_lossy().into_owned();
        Ok(Self { worker: WorkerRef { id, hostname, pid: 0, program: "jobs".to_owned() }, store, jobs })
    }

    /// Returns the next batch of changes that have not been recorded, and the number of its last change. None if there is none.
    pub(super) fn next(&self, now_us: u64) -> Result<Option<(Packed, u64)>, StoreError> {
        let changes: Vec<Change> = self.jobs.job_changes(0, CHANGES)?;
        let Some(first) = changes.first().map(|(number, ..)| *number) else { return Ok(None) };
        let (mut jobs, mut seen, mut events, mut last) = (HashMap::new(), HashMap::new(), Vec::new(), None);
        // The numbers of a batch's events are consecutive.
        for ((number, job, change), _) in changes.iter().zip(first..).take_while(|((number, ..), expected)| number == expected) {
            if !jobs.contains_key(job) {
                jobs.insert(*job, self.jobs.job(*job)?);
            }
            let Some(mut news) = jobs[job].as_ref().and_then(|state| news(state, change)) else { break };
            if let (Transition::Job { .. }, Some(state)) = (change, &jobs[job]) {
                news.links = self.links(state)?;
            }
            events.extend(self.events(news, &mut seen)?);
            last = Some(*number);
        }
        let Some(last) = last else {
            // The job was removed.
            self.jobs.forget_changes(first)?;
            return self.next(now_us);
        };
        let sequence = (first - 1) * EVENTS + 1;
        let batch =
            Batch { version: VERSION, worker: self.worker.clone(), sequence, sent_us: now_us, dropped: Vec::new(), lost: false, events };
        Ok(Some((Packed::from(batch), last)))
    }

    /// Returns the two events of a change.
    fn events(&self, news: News, seen: &mut HashMap<(RootId, ProcessId), Seen>) -> Result<[Event; EVENTS as usize], StoreError> {
        let key = (news.root, news.id);
        let before = match seen.get(&key) {
            Some(seen) => seen.clone(),
            None => self.recorded(key)?,
        };
        // An end is final, so whatever happens later is another attempt.
        let is_new = match (&before.outcome, &news.state) {
            (None, _) => false,
            (Some(outcome), NewState::Ended { outcome: new, .. }) => outcome != new,
            (Some(_), _) => true,
        };
        let attempt = before.attempt + u32::from(is_new);
        let is_started = before.is_started && !is_new;
        let News { root, id, parent, kind, name, at_us, fields, links, state } = news;
        let updated = || {
            let mut updated = ProcessUpdated::new(root, id, at_us, fields.clone());
            updated.attempt = attempt;
            Event::ProcessUpdated(updated)
        };
        let place = match state {
            _ if is_started => updated(),
            NewState::Waiting => Event::ProcessQueued(ProcessQueued {
                root_id: root,
                id,
                time_us: at_us,
                parent_id: parent,
                kind,
                name,
                batch: None,
                fields: fields.clone(),
                attempt,
                worker: None,
                native_id: None,
                links,
            }),
            NewState::Running | NewState::Ended { .. } => {
                let mut started = ProcessStarted::new(root, id, at_us, kind, name);
                (started.parent_id, started.fields, started.attempt, started.links) = (parent, fields.clone(), attempt, links);
                Event::ProcessStarted(started)
            }
        };
        let now = Seen { attempt, is_started: is_started || !matches!(state, NewState::Waiting), outcome: None };
        let (then, outcome) = match state {
            NewState::Ended { outcome, reason, exit_code, error } => {
                let mut ended = ProcessEnded::new(root, id, at_us, outcome.clone());
                (ended.reason, ended.exit_code, ended.attempt) = (Some(reason), exit_code, attempt);
                let kind = if exit_code.is_some() { ErrorKind::EXIT } else { ErrorKind::ERROR };
                let to_error = |message| Error { kind, type_name: None, message, chain: Vec::new(), source: None, code: None, tail: None };
                ended.error = error.map(to_error);
                (Event::ProcessEnded(ended), Some(outcome))
            }
            _ => (updated(), None),
        };
        seen.insert(key, Seen { outcome, ..now });
        Ok([place, then])
    }
}

impl Recorder {
    /// Returns a link to the failed job that a job follows.
    fn links(&self, job: &JobState) -> Result<Vec<Link>, StoreError> {
        let followed = job.follows.map(|id| self.jobs.job(id)).transpose()?.flatten();
        let root = followed.map(|followed| ids::root_of(&followed));
        Ok(root.map(|root_id| Link { root_id, id: ids::job(root_id), relation: "triggered_by".to_owned() }).into_iter().collect())
    }

    /// Returns the state of a process in the store of trees.
    fn recorded(&self, (root, id): (RootId, ProcessId)) -> Result<Seen, StoreError> {
        let known = self.store.process(RootKey::Id(root), id)?;
        Ok(known.map_or(Seen { attempt: 1, is_started: false, outcome: None }, |known| Seen {
            attempt: known.attempt,
            is_started: known.started_us.is_some(),
            outcome: known.ended_us.map(|_| Outcome::from(known.state.to_string())),
        }))
    }
}

/// Describes what a change means for its process. None if the job doesn't have the step or host.
fn news(job: &JobState, change: &Transition) -> Option<News> {
    let root = ids::root_of(job);
    let own = ids::job(root);
    let number = |key: &str, number: u64| (key.to_owned(), json!(number));
    let mut fields: Fields = [number(JOB_ID, job.id)].into();
    Some(match change {
        Transition::Job { status, at_us } => {
            fields.extend([number(JOB_STATUS, status.0.into())]);
            let name = job.request.name.clone().unwrap_or_default();
            let failures = || {
                job.steps.iter().zip(&job.request.steps).filter(|(step, _)| !step.status.is_passed()).find_map(|(step, request)| {
                    let Failures { text, reason } = failures(&step.hosts)?;
                    Some(Failures { text: format!("{}: {text}", request.name.as_deref().unwrap_or_default()), reason })
                })
            };
            let state = of_job(*status, failures);
            News { root, id: own, parent: None, kind: Kind::JOB, name, at_us: *at_us, fields, links: Vec::new(), state }
        }
        Transition::Step { step, status, at_us, batches, .. } => {
            let (state, request) = (job.steps.get(*step)?, job.request.steps.get(*step)?);
            fields.extend([number("job.step", state.id), number(JOB_STATUS, status.0.into()), number("job.batch", (*batches).into())]);
            let name = request.name.clone().unwrap_or_default();
            let now = of_job(*status, || failures(&state.hosts));
            News {
                root,
                id: ids::step(root, state.id),
                parent: Some(own),
                kind: Kind::STEP,
                name,
                at_us: *at_us,
                fields,
                links: Vec::new(),
                state: now,
            }
        }
        Transition::Host { step, host, run, at_us } => {
            let (state, target) = (job.steps.get(*step)?, job.targets.get(*host)?);
            fields.extend([number("job.step", state.id), number(JOB_STATUS, run.status.0.into())]);
            fields.extend(target.host_id.map(|host| number("job.host", host)));
            fields.extend(run.tag.as_ref().map(|tag| ("job.tag".to_owned(), json!(tag))));
            fields.extend(job.request.name.as_ref().map(|name| (JOB_NAME.to_owned(), json!(name))));
            let (id, parent) = (ids::host(root, state.id, target), Some(ids::step(root, state.id)));
            News {
                root,
                id,
                parent,
                kind: Kind::HOST,
                name: target.name.clone(),
                at_us: *at_us,
                fields,
                links: Vec::new(),
                state: of_host(run),
            }
        }
    })
}

/// Failures of hosts in a step.
struct Failures {
    /// The number of hosts, with their statuses.
    text: String,
    /// `timeout` if all of them ran longer than their timeout.
    reason: Option<&'static str>,
}

/// Returns the state of the process of a job or step. `failures` are those of its hosts.
fn of_job(status: JobStatus, failures: impl FnOnce() -> Option<Failures>) -> NewState {
    let outcome = match status {
        JobStatus::WAITING => return NewState::Waiting,
        status if !status.is_finished() => return NewState::Running,
        status if status.is_passed() => Outcome::SUCCEEDED,
        JobStatus::FAILED | JobStatus::ABNORMAL => Outcome::FAILED,
        _ => Outcome::CANCELLED,
    };
    let is_failed = outcome == Outcome::FAILED;
    let failures = if is_failed { failures() } else { None };
    let reason = failures.as_ref().and_then(|failures| failures.reason).unwrap_or(status.as_str()).to_owned();
    let error = is_failed.then(|| failures.map_or_else(|| status.as_str().to_owned(), |failures| failures.text));
    NewState::Ended { outcome, reason, exit_code: None, error }
}

/// Returns the state of the process of a host.
fn of_host(run: &HostRun) -> NewState {
    let outcome = match run.status {
        HostStatus::WAITING => return NewState::Waiting,
        HostStatus::RUNNING => return NewState::Running,
        status if status.is_success() => Outcome::SUCCEEDED,
        HostStatus::STOPPED => Outcome::CANCELLED,
        _ => Outcome::FAILED,
    };
    let text = run.status.as_str();
    let error = (outcome == Outcome::FAILED).then(|| match (&run.reason, run.exit_code) {
        (Some(reason), _) => format!("{text}: {reason}"),
        (None, Some(code)) => format!("exit code {code}"),
        (None, None) => text.to_owned(),
    });
    NewState::Ended { outcome, reason: text.to_owned(), exit_code: run.exit_code, error }
}

/// Returns the failures of hosts. None if no host has failed.
fn failures(hosts: &[HostRun]) -> Option<Failures> {
    let mut counts = BTreeMap::<HostStatus, usize>::new();
    for run in hosts.iter().filter(|run| !run.status.is_open() && !run.status.is_success()) {
        *counts.entry(run.status).or_default() += 1;
    }
    let failed: usize = counts.values().sum();
    let each: Vec<_> = counts.iter().map(|(status, count)| format!("{count} {}", status.as_str())).collect();
    let reason = counts.keys().all(|status| *status == HostStatus::TIMED_OUT).then_some("timeout");
    (failed > 0).then(|| Failures { text: format!("failed on {failed} of {} hosts ({})", hosts.len(), each.join(", ")), reason })
}
