//! Isolates the shipper's thread: if it fails, the program continues.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use monitor_core::{inside, switch};

use crate::{report, silence};

/// Runs `ship` until it returns or panics. Nothing is recorded afterwards. Threads that wait for a flush or for the end of the program are
/// released, because the other ends of their channels are dropped.
pub(super) fn run(ship: impl FnOnce()) {
    // Allocations of the shipper must not be recorded.
    inside::stay();
    silence::begin();
    let result = catch_unwind(AssertUnwindSafe(ship));
    if let Err(payload) = result {
        // A recorder that could not wake the shipper may have logged the problem already. Log before the switch is turned off, because a
        // program that sees the switch off may end immediately.
        if switch::is_on() {
            report::warn(&format!("what is recorded can't be sent any more, nothing more is recorded: {}", words(&*payload)));
        }
        // Dropping the payload may panic again.
        std::mem::forget(payload);
    }
    switch::turn_off();
}

pub(super) fn words(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic without words")
}

#[cfg(test)]
mod tests {
    use std::panic::panic_any;
    use std::sync::mpsc;

    use super::*;

    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }

    #[test]
    fn a_panic_of_the_shipper_releases_waiters_and_stops_recording() {
        for panics in [|| panic!("text"), || panic!("{}", 1), || panic_any(Bomb)] as [fn(); 3] {
            let (done, answer) = mpsc::channel::<()>();
            let thread = std::thread::spawn(move || {
                run(move || {
                    let _done = done;
                    panics();
                });
                inside::is_inside()
            });
            assert_eq!(answer.recv(), Err(mpsc::RecvError));
            assert!(thread.join().unwrap(), "the panic stays in there, and what its thread calls is not recorded");
            assert!(!switch::is_on());
        }
    }

    #[test]
    fn the_message_of_a_panic_is_reported() {
        let (text, string): (Box<dyn Any + Send>, Box<dyn Any + Send>) = (Box::new("a"), Box::new("b".to_owned()));
        assert_eq!((words(&*text), words(&*string), words(&1)), ("a", "b", "a panic without words"));
    }
}
