//! Jobs on many hosts: the hosts, the states of open jobs, and the engine that decides what happens next.
//!
//! Every change is stored before anything follows from it. Orders to agents are kept in memory only, because [`monitor_jobs::plan`] repeats them
//! until the agent has reported.

mod allowed;
mod book;
mod callbacks;
mod engine;
mod error;
mod follow_up;
mod hosts_file;
mod ids;
mod inventory;
mod orders;
mod output;
mod record;
mod shown;
mod signing;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use monitor_jobs::{JobRule, JobState, Target, Verdict};
use monitor_store::{JobHostRow, JobHostsQuery, JobRow, JobStore, JobsQuery, NewJob, Store, StoreError};
use monitor_store_sqlite::SqliteJobs;
use monitor_wire::{Job, JobHost, JobKeys, JobOperate, JobPreview, JobRequest, JobRunKey, JobStarted, StepStarted};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

pub(crate) use self::allowed::JobCaller;
use self::book::Book;
pub use self::callbacks::CallbackTarget;
pub(crate) use self::error::JobError;
pub(crate) use self::inventory::{is_name, mistakes_of_host};
use self::output::Outputs;
use self::record::Recorder;
pub(crate) use self::shown::{shown, shown_row};
use self::signing::Keys;
use crate::clock::Clock;
use crate::ingest::Ingest;
use crate::outgoing::Requests;

/// Time in microseconds within which requests with the same id start one job: a day.
const REQUEST_US: u64 = 86_400_000_000;
/// Maximum number of hosts.
pub(crate) const MOST_HOSTS: usize = 100_000;
/// Maximum number of hosts in all steps of a job. The states of all are in memory at once.
const MOST_RUNS: usize = 500_000;

/// Hosts and jobs of a server.
pub(crate) struct Jobs {
    store: Arc<dyn JobStore>,
    /// The store of trees, which knows the agents that have connected.
    trees: Arc<dyn Store>,
    ingest: Arc<Ingest>,
    recorder: Arc<Recorder>,
    outputs: Outputs,
    settings: Settings,
    clock: Clock,
    started_us: u64,
    stopping: CancellationToken,
    keys: Mutex<Keys>,
    /// Open jobs, and the orders to agents. Each change of a job holds this lock from its decision until it is stored and applied. Otherwise two
    /// changes could be decided for the same state.
    book: tokio::sync::Mutex<Book>,
    /// Held while hosts or saved targets are changed. It is taken before `book`.
    changing_hosts: tokio::sync::Mutex<()>,
    /// Reason why the file of hosts is not in effect.
    file_problem: Mutex<Option<String>>,
    /// Wakes the engine.
    wake: Notify,
    /// Wakes the duty that sends callbacks.
    has_callbacks: Notify,
    /// Sends callbacks.
    requests: Requests,
    /// Notifies clients that wait for a change of a job or of its output.
    changed: watch::Sender<()>,
}

/// Settings of jobs.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Data folder.
    pub(crate) data: PathBuf,
    /// Maximum number of bytes of output to keep of each run.
    pub(crate) output_bytes: u64,
    /// Time after its end at which a job is removed. None to keep all jobs.
    pub(crate) age: Option<Duration>,
    /// Rules for dangerous commands.
    pub(crate) rules: Vec<JobRule>,
    /// Addresses that callbacks may be sent to.
    pub(crate) callbacks: Vec<CallbackTarget>,
    /// File with hosts and saved targets.
    pub(crate) hosts_file: Option<PathBuf>,
}

/// The databases and files of jobs, open.
pub(crate) struct Opened {
    jobs: Arc<dyn JobStore>,
    recorder: Recorder,
    keys: Keys,
    trees: Arc<dyn Store>,
    settings: Settings,
}

impl Opened {
    /// Opens the database of jobs and creates the key. This blocks.
    pub(crate) fn open(settings: Settings, trees: Arc<dyn Store>, clock: &Clock) -> Result<Self, StoreError> {
        let is_new = !settings.data.join("jobs.db").exists();
        let jobs: Arc<dyn JobStore> = Arc::new(SqliteJobs::open(&settings.data)?);
        let recorder = Recorder::open(&settings.data, is_new, trees.clone(), jobs.clone())?;
        let keys = Keys::open(&settings.data, clock.wall_us())?;
        Ok(Self { jobs, recorder, keys, trees, settings })
    }
}

impl Jobs {
    pub(crate) fn new(opened: Opened, ingest: Arc<Ingest>, clock: Clock, stopping: CancellationToken) -> Self {
        let Opened { jobs, recorder, keys, trees, settings } = opened;
        Self {
            store: jobs,
            trees,
            ingest,
            recorder: Arc::new(recorder),
            outputs: Outputs::new(&settings.data, settings.output_bytes),
            settings,
            started_us: clock.wall_us(),
            clock,
            stopping,
            keys: Mutex::new(keys),
            book: tokio::sync::Mutex::default(),
            changing_hosts: tokio::sync::Mutex::default(),
            file_problem: Mutex::default(),
            wake: Notify::new(),
            has_callbacks: Notify::new(),
            requests: Requests::new(),
            changed: watch::Sender::new(()),
        }
    }

