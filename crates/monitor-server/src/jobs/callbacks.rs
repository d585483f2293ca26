//! Callbacks: each change of a status in a job is sent to the job's callback address, in order, until it is delivered or a day has passed.

use std::time::Duration;

use http::HeaderValue;
use monitor_notify::post::Post;
use monitor_wire::{CallbackDelivery, CallbacksPage, DeliveryState};
use url::Url;

use super::{JobError, Jobs};
use crate::alerts::text::clean;
use crate::duties::Duty;
use crate::outgoing::Undelivered;

/// Time in microseconds after which a callback is given up: a day.
const PATIENCE_US: u64 = 86_400_000_000;
/// Pause before the second attempt. It doubles with each further attempt.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause between two attempts, also if the receiver asks for a longer one.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// Maximum number of callbacks that are sent at once. Each is of another job.
const AT_ONCE: usize = 16;
/// Longest time between two passes.
const LONGEST: Duration = Duration::from_secs(60);
/// Pause after a pass that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(2);
/// Maximum number of characters to keep of an answer.
const LONGEST_ANSWER: usize = 300;

/// Address that callbacks may be sent to, with all paths below its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackTarget {
    /// The address, without user, query and fragment.
    pub url: Url,
    /// True if the address may belong to this machine or a private network.
    pub is_private: bool,
}

impl CallbackTarget {
    /// True if callbacks may be sent to this address.
    fn covers(&self, url: &Url) -> bool {
        let (path, found) = (self.url.path(), url.path());
        let is_below = found.strip_prefix(path).is_some_and(|rest| rest.is_empty() || path.ends_with('/') || rest.starts_with('/'));
        self.url.origin() == url.origin() && is_below && url.username().is_empty() && url.password().is_none()
    }
}

/// Returns the target that covers a callback address.
///
/// # Errors
/// Returns an error if no target covers it.
pub(super) fn target<'a>(targets: &'a [CallbackTarget], url: &str) -> Result<(&'a CallbackTarget, Url), String> {
    let url = Url::parse(url).map_err(|error| format!("this is not an address: {error}"))?;
    match targets.iter().find(|target| target.covers(&url)) {
        Some(target) => Ok((target, url)),
        None => Err(format!(
            "this server may not call {}: an administrator lists its address under [[job-callback]] in server.toml",
            url.origin().ascii_serialization()
        )),
    }
}

impl Jobs {
    /// Returns a page of the callbacks of a job, newest first.
    pub(crate) async fn callbacks(&self, job: u64, before: Option<u64>, limit: usize) -> Result<CallbacksPage, JobError> {
        let deliveries = self.ask(move |jobs| jobs.callbacks(job, before, limit + 1)).await?;
        let mut deliveries = deliveries.ok_or(JobError::NoJob(job))?;
        let is_more = deliveries.len() > limit;
        deliveries.truncate(limit);
        let next = deliveries.last().map(|delivery| delivery.id).filter(|_| is_more);
        Ok(CallbacksPage { deliveries, next })
    }

    /// Sends callbacks until the server stops.
    pub(crate) async fn call_back(&self, duty: &Duty) {
        while !self.stopping.is_cancelled() {
            let sent = tokio::select! {
                sent = self.send_callbacks() => sent,
                () = self.stopping.cancelled() => return,
            };
            let (result, pause) = match sent {
                Ok(pause) => (Ok(()), pause),
                Err(error) => (Err(format!("callbacks of jobs could not be sent: {}", monitor_http::with_causes(&error))), AFTER_FAILURE),
            };
            duty.ran(result, pause);
            tokio::select! {
                () = self.has_callbacks.notified() => {}
                () = self.clock.sleep(pause) => {}
                () = self.stopping.cancelled() => {}
            }
        }
    }

