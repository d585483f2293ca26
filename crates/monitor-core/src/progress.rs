//! Progress reports of processes: at most ten per second and process are sent, and always the last.
//!
//! The first report is sent immediately. A report within a tenth of a second after it waits, and is replaced by later reports. The drainer
//! sends it after the time has elapsed, and the end of the process sends it earlier. So a loop that reports each of a million steps makes
//! ten queue records per second.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::context::Context;
use crate::own::Own;
use crate::record::Progressed;
use crate::value::Amount;
use crate::{clock, current, inside, park, sending};

/// Minimum time between two reports of a process.
const BETWEEN: Duration = Duration::from_millis(100);
/// Maximum number of processes whose last report is stored. All reports of further processes are sent.
const MOST: usize = 10_000;

static SAID: Own<Mutex<HashMap<u64, Said>>> = Own::new();
/// Number of entries, so that the drainer acquires no lock if there are none.
static COUNT: AtomicUsize = AtomicUsize::new(0);

struct Said {
    sent: Instant,
    /// The latest waiting report, with its time in ticks.
    waiting: Option<(Progressed, u64)>,
}

/// Reports the progress of the current process: the amount done, and the total amount if it is known. At most ten reports per second are
/// sent, and always the last. Does nothing if nothing is recorded.
///
/// # Examples
///
/// ```
/// use monitor_client::{normal_task, progress};
///
/// #[normal_task]
/// fn import(rows: &[&str]) {
///     for (done, _row) in rows.iter().enumerate() {
///         progress(done, rows.len());
///     }
/// }
/// # import(&["a", "b"]);
/// ```
pub fn progress(done: impl Amount, total: impl Amount) {
    if current::quiet().is_none()
        && let Some(context) = current::of_program()
    {
        say(context, done.amount(), total.amount());
    }
}

pub(crate) fn say(context: Context, done: Option<f64>, total: Option<f64>) {
    let Some(done) = done else { return };
    let _inside = inside::enter();
    let (at, now) = (clock::now(), Instant::now());
    let progressed = Progressed { root: context.root(), id: context.process(), time_us: 0, done, total };
    let mut said = said();
    let has_room = said.len() < MOST;
    match said.get_mut(&progressed.id) {
        Some(before) if now.duration_since(before.sent) < BETWEEN => {
            before.waiting = Some((progressed, at));
            drop(said);
            park::wake();
            return;
        }
        Some(before) => *before = Said { sent: now, waiting: None },
        None if has_room => {
            said.insert(progressed.id, Said { sent: now, waiting: None });
            COUNT.store(said.len(), Ordering::Relaxed);
        }
        None => {}
    }
    drop(said);
    sending::progressed(progressed, at);
}

/// Returns true if there are entries, which may contain waiting reports.
pub(crate) fn is_waiting() -> bool {
    COUNT.load(Ordering::Relaxed) > 0
}

/// Sends the waiting reports whose time has elapsed, or all of them.
pub(crate) fn send_due(is_all: bool) {
    if !is_waiting() {
        return;
    }
    let _inside = inside::enter();
    let now = Instant::now();
    let mut due = Vec::new();
    let mut said = said();
    said.retain(|_, said| {
        let is_over = now.duration_since(said.sent) >= BETWEEN;
        if !is_all && !is_over {
            return true;
        }
        let waiting = said.waiting.take();
        if waiting.is_some() {
            said.sent = now;
        }
        let is_kept = waiting.is_some() || !is_over;
        due.extend(waiting);
        is_kept
    });
    COUNT.store(said.len(), Ordering::Relaxed);
    drop(said);
    for (progressed, at) in due {
        sending::progressed(progressed, at);
    }
}

/// Sends the waiting report of a process that ends, so that it is recorded before the end.
pub(crate) fn ended(id: u64) {
    if !is_waiting() {
        return;
    }
    let _inside = inside::enter();
    let mut said = said();
    let last = said.remove(&id);
    COUNT.store(said.len(), Ordering::Relaxed);
    drop(said);
    if let Some((progressed, at)) = last.and_then(|last| last.waiting) {
        sending::progressed(progressed, at);
    }
}

/// Removes all entries in a forked child, because another thread of the parent may have been changing them.
pub(crate) fn forget() {
    COUNT.store(0, Ordering::Relaxed);
    SAID.forget();
}

fn said() -> MutexGuard<'static, HashMap<u64, Said>> {
    if SAID.get().is_none() {
        SAID.set(Mutex::default());
    }
    SAID.get().expect("set above").lock().unwrap_or_else(PoisonError::into_inner)
}
