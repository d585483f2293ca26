//! Accepts or refuses orders, stores the decisions durably before they are reported, and starts the threads of accepted runs. Also ends runs that
//! the server stops, continues runs after a restart of the agent, and removes old ones.

use std::fs;
use std::sync::Arc;

use monitor_runs::{KNOWN_ACCOUNTS, Life, Run, Step, now_us};
use monitor_wire::{HostStatus, JobOrder, JobOrders, JobReportEvent, JobRunKey, SignedJobOrder};
use serde::Deserialize;

use super::store::{self, OpenRun, RunState};
use super::verdict::End;
use super::{Active, Jobs, STACK, signature};
use crate::error::AgentError;
use crate::job_policy::Account;

/// Pause between two looks at a run that is just starting.
const LOOK: std::time::Duration = std::time::Duration::from_millis(50);

/// The part of an order that all versions of its format have. It can be read even if the rest can't.
#[derive(Deserialize)]
struct Keyed {
    key: JobRunKey,
}

/// The id of the job's tree in an order. It differs between two jobs of the same number, which can exist after a restore of the server.
#[derive(Deserialize)]
struct Rooted {
    root_id: String,
}

impl Jobs {
    /// Handles an answer of the server. Returns true if a decision about an order was stored, or the end of a run was begun.
    pub(super) fn take(self: &Arc<Self>, answer: &JobOrders) -> bool {
        let mut is_new = false;
        for signed in &answer.orders {
            match self.take_order(signed) {
                Ok(is_first) => is_new |= is_first,
                Err(error) => self.log_failure(Err(error)),
            }
        }
        for key in &answer.stops {
            match self.take_stop(key) {
                Ok(is_first) => is_new |= is_first,
                Err(error) => self.log_failure(Err(error)),
            }
        }
        if is_new {
            self.unsent.notify_one();
            self.log_failure(self.start_waiting());
        }
        is_new
    }

    /// Stores the decision about an order. Returns true if the decision is new and was stored.
    fn take_order(&self, signed: &SignedJobOrder) -> Result<bool, AgentError> {
        let Ok(Keyed { key }) = serde_json::from_str(&signed.order) else {
            tracing::error!("the server has sent an order of a job without a key: it is ignored");
            return Ok(false);
        };
        if let Err(why) = signature::verify(signed, &self.policy.keys) {
            return self.refuse_unproven(&key, why);
        }
        let known = self.database().job_run(&key)?;
        if let Some((state, changed_us)) = known {
            if let Some(root) = self.other_root(&key, &signed.order)? {
                return self.refuse_other(&key, root).map(|()| false);
            }
            self.report_again(&key, state, changed_us)?;
            return Ok(false);
        }
        let now_us = now_us();
        let order: JobOrder = match serde_json::from_str(&signed.order) {
            Ok(order) => order,
            Err(error) => {
                let why = format!("this version of the agent can't read the order: {error}; update the agent");
                let root = serde_json::from_str(&signed.order).map(|Rooted { root_id }| root_id).ok();
                return self.end_unstarted(&key, root.as_deref(), u64::MAX, &End::new(HostStatus::REFUSED, why)).map(|()| true);
            }
        };
        // An order for another agent is not stored: with its row, the agent would ignore its own order with the same key.
        if order.agent != self.agent {
            return self.refuse_unproven(&key, format!("the order is for the agent {:?}, and this is {:?}", order.agent, self.agent));
        }
        if let Some((status, why)) = self.refusal(&order, now_us)? {
            tracing::warn!(run = key.run_id(), "an order of a job is refused: {why}");
            return self.end_unstarted(&key, Some(&order.root_id), order.expires_us, &End::new(status, why)).map(|()| true);
        }
        let former = self.database().accepted_attempt(&order)?;
        if let Some((former, state, changed_us)) = former {
            tracing::info!(run = key.run_id(), former = former.run_id(), "a former attempt was accepted, so the order starts nothing");
            self.report_again(&former, state, changed_us)?;
            return Ok(false);
        }
        tracing::info!(run = key.run_id(), name = order.name, by = order.by, "accepts an order of a job");
        self.database().write(|to| store::write_accepted(to, &order, Some(&signed.order), now_us))?;
        Ok(true)
    }

