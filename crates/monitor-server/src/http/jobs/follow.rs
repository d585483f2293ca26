//! Answers that follow a job until its end: its changes as server-sent events, and the output of a script as a stream of bytes.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use http::header;
use monitor_wire::{Job, JobRunKey};
use tokio::sync::OwnedSemaphorePermit;

use super::super::App;
use super::super::problem::ApiError;

/// Pause between two looks at a job that changes all the time.
const PAUSE: Duration = Duration::from_millis(200);
/// Maximum number of bytes of output in a part of the answer.
const PART: u64 = 64 << 10;

/// A client that follows a job. It counts as a reader of the stream.
struct Follower {
    app: App,
    job: u64,
    /// True after the event about the end of the job.
    is_over: bool,
    _turn: OwnedSemaphorePermit,
}

/// Reason why a follower stops waiting.
enum Wake {
    /// A job or its output has changed.
    Changed,
    /// Nothing has changed for a while, so the client needs a sign of life.
    Quiet,
    /// The server stops.
    Stopped,
}

impl Follower {
    fn new(app: App, job: u64) -> Result<Self, ApiError> {
        let turn =
            app.subscribers.clone().try_acquire_owned().map_err(|_| ApiError::TooManyReaders { limit: app.config.max_subscribers })?;
        Ok(Self { app, job, is_over: false, _turn: turn })
    }

    /// Waits for a change of any job or output, or until the client needs a sign of life.
    async fn wait(&self, mut changes: tokio::sync::watch::Receiver<()>) -> Wake {
        tokio::select! {
            has_sender = changes.changed() => if has_sender.is_ok() { Wake::Changed } else { Wake::Stopped },
            () = tokio::time::sleep(self.app.config.stream_heartbeat) => Wake::Quiet,
            () = self.app.stopping.cancelled() => Wake::Stopped,
        }
    }

    /// Returns the next event: the job, if it differs from `last`, or a comment as a sign of life.
    async fn next_event(&mut self, last: &mut Option<Job>) -> Option<String> {
        while !self.is_over {
            let changes = self.app.jobs.changes();
            let job = self.app.jobs.listed(self.job).await.ok()??;
            if last.as_ref() != Some(&job) {
                self.is_over = job.status.is_finished();
                let event = format!("event: job\ndata: {}\n\n", serde_json::to_string(&job).ok()?);
                *last = Some(job);
                return Some(event);
            }
            match self.wait(changes).await {
                Wake::Changed => tokio::time::sleep(PAUSE).await,
                Wake::Quiet => return Some(": \n\n".to_owned()),
                Wake::Stopped => return None,
            }
        }
        None
    }

    /// Returns the next part of the output from `offset` on. `None` after the end of the run.
    async fn next_part(&mut self, key: JobRunKey, offset: &mut u64) -> Option<Vec<u8>> {
        loop {
            let changes = self.app.jobs.changes();
            // Asked before the output is read: the agent reports the end after the last part.
            let ended = self.app.jobs.ended_output(key).await.ok()?;
            let (bytes, _) = self.app.jobs.output(key, *offset, PART).await.ok()?;
            if !bytes.is_empty() {
                *offset += bytes.len() as u64;
                return Some(bytes);
            }
            if ended.is_some_and(|bytes| bytes <= *offset) {
                return None;
            }
            match self.wait(changes).await {
                Wake::Changed => tokio::time::sleep(PAUSE).await,
                // An agent can report more bytes than it sends.
                Wake::Quiet if ended.is_some() => return None,
                Wake::Quiet => {}
                Wake::Stopped => return None,
            }
        }
    }
}

/// Answers with the job as a server-sent event, now and after each change, until it has ended.
pub(super) fn events(app: App, job: u64) -> Result<Response, ApiError> {
    let follower = Follower::new(app, job)?;
    let stream = unfold((follower, None), |(mut follower, mut last)| async {
        let event = follower.next_event(&mut last).await?;
        Some((Ok::<_, Infallible>(Bytes::from(event)), (follower, last)))
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, [("x-accel-buffering", "no")], Body::from_stream(stream)).into_response())
}

/// Answers with the output of a run from an offset on, as it arrives, until the run has ended.
pub(super) fn output(app: App, key: JobRunKey, offset: u64) -> Result<Response, ApiError> {
    let follower = Follower::new(app, key.job)?;
    let stream = unfold((follower, offset), move |(mut follower, mut offset)| async move {
        let part = follower.next_part(key, &mut offset).await?;
        Some((Ok::<_, Infallible>(Bytes::from(part)), (follower, offset)))
    });
    let headers = [(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, [("x-accel-buffering", "no")], Body::from_stream(stream)).into_response())
}
