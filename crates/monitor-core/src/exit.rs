//! The end of a program by `process::exit`, which runs no destructors. Open processes end according to the exit code.

use crate::context::Context;
use crate::record::{Ended, Failure, Outcome};
use crate::{clock, current, inside, progress, sending, strays, switch, trees};

/// Registers `at_exit` to be called on the thread that ends the program, by `process::exit` or by returning from `main`. It receives the
/// exit code only with glibc, whose `on_exit` provides it. It must not unwind. The first registration is used; a forked child inherits it.
#[allow(unsafe_code, reason = "only the C library knows when a program ends by process::exit")]
pub fn register(at_exit: fn(Option<i32>)) {
    use std::sync::OnceLock;

    static AT_EXIT: OnceLock<fn(Option<i32>)> = OnceLock::new();

    #[cfg(not(target_family = "wasm"))]
    fn call(code: Option<i32>) {
        if let Some(at_exit) = AT_EXIT.get() {
            at_exit(code);
        }
    }

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn add() {
        use std::ffi::{c_int, c_void};

        unsafe extern "C" {
            // The `libc` crate doesn't declare it.
            fn on_exit(function: extern "C" fn(c_int, *mut c_void), arg: *mut c_void) -> c_int;
        }

        extern "C" fn ended(code: c_int, _: *mut c_void) {
            call(Some(code));
        }

        // SAFETY: this is glibc's signature; the function takes nothing from the argument and doesn't unwind.
        unsafe { on_exit(ended, std::ptr::null_mut()) };
    }

    /// Nothing is recorded in WebAssembly.
    #[cfg(target_family = "wasm")]
    fn add() {}

    #[cfg(not(any(all(target_os = "linux", target_env = "gnu"), target_family = "wasm")))]
    fn add() {
        extern "C" fn ended() {
            call(None);
        }

        // SAFETY: a plain function that doesn't unwind.
        unsafe { libc::atexit(ended) };
    }

    if AT_EXIT.set(at_exit).is_ok() {
        add();
    }
}

/// Ends the open calls of the exiting thread, and the only running tree, according to the exit code: 0 is success, any other code a
/// failure. Processes on other threads were interrupted; the worker's offline event ends them. Without a code, it ends all processes. Must
/// be called on the exiting thread, before recording is turned off.
pub fn ended_by(code: Option<i32>) {
    if !switch::is_on() || inside::is_inside() {
        return;
    }
    let _inside = inside::enter();
    strays::end();
    let Some(code) = code else { return };
    let (entry, is_within) = (trees::the_one(), current::local());
    let mut queued = current::end_open(|| Failure::of_exit_code(code));
    // A return from `main` is no result of a tree that still runs on another thread.
    let is_entry_ended = |entry: &Context| code != 0 || is_within.is_some_and(|within| within.root() == entry.root());
    // The tree may have ended together with the open calls of this thread.
    queued.extend(entry.filter(|entry| trees::the_one() == Some(*entry) && !queued.contains(entry) && is_entry_ended(entry)));
    for process in queued {
        end(process, code);
    }
}

fn end(process: Context, code: i32) {
    let outcome = Failure::of_exit_code(code).map_or(Outcome::Succeeded, |failure| Outcome::Failed(Box::new(failure)));
    let (root, id) = (process.root(), process.process());
    progress::ended(id);
    sending::ended(Ended { root, id, time_us: 0, elapsed_ns: None, outcome, extra: None }, 0, clock::now());
}
