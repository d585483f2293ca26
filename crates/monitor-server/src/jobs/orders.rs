//! Messages between the server and the agents of hosts: orders, reports and output.

use std::time::Duration;

use monitor_jobs::{HostRun, JobState, ORDER_TTL_US, timeout_s};
use monitor_wire::{JobOrder, JobOrders, JobReport, JobRunKey, SignedJobOrder};

use super::book::{Book, Message};
use super::output::Unwritten;
use super::{JobError, Jobs, ids};

/// Longest time that a request for orders waits. A waiting agent counts as connected from its last request, so it must be less than the time
/// after which an agent counts as lost.
const LONGEST_WAIT: Duration = Duration::from_micros(monitor_jobs::HEARTBEAT_US);
/// Pause before a message that the agent has not answered is sent again.
const REPEAT: Duration = Duration::from_secs(5);
/// Maximum number of messages in an answer.
const MOST_MESSAGES: usize = 32;
/// Number of bytes of orders from which on an answer gets no further ones. It can have twice as many, because one order has up to 8 MiB.
const MOST_ORDER_BYTES: usize = 8 << 20;

impl Jobs {
    /// Returns the orders for an agent. Waits until there are some, at most for this time.
    pub(crate) async fn orders(&self, agent: &str, wait: Duration) -> Result<JobOrders, JobError> {
        let until = self.clock.running() + wait.min(LONGEST_WAIT);
        self.meet(agent).await?;
        loop {
            let now = self.clock.running();
            let (orders, mail) = {
                let mut book = self.book.lock().await;
                let mail = book.mail(agent, MOST_MESSAGES, now, REPEAT);
                let (orders, left) = self.signed(&book, agent, &mail.messages);
                book.put_back(agent, &left);
                (orders, mail)
            };
            if !mail.messages.is_empty() || now >= until {
                return Ok(orders);
            }
            let mut changed = mail.changed;
            tokio::select! {
                _ = changed.changed() => {}
                () = self.clock.sleep_until(mail.repeat.map_or(until, |repeat| repeat.min(until))) => {}
                () = self.stopping.cancelled() => return Ok(JobOrders::default()),
            }
        }
    }

