//! Ships what programs left that are gone: beside this program's own work, and slower.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use monitor_spool::{Head, Replay, Spool, SpoolError, Verdict};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use super::backoff::Backoff;
use super::outbox::Request;
use super::post::{Answer, Post};
use super::{now_us, shipper::Shared};
use crate::report;

/// Of all programs' folders together it keeps so many times the bytes of one.
const PROGRAMS: u64 = 4;

/// Once the server has answered: looks for the dead, and takes one after the other.
pub(super) async fn adopt(shared: Rc<Shared>, dir: PathBuf, one_bytes: u64) {
    shared.reached.notified().await;
    let listed = spawn_blocking(move || -> Result<_, SpoolError> {
        let spool = Spool::open(&dir)?;
        spool.keep_within(one_bytes.saturating_mul(PROGRAMS))?;
        let dead = spool.dead()?;
        Ok((spool, dead))
    });
    // What is wrong with the folder was said when this program's own was made.
    let Ok(Ok((spool, dead))) = listed.await else { return };
    for worker in dead {
        let spool = spool.clone();
        let Ok(Ok(Some(replay))) = spawn_blocking(move || spool.claim(worker)).await else { continue };
        ship(&shared.post, replay).await;
    }
}

async fn ship(post: &Post, mut replay: Replay) {
    let mut backoff = Backoff::default();
    loop {
        let worker = replay.worker().clone();
        let head_dropped = replay.dropped();
        let Some(parcel) = replay.next() else { break };
        let body = parcel.body(&Head { worker: &worker, sent_us: now_us(), dropped: &head_dropped, lost: true });
        let request = Request { body, last: parcel.last() };
        let begun = Instant::now();
        let wait = match post.send(&request).await {
            Answer::Accepted => {
                replay.settle(Verdict::Accepted);
                backoff.reset();
                // As long again for those who have something new.
                begun.elapsed().min(Duration::from_secs(1))
            }
            Answer::TooLarge => {
                replay.settle(Verdict::TooLarge);
                Duration::ZERO
            }
            Answer::Unreadable { event_number, .. } => {
                replay.settle(Verdict::Unreadable(event_number));
                Duration::ZERO
            }
            Answer::Busy { retry_after, .. } => backoff.next(retry_after),
            Answer::Away { .. } | Answer::Refused { .. } => backoff.next(None),
        };
        sleep(wait).await;
    }
    let (events, pid) = (replay.accepted(), replay.worker().pid);
    if spawn_blocking(move || replay.finish()).await.is_ok_and(|finished| finished.is_ok()) && events > 0 {
        report::info(&format!("{events} events were shipped that process {pid} had left"));
    }
}
