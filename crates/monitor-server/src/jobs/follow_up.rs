//! Jobs that start after another one has failed: `then.failed.job` in its request. They are checked when the first job is created.

use monitor_jobs::{Inventory, JobState, Target, Verdict};
use monitor_store::{JobStore, NewJob};
use monitor_wire::{JobRequest, JobStatus, Targets};

use super::allowed::{JobCaller, allow};
use super::{JobError, Jobs, callbacks, check_size};

/// Path of the job in the request of the failed one.
const PATH: &str = "then.failed.job";

impl Jobs {
    /// Checks the job that may follow a request with these targets, and the rights of the caller. The job itself starts without a caller, so its
    /// targets are resolved now. Adds the server's warnings to `verdict`.
    pub(super) fn check_follow_up(
        &self,
        request: &mut JobRequest,
        caller: &JobCaller,
        targets: &[Target],
        inventory: &Inventory,
        verdict: &mut Verdict,
    ) -> Result<(), JobError> {
        let next = request.then.as_mut().and_then(|then| then.failed.as_mut()).and_then(|failed| failed.job.as_mut());
        let Some(next) = next else { return Ok(()) };
        let at = |mistake: &String| format!("{PATH}.{mistake}");
        if let Some(url) = &next.callback_url {
            let mistake = |mistake| JobError::Request(vec![format!("{PATH}.callback_url: {mistake}")]);
            callbacks::target(&self.settings.callbacks, url).map_err(mistake)?;
        }
        let mistakes = |mistakes: Vec<String>| JobError::Request(mistakes.iter().map(at).collect());
        let hosts = if next.targets == Targets::default() {
            targets.to_vec()
        } else {
            let own = monitor_jobs::select(&next.targets, inventory).map_err(mistakes)?;
            // Later, a host could get this name, and nobody would have checked the caller's rights for it.
            if let Some(unknown) = own.iter().find(|target| target.host_id.is_none()) {
                let why =
                    format!("targets: `{}` is unknown: a job that follows another one runs only on hosts that are known now", unknown.name);
                return Err(mistakes(vec![why]));
            }
            next.targets = numbered(&own);
            own
        };
        check_size(next, &hosts).map_err(|mistake| mistakes(vec![mistake]))?;
        allow(caller, next.account.as_deref(), &hosts, inventory)?;
        let refused = |refused: Vec<String>| JobError::Dangerous(refused.iter().map(at).collect());
        let judged = monitor_jobs::judge(&self.settings.rules, next).map_err(refused)?;
        verdict.warnings.extend(judged.warnings.iter().map(at));
        Ok(())
    }

    /// Starts the jobs that follow failed ones, each once.
    pub(super) async fn follow_up(&self) -> Result<(), JobError> {
        for id in self.ask(JobStore::jobs_to_follow).await? {
            // Held so that no user retries the job meanwhile.
            let mut book = self.book.lock().await;
            let job = self.job(id).await?;
            if job.status != JobStatus::FAILED {
                continue;
            }
            match self.next_job(&job).await {
                Ok(new) => {
                    let (next, is_new) = self.ask(move |jobs| jobs.add_job(&new, 0)).await?;
                    if is_new {
                        tracing::info!(job = id, next = next.id, "a job follows one that has failed");
                        book.open(next);
                        self.wake.notify_one();
                    }
                }
                Err(error @ (JobError::Request(_) | JobError::Dangerous(_))) => {
                    let reason = format!("No job follows: {error}");
                    tracing::warn!(job = id, "{reason}");
                    self.ask(move |jobs| jobs.refuse_follow_up(id, &reason)).await?;
                }
                Err(error) => return Err(error),
            }
            self.changed.send_replace(());
        }
        Ok(())
    }

    /// Returns the job that follows one that has failed.
    async fn next_job(&self, job: &JobState) -> Result<NewJob, JobError> {
        let mistake = |why: &str| JobError::Request(vec![format!("{PATH}{why}")]);
        let mut request = job.request.follow_up().cloned().ok_or_else(|| mistake(": it is missing"))?;
        let inventory = self.inventory().await?;
        // A host that was removed meanwhile becomes a target without a host, so the job reports it.
        let current = |target: Target| target.host_id.and_then(|id| inventory.target(id)).unwrap_or(Target { host_id: None, ..target });
        let targets: Vec<Target> = if request.targets == Targets::default() {
            let failed = failed(job);
            request.targets = numbered(&failed);
            failed.into_iter().map(current).collect()
        } else {
            request.targets.hosts.iter().map(|number| current(Target { host_id: number.parse().ok(), ..unknown(number) })).collect()
        };
        if targets.is_empty() {
            return Err(mistake(".targets: no known host has failed"));
        }
        // The rules can have changed since.
        let verdict = monitor_jobs::judge(&self.settings.rules, &request).map_err(JobError::Dangerous)?;
        let created_us = self.clock.wall_us();
        Ok(NewJob { request, by: job.by.clone(), follows: Some(job.id), targets, verdict, created_us })
    }
}

/// Returns the known hosts that have failed in the step that has ended the job.
fn failed(job: &JobState) -> Vec<Target> {
    let Some(step) = job.steps.iter().find(|step| !step.status.is_passed()) else { return Vec::new() };
    let has_failed = step.hosts.iter().map(|run| !run.status.is_open() && !run.status.is_success());
    let failed = job.targets.iter().zip(has_failed).filter(|(target, has_failed)| *has_failed && target.host_id.is_some());
    failed.map(|(target, _)| target.clone()).collect()
}

/// Returns a selection of these hosts by their numbers.
fn numbered(targets: &[Target]) -> Targets {
    let hosts = targets.iter().filter_map(|target| target.host_id).map(|id| id.to_string()).collect();
    Targets { hosts, ..Targets::default() }
}

fn unknown(name: &str) -> Target {
    Target { host_id: None, name: name.to_owned(), ip: None, cloud_id: 0 }
}