    /// Notes that an agent is connected, and makes it a host if it isn't one.
    async fn meet(&self, agent: &str) -> Result<(), JobError> {
        let (mut book, now_us) = (self.book.lock().await, self.clock.wall_us());
        self.load(&mut book).await?;
        if !book.is_host(agent) {
            let name = agent.to_owned();
            self.ask(move |jobs| jobs.meet_host(&name, now_us)).await?;
            book.add_host(agent.to_owned());
        }
        book.meet(agent, now_us);
        if book.next_us() == Some(0) {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Returns the answer with these messages, and the runs whose orders no longer fit.
    fn signed(&self, book: &Book, agent: &str, messages: &[(JobRunKey, Message)]) -> (JobOrders, Vec<JobRunKey>) {
        let (mut orders, mut left, mut bytes) = (JobOrders::default(), Vec::new(), 0);
        for (key, message) in messages {
            match message {
                Message::Stop => orders.stops.push(*key),
                Message::Run if bytes >= MOST_ORDER_BYTES => left.push(*key),
                Message::Run => {
                    let order = book.job(key.job).and_then(|job| self.order(job, agent, *key));
                    bytes += order.as_ref().map_or(0, |order| order.order.len());
                    orders.orders.extend(order);
                }
            }
        }
        (orders, left)
    }

    /// Returns the signed order of a run.
    fn order(&self, job: &JobState, agent: &str, key: JobRunKey) -> Option<SignedJobOrder> {
        let step = job.steps.iter().position(|step| step.id == key.step)?;
        let host = job.targets.iter().position(|target| target.host_id == Some(key.host))?;
        let (request, root) = (job.request.steps.get(step)?.clone(), ids::root_of(job));
        let order = JobOrder {
            key,
            agent: agent.to_owned(),
            name: job.request.name.clone().unwrap_or_default(),
            timeout_s: timeout_s(&request),
            script: request.script,
            language: request.language,
            args: request.args,
            env: request.env,
            secrets: request.secrets,
            is_param_sensitive: request.is_param_sensitive,
            account: job.request.account.clone(),
            output_bytes: self.settings.output_bytes,
            root_id: root.to_string(),
            process_id: ids::host(root, key.step, &job.targets[host]).to_string(),
            by: job.by.clone(),
            issued_us: self.clock.wall_us(),
            expires_us: job.steps[step].hosts.get(host)?.ordered_us?.saturating_add(ORDER_TTL_US),
            since: job.steps[step].hosts.get(host)?.since,
        };
        let order = serde_json::to_string(&order).expect("plain data with text keys is JSON");
        let signature = self.keys().sign(&order, self.clock.wall_us());
        Some(SignedJobOrder { order, signature })
    }

    /// Applies the reports of an agent. They are stored when this returns. Reports about other hosts are ignored, and refused if the agent
    /// has sent no others: such a report must not hold up those that follow it.
    pub(crate) async fn report(&self, agent: &str, reports: &[JobReport]) -> Result<(), JobError> {
        let (mut is_any_taken, mut refused) = (false, None);
        let mut book = self.book.lock().await;
        self.load(&mut book).await?;
        for report in reports {
            let job = match self.open(&mut book, report.key.job).await {
                Ok(job) => job,
                // The job was removed, so nothing depends on its reports.
                Err(JobError::NoJob(_)) => {
                    is_any_taken = true;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if is_of_another_job(job, agent, &report.key, report.root_id.as_deref()) {
                is_any_taken = true;
                continue;
            }
            if let Err(error) = check_host(job, agent, &report.key) {
                refused = Some(error);
                continue;
            }
            let changes = monitor_jobs::report(self.clock.wall_us(), job, report);
            self.change(&mut book, report.key.job, changes).await?;
            is_any_taken = true;
        }
        drop(book);
        // Only now: an agent in contact gets the retries that are due, and one of these reports may be the acceptance of such a run.
        self.meet(agent).await?;
        self.wake.notify_one();
        let Some(error) = refused else { return Ok(()) };
        tracing::warn!(agent, %error, "refused reports about a run");
        if is_any_taken { Ok(()) } else { Err(error) }
    }

    /// Stores a part of the output of a run. It is stored durably when this returns. Once the end of the run was reported, its output stays as it
    /// is: the agent has sent all of it, and a part that arrives again changes nothing.
    pub(crate) async fn put_output(
        &self,
        agent: &str,
        key: JobRunKey,
        root_id: Option<&str>,
        offset: u64,
        bytes: Vec<u8>,
    ) -> Result<(), JobError> {
        let complete = {
            let mut book = self.book.lock().await;
            self.load(&mut book).await?;
            let job = self.open(&mut book, key.job).await?;
            if is_of_another_job(job, agent, &key, root_id) {
                return Ok(());
            }
            check_host(job, agent, &key).map_err(|error| {
                tracing::warn!(agent, %error, "refused output of a run");
                // With 403, the agent would wait for another token.
                JobError::Misplaced(error.to_string())
            })?;
            let run = run_of(job, &key).filter(|run| run.running_attempt() == key.attempt && run.has_reported_end());
            run.map(|run| run.output_bytes)
        };
        let outputs = self.outputs.clone();
        let write = move || match complete {
            Some(bytes) if outputs.length(&key) >= bytes => Ok(()),
            _ => outputs.write(&key, offset, &bytes),
        };
        let written = tokio::task::spawn_blocking(write).await?;
        self.changed.send_replace(());
        written.map_err(|unwritten| match unwritten {
            Unwritten::Gap(length) => JobError::Misplaced(format!(
                "offset: {offset} is after the end of the output: {length} bytes are stored, send the next ones"
            )),
            Unwritten::TooLong(most) => JobError::Misplaced(format!("offset: the output would have more than {most} bytes: shorten it")),
            Unwritten::Disk(error) => JobError::Output(error),
        })
    }
}

/// Returns true if an agent speaks about another job, which had the number of this one before a restore of `jobs.db`.
fn is_of_another_job(job: &JobState, agent: &str, key: &JobRunKey, root_id: Option<&str>) -> bool {
    let is_other = root_id.is_some_and(|root_id| *root_id != ids::root_of(job).to_string());
    if is_other {
        tracing::warn!(agent, run = key.run_id(), "ignores what an agent sends about another job of this number, from before a restore");
    }
    is_other
}

/// Returns the newest state of the host of a run.
pub(super) fn run_of<'a>(job: &'a JobState, key: &JobRunKey) -> Option<&'a HostRun> {
    let place = job.targets.iter().position(|target| target.host_id == Some(key.host))?;
    job.steps.iter().find(|step| step.id == key.step)?.hosts.get(place)
}

/// Checks that a run is one of the agent's own host, and that it was ordered.
fn check_host(job: &JobState, agent: &str, key: &JobRunKey) -> Result<(), JobError> {
    let is_own = job.targets.iter().any(|target| target.host_id == Some(key.host) && target.name == agent);
    let run = run_of(job, key);
    // A retry that waits for its order doesn't make the attempts before it invalid.
    let was_ordered =
        run.is_some_and(|run| (1..run.attempt).contains(&key.attempt) || (key.attempt == run.attempt && run.ordered_us.is_some()));
    if is_own && was_ordered {
        return Ok(());
    }
    let why =
        format!("{} is no run of the host of agent {agent:?}: an agent reports only about runs that it was ordered to start", key.run_id());
    Err(JobError::OtherHost(why))
}
