//! Follows a job until it ends, or until the time to wait is over.

use std::collections::HashSet;
use std::io::{IsTerminal as _, Write as _};
use std::ops::ControlFlow;
use std::time::Duration;

use monitor_api::{Client, Error};
use monitor_wire::{HostStatus, Job, JobHost, JobStatus};
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use super::text::{current, ended, failed_of, job_words, summary};
use super::{all_hosts, failures, typed};
use crate::client::{Connection, print_json};
use crate::commands::stop_signals::StopSignals;
use crate::exit::JobNotDone;
use crate::text::{counted, fit, now_us, terminal_width, visible};

/// Interval at which the shown state is updated.
const PERIOD: Duration = Duration::from_secs(1);
/// Maximum number of hosts that a message names.
const NAMED: usize = 10;

/// Time to wait for the end of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    /// Until the job ends.
    None,
    /// At most this time.
    Time(Duration),
    /// At most this number of intervals.
    Polls(u32, Duration),
}

impl Limit {
    fn time(self) -> Option<Duration> {
        match self {
            Self::None => None,
            Self::Time(time) => Some(time),
            Self::Polls(polls, interval) => Some(interval.saturating_mul(polls)),
        }
    }

    fn words(self) -> String {
        match self {
            Self::None => String::new(),
            Self::Time(time) => typed(time),
            Self::Polls(polls, interval) => format!("{} of {}", counted(polls.into(), "poll"), typed(interval)),
        }
    }
}

/// Follows a job and prints its progress; then prints the failed hosts, or the whole job with `--json`.
///
/// # Errors
/// If the job has ended and a host did not succeed, if the time to wait is over, or after a stop signal. The job continues in the latter cases.
pub(super) fn follow(connection: &Connection, job: u64, limit: Limit) -> anyhow::Result<()> {
    let client = connection.client()?;
    let follower = Follower { client, job, progress: Progress::of(connection.json), seen: HashSet::new(), shown: None, is_told: false };
    connection.wait(async { Ok(follower.run(limit).await) })?
}

/// Returns a decision for [`monitor_api::Call::send_again`]: the request is repeated while the server is away, and the reason is printed once.
pub(super) fn while_away() -> impl FnMut(&Error, Duration) -> ControlFlow<()> {
    let mut is_said = false;
    move |error, _| {
        if !std::mem::replace(&mut is_said, true) {
            let _ = writeln!(anstream::stderr(), "monitor: trying again: {}", visible(&error.to_string()));
        }
        ControlFlow::Continue(())
    }
}

/// Form of the output while a job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// A line with the counts of hosts, which is overwritten.
    Live,
    /// A line for each host that has ended.
    Lines,
    /// JSON at the end.
    Json,
}

impl Progress {
    fn of(is_json: bool) -> Self {
        match (is_json, std::io::stdout().is_terminal()) {
            (true, _) => Self::Json,
            (false, true) => Self::Live,
            (false, false) => Self::Lines,
        }
    }
}

struct Follower<'a> {
    client: &'a Client,
    job: u64,
    progress: Progress,
    /// Hosts whose end was printed.
    seen: HashSet<(u64, String, u32, HostStatus)>,
    /// Statuses and counts of the steps that were shown last.
    shown: Option<Job>,
    /// True if the user was asked for a decision, and has not made it yet.
    is_told: bool,
}

