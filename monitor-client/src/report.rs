//! The client's own messages, sent through `tracing`. Warnings go to stderr if there is no subscriber, and with
//! `MONITOR_LOG=stderr` all messages do.

use std::collections::HashSet;
use std::io::Write;
use std::panic::{UnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, Ordering};

use monitor_spool::settings::Log;

use crate::silence;

static LOG: AtomicU8 = AtomicU8::new(Log::Unheard as u8);

/// Sets the destination of the client's messages (`MONITOR_LOG`).
pub(crate) fn set(log: Log) {
    LOG.store(log as u8, Ordering::Relaxed);
}

fn is(log: Log) -> bool {
    LOG.load(Ordering::Relaxed) == log as u8
}

/// Logs a message about a condition that the user may want to change.
pub(crate) fn warn(message: &str) {
    tell(|| tracing::warn!(target: "monitor_client", "{message}"));
    if is(Log::Stderr) || is(Log::Unheard) && !has_subscriber() {
        write("warning", message);
    }
}

/// Returns true if this thread has a subscriber, regardless of its filter.
fn has_subscriber() -> bool {
    let is_any = || silence::lifted(|| tracing::dispatcher::get_default(|dispatch| !dispatch.is::<tracing::subscriber::NoSubscriber>()));
    // The subscriber belongs to the program and may panic: see `tell`.
    catch_unwind(is_any).map_err(std::mem::forget).unwrap_or(true)
}

/// Topics of warnings that were logged and still apply. Owned by the shipper's thread; a forked child has its own.
#[derive(Debug, Default)]
pub(crate) struct Said(HashSet<&'static str>);

impl Said {
    /// Logs a warning like [`warn`], but once per `topic`.
    pub(crate) fn warn_once(&mut self, topic: &'static str, message: impl FnOnce() -> String) {
        if self.0.insert(topic) {
            warn(&message());
        }
    }

    /// Ends a topic. If the condition occurs again, the warning is logged again.
    pub(crate) fn over(&mut self, topic: &'static str) {
        self.0.remove(topic);
    }
}

/// Logs an informational message.
pub(crate) fn info(message: &str) {
    tell(|| tracing::info!(target: "monitor_client", "{message}"));
    if is(Log::Stderr) {
        write("info", message);
    }
}

/// Calls the program's subscriber and catches its panics, so that they don't propagate to a monitored function.
fn tell(subscriber: impl FnOnce() + UnwindSafe) {
    // Dropping the payload of a panic may panic again.
    let _ = catch_unwind(|| silence::lifted(subscriber)).map_err(std::mem::forget);
}

fn write(level: &str, message: &str) {
    // One write per line. Errors are ignored, so that a closed or full stderr does not panic in the program.
    let line = format!("monitor: {level}: {message}\n");
    let _ = stderr().and_then(|mut stderr| stderr.write_all(line.as_bytes()));
}

/// Opens stderr without the standard library's lock, which another thread may have held when this process was forked.
#[cfg(unix)]
fn stderr() -> std::io::Result<std::fs::File> {
    use std::os::fd::AsFd;

    std::io::stderr().as_fd().try_clone_to_owned().map(std::fs::File::from)
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "as the other")]
fn stderr() -> std::io::Result<std::io::Stderr> {
    Ok(std::io::stderr())
}