    /// Sends all callbacks that are due. Returns the time until the next one is due.
    async fn send_callbacks(&self) -> Result<Duration, JobError> {
        loop {
            let waiting = self.ask(|jobs| jobs.waiting_callbacks(AT_ONCE)).await?;
            let now_us = self.clock.wall_us();
            let soonest = waiting.first().map_or(LONGEST, |(_, delivery)| wait(delivery, now_us));
            if !soonest.is_zero() {
                return Ok(soonest.min(LONGEST));
            }
            let due = waiting.into_iter().filter(|(_, delivery)| wait(delivery, now_us).is_zero());
            futures_util::future::try_join_all(due.map(|(url, delivery)| self.deliver(url, delivery))).await?;
        }
    }

    /// Tries a delivery once. The attempt is stored before the request is sent, so that no later callback is merged into this one.
    async fn deliver(&self, url: String, mut delivery: CallbackDelivery) -> Result<(), JobError> {
        let began_us = self.clock.wall_us();
        delivery.attempts += 1;
        delivery.tried_us = Some(began_us);
        delivery.next_us = Some(after(began_us, pause_after(delivery.attempts)));
        self.put(delivery.clone()).await?;
        let sent = self.post(&url, &delivery).await;
        let tried = tried(delivery, sent, self.clock.wall_us());
        if tried.state == DeliveryState::GivenUp {
            tracing::warn!(
                job = tried.callback.job_instance_id,
                "a callback is given up after a day: {}",
                tried.answer.as_deref().unwrap_or_default()
            );
        }
        self.put(tried).await
    }

    async fn put(&self, delivery: CallbackDelivery) -> Result<(), JobError> {
        self.ask(move |jobs| jobs.put_delivery(&delivery)).await
    }

    /// Sends a callback once and returns the receiver's answer. The settings can have changed since the job began.
    async fn post(&self, url: &str, delivery: &CallbackDelivery) -> Result<String, Undelivered> {
        let (target, url) = target(&self.settings.callbacks, url)?;
        let body = serde_json::to_vec(&delivery.callback).map_err(|error| error.to_string())?;
        let mut post = Post::json(url, body);
        post.headers.insert("idempotency-key", HeaderValue::from(delivery.id));
        let answer = self.requests.send(post, target.is_private).await?;
        if answer.status.is_success() { Ok(answer.words()) } else { Err(Undelivered { why: answer.words(), after: answer.after }) }
    }
}

/// Returns the time until the next attempt. A longer one than any pause means that the clock was set back since, and counts as none.
fn wait(delivery: &CallbackDelivery, now_us: u64) -> Duration {
    let wait = Duration::from_micros(delivery.next_us.unwrap_or(0).saturating_sub(now_us));
    if wait > LONGEST_PAUSE { Duration::ZERO } else { wait }
}

/// Returns the pause after this number of attempts.
fn pause_after(attempts: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(LONGEST_PAUSE)
}

/// Returns a delivery after an attempt that has ended at `now_us`.
fn tried(delivery: CallbackDelivery, sent: Result<String, Undelivered>, now_us: u64) -> CallbackDelivery {
    let (state, next_us, answer) = match sent {
        Ok(answer) => (DeliveryState::Delivered, None, answer),
        Err(Undelivered { why, after: asked }) => {
            let pause = pause_after(delivery.attempts).max(asked.unwrap_or_default().min(LONGEST_PAUSE));
            let next_us = after(now_us, pause);
            let is_over = next_us.saturating_sub(delivery.callback.time_us) > PATIENCE_US;
            if is_over { (DeliveryState::GivenUp, None, why) } else { (DeliveryState::Waiting, Some(next_us), why) }
        }
    };
    CallbackDelivery { state, next_us, answer: Some(clean(&answer, LONGEST_ANSWER)), ..delivery }
}