    /// Queries or changes the store on a thread that may block.
    async fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&dyn JobStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, JobError> {
        let jobs = self.store.clone();
        Ok(tokio::task::spawn_blocking(move || ask(&*jobs)).await??)
    }

    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the public keys that orders are signed with.
    pub(crate) fn public_keys(&self) -> JobKeys {
        JobKeys { keys: self.keys().public(self.clock.wall_us()) }
    }

    /// Replaces the key that orders are signed with. The former key signs for another day.
    pub(crate) fn rotate_key(&self) -> Result<JobKeys, StoreError> {
        let now_us = self.clock.wall_us();
        let mut keys = self.keys();
        keys.rotate(now_us)?;
        Ok(JobKeys { keys: keys.public(now_us) })
    }

    /// Checks a request and the rights of its caller, selects its hosts, and applies the rules. The request gets its defaults.
    async fn select(&self, request: &mut JobRequest, caller: &JobCaller) -> Result<(Vec<Target>, Verdict), JobError> {
        let mut mistakes = monitor_jobs::check(request).err().unwrap_or_default();
        if mistakes.is_empty()
            && let Some(url) = &request.callback_url
            && let Err(mistake) = callbacks::target(&self.settings.callbacks, url)
        {
            mistakes.push(format!("callback_url: {mistake}"));
        }
        let inventory = self.inventory().await?;
        match monitor_jobs::select(&request.targets, &inventory) {
            Ok(targets) if mistakes.is_empty() => {
                check_size(request, &targets).map_err(|mistake| JobError::Request(vec![mistake]))?;
                allowed::allow(caller, request.account.as_deref(), &targets, &inventory)?;
                let mut verdict = monitor_jobs::judge(&self.settings.rules, request).map_err(JobError::Dangerous)?;
                self.check_follow_up(request, caller, &targets, &inventory, &mut verdict)?;
                Ok((targets, verdict))
            }
            Ok(_) => Err(JobError::Request(mistakes)),
            Err(more) => Err(JobError::Request(mistakes.into_iter().chain(more).collect())),
        }
    }

    /// Returns a preview of a request: the hosts that can run it, and the reasons why others can't.
    pub(crate) async fn preview(&self, mut request: JobRequest, caller: &JobCaller) -> Result<JobPreview, JobError> {
        let (targets, verdict) = self.select(&mut request, caller).await?;
        let mut book = self.book.lock().await;
        self.load(&mut book).await?;
        let contacts = book.contacts(&targets, &request, self.started_us);
        let preview = monitor_jobs::preview(self.clock.wall_us(), &targets, &request, &contacts);
        Ok(JobPreview { warnings: verdict.warnings, ..preview })
    }

    /// Starts a job, or returns the one that an earlier request with the same id has started.
    pub(crate) async fn start(&self, mut request: JobRequest, caller: JobCaller) -> Result<JobStarted, JobError> {
        let created_us = self.clock.wall_us();
        // Hosts may have been removed since, so the targets are not selected again.
        if let Some(id) = request.request_id.clone()
            && let Some(job) = self.ask(move |jobs| jobs.job_of_request(&id, created_us.saturating_sub(REQUEST_US))).await?
        {
            self.allow_existing(&caller, &job).await?;
            return Ok(started(&job, false));
        }
        let (targets, verdict) = self.select(&mut request, &caller).await?;
        let new = NewJob { request, by: caller.name.clone(), follows: None, targets, verdict, created_us };
        let mut book = self.book.lock().await;
        self.load(&mut book).await?;
        let (job, is_new) = self.ask(move |jobs| jobs.add_job(&new, created_us.saturating_sub(REQUEST_US))).await?;
        let started = started(&job, is_new);
        if is_new {
            book.open(job);
            self.wake.notify_one();
        } else {
            drop(book);
            self.allow_existing(&caller, &job).await?;
        }
        Ok(started)
    }

    /// Returns a job.
    pub(crate) async fn job(&self, id: u64) -> Result<JobState, JobError> {
        self.ask(move |jobs| jobs.job(id)).await?.ok_or(JobError::NoJob(id))
    }

    /// Returns a page of jobs.
    pub(crate) async fn list(&self, query: JobsQuery) -> Result<Vec<JobRow>, JobError> {
        self.ask(move |jobs| jobs.jobs(&query)).await
    }

