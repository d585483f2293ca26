//! The switch of recording: off, on, or not decided yet.
//!
//! The first monitored call makes the decision: it runs the function registered by [`starter!`](crate::starter). A starter reads the
//! settings, sets up the drainer and calls [`turn_on`]. If no starter does, the program stays unmonitored. A forked child decides again
//! ([`fork`](crate::fork)).
//!
//! Two atomics store the state. The first determines if starts are recorded: it is also off while the [`levels`] exclude all new processes.
//! The second determines if recording continues for processes that have begun.

use std::cell::Cell;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::levels::{self, EventLevel, Levels};
use crate::record::{Origin, Site};
use crate::{filter, inside};

const UNDECIDED: u32 = 0;
const OFF: u32 = 1;
/// This value and those above it mean on. The difference is the number of forks between the first program and this one.
const ON: u32 = 2;

/// Added while not all starts are reported. As a signed number, the state is then less than all other states.
const FILTERED: u32 = 1 << 31;

/// State for starts.
static STATE: AtomicU32 = AtomicU32::new(UNDECIDED);
/// State for processes that have begun. It never contains [`FILTERED`], and is on while no new processes are reported.
static RECORDING: AtomicU32 = AtomicU32::new(UNDECIDED);
static FORKS: AtomicU32 = AtomicU32::new(0);
/// Id of the operating-system process that makes or has made the decision.
static DECIDER: AtomicU32 = AtomicU32::new(0);

/// Returns true if the program is recorded. Costs one relaxed load and a branch; without the feature `record`, nothing.
#[inline]
pub fn is_on() -> bool {
    if !cfg!(feature = "record") {
        return false;
    }
    let recording = RECORDING.load(Ordering::Relaxed);
    recording != OFF && (recording >= ON || decide(&RECORDING))
}

/// The part of the starts that is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Nothing,
    All,
    /// Depends on the kind and name.
    Depends,
}

/// Returns true if a start may be reported now; `depends` is called if that depends on its kind and name. Costs one relaxed load and a
/// branch if nothing is reported.
#[inline]
pub(crate) fn is_told(depends: impl FnOnce() -> bool) -> bool {
    if !cfg!(feature = "record") {
        return false;
    }
    let state = STATE.load(Ordering::Relaxed);
    state != OFF && (state.cast_signed() >= ON.cast_signed() || depends())
}

/// Returns the part of the starts that is reported now.
#[inline]
fn start() -> Start {
    if !cfg!(feature = "record") {
        return Start::Nothing;
    }
    let state = STATE.load(Ordering::Relaxed);
    if state == OFF {
        Start::Nothing
    } else if state.cast_signed() >= ON.cast_signed() {
        Start::All
    } else {
        Start::Depends
    }
}

/// Returns the level of starts at this site, if they depend on it.
pub(crate) fn level_at(site: &'static Site) -> EventLevel {
    if is_starting() { levels::at(site) } else { EventLevel::Off }
}

/// Returns the level of starts with this origin.
pub(crate) fn level_of(origin: &Origin) -> EventLevel {
    match start() {
        Start::All => EventLevel::All,
        Start::Depends if is_starting() => levels::of(origin),
        Start::Nothing | Start::Depends => EventLevel::Off,
    }
}

/// Returns true if any starts are reported now.
#[inline]
pub fn is_starting() -> bool {
    if !cfg!(feature = "record") {
        return false;
    }
    let state = STATE.load(Ordering::Relaxed);
    state != OFF && (state >= ON || decide(&STATE))
}

/// Returns true if calls made here are recorded: like [`is_starting`], but false inside the recorder.
#[inline]
pub(crate) fn is_recorded() -> bool {
    is_starting() && !inside::is_inside()
}

/// Returns a number that identifies the current recording. A process that began in another recording must be ignored: it belongs to the
/// parent of a forked child, or recording has ended.
#[inline]
pub(crate) fn recording() -> u32 {
    RECORDING.load(Ordering::Relaxed)
}

/// Turns recording on. The drainer must have opened the queue before.
pub fn turn_on() {
    if cfg!(feature = "record") {
        crate::panic::install_hook();
        let recording = ON + FORKS.load(Ordering::Relaxed);
        RECORDING.store(recording, Ordering::Release);
        STATE.store(state(recording), Ordering::Release);
    }
}

