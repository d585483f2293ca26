//! Forwards ended processes as spans to an OTLP/HTTP receiver.
//!
//! A cursor on the log of events marks the last forwarded event. It is moved after the receiver has responded. A span is therefore sent
//! twice only if the server is killed between the two.

mod batch;
mod filter;
mod select;
mod send;
mod target;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

pub use monitor_otlp::OtlpHeaders;
use monitor_otlp::{Answer, Part};
use monitor_store::{Store, StoreError};
use monitor_wire::Backoff;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use self::batch::Batch;
pub use self::filter::OtlpFilter;
use self::select::Selector;
use self::send::Sender;
pub(crate) use self::target::Target;
pub use self::target::TargetError;
use crate::clock::Clock;
use crate::duties::{Duties, Duty};
use crate::ingest::{Ingest, IngestError};

/// Name of the cursor in the database.
const CURSOR: &str = "otlp";
/// Interval of checking the log when everything has been forwarded.
const EVERY: Duration = Duration::from_secs(1);
/// First and maximum wait before a request is sent again.
const WAITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// Minimum wait, whatever the receiver requests.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

/// Parts of the server that the duty uses.
#[derive(Clone)]
pub(crate) struct Parts {
    pub store: Arc<dyn Store>,
    pub ingest: Arc<Ingest>,
    pub clock: Clock,
    pub stopping: CancellationToken,
}

/// Error that interrupts the duty.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Ingest(#[from] IngestError),
    #[error("another reader has moved the cursor")]
    Moved,
    #[error(transparent)]
    Task(#[from] tokio::task::JoinError),
}

/// Starts the duty, if a receiver is configured.
pub(crate) fn begin(duties: &mut Duties, target: Option<Target>, parts: Parts) {
    let Some(target) = target else { return };
    duties.begin("otlp", move |duty| {
        let (target, parts) = (target.clone(), parts.clone());
        async move { run(&target, &parts, &duty).await }
    });
}

/// Forwards ended processes until the server stops.
async fn run(target: &Target, parts: &Parts, duty: &Duty) {
    let work = Work { sender: Sender::new(target), parts, duty };
    let Some(ended) = parts.stopping.run_until_cancelled(work.go_on(target.filter.clone())).await else { return };
    if let Err(trouble) = ended {
        duty.ran(Err(format!("what has ended can't be sent on: {}", monitor_http::with_causes(&trouble))), EVERY);
    }
}

struct Work<'a> {
    sender: Sender,
    parts: &'a Parts,
    duty: &'a Duty,
}

impl Work<'_> {
    async fn go_on(&self, filter: OtlpFilter) -> Result<(), Trouble> {
        let mut at = self.begin().await?;
        let mut selector = Selector::new(filter);
        loop {
            let (store, stored) = (self.parts.store.clone(), at);
            let read = spawn_blocking(move || selector.read(&*store, stored).map(|read| (selector, read)));
            let batch: Batch;
            (selector, batch) = read.await??;
            let rejected = self.send(batch.parts).await;
            if batch.next > at {
                self.move_cursor(Some(at), batch.next).await?;
                at = batch.next;
            }
            self.duty.ran(rejected.map_or(Ok(()), Err), 2 * EVERY);
            if !batch.is_more {
                self.parts.clock.sleep(EVERY).await;
            }
        }
    }

    /// Returns the position where reading the log begins. The first time, this is its end: processes that ended before are not forwarded.
    async fn begin(&self) -> Result<u64, Trouble> {
        let store = self.parts.store.clone();
        let (cursor, status) = spawn_blocking(move || Ok::<_, StoreError>((store.cursor(CURSOR)?, store.status()?))).await??;
        let Some(cursor) = cursor else {
            self.move_cursor(None, status.as_of).await?;
            return Ok(status.as_of);
        };
        if !cursor.is_behind {
            return Ok(cursor.seq);
        }
        let next = status.stream_log_from.map_or(status.as_of, |oldest| oldest.saturating_sub(1));
        tracing::warn!(events = next - cursor.seq, "the oldest ended processes left the log of events and are not sent on by OTLP");
        self.move_cursor(Some(cursor.seq), next).await?;
        Ok(next)
    }

    async fn move_cursor(&self, from: Option<u64>, to: u64) -> Result<(), Trouble> {
        let moved = self.parts.ingest.change(move |store| Ok((store.move_cursor(CURSOR, from, to)?, monitor_store::Changes::none())));
        if moved.await? { Ok(()) } else { Err(Trouble::Moved) }
    }

    /// Sends parts until each is accepted or permanently refused. Returns the reason if any was refused.
    async fn send(&self, parts: Vec<Part>) -> Option<String> {
        let (mut backoff, mut refused) = (Backoff::default(), None);
        let mut left = VecDeque::from(parts);
        while let Some(part) = left.pop_front() {
            match self.sender.send(&part).await {
                Answer::Taken => backoff.reset(),
                Answer::Rejected { why } => {
                    backoff.reset();
                    refused = Some(why);
                }
                Answer::TooLarge { why } => match part.halves() {
                    Some(halves) => halves.into_iter().rev().for_each(|half| left.push_front(half)),
                    None => refused = Some(why),
                },
                Answer::Busy { why, retry_after } => self.wait(part, why, retry_after, &mut left, &mut backoff).await,
                Answer::Refused { why } | Answer::Away { why } => self.wait(part, why, None, &mut left, &mut backoff).await,
            }
        }
        refused
    }

    /// Puts a part back and waits before the next attempt.
    async fn wait(&self, part: Part, why: String, after: Option<Duration>, left: &mut VecDeque<Part>, backoff: &mut Backoff) {
        left.push_front(part);
        let wait = after.map_or_else(|| backoff.next(WAITS.0, WAITS.1), |after| after.max(SHORTEST_WAIT));
        self.duty.ran(Err(why), wait + 2 * EVERY);
        self.parts.clock.sleep(wait).await;
    }
}
