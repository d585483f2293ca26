//! The client's own words: through `tracing`, and to stderr for those without a subscriber who ask for it.

use std::collections::HashSet;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

static TO_STDERR: AtomicBool = AtomicBool::new(false);
static SAID: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);

/// Own messages go to stderr as well from now on (`MONITOR_LOG=stderr`).
pub(crate) fn to_stderr() {
    TO_STDERR.store(true, Ordering::Relaxed);
}

/// Something that the user may want to change.
pub(crate) fn warn(message: &str) {
    tracing::warn!(target: "monitor_client", "{message}");
    write("warning", message);
}

/// As [`warn`], but once per `topic` in the life of the program.
pub(crate) fn warn_once(topic: &'static str, message: impl FnOnce() -> String) {
    let first = SAID.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().insert(topic);
    if first {
        warn(&message());
    }
}

/// A topic is over: should it come again, it is said again.
pub(crate) fn over(topic: &'static str) {
    if let Some(said) = SAID.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
        said.remove(topic);
    }
}

/// Something good to know.
pub(crate) fn info(message: &str) {
    tracing::info!(target: "monitor_client", "{message}");
    write("info", message);
}

fn write(level: &str, message: &str) {
    if TO_STDERR.load(Ordering::Relaxed) {
        // A closed stderr must not become the program's panic.
        let _ = writeln!(std::io::stderr(), "monitor: {level}: {message}");
    }
}