fn after(time_us: u64, pause: Duration) -> u64 {
    time_us.saturating_add(u64::try_from(pause.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use monitor_store::jobs::new_delivery;
    use monitor_wire::{JobCallback, JobStatus};

    use super::*;

    const SECOND: u64 = 1_000_000;

    fn delivery(attempts: u32) -> CallbackDelivery {
        let callback = JobCallback {
            job_instance_id: 1,
            name: "check".to_owned(),
            root_id: "root".to_owned(),
            status: JobStatus::RUNNING,
            step_instances: Vec::new(),
            corrected: false,
            time_us: 5 * SECOND,
        };
        CallbackDelivery { attempts, ..new_delivery(7, &callback) }
    }

    #[test]
    fn a_callback_is_tried_with_longer_pauses_and_given_up_after_a_day() {
        let failed = |after: Option<u64>| Err(Undelivered { why: "away\nnow".to_owned(), after: after.map(Duration::from_secs) });
        let now_us = 60 * SECOND;
        for (attempts, asked, seconds) in
            [(1, None, 1), (2, None, 2), (5, None, 16), (40, None, 600), (u32::MAX, None, 600), (1, Some(30), 30), (1, Some(86_400), 600)]
        {
            let tried = tried(delivery(attempts), failed(asked), now_us);
            assert_eq!((tried.state, tried.next_us), (DeliveryState::Waiting, Some(now_us + seconds * SECOND)), "{attempts} {asked:?}");
            assert_eq!(tried.answer.as_deref(), Some("away ⏎ now"));
            assert_eq!(wait(&tried, now_us), Duration::from_secs(seconds));
        }
        let day = |seconds: u64| 5 * SECOND + PATIENCE_US - seconds * SECOND;
        assert_eq!(tried(delivery(200), failed(None), day(600)).state, DeliveryState::Waiting);
        let given_up = tried(delivery(200), failed(None), day(599));
        assert_eq!((given_up.state, given_up.next_us), (DeliveryState::GivenUp, None));
        let delivered = tried(delivery(200), Ok("answered with 200 OK".to_owned()), day(0));
        assert_eq!((delivered.state, delivered.next_us), (DeliveryState::Delivered, None));
    }

    #[test]
    fn a_clock_that_is_set_back_delays_no_callback() {
        let waiting = CallbackDelivery { next_us: Some(86_400 * SECOND), ..delivery(3) };
        assert_eq!(wait(&waiting, 86_401 * SECOND), Duration::ZERO);
        assert_eq!(wait(&waiting, 86_399 * SECOND), Duration::from_secs(1));
        assert_eq!(wait(&waiting, SECOND), Duration::ZERO);
    }

    #[test]
    fn a_target_covers_its_own_address_and_those_below() {
        let covers = |own: &str, url: &str| {
            let own = CallbackTarget { url: own.parse().unwrap(), is_private: false };
            target(&[own], url).is_ok()
        };
        for (own, url) in [
            ("https://hooks.example.com", "https://hooks.example.com/any/path?key=1"),
            ("https://hooks.example.com/jobs", "https://hooks.example.com/jobs"),
            ("https://hooks.example.com/jobs", "https://HOOKS.example.com:443/jobs/7?key=1"),
            ("https://hooks.example.com/jobs/", "https://hooks.example.com/jobs/7"),
        ] {
            assert!(covers(own, url), "{own} {url}");
        }
        for (own, url) in [
            ("https://hooks.example.com", "http://hooks.example.com/"),
            ("https://hooks.example.com", "https://hooks.example.com:8443/"),
            ("https://hooks.example.com", "https://hooks.example.com.evil.example/"),
            ("https://hooks.example.com", "https://hooks.example.com@evil.example/"),
            ("https://hooks.example.com", "https://ada:key@hooks.example.com/"),
            ("https://hooks.example.com/jobs", "https://hooks.example.com/jobs-of-others"),
            ("https://hooks.example.com/jobs", "https://hooks.example.com/jobs/../admin"),
            ("https://hooks.example.com/jobs", "https://hooks.example.com/jobs/%2e%2e/admin"),
            ("https://hooks.example.com/jobs", "https://hooks.example.com/"),
            ("https://hooks.example.com/jobs", "file:///jobs"),
            ("https://hooks.example.com/jobs", "/jobs"),
        ] {
            assert!(!covers(own, url), "{own} {url}");
        }
    }
}