    /// Returns the id of the tree in an order, if the known run of its key belongs to another job.
    fn other_root(&self, key: &JobRunKey, order: &str) -> Result<Option<String>, AgentError> {
        let Ok(Rooted { root_id }) = serde_json::from_str(order) else { return Ok(None) };
        let known = self.database().job_root(key)?;
        Ok(known.is_some_and(|known| known != root_id).then_some(root_id))
    }

    /// Reports that an order is refused because this host has run another job of the same number. Its outcome must not count for this one.
    fn refuse_other(&self, key: &JobRunKey, root_id: String) -> Result<(), AgentError> {
        let mut database = self.database();
        if database.has_job_report(key)? {
            return Ok(());
        }
        let why = "this host has already run another job of this number, as after a restore of the server; start the job again";
        tracing::warn!(run = key.run_id(), "an order of a job is refused: {why}");
        let end = End::new(HostStatus::REFUSED, why.to_owned());
        database.write(|to| store::write_report_of(to, key, Some(root_id), end.at_us, end.clone().event(None, 0, 0)))?;
        self.unsent.notify_one();
        Ok(())
    }

    /// Refuses an order that may not come from the server, or is for another agent. Reports that, but stores no decision.
    fn refuse_unproven(&self, key: &JobRunKey, why: String) -> Result<bool, AgentError> {
        tracing::warn!(run = key.run_id(), "an order of a job is refused: {why}");
        self.report_unstored(key, &End::new(HostStatus::REFUSED, why)).map(|()| false)
    }

    /// Reports the end of a run that this agent does not know. Its key is not stored, so that a message without a valid signature can't
    /// prevent a valid order.
    fn report_unstored(&self, key: &JobRunKey, end: &End) -> Result<(), AgentError> {
        let mut database = self.database();
        if database.has_job_report(key)? || database.job_run(key)?.is_some() {
            return Ok(());
        }
        database.write(|to| store::write_report(to, key, end.at_us, end.clone().event(None, 0, 0)))?;
        self.unsent.notify_one();
        Ok(())
    }

    fn report_again(&self, key: &JobRunKey, state: RunState, changed_us: u64) -> Result<(), AgentError> {
        let mut database = self.database();
        if database.has_job_report(key)? {
            return Ok(());
        }
        let event = match state {
            RunState::Accepted | RunState::Started => JobReportEvent::Accepted,
            RunState::Ended(event) => event,
        };
        database.write(|to| store::write_report(to, key, changed_us, event))?;
        self.unsent.notify_one();
        Ok(())
    }

    /// Returns status and reason if the order must not be executed.
    fn refusal(&self, order: &JobOrder, now_us: u64) -> Result<Option<(HostStatus, String)>, AgentError> {
        let refused = |why: String| Ok(Some((HostStatus::REFUSED, why)));
        if order.expires_us <= now_us {
            return refused(format!("the order expired at {}, and the clock of this host shows {}", time(order.expires_us), time(now_us)));
        }
        if let Some(newest) = self.database().newest_job_attempt(&order.key)?.filter(|newest| *newest > order.key.attempt) {
            return refused(format!("the order is for attempt {}, and this host already has attempt {newest}", order.key.attempt));
        }
        let name = order.account.as_deref();
        let account = match Account::find(name) {
            Ok(Some(account)) => account,
            Ok(None) => {
                let why = name.map_or_else(
                    || "the user of the agent is unknown on this host".to_owned(),
                    |name| format!("this host has no account {name:?}{KNOWN_ACCOUNTS}"),
                );
                return Ok(Some((HostStatus::NO_ACCOUNT, why)));
            }
            Err(error) => return Ok(Some((HostStatus::NO_ACCOUNT, format!("the accounts of this host can't be read: {error}")))),
        };
        if let Some(why) = self.policy.refusal(order, &account) {
            return refused(why);
        }
        if !account.is_own && !nix::unistd::geteuid().is_root() {
            let why = format!("the agent doesn't run as root, so it can't run scripts as {:?}", account.name);
            return Ok(Some((HostStatus::NO_CREDENTIALS, why)));
        }
        Ok(None)
    }