impl Follower<'_> {
    async fn run(mut self, limit: Limit) -> anyhow::Result<()> {
        let mut signals = StopSignals::watch()?;
        let deadline = limit.time().map(|time| Instant::now() + time);
        loop {
            let until = Instant::now() + deadline.map_or(PERIOD, |deadline| deadline.duration_since(Instant::now()).min(PERIOD));
            let call = self.client.wait_job(self.job, until.duration_since(Instant::now()));
            let job = tokio::select! {
                job = call.send_again(while_away()) => job?,
                () = signals.next() => return self.left(),
            };
            self.show(&job).await?;
            if job.status.is_finished() {
                return self.ended(&job).await;
            }
            // A server that answers early must not be asked without a pause.
            tokio::select! {
                () = sleep_until(until) => {}
                () = signals.next() => return self.left(),
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return self.timed_out(&job, limit).await;
            }
        }
    }

    /// Shows the current state of the job, if it has changed.
    async fn show(&mut self, job: &Job) -> anyhow::Result<()> {
        match self.progress {
            Progress::Json => return Ok(()),
            Progress::Live => {
                let columns = terminal_width().unwrap_or(80) - 1;
                let mut out = std::io::stdout().lock();
                write!(out, "\r{}\x1b[K", fit(&summary(job, now_us()), columns))?;
                out.flush()?;
            }
            Progress::Lines => {
                let is_same = self.shown.as_ref().is_some_and(|shown| shown.steps == job.steps);
                if !is_same {
                    self.print_ended().await?;
                    self.shown = Some(job.clone());
                }
            }
        }
        let needs_user = matches!(job.status, JobStatus::NEEDS_USER | JobStatus::NEXT_BATCH);
        if needs_user && !self.is_told {
            self.clear()?;
            let id = self.job;
            let has_begun = current(job).is_some_and(|step| step.started_us.is_some());
            let ways = if has_begun {
                format!("`monitor job continue {id}`, `retry {id}`, `ignore {id}`, `skip {id}` or `stop {id}`")
            } else {
                format!("`monitor job confirm {id}` or `refuse {id}`")
            };
            writeln!(anstream::stderr(), "monitor: job {id} waits for a user: {ways}")?;
        }
        self.is_told = needs_user;
        Ok(())
    }

    /// Prints the hosts that have ended since the last call.
    async fn print_ended(&mut self) -> anyhow::Result<()> {
        let hosts = all_hosts(self.client, self.job, None).await?;
        let mut out = anstream::stdout().lock();
        for host in hosts.iter().filter(|host| !host.status.is_open()) {
            if self.seen.insert((host.step_id, host.name.clone(), host.attempt, host.status)) {
                write!(out, "{}", ended(host, now_us()))?;
            }
        }
        Ok(out.flush()?)
    }

    /// Removes the live line.
    fn clear(&self) -> anyhow::Result<()> {
        if self.progress == Progress::Live {
            let mut out = std::io::stdout().lock();
            write!(out, "\r\x1b[K")?;
            out.flush()?;
        }
        Ok(())
    }

    fn left(&self) -> anyhow::Result<()> {
        self.clear()?;
        Err(JobNotDone::Left { job: self.job }.into())
    }

    /// Prints the outcome of a job that has ended.
    async fn ended(&self, job: &Job) -> anyhow::Result<()> {
        self.clear()?;
        let step = current(job);
        let hosts = all_hosts(self.client, self.job, step.map(|step| step.step_id)).await?;
        let (all, failed) = step.map_or((0, 0), failed_of);
        if self.progress == Progress::Json {
            print_json(&json!({"job": job, "hosts": hosts}))?;
        } else {
            failures::print(self.client, job.job_id, &hosts).await?;
        }
        if job.status == JobStatus::SUCCEEDED {
            if self.progress != Progress::Json {
                writeln!(anstream::stdout(), "{}", summary(job, now_us()))?;
            }
            return Ok(());
        }
        let hosts = format!("{failed} of {} did not succeed", counted(all.into(), "host"));
        let hint = if failed > 0 { format!("; `monitor job retry {}` starts them again", job.job_id) } else { String::new() };
        Err(JobNotDone::Failed(format!("job {} {}: {hosts}{hint}", job.job_id, job_words(job.status))).into())
    }

    async fn timed_out(&self, job: &Job, limit: Limit) -> anyhow::Result<()> {
        self.clear()?;
        let hosts = all_hosts(self.client, self.job, current(job).map(|step| step.step_id)).await?;
        if self.progress == Progress::Json {
            print_json(&json!({"job": job, "hosts": hosts}))?;
        }
        Err(JobNotDone::TimedOut { after: limit.words(), hosts: still_running(&hosts) }.into())
    }
}

/// Names the hosts that have not ended: `3 of 50 hosts are still running: a, b, c`.
fn still_running(hosts: &[JobHost]) -> String {
    let open: Vec<&str> = hosts.iter().filter(|host| host.status.is_open()).map(|host| host.name.as_str()).collect();
    let names = open[..open.len().min(NAMED)].join(", ");
    let more = if open.len() > NAMED { format!(" and {} more", open.len() - NAMED) } else { String::new() };
    let verb = if open.len() == 1 { "is" } else { "are" };
    let of = counted(hosts.len() as u64, "host");
    if open.is_empty() {
        format!("0 of {of} are still running, and the job has not ended")
    } else {
        format!("{} of {of} {verb} still running: {names}{more}", open.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::job::text::tests::a_host;

    #[test]
    fn a_timeout_names_the_hosts_that_run() {
        let hosts = |running: usize| {
            let status = |at: usize| if at < running { HostStatus::RUNNING } else { HostStatus::SUCCEEDED };
            (0..50).map(|at| a_host(&format!("h{at}"), status(at))).collect::<Vec<_>>()
        };
        assert_eq!(still_running(&hosts(3)), "3 of 50 hosts are still running: h0, h1, h2");
        assert_eq!(still_running(&hosts(1)), "1 of 50 hosts is still running: h0");
        assert!(still_running(&hosts(12)).ends_with("h8, h9 and 2 more"));
        assert_eq!(still_running(&hosts(0)), "0 of 50 hosts are still running, and the job has not ended");
        assert_eq!(Limit::Polls(5, Duration::from_secs(20)).words(), "5 polls of 20s");
        assert_eq!(Limit::Polls(5, Duration::from_secs(20)).time(), Some(Duration::from_secs(100)));
        assert_eq!(Limit::Time(Duration::from_secs(90)).words(), "1m30s");
    }
}
