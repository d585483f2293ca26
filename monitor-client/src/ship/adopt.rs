//! Ships the spool folders of dead programs, concurrently with this program's own events and at a lower rate.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use monitor_spool::{Answered, Next, Replay, Spool, SpoolError, send_all};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use super::post::Post;
use super::shipper::Shared;
use crate::report;

/// Limit on the size of all programs' folders together, as a multiple of a single program's limit.
const PROGRAMS: u64 = 4;

/// Waits until the server has answered, then ships the folders of dead programs one after the other.
pub(super) async fn adopt(shared: Rc<Shared>, dir: PathBuf, one_bytes: u64) {
    // Enforce the limit now, because the server may not be reachable for a long time.
    let within = dir.clone();
    let _ = spawn_blocking(move || keep_within(&within, one_bytes)).await;
    shared.is_reached().await;
    let listed = spawn_blocking(move || -> Result<_, SpoolError> {
        let spool = Spool::open(&dir)?;
        let dead = spool.dead()?;
        Ok((spool, dead))
    });
    // Problems with the folder were already logged when this program's own folder was created.
    let Ok(Ok((spool, dead))) = listed.await else { return };
    for worker in dead {
        let spool = spool.clone();
        let Ok(Ok(Some(replay))) = spawn_blocking(move || spool.claim(worker)).await else { continue };
        ship(&shared.post, replay).await;
    }
}

/// Deletes the oldest data of dead programs if the folders of all programs exceed the limit.
pub(super) fn keep_within(dir: &Path, one_bytes: u64) {
    let _ = Spool::open(dir).and_then(|spool| spool.keep_within(one_bytes.saturating_mul(PROGRAMS)));
}

async fn ship(post: &Post, mut replay: Replay) {
    let mut begun = Instant::now();
    let beside = async |_: &mut Replay, answered: Answered<'_>| {
        // After an accepted batch, pause for as long as it took, so that programs with new events have priority.
        sleep(answered.wait.unwrap_or_else(|| begun.elapsed().min(Duration::from_secs(1)))).await;
        begun = Instant::now();
        Next::GoOn
    };
    send_all(&mut replay, post, beside).await;
    let (events, pid) = (replay.accepted(), replay.worker().pid);
    if spawn_blocking(move || replay.finish()).await.is_ok_and(|finished| finished.is_ok()) && events > 0 {
        report::info(&format!("{events} events were shipped that process {pid} had left"));
    }
}
