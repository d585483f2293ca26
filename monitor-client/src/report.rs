//! The client's own words: through `tracing`. Warnings go to stderr where no subscriber listens, and all words if that is asked for.

use std::collections::HashSet;
use std::io::Write;
use std::panic::{UnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, Ordering};

use monitor_spool::settings::Log;

use crate::silence;

static LOG: AtomicU8 = AtomicU8::new(Log::Unheard as u8);

/// Says where own messages go from now on (`MONITOR_LOG`).
pub(crate) fn set(log: Log) {
    LOG.store(log as u8, Ordering::Relaxed);
}

fn is(log: Log) -> bool {
    LOG.load(Ordering::Relaxed) == log as u8
}

/// Something that the user may want to change.
pub(crate) fn warn(message: &str) {
    tell(|| tracing::warn!(target: "monitor_client", "{message}"));
    if is(Log::Stderr) || is(Log::Unheard) && !has_subscriber() {
        write("warning", message);
    }
}

/// Returns true if a subscriber listens on this thread, whatever it wants to hear.
fn has_subscriber() -> bool {
    let is_any = || silence::lifted(|| tracing::dispatcher::get_default(|dispatch| !dispatch.is::<tracing::subscriber::NoSubscriber>()));
    // A subscriber is the program's: see `tell`.
    catch_unwind(is_any).map_err(std::mem::forget).unwrap_or(true)
}

/// What was said and is not over. It belongs to the shipper's thread alone: a forked child has its own.
#[derive(Debug, Default)]
pub(crate) struct Said(HashSet<&'static str>);

impl Said {
    /// As [`warn`], but once per `topic`.
    pub(crate) fn warn_once(&mut self, topic: &'static str, message: impl FnOnce() -> String) {
        if self.0.insert(topic) {
            warn(&message());
        }
    }

    /// A topic is over: should it come again, it is said again.
    pub(crate) fn over(&mut self, topic: &'static str) {
        self.0.remove(topic);
    }
}

/// Something good to know.
pub(crate) fn info(message: &str) {
    tell(|| tracing::info!(target: "monitor_client", "{message}"));
    if is(Log::Stderr) {
        write("info", message);
    }
}

/// A subscriber is the program's: what it panics at is not ours to pass on to a monitored function.
fn tell(subscriber: impl FnOnce() + UnwindSafe) {
    // What a panic carries may panic again when it is dropped.
    let _ = catch_unwind(|| silence::lifted(subscriber)).map_err(std::mem::forget);
}

fn write(level: &str, message: &str) {
    // In one piece, and a stderr that is closed or full must not become the program's panic.
    let line = format!("monitor: {level}: {message}\n");
    let _ = stderr().and_then(|mut stderr| stderr.write_all(line.as_bytes()));
}

/// Not the one of the standard library, whose lock may be held by a thread that a forked child doesn't have.
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