/// Returns the state for starts during this recording.
fn state(recording: u32) -> u32 {
    match levels::of_all() {
        Some(EventLevel::Off) => OFF,
        Some(EventLevel::All) if !filter::is_set() => recording,
        _ => FILTERED | recording,
    }
}

/// Sets the levels of new processes. Processes whose start was reported get their ends.
pub fn set_levels(levels: &Levels) {
    levels::set(levels);
    look_again();
}

/// Sets if a client watches this program, for levels that depend on it.
pub fn set_watched(is_watched: bool) {
    levels::set_watched(is_watched);
    look_again();
}

fn look_again() {
    let recording = RECORDING.load(Ordering::SeqCst);
    if recording < ON {
        return;
    }
    STATE.store(state(recording), Ordering::SeqCst);
    // Recording may have been turned off before the state was stored.
    if RECORDING.load(Ordering::SeqCst) != recording {
        STATE.store(OFF, Ordering::SeqCst);
    }
}

/// Turns recording off, for starts and ends, because they are no longer drained. Returns true if it was on.
pub fn turn_off() -> bool {
    let was_on = RECORDING.swap(OFF, Ordering::SeqCst) >= ON;
    STATE.store(OFF, Ordering::SeqCst);
    was_on
}

/// Resets the switch in a forked child, before anything else runs in it. The child's first monitored call decides again. Everything
/// recorded or begun before belongs to the parent, and `forget` removes it. Neither allocates nor waits.
pub(crate) fn forked(forget: impl FnOnce()) {
    FORKS.fetch_add(1, Ordering::Relaxed);
    forget();
    DECIDER.store(0, Ordering::Relaxed);
    STATE.store(UNDECIDED, Ordering::Release);
    RECORDING.store(UNDECIDED, Ordering::Release);
}

/// Returns true if recording was turned on.
pub(crate) fn was_turned_on() -> bool {
    recording() >= ON
}

/// Functions that the first monitored call runs; see [`starter!`](crate::starter).
#[cfg(feature = "record")]
mod starters {
    crate::section::section!(fn(), "monitor_start", || {});
}

#[cfg(not(feature = "record"))]
mod starters {
    pub(super) fn all() -> &'static [fn()] {
        &[]
    }
}

/// Registers a `fn()` that the first monitored call of the program runs. Needs the feature `record`.
///
/// All other monitored calls wait for it, so it must not wait for a thread that makes one.
///
/// ```
/// fn start() {
///     // read the settings, open the queue, and then:
///     monitor_core::switch::turn_on();
/// }
/// monitor_core::starter!(start);
///
/// assert!(monitor_core::switch::is_on());
/// ```
#[cfg(feature = "record")]
#[macro_export]
macro_rules! starter {
    ($start:path) => {
        const _: () = {
            #[used]
            #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__monitor_start,regular,no_dead_strip"))]
            #[cfg_attr(windows, unsafe(link_section = ".monitor_start$b"))]
            #[cfg_attr(not(any(target_vendor = "apple", windows)), unsafe(link_section = "monitor_start"))]
            static STARTER: fn() = $start;
        };
    };
}

#[cold]
#[inline(never)]
fn decide(of: &AtomicU32) -> bool {
    thread_local!(static DECIDING: Cell<bool> = const { Cell::new(false) });

    // Calls made by a starter are not recorded, because they would wait for the starter's end.
    if DECIDING.get() || inside::is_inside() {
        return false;
    }
    let own = std::process::id();
    // Not a `Once`: in a child that another thread forks during the decision, it would stay locked forever. In the child, the stored
    // decider is the parent, so that the child decides itself.
    let before = DECIDER.load(Ordering::Acquire);
    if before != own && DECIDER.compare_exchange(before, own, Ordering::AcqRel, Ordering::Acquire).is_ok() {
        DECIDING.set(true);
        for start in starters::all() {
            // The hook has reported the panic. The program continues unmonitored.
            let _ = catch_unwind(start);
        }
        for word in [&RECORDING, &STATE] {
            let _ = word.compare_exchange(UNDECIDED, OFF, Ordering::AcqRel, Ordering::Acquire);
        }
        DECIDING.set(false);
    }
    while of.load(Ordering::Acquire) == UNDECIDED {
        std::thread::sleep(Duration::from_micros(20));
    }
    of.load(Ordering::Acquire) >= ON
}
