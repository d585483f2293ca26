//! Trace state sent by callers in other systems, kept per tree so that outgoing calls pass it on.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use monitor_core::own::Own;

/// Maximum number of trees whose state is kept. Beyond it, the oldest is removed.
const MOST: usize = 1024;
/// Maximum length of a `tracestate` that is passed on: the length that W3C Trace Context requires at least.
const LONGEST: usize = 512;

static TABLE: Own<Mutex<Table>> = Own::new();
/// Set with the first entry, so that programs whose callers send no special state never acquire the lock.
static IS_USED: AtomicBool = AtomicBool::new(false);
static BROKEN: AtomicU64 = AtomicU64::new(0);

/// Part of a caller's trace that this program only passes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    /// True if the caller keeps this trace: bit 0 of the flags.
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
    /// Reads the flags of a valid `traceparent`, and the `tracestate` sent with it. A `tracestate` that is too long, or contains other
    /// characters than printable ASCII, is dropped.
    pub(crate) fn read(traceparent: &str, tracestate: Option<&str>) -> Self {
        let flags = traceparent.trim().split('-').nth(3).and_then(|flags| u8::from_str_radix(flags, 16).ok());
        let may_pass = |text: &&str| !text.is_empty() && text.len() <= LONGEST && text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        Self { is_sampled: flags.is_none_or(|flags| flags & 1 == 1), tracestate: tracestate.filter(may_pass).map(str::to_owned) }
    }
}

#[derive(Debug, Default)]
struct Table {
    states: HashMap<u128, State>,
    /// Roots in order of insertion.
    order: VecDeque<u128>,
}

/// Stores the state that the latest caller of a tree sent.
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

/// Returns the state to send with calls from this tree.
pub(crate) fn of(root: u128) -> State {
    if !IS_USED.load(Ordering::Acquire) {
        return State::default();
    }
    let table = TABLE.get().map(|table| table.lock().unwrap_or_else(PoisonError::into_inner));
    table.and_then(|table| table.states.get(&root).cloned()).unwrap_or_default()
}

/// Clears the state in a forked child, because another thread of the parent may have held the lock.
#[cfg_attr(not(feature = "ship"), allow(dead_code, reason = "nothing is recorded, nor forked"))]
pub(crate) fn forget() {
    IS_USED.store(false, Ordering::Release);
    TABLE.forget();
}

/// Counts a caller whose ids could not be parsed.
pub(crate) fn count_broken() {
    BROKEN.fetch_add(1, Ordering::Relaxed);
}

/// Returns the number of callers so far whose `traceparent`, or whose ids in a message, could not be parsed. Their calls began runs of
/// their own. The answer to `stats` contains the number as `broken_callers`.
///
/// # Examples
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