    /// Stores the end of a run that was not started. `root` is the tree of its job, which a run that is stored already has.
    pub(super) fn end_unstarted(&self, key: &JobRunKey, root: Option<&str>, expires_us: u64, end: &End) -> Result<(), AgentError> {
        self.database().write(|to| store::write_ended(to, key, root, (end.at_us, expires_us), end.clone().event(None, 0, 0)))?;
        self.unsent.notify_one();
        Ok(())
    }

    /// Stores that a run must be ended, and begins to end it. Returns true if this call has begun it.
    fn take_stop(self: &Arc<Self>, key: &JobRunKey) -> Result<bool, AgentError> {
        let known = self.database().job_run(key)?;
        match known {
            Some((state @ RunState::Ended(_), changed_us)) => self.report_again(key, state, changed_us).map(|()| false),
            Some(_) => {
                self.database().write(|to| store::write_stopped(to, key))?;
                Ok(self.stop(key))
            }
            None => {
                // Stops are not signed.
                let end = End::lost("this agent has no record of the run: its database was lost, or it never got the order");
                self.report_unstored(key, &end).map(|()| false)
            }
        }
    }

    /// Begins to end a run. Returns true if this call has begun it.
    fn stop(self: &Arc<Self>, key: &JobRunKey) -> bool {
        if !self.active().stopping.insert(*key) {
            return false;
        }
        let (jobs, key) = (self.clone(), *key);
        let work = move || {
            let failed = jobs.end_script(&key).unwrap_or_else(|error| Some(error.to_string()));
            jobs.active().stopping.remove(&key);
            if let Some(reason) = failed {
                tracing::error!(run = key.run_id(), reason, "a run can't be ended");
                let written = jobs.database().write(|to| store::write_report(to, &key, now_us(), JobReportEvent::NotStopped { reason }));
                jobs.log_failure(written);
                jobs.unsent.notify_one();
            }
        };
        let spawned = std::thread::Builder::new().stack_size(STACK).spawn(work);
        let failed = |error: &std::io::Error| {
            // The server repeats the stop.
            self.active().stopping.remove(&key);
            tracing::error!(run = key.run_id(), %error, "the agent has no thread to end a run: it tries again");
        };
        spawned.inspect_err(failed).is_ok()
    }

    /// Ends the script of a run. Returns when the run has ended, or the reason why it can't be ended.
    fn end_script(&self, key: &JobRunKey) -> Result<Option<String>, AgentError> {
        loop {
            if matches!(self.database().job_run(key)?, None | Some((RunState::Ended(_), _))) {
                return Ok(None);
            }
            match Run::open(self.folder(key)) {
                Ok(run) if matches!(run.life(), Life::Running | Life::Unwatched) => {
                    return Ok(match run.kill(false) {
                        Ok(Life::Running | Life::Unwatched) => Some("its processes don't end, not even by SIGKILL".to_owned()),
                        Ok(_) => None,
                        Err(error) => Some(monitor_http::with_causes(&error)),
                    });
                }
                Ok(run) if run.step() > Step::Claimed => return Ok(None),
                // The run's thread does not start a stopped run, and ends it in the database.
                Ok(_) | Err(_) => std::thread::sleep(LOOK),
            }
        }
    }

