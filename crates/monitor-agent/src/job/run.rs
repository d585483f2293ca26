//! Starts a run and follows it to its end, in a thread of its own.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use monitor_http::with_causes;
use monitor_runs::{Follower, KNOWN_ACCOUNTS, Life, Run, RunError, Secret, Spec, Step, now_us};
use monitor_wire::{Backoff, HostStatus, JobOrder, SecretSource};

use super::output::{Sending, tag};
use super::store::{self, OpenRun};
use super::verdict::End;
use super::{FIRST_PAUSE, Jobs, LONGEST_PAUSE, interpreter};
use crate::job_policy::Account;

/// Reason for a run that was not started in time.
pub(super) const TOO_LATE: &str = "the order expired before the script could begin";
/// Field of the process with the interpreter that replaces a missing one.
const INTERPRETER: &str = "job.interpreter";
/// File with messages of the launcher in a run's folder. They are no part of the script's output.
const LAUNCHERS_LOG: &str = "launcher.log";
/// Poll interval for a run whose launcher is just starting or ending.
const LOOK: Duration = Duration::from_millis(50);
/// Delay before a new launcher replaces a launcher that was killed before it started the script.
const PAUSE: Duration = Duration::from_millis(500);
/// Minimum time between two requests with output of a run.
const OUTPUT_INTERVAL: Duration = Duration::from_millis(200);

impl Jobs {
    /// Starts a run if it was not started, follows it to its end, and sends its output and its end.
    pub(super) fn see_through(self: &Arc<Self>, run: &OpenRun) {
        let (key, folder) = (run.key, self.folder(&run.key));
        let mut sending = Sending {
            agent: self.agent.clone(),
            key,
            root_id: self.database().job_root(&key).unwrap_or_default(),
            folder: folder.clone(),
            client: self.client.clone(),
            runtime: self.runtime.clone(),
            most: 0,
            sent: 0,
        };
        let end = self.until_end(run, &mut sending);
        self.scripts.remove(&key.run_id());
        self.active().running.remove(&key);
        self.log_failure(self.start_waiting());
        tracing::info!(
            run = key.run_id(),
            status = end.status.0,
            exit_code = end.exit_code,
            reason = end.reason,
            "the script of a job has ended"
        );
        let amounts = sending.finish();
        let (at_us, event) = (end.at_us, end.event(tag(&folder), amounts.sent, amounts.omitted));
        let mut backoff = Backoff::default();
        loop {
            let written = self.database().write(|to| store::write_ended(to, &key, None, (at_us, run.expires_us), event.clone()));
            let is_written = written.is_ok();
            self.log_failure(written);
            if is_written {
                break;
            }
            std::thread::sleep(backoff.next(FIRST_PAUSE, LONGEST_PAUSE));
        }
        self.unsent.notify_one();
        self.active().followed.remove(&key);
    }

    /// Returns the end of a run.
    fn until_end(&self, run: &OpenRun, sending: &mut Sending) -> End {
        let folder = self.folder(&run.key);
        let mut is_started = run.is_started;
        loop {
            if !folder.join("spec.json").exists() {
                if is_started {
                    return End::lost("the folder of the run was removed, so how it ended is unknown");
                }
                if let Some(end) = self.hindrance(run) {
                    return end;
                }
                if let Err(end) = self.ask(run) {
                    return end;
                }
            }
            let Ok(found) = Run::open(folder.clone()) else {
                return End::lost("the folder of the run can't be read, so how it ended is unknown");
            };
            sending.most = found.spec().map_or(0, |spec| spec.log_bytes);
            if found.step() > Step::Claimed || matches!(found.life(), Life::Running | Life::Unwatched | Life::Ended(_)) {
                match self.follow(run, &found, &mut is_started, sending) {
                    Some(end) => return end,
                    None => continue,
                }
            }
            if !found.give_back().unwrap_or(false) {
                std::thread::sleep(LOOK);
                continue;
            }
            if let Some(end) = self.hindrance(run) {
                return end;
            }
            if let Err(end) = self.launch(run, &found) {
                return end;
            }
        }
    }

    /// Returns the end of a run that must not be started any more.
    fn hindrance(&self, run: &OpenRun) -> Option<End> {
        if self.database().is_job_stopped(&run.key).unwrap_or(false) {
            return Some(End { reason: None, ..End::new(HostStatus::STOPPED, "") });
        }
        (run.expires_us <= now_us()).then(|| End::new(HostStatus::JOB_TIME_OVER, TOO_LATE))
    }

    /// Creates the folder of a run.
    fn ask(&self, run: &OpenRun) -> Result<(), End> {
        let unable = |why: String| End::new(HostStatus::NOT_STARTED, why);
        let Some(order) = &run.order else { return Err(End::lost("the order of the run can't be read any more")) };
        let id = run.key.run_id();
        let spec = self.spec(order)?;
        monitor_runs::forget_unasked(&self.runs, &id).map_err(|error| unable(format!("the folder of the run can't be made: {error}")))?;
        monitor_runs::ask(&self.runs, &spec).map(drop).map_err(|error| unable(with_causes(&error)))
    }

