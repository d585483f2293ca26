//! Stores the records that dead programs of this host have left in their spools. They pass through [`Ingest`] like the batches of living
//! programs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use monitor_spool::{Answer, Answered, Head, Next, Parcel, Replay, Sent, Settled, Spool, SpoolError, Way, send_all};
use monitor_wire::{Batch, WorkerId};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::duties::Duty;
use crate::ingest::{Ingest, IngestError};

/// Pause before another attempt when too much data waits to be stored.
const PAUSE: Duration = Duration::from_millis(200);

/// Counts of the records that a program left.
pub(crate) struct Taken {
    events: u64,
    damaged: u64,
    dropped: u64,
}

/// Scans the spool now and at every interval, until the server stops.
pub(crate) async fn run(spool: &Path, interval: Duration, taker: &Taker, duty: &Duty) {
    loop {
        let (path, looker) = (spool.to_owned(), taker.clone());
        let result = match tokio::task::spawn_blocking(move || looker.look(&path)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        duty.ran(result.map_err(|problem| format!("what dead programs left is not taken in: {problem}")), interval);
        if taker.stopping.run_until_cancelled(taker.clock.sleep(interval)).await.is_none() {
            return;
        }
    }
}

/// Sends the records of spools to the writer thread.
#[derive(Clone)]
pub(crate) struct Taker {
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) clock: Clock,
    pub(crate) stopping: CancellationToken,
}

impl Taker {
    fn look(&self, path: &Path) -> Result<(), SpoolError> {
        let Some(spool) = Spool::existing(path)? else { return Ok(()) };
        let dead = spool.dead()?;
        let (mut programs, mut events, mut problem) = (0_usize, 0, Ok(()));
        for worker in dead {
            if self.stopping.is_cancelled() {
                break;
            }
            match self.adopt(&spool, worker) {
                Ok(None) => {}
                Ok(Some(count)) => {
                    programs += 1;
                    events += count;
                }
                // Continue with the other programs.
                Err(error) => problem = Err(error),
            }
        }
        if programs > 0 {
            tracing::info!(programs, events, spool = %path.display(), "took in all that was left by dead programs");
        }
        problem
    }

    /// Stores the records of a program. Returns the number of events, or `None` if another process is working on them or they must wait.
    fn adopt(&self, spool: &Spool, worker: WorkerId) -> Result<Option<u64>, SpoolError> {
        let Some(mut replay) = spool.claim(worker)? else { return Ok(None) };
        let Some(taken) = self.take(&mut replay) else { return Ok(None) };
        let (of, path) = (replay.worker().clone(), replay.path().display().to_string());
        replay.finish()?;
        let Taken { events, damaged, dropped } = taken;
        tracing::info!(program = of.program, pid = of.pid, host = of.hostname, worker = %of.id, events, "took in the remaining events of a dead program");
        if damaged > 0 || dropped > 0 {
            tracing::warn!(worker = %of.id, damaged, dropped, "not all of it could be kept or read: {path}");
        }
        Ok(Some(events))
    }

    /// Stores all records of a dead program. Returns `None` if a part of them could not be stored now. Blocks; the calling thread must have
    /// entered a multi-threaded runtime.
    pub(crate) fn take(&self, replay: &mut Replay) -> Option<Taken> {
        let worker = replay.worker().id;
        let then = async |_: &mut Replay, Answered { answer, settled, .. }: Answered<'_>| {
            match answer {
                Answer::Unreadable { number, why } => {
                    tracing::warn!(%worker, number, "an event that a dead program had left can't be read, it is dropped: {why}");
                }
                // A part that waits can be sent again later. A part that was refused for good falls through to the last arm and is given
                // up.
                Answer::Refused { why } if settled == Settled::Waits => {
                    tracing::warn!(%worker, "the remaining events of a dead program are not taken in now: {why}");
                    return Next::Stop;
                }
                Answer::Busy { .. } => _ = self.stopping.run_until_cancelled(self.clock.sleep(PAUSE)).await,
                Answer::Away { .. } => return Next::Stop,
                Answer::Accepted | Answer::TooLarge { .. } | Answer::Refused { .. } => {}
            }
            if self.stopping.is_cancelled() { Next::Stop } else { Next::GoOn }
        };
        if !Handle::current().block_on(send_all(replay, self, then)) {
            return None;
        }
        let dropped = replay.dropped().iter().map(|dropped| dropped.count).sum();
        Some(Taken { events: replay.accepted(), damaged: replay.damaged(), dropped })
    }
}

/// Transport for [`Replay`] that passes batches to the writer thread of the same process.
impl Way for Taker {
    /// Batch to store, or the answer to give if the records can't be decoded.
    type Request = Result<Batch, Answer>;

    fn now_us(&self) -> u64 {
        self.clock.wall_us()
    }

    fn request(&self, parcel: &Parcel, head: &Head<'_>) -> Self::Request {
        parcel.batch(head).map_err(|error| Answer::unreadable(parcel.sent(), error.event_number, error.to_string()))
    }

    async fn send(&self, request: Self::Request) -> Answer {
        let batch = match request {
            Ok(batch) => batch,
            Err(answer) => return answer,
        };
        let sent = Sent { first: batch.sequence, last: batch.last_number(), is_small: false };
        match self.ingest.accept(batch).await {
            Ok(_) => Answer::Accepted,
            Err(IngestError::Event { number, message }) => Answer::unreadable(sent, Some(number), message),
            // Agents do not use a spool, so a spool does not contain such events.
            Err(ref error @ (IngestError::OtherAgent { number, .. } | IngestError::Ahead { number, .. })) => {
                Answer::unreadable(sent, Some(number), error.to_string())
            }
            Err(error @ IngestError::Busy) => Answer::Busy { why: error.to_string(), retry_after: None },
            Err(error @ (IngestError::Shut(_) | IngestError::Stopped)) => Answer::Away { why: error.to_string() },
            Err(IngestError::Store(error)) if error.is_passing() => Answer::Away { why: error.to_string() },
            Err(error @ IngestError::Store(_)) => Answer::Refused { why: error.to_string() },
        }
    }
}
