//! The engine: the background task that continues open jobs.
//!
//! Each pass computes the next changes of the jobs that are due, queues messages for agents, sends the changes to the ingest as events, and removes old
//! jobs. `Jobs::change` stores a change first and then applies it in memory. If the store fails, the job is read again, because it is unknown whether
//! the change was stored.

use std::time::Duration;

use monitor_jobs::{JobState, Transition, plan};

use super::book::Book;
use super::{JobError, Jobs, ids};
use crate::duties::Duty;
use crate::ingest::IngestError;

/// Longest time between two passes.
const LONGEST: Duration = Duration::from_secs(60);
/// Pause after a pass that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(2);
/// Maximum number of plans of a job in one pass. A plan without changes is the last one.
const MOST_PLANS: usize = 1_000;
/// Number of jobs that are removed at a time.
const REMOVED: usize = 100;

impl Jobs {
    /// Plans jobs until the server stops.
    pub(crate) async fn run(&self, duty: &Duty) {
        while !self.stopping.is_cancelled() {
            let (result, pause) = match self.pass().await {
                Ok(pause) => (Ok(()), pause),
                Err(JobError::Ingest(IngestError::Stopped)) => return,
                Err(error) => (Err(format!("jobs could not be continued: {}", monitor_http::with_causes(&error))), AFTER_FAILURE),
            };
            duty.ran(result, pause);
            tokio::select! {
                () = self.wake.notified() => {}
                () = self.clock.sleep(pause) => {}
                () = self.stopping.cancelled() => return,
            }
        }
    }

    /// Plans the jobs that are due, and records all changes. Returns the time until the next pass.
    async fn pass(&self) -> Result<Duration, JobError> {
        let mut book = self.book.lock().await;
        self.load(&mut book).await?;
        for id in book.due(self.clock.wall_us()) {
            self.plan(&mut book, id).await?;
        }
        let ended = book.ended();
        drop(book);
        self.record().await?;
        let mut book = self.book.lock().await;
        // A late report or a retry may have opened a job again.
        for id in ended.into_iter().filter(|id| book_has_ended(&book, *id)).collect::<Vec<_>>() {
            book.close(id);
        }
        drop(book);
        self.follow_up().await?;
        let book = self.book.lock().await;
        let next = book.next_us().map(|next| Duration::from_micros(next.saturating_sub(self.clock.wall_us())));
        drop(book);
        self.remove_old().await?;
        Ok(next.unwrap_or(LONGEST).min(LONGEST))
    }

    /// Reads the open jobs and the known agents once.
    pub(super) async fn load(&self, book: &mut Book) -> Result<(), JobError> {
        if book.is_loaded {
            return Ok(());
        }
        let trees = self.trees.clone();
        let agents = tokio::task::spawn_blocking(move || trees.batch_agents()).await??;
        let open = |jobs: &dyn monitor_store::JobStore| jobs.open_jobs()?.into_iter().map(|id| jobs.job(id)).collect::<Result<Vec<_>, _>>();
        let jobs = self.ask(open).await?;
        let hosts = self.ask(monitor_store::JobStore::hosts).await?;
        book.take_accounts(&hosts);
        for host in hosts.into_iter().filter(|host| host.has_agent) {
            book.add_host(host.definition.name.clone());
            book.know(host.definition.name);
        }
        for agent in agents {
            book.know(agent.name);
        }
        for job in jobs.into_iter().flatten() {
            book.open(job);
        }
        book.is_loaded = true;
        Ok(())
    }

    /// Returns a job in memory. Reads it if it isn't there.
    pub(super) async fn open<'a>(&self, book: &'a mut Book, id: u64) -> Result<&'a JobState, JobError> {
        if book.job(id).is_none() {
            book.open(self.job(id).await?);
        }
        book.job(id).ok_or(JobError::NoJob(id))
    }

    /// Stores changes of a job in memory, and applies them.
    pub(super) async fn change(&self, book: &mut Book, id: u64, changes: Vec<Transition>) -> Result<(), JobError> {
        if changes.is_empty() {
            return Ok(());
        }
        let callback = book.job(id).and_then(|job| monitor_jobs::callback(ids::root_of(job).to_string(), job, &changes));
        let is_called = callback.is_some();
        let stored = self.ask(move |jobs| jobs.change_job(id, &changes, callback.as_ref()).map(|()| changes)).await;
        let changes = stored.inspect_err(|_| {
            // It is unknown whether the changes were stored, so the job is read again.
            book.close(id);
            book.is_loaded = false;
        })?;
        book.apply(id, &changes);
        self.changed.send_replace(());
        if is_called {
            self.has_callbacks.notify_one();
        }
        Ok(())
    }

    /// Plans a job until nothing changes, then sends its messages.
    async fn plan(&self, book: &mut Book, id: u64) -> Result<(), JobError> {
        for _ in 0..MOST_PLANS {
            let Some(job) = book.job(id) else { return Ok(()) };
            let contacts = book.contacts(&job.targets, &job.request, self.started_us);
            let plan = plan(self.clock.wall_us(), job, &contacts);
            if plan.transitions.is_empty() {
                book.send(id, &plan.directives, plan.wake_at_us);
                break;
            }
            self.change(book, id, plan.transitions).await?;
        }
        Ok(())
    }

    /// Records all changes as events, then forgets them.
    async fn record(&self) -> Result<(), JobError> {
        loop {
            let (recorder, now_us) = (self.recorder.clone(), self.clock.wall_us());
            let Some((batch, last)) = tokio::task::spawn_blocking(move || recorder.next(now_us)).await?? else { return Ok(()) };
            self.ingest.accept(batch).await?;
            self.ask(move |jobs| jobs.forget_changes(last)).await?;
        }
    }

    /// Removes jobs that ended too long ago, with their output.
    async fn remove_old(&self) -> Result<(), JobError> {
        let Some(age) = self.settings.age else { return Ok(()) };
        let before_us = self.clock.wall_us().saturating_sub(u64::try_from(age.as_micros()).unwrap_or(u64::MAX));
        let outputs = self.outputs.clone();
        let jobs = self.store.clone();
        let removed = tokio::task::spawn_blocking(move || {
            let removed = jobs.remove_jobs(before_us, REMOVED)?;
            for job in &removed {
                outputs.remove(*job).map_err(JobError::Output)?;
            }
            Ok::<_, JobError>(removed)
        });
        let removed = removed.await??;
        if !removed.is_empty() {
            let mut book = self.book.lock().await;
            for id in removed {
                book.close(id);
            }
        }
        Ok(())
    }
}

fn book_has_ended(book: &Book, id: u64) -> bool {
    book.is_open(id) == Some(false)
}