    /// Returns a page of the hosts of a job, each with its position.
    pub(crate) async fn job_hosts(&self, query: JobHostsQuery) -> Result<Vec<(u64, JobHost)>, JobError> {
        let outputs = self.outputs.clone();
        self.ask(move |jobs| {
            let rows = jobs.job_hosts(&query)?;
            Ok(rows.into_iter().map(|(place, row)| (place, host_shown(&outputs, query.job, row))).collect())
        })
        .await
    }

    /// Returns up to `limit` bytes of a run's output from an offset on, and its total number of bytes.
    pub(crate) async fn output(&self, key: JobRunKey, offset: u64, limit: u64) -> Result<(Vec<u8>, u64), JobError> {
        let outputs = self.outputs.clone();
        let read = tokio::task::spawn_blocking(move || outputs.read(&key, offset, limit));
        read.await?.map_err(JobError::Output)
    }

    /// Returns a job as a list shows it. `None` if there is no such job.
    pub(crate) async fn listed(&self, id: u64) -> Result<Option<Job>, JobError> {
        let query = JobsQuery { before: id.checked_add(1), limit: 1, ..JobsQuery::default() };
        let newest = self.list(query).await?.into_iter().next();
        Ok(newest.filter(|row| row.job.id == id).map(|row| shown_row(&row)))
    }

    /// Returns a receiver of the next change of any job or of its output.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Returns the number of bytes of output that the agent has sent until the end of a run. `None` before its end.
    pub(crate) async fn ended_output(&self, key: JobRunKey) -> Result<Option<u64>, JobError> {
        let ended = |job: &JobState| {
            let run = orders::run_of(job, &key).filter(|run| run.running_attempt() == key.attempt);
            run.map_or(Some(0), |run| Some(run.output_bytes).filter(|_| !run.status.is_open()))
        };
        let known = self.book.lock().await.job(key.job).map(ended);
        match known {
            Some(ended) => Ok(ended),
            None => Ok(ended(&self.job(key.job).await?)),
        }
    }

    /// Waits until a job has ended, at most for this time.
    pub(crate) async fn wait(&self, id: u64, wait: Duration) -> Result<JobState, JobError> {
        let patience = self.clock.sleep(wait);
        tokio::pin!(patience);
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            let is_open = self.book.lock().await.is_open(id);
            if is_open != Some(true) {
                let job = self.job(id).await?;
                if job.status.is_finished() {
                    return Ok(job);
                }
            }
            tokio::select! {
                _ = changed.changed() => {}
                () = &mut patience => return self.job(id).await,
                () = self.stopping.cancelled() => return self.job(id).await,
            }
        }
    }

    /// Carries out an operation of a user.
    pub(crate) async fn operate(&self, id: u64, operate: JobOperate, caller: &JobCaller) -> Result<JobState, JobError> {
        let mut book = self.book.lock().await;
        self.load(&mut book).await?;
        let job = self.open(&mut book, id).await?;
        self.allow_existing(caller, job).await?;
        let changes = monitor_jobs::operate(self.clock.wall_us(), job, &operate).map_err(|refusal| JobError::Refused(refusal.0))?;
        self.change(&mut book, id, changes).await?;
        self.wake.notify_one();
        book.job(id).cloned().ok_or(JobError::NoJob(id))
    }
}

/// Checks that the states of all hosts in all steps fit into memory.
fn check_size(request: &JobRequest, targets: &[Target]) -> Result<(), String> {
    let (hosts, steps) = (targets.len(), request.steps.len());
    if hosts.saturating_mul(steps) <= MOST_RUNS {
        return Ok(());
    }
    Err(format!("steps: {steps} steps on {hosts} hosts are too many: hosts times steps may be {MOST_RUNS}"))
}

/// Returns the answer to the request that started a job, or to its repetition.
fn started(job: &JobState, is_new: bool) -> JobStarted {
    let steps = job.steps.iter().zip(&job.request.steps);
    JobStarted {
        job_id: job.id,
        root_id: ids::root_of(job).to_string(),
        steps: steps.map(|(step, request)| StepStarted { step_id: step.id, name: request.name.clone().unwrap_or_default() }).collect(),
        is_repeated: !is_new,
        warnings: job.warnings.clone(),
    }
}

/// Returns a host of a job as a type of the API.
fn host_shown(outputs: &Outputs, job: u64, JobHostRow { step_id, target, run }: JobHostRow) -> JobHost {
    let key = target.host_id.map(|host| JobRunKey { job, step: step_id, host, attempt: run.running_attempt() });
    JobHost {
        step_id,
        host_id: target.host_id,
        name: target.name,
        ip: target.ip,
        cloud_id: target.cloud_id,
        status: run.status,
        attempt: run.running_attempt(),
        exit_code: run.exit_code,
        tag: run.tag,
        reason: run.reason,
        started_us: run.started_us,
        ended_us: run.ended_us,
        output_bytes: key.map_or(0, |key| outputs.length(&key)),
        omitted_bytes: run.omitted_bytes,
    }
}
