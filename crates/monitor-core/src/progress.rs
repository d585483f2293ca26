//! How far processes are: at most ten a second of each are sent, and always the last.
//!
//! The first one is sent at once. One that follows within a tenth of a second waits, and a later one takes its place. It is sent by the one
//! who drains when it has waited long enough, and by whoever ends the process. So a loop that tells each of a million steps costs the queue
//! ten records a second.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::context::Context;
use crate::own::Own;
use crate::record::Progressed;
use crate::value::Amount;
use crate::{clock, current, inside, park, sending};

/// Time between two of one process.
const BETWEEN: Duration = Duration::from_millis(100);
/// Most processes whose last one is remembered. Those of further ones are all sent.
const MOST: usize = 10_000;

static SAID: Own<Mutex<HashMap<u64, Said>>> = Own::new();
/// Number of entries, so that the one who drains takes no lock for nothing.
static COUNT: AtomicUsize = AtomicUsize::new(0);

struct Said {
    sent: Instant,
    /// The latest one, which waits, and when it was said, in ticks.
    waiting: Option<(Progressed, u64)>,
}

/// Says how far the process is that runs here: how much is done, and of how much, if that is known. At most ten a second are sent, and
/// always the last. Nothing happens where nothing is recorded.
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

/// Returns true while something waits or may have to.
pub(crate) fn is_waiting() -> bool {
    COUNT.load(Ordering::Relaxed) > 0
}

/// Sends what has waited long enough, or all that waits.
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

/// Sends what waits of a process that ends, so that it is told before the end.
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

/// Leaves all of it to the parent of a forked child, where another thread may be in the middle of it.
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
