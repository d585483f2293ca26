//! State that callers of other systems send along with a trace, kept for each tree so that calls made from here pass it on.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use monitor_core::own::Own;

/// Trees whose state is kept; beyond that the oldest is forgotten.
const MOST: usize = 1024;
/// The longest `tracestate` that is passed on: what W3C Trace Context asks for at least.
const LONGEST: usize = 512;

static TABLE: Own<Mutex<Table>> = Own::new();
/// Raised with the first entry, so that programs whose callers send nothing special never take the lock.
static IS_USED: AtomicBool = AtomicBool::new(false);
static BROKEN: AtomicU64 = AtomicU64::new(0);

/// The part of a caller's trace that this program passes on and has no use for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    /// The caller keeps this trace: bit 0 of the flags.
    pub(crate) is_sampled: bool,
    /// The `tracestate` header, unchanged.
    pub(crate) tracestate: Option<String>,
}

impl Default for State {
    fn default() -> Self {
        Self { is_sampled: true, tracestate: None }
    }
}

impl State {
    /// Reads the flags of a `traceparent` that is known to be one, and the `tracestate` beside it. A `tracestate` that is too long, or is
    /// no printable ASCII, is left out.
    pub(crate) fn read(traceparent: &str, tracestate: Option<&str>) -> Self {
        let flags = traceparent.trim().split('-').nth(3).and_then(|flags| u8::from_str_radix(flags, 16).ok());
        let may_pass = |text: &&str| !text.is_empty() && text.len() <= LONGEST && text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        Self { is_sampled: flags.is_none_or(|flags| flags & 1 == 1), tracestate: tracestate.filter(may_pass).map(str::to_owned) }
    }
}

#[derive(Debug, Default)]
struct Table {
    states: HashMap<u128, State>,
    /// Roots in the order in which they came.
    order: VecDeque<u128>,
}

/// Keeps what the latest caller of a tree sent.
pub(crate) fn remember(root: u128, state: State) {
    let is_plain = state == State::default();
    if is_plain && !IS_USED.load(Ordering::Acquire) {
        return;
    }
    let table = TABLE.get().or_else(|| {
        TABLE.set(Mutex::default());
        TABLE.get()
    });
    let Some(table) = table else { return };
    let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = table.states.get_mut(&root) {
        *known = state;
    } else if !is_plain {
        if table.order.len() == MOST
            && let Some(oldest) = table.order.pop_front()
        {
            table.states.remove(&oldest);
        }
        table.order.push_back(root);
        table.states.insert(root, state);
        IS_USED.store(true, Ordering::Release);
    }
}

/// The state that goes on with calls from this tree.
pub(crate) fn of(root: u128) -> State {
    if !IS_USED.load(Ordering::Acquire) {
        return State::default();
    }
    let table = TABLE.get().map(|table| table.lock().unwrap_or_else(PoisonError::into_inner));
    table.and_then(|table| table.states.get(&root).cloned()).unwrap_or_default()
}

/// For a forked child: another thread may hold the lock.
#[cfg_attr(not(feature = "ship"), allow(dead_code, reason = "nothing is recorded, nor forked"))]
pub(crate) fn forget() {
    IS_USED.store(false, Ordering::Release);
    TABLE.forget();
}

/// Counts a caller whose ids could not be read.
pub(crate) fn count_broken() {
    BROKEN.fetch_add(1, Ordering::Relaxed);
}

/// The number of callers so far whose `traceparent`, or ids in a message, could not be read. Their calls began trees of their own. The
/// answer to `stats` has it as `broken_callers`.
///
/// ```
/// assert_eq!(monitor_client::broken_callers(), 0);
/// ```
pub fn broken_callers() -> u64 {
    BROKEN.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_trees_state_is_forgotten_and_the_latest_callers_counts() {
        let state = |text: &str| State { tracestate: Some(text.to_owned()), ..State::default() };
        for root in 1..=MOST as u128 + 1 {
            remember(root << 64, state("first"));
        }
        assert_eq!(of(1 << 64), State::default());
        assert_eq!(of(2 << 64), state("first"));
        remember(2 << 64, state("second"));
        assert_eq!(of(2 << 64), state("second"));
        remember(2 << 64, State::default());
        assert_eq!(of(2 << 64), State::default());
        assert_eq!(of(3 << 64), state("first"));
    }

    #[test]
    fn a_tracestate_passes_unchanged_or_not_at_all() {
        let (line, flags) = ("rojo=00f067aa0ba902b7, congo=t61rcWkgMzE", "00-0199a3ce929d0e0e47360199a3ce929d-a3ce929d0e0e4736-00");
        assert_eq!(State::read(flags, Some(line)), State { is_sampled: false, tracestate: Some(line.to_owned()) });
        for bad in ["", "a=b\nc=d", "ä=b", &"a".repeat(513)] {
            assert_eq!(State::read(&flags.replace("-00", "-03"), Some(bad)).tracestate, None, "{bad:?}");
        }
        assert!(State::read(flags, Some(&"a".repeat(512))).tracestate.is_some());
    }
}
