//! Time spent by the writer: one log line per transaction with `RUST_LOG=monitor_server::timings=debug`, also printed by `cargo xtask bench
//! server`.

use std::time::{Duration, Instant};

/// A step of a transaction.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// Skip stored events, look up text keys and root numbers. Full-text indexing is measured separately.
    Gather,
    /// Sort events and fold them to processes.
    Fold,
    /// Write rows of processes and side tables, log lines and signs.
    Rows,
    /// Write rows of roots.
    Roots,
    /// Write sums by minute, hour and day, and counts of workers and states.
    Sums,
    /// Prepare the changes for the stream.
    Tell,
    /// Write the piece of the log of events.
    Log,
    /// Commit to the disk.
    Commit,
}

/// Measures the time between steps.
pub(super) struct Timings {
    since: Instant,
    spent: [Duration; 8],
    /// Part of [`Step::Gather`] that was spent on full-text indexing.
    pub(super) full_text: Duration,
}

impl Timings {
    pub(super) fn begin() -> Self {
        Self { since: Instant::now(), spent: [Duration::ZERO; 8], full_text: Duration::ZERO }
    }

    /// Adds the time since the previous call to a step.
    pub(super) fn done(&mut self, step: Step) {
        let now = Instant::now();
        self.spent[step as usize] += now - self.since;
        self.since = now;
    }

    /// Logs the timings of a transaction.
    pub(super) fn tell(&self, events: usize) {
        let [gather, fold, rows, roots, sums, tell, log, commit] = self.spent.map(|spent| spent.as_micros() as u64);
        let full_text = self.full_text.as_micros() as u64;
        let gather = gather.saturating_sub(full_text);
        tracing::debug!(
            target: "monitor_server::timings",
            events,
            gather_us = gather,
            full_text_us = full_text,
            fold_us = fold,
            rows_us = rows,
            roots_us = roots,
            sums_us = sums,
            tell_us = tell,
            log_us = log,
            commit_us = commit
        );
    }
}
