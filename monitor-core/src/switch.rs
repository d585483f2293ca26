//! Whether anything is recorded: off, on, or not decided yet.
//!
//! The decision is made once, by the first monitored call: it runs what [`starter!`](crate::starter) registered. A starter
//! reads the settings, sets up whoever drains the queue and calls [`turn_on`]; if none does, the program stays unmonitored.

use std::cell::Cell;
use std::panic::catch_unwind;
use std::sync::Once;
use std::sync::atomic::{AtomicU8, Ordering};

const UNDECIDED: u8 = 0;
const OFF: u8 = 1;
const ON: u8 = 2;

static STATE: AtomicU8 = AtomicU8::new(UNDECIDED);

/// Whether processes are recorded. Costs one relaxed load and a branch; without the feature `record`, nothing.
#[inline]
pub fn is_on() -> bool {
    if !cfg!(feature = "record") {
        return false;
    }
    let state = STATE.load(Ordering::Relaxed);
    state != OFF && (state == ON || decide())
}

/// Records from now on. Whoever drains the queue opens it before.
pub fn turn_on() {
    if cfg!(feature = "record") {
        crate::panic::install_hook();
        STATE.store(ON, Ordering::Release);
    }
}

/// What the first monitored call runs; see [`starter!`](crate::starter).
#[cfg(feature = "record")]
#[linkme::distributed_slice]
pub static STARTERS: [fn()];

#[cfg(not(feature = "record"))]
const STARTERS: [fn(); 0] = [];

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
            #[$crate::private::linkme::distributed_slice($crate::switch::STARTERS)]
            #[linkme(crate = $crate::private::linkme)]
            static STARTER: fn() = $start;
        };
    };
}

#[cold]
#[inline(never)]
fn decide() -> bool {
    static ONCE: Once = Once::new();
    thread_local!(static DECIDING: Cell<bool> = const { Cell::new(false) });

    // What a starter itself calls is not recorded: it would wait for its own end.
    if DECIDING.get() {
        return false;
    }
    DECIDING.set(true);
    ONCE.call_once(|| {
        for start in STARTERS {
            // The hook has told of a panic; the program goes on, unmonitored.
            let _ = catch_unwind(start);
        }
        let _ = STATE.compare_exchange(UNDECIDED, OFF, Ordering::AcqRel, Ordering::Acquire);
    });
    DECIDING.set(false);
    STATE.load(Ordering::Acquire) == ON
}