    /// Continues the runs of an earlier process of this agent, and ends those that the server has stopped.
    pub(super) fn recover(self: &Arc<Self>) -> Result<(), AgentError> {
        for entry in fs::read_dir(&self.runs).into_iter().flatten().flatten() {
            let Some(key) = entry.file_name().to_str().and_then(key_of) else { continue };
            if self.database().job_run(&key)?.is_none() && entry.path().join("spec.json").exists() {
                tracing::warn!(run = key.run_id(), "the database has no record of a run with a folder: it is followed");
                self.database().write(|to| store::write_found(to, &key, now_us()))?;
            }
        }
        let open = self.database().open_job_runs()?;
        self.scripts.remove_others(|run| open.iter().any(|open| open.key.run_id() == run));
        for run in open {
            let is_stopped = self.database().is_job_stopped(&run.key)?;
            if self.has_begun(&run) {
                self.spawn(&run, &mut self.active());
            }
            if is_stopped {
                self.stop(&run.key);
            }
        }
        Ok(())
    }

    /// Returns true if the script of a run may have been started.
    fn has_begun(&self, run: &OpenRun) -> bool {
        run.is_started || self.folder(&run.key).join("spec.json").exists()
    }

    /// Starts accepted runs, oldest first, as long as the owner's maximum permits, and ends those that have been stopped or have expired. A run
    /// that has begun is followed: an error, such as that of a full disk, can have prevented it before.
    pub(super) fn start_waiting(self: &Arc<Self>) -> Result<(), AgentError> {
        // A run ends in the database before it is removed from the followed ones. With this lock, the list has no ended run that looks as if
        // nothing followed it.
        let mut active = self.active();
        let open = self.database().open_job_runs()?;
        let mut stopped = Vec::new();
        for run in open {
            if active.followed.contains(&run.key) {
                continue;
            }
            let is_stopped = self.database().is_job_stopped(&run.key)?;
            if self.has_begun(&run) {
                self.spawn(&run, &mut active);
                stopped.extend(is_stopped.then_some(run.key));
            } else if is_stopped {
                let end = End { reason: None, ..End::new(HostStatus::STOPPED, "") };
                self.end_unstarted(&run.key, None, run.expires_us, &end)?;
            } else if run.expires_us <= now_us() {
                self.end_unstarted(&run.key, None, run.expires_us, &End::new(HostStatus::JOB_TIME_OVER, super::run::TOO_LATE))?;
            } else if active.running.len() < self.policy.max_runs as usize {
                self.spawn(&run, &mut active);
            }
        }
        drop(active);
        for key in stopped {
            self.stop(&key);
        }
        Ok(())
    }

    /// Starts the thread of a run.
    fn spawn(self: &Arc<Self>, run: &OpenRun, active: &mut Active) {
        let (jobs, key, open) = (self.clone(), run.key, run.clone());
        match std::thread::Builder::new().stack_size(STACK).spawn(move || jobs.see_through(&open)) {
            Ok(_) => {
                active.followed.insert(key);
                active.running.insert(key);
            }
            Err(error) => tracing::error!(run = key.run_id(), %error, "the agent has no thread for a run: it waits"),
        }
    }

    /// Removes the folders and rows of old runs.
    pub(super) fn tidy(&self) -> Result<(), AgentError> {
        let keys = self.database().job_runs_to_forget(now_us())?;
        for key in keys {
            match Run::open(self.folder(&key)).map(|run| run.remove()) {
                Ok(Err(error)) => {
                    tracing::warn!(run = key.run_id(), %error, "the folder of an old run can't be removed: remove it by hand");
                }
                Ok(Ok(())) | Err(_) => self.database().write(|to| store::drop_run(to, &key))?,
            }
        }
        Ok(())
    }
}

/// Reads the name of a run's folder.
fn key_of(name: &str) -> Option<JobRunKey> {
    let mut numbers = name.strip_prefix("job-")?.split('-').map(str::parse::<u64>);
    let mut next = || numbers.next()?.ok();
    let key = JobRunKey { job: next()?, step: next()?, host: next()?, attempt: u32::try_from(next()?).ok()? };
    (key.run_id() == name).then_some(key)
}

fn time(us: u64) -> String {
    i64::try_from(us).ok().and_then(|us| jiff::Timestamp::from_microsecond(us).ok()).map_or_else(|| us.to_string(), |time| time.to_string())
}
