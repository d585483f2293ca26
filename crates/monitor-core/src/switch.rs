//! Whether anything is recorded: off, on, or not decided yet.
//!
//! The decision is made once, by the first monitored call: it runs what [`starter!`](crate::starter) registered. A starter
//! reads the settings, sets up whoever drains the queue and calls [`turn_on`]; if none does, the program stays unmonitored.
//! A forked child decides anew ([`fork`](crate::fork)).
//!
//! Two words keep it. One says whether anything begins: it is off as well while the [`levels`] say that nothing new is
//! told. The other one says whether recording goes on, for what has begun.

use std::cell::Cell;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::levels::{self, EventLevel, Levels};
use crate::record::{Origin, Site};
use crate::{filter, inside};

const UNDECIDED: u32 = 0;
const OFF: u32 = 1;
/// And above: on, plus the number of forks between the first program and this one.
const ON: u32 = 2;

/// Added while not everything is told of all that begins: signed, the state is then less than all others.
const FILTERED: u32 = 1 << 31;

/// What begins.
static STATE: AtomicU32 = AtomicU32::new(UNDECIDED);
/// What goes on: never [`FILTERED`], and on while nothing new is told.
static RECORDING: AtomicU32 = AtomicU32::new(UNDECIDED);
static FORKS: AtomicU32 = AtomicU32::new(0);
/// The operating-system process that decides, or decided.
static DECIDER: AtomicU32 = AtomicU32::new(0);

/// Whether the program is recorded. Costs one relaxed load and a branch; without the feature `record`, nothing.
#[inline]
pub fn is_on() -> bool {
    if !cfg!(feature = "record") {
        return false;
    }
    let recording = RECORDING.load(Ordering::Relaxed);
    recording != OFF && (recording >= ON || decide(&RECORDING))
}

/// What is told of a process that begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Nothing,
    All,
    /// It depends on what it is.
    Depends,
}

/// Whether anything is told of what begins now, which may depend on what it is. Costs one relaxed load and a branch if not.
#[inline]
pub(crate) fn is_told(depends: impl FnOnce() -> bool) -> bool {
    if !cfg!(feature = "record") {
        return false;
    }
    let state = STATE.load(Ordering::Relaxed);
    state != OFF && (state.cast_signed() >= ON.cast_signed() || depends())
}

/// What is told of what begins now.
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

/// The level of what begins at this place, where it depends on that.
pub(crate) fn level_at(site: &'static Site) -> EventLevel {
    if is_starting() { levels::at(site) } else { EventLevel::Off }
}

/// The level of what begins as this.
pub(crate) fn level_of(origin: &Origin) -> EventLevel {
    match start() {
        Start::All => EventLevel::All,
        Start::Depends if is_starting() => levels::of(origin),
        Start::Nothing | Start::Depends => EventLevel::Off,
    }
}

/// Whether anything that begins now is told.
#[inline]
pub fn is_starting() -> bool {
    if !cfg!(feature = "record") {
        return false;
    }
    let state = STATE.load(Ordering::Relaxed);
    state != OFF && (state >= ON || decide(&STATE))
}

/// Whether what is called here and now is recorded: as [`is_starting`], but not from inside the recorder.
#[inline]
pub(crate) fn is_recorded() -> bool {
    is_starting() && !inside::is_inside()
}

/// Names what is recorded at present. A process that began under another name is none of ours: it belongs to the parent of
/// a forked child, or recording is over.
#[inline]
pub(crate) fn recording() -> u32 {
    RECORDING.load(Ordering::Relaxed)
}

/// Records from now on. Whoever drains the queue opens it before.
pub fn turn_on() {
    if cfg!(feature = "record") {
        crate::panic::install_hook();
        let recording = ON + FORKS.load(Ordering::Relaxed);
        RECORDING.store(recording, Ordering::Release);
        STATE.store(state(recording), Ordering::Release);
    }
}

/// What begins while this is recorded.
fn state(recording: u32) -> u32 {
    match levels::of_all() {
        Some(EventLevel::Off) => OFF,
        Some(EventLevel::All) if !filter::is_set() => recording,
        _ => FILTERED | recording,
    }
}

/// Tells so much of what begins from now on. What has begun and was told gets its end.
pub fn set_levels(levels: &Levels) {
    levels::set(levels);
    look_again();
}

/// Says whether somebody looks at this program, for what is told only then.
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
    // Recording may have been turned off meanwhile, before that was stored.
    if RECORDING.load(Ordering::SeqCst) != recording {
        STATE.store(OFF, Ordering::SeqCst);
    }
}

/// Records nothing from now on, neither starts nor ends: nobody is there any more to take them. Whether anything was
/// recorded until now.
pub fn turn_off() -> bool {
    let was_on = RECORDING.swap(OFF, Ordering::SeqCst) >= ON;
    STATE.store(OFF, Ordering::SeqCst);
    was_on
}

/// For the child of a fork, before anything else runs in it: its first monitored call decides anew, and what was recorded
/// or begun before is the parent's, which `forget` sees to. Nothing here allocates or waits.
pub(crate) fn forked(forget: impl FnOnce()) {
    FORKS.fetch_add(1, Ordering::Relaxed);
    forget();
    DECIDER.store(0, Ordering::Relaxed);
    STATE.store(UNDECIDED, Ordering::Release);
    RECORDING.store(UNDECIDED, Ordering::Release);
}

/// Returns true if it was decided to record.
pub(crate) fn was_turned_on() -> bool {
    recording() >= ON
}

/// What the first monitored call runs; see [`starter!`](crate::starter).
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

/// Registers a `fn()` to be run by the first monitored call of the program. Needs the feature `record`.
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

    // What a starter itself calls is not recorded: it would wait for its own end.
    if DECIDING.get() || inside::is_inside() {
        return false;
    }
    let own = std::process::id();
    // No `Once`: it would be held for ever in a child that another thread forks while this one decides. There the decider
    // is somebody else, the parent.
    let before = DECIDER.load(Ordering::Acquire);
    if before != own && DECIDER.compare_exchange(before, own, Ordering::AcqRel, Ordering::Acquire).is_ok() {
        DECIDING.set(true);
        for start in starters::all() {
            // The hook has told of a panic; the program goes on, unmonitored.
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