    /// Starts the launcher of a run. Returns the end of the run if it can't be started.
    fn launch(&self, run: &OpenRun, found: &Run) -> Result<(), End> {
        let unable = |why: String| End::new(HostStatus::NOT_STARTED, why);
        let Some(order) = &run.order else { return Err(End::lost("the order of the run can't be read any more")) };
        let account = account(order)?;
        let path = self.scripts.path(&run.key.run_id(), &account, order.language);
        self.scripts
            .write(&path, &account, &order.script)
            .map_err(|error| unable(format!("{} can't be written: {error}", path.display())))?;
        let parent = [("MONITOR_ROOT_ID", order.root_id.as_str()), ("MONITOR_PARENT_ID", order.process_id.as_str())];
        let env = self.env.iter().map(|(name, value)| (*name, value.as_os_str()));
        let env = env.chain(parent.map(|(name, value)| (name, value.as_ref())));
        match monitor_runs::launch_with_log(&self.monitor, &found.folder, LAUNCHERS_LOG, env) {
            Ok(_) => Ok(()),
            Err(RunError::LauncherKilled { .. }) => {
                std::thread::sleep(PAUSE);
                Ok(())
            }
            // The launcher may have recorded the reason, or another launcher may have claimed the run.
            Err(_) if matches!(found.life(), Life::Running | Life::Unwatched | Life::Ended(_)) => Ok(()),
            Err(RunError::NotStarted { message, .. }) => Err(unable(message)),
            Err(error) => Err(unable(with_causes(&error))),
        }
    }

    /// Follows a run that a launcher has claimed. Returns `None` if the launcher was killed before it started the script.
    fn follow(&self, run: &OpenRun, found: &Run, is_started: &mut bool, sending: &mut Sending) -> Option<End> {
        let mut follower = Follower::of_output(found);
        let (mut backoff, mut next_send) = (Backoff::default(), Instant::now());
        loop {
            let life = found.life();
            let has_begun = match &life {
                Life::Ended(outcome) => outcome.attempts > 0 && outcome.error.is_none(),
                Life::Asked | Life::Lost | Life::Running | Life::Unwatched => found.step() > Step::Executing(u32::MAX),
            };
            if has_begun && !*is_started {
                *is_started = true;
                self.store_started(run, found);
            }
            match life {
                Life::Ended(outcome) => {
                    let is_stopped = self.database().is_job_stopped(&run.key).unwrap_or(false);
                    return Some(End::of(&outcome, is_stopped));
                }
                Life::Asked | Life::Lost if found.step() <= Step::Claimed => return None,
                Life::Lost => return Some(End::lost("its launcher and helper were killed, so nobody saw how it ended")),
                Life::Asked | Life::Running | Life::Unwatched => {}
            }
            if next_send <= Instant::now() {
                match sending.send_new() {
                    Ok(is_new) => {
                        backoff.reset();
                        next_send = Instant::now() + if is_new { OUTPUT_INTERVAL } else { Duration::ZERO };
                    }
                    Err(error) => {
                        tracing::debug!(run = run.key.run_id(), "output can't be sent: {}", error.causes());
                        next_send = Instant::now() + backoff.next(FIRST_PAUSE, LONGEST_PAUSE);
                    }
                }
            }
            let pause = next_send.saturating_duration_since(Instant::now());
            follower.wait((!pause.is_zero()).then_some(pause));
        }
    }

    fn store_started(&self, run: &OpenRun, found: &Run) {
        let started_us = Run::open(found.folder.clone()).map_or(0, |run| run.state.started_us);
        let at_us = if started_us == 0 { now_us() } else { started_us };
        let interpreter = found.spec().ok().and_then(|spec| spec.fields.get(INTERPRETER).cloned());
        self.log_failure(self.database().write(|to| store::write_started(to, &run.key, at_us, interpreter)));
        self.unsent.notify_one();
    }

    /// Builds the command of an order.
    fn spec(&self, order: &JobOrder) -> Result<Spec, End> {
        let account = account(order)?;
        let found = interpreter::find(&order.script, order.language).map_err(|why| End::new(HostStatus::NOT_STARTED, why))?;
        let id = order.key.run_id();
        let script = self.scripts.path(&id, &account, order.language);
        let command = found.command.into_iter().chain([script.into()]).chain(order.args.iter().map(Into::into));
        let own: [(&str, String); 6] = [
            ("job.id", order.key.job.to_string()),
            ("job.step", order.key.step.to_string()),
            ("job.host", order.key.host.to_string()),
            ("job.attempt", order.key.attempt.to_string()),
            ("job.by", order.by.clone()),
            ("job.account", account.name.clone()),
        ];
        let replaced = found.replacement.map(|name| (INTERPRETER, name));
        let secret = |source: &SecretSource| match source {
            SecretSource::File(path) => Secret::UserFile(path.into()),
            SecretSource::Env(name) => Secret::Env(name.clone()),
        };
        Ok(Spec {
            id: Some(id),
            name: Some(order.name.clone()),
            kind: Some("script".to_owned()),
            fields: own.into_iter().chain(replaced).map(|(name, value)| (name.to_owned(), value)).collect(),
            mask: if order.is_param_sensitive { vec!["*".to_owned()] } else { Vec::new() },
            cwd: Some(if account.home.is_dir() { account.home.clone() } else { "/".into() }),
            user: (!account.is_own).then(|| account.name.clone()),
            clean_env: true,
            env: order.env.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            secrets: order.secrets.iter().map(|(name, source)| (name.clone(), secret(source))).collect(),
            timeout: Some(Duration::from_secs(order.timeout_s.max(1))),
            log_bytes: order.output_bytes,
            start_again: true,
            ..Spec::new(command)
        })
    }
}

/// Returns the account of an order, which may have been removed since the order was accepted.
fn account(order: &JobOrder) -> Result<Account, End> {
    let none = |why: String| End::new(HostStatus::NO_ACCOUNT, why);
    let found = Account::find(order.account.as_deref()).map_err(|error: io::Error| none(format!("the accounts can't be read: {error}")))?;
    found.ok_or_else(|| none(format!("this host has no account {:?}{KNOWN_ACCOUNTS}", order.account.as_deref().unwrap_or_default())))
}
