//! What the writer's time goes to: one line per transaction for whoever wants it (`RUST_LOG=monitor_server::timings=debug`), and
//! what `cargo xtask bench server` prints.

use std::time::{Duration, Instant};

/// A part of a transaction.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// What was applied before, the keys of all texts, the numbers of roots. Full text is apart.
    Gather,
    /// Events sorted and folded to processes.
    Fold,
    /// Rows of processes, and what is kept beside them.
    Rows,
    /// Rows of roots.
    Roots,
    /// Sums by minute, hour and day, of workers and of states.
    Sums,
    /// What the stream will say.
    Tell,
    /// The piece of the log of events.
    Log,
    /// On its way to the disk.
    Commit,
}

/// A clock that is read between steps.
pub(super) struct Timings {
    since: Instant,
    spent: [Duration; 8],
    /// Of gathering, what full text took.
    pub(super) full_text: Duration,
}

impl Timings {
    pub(super) fn begin() -> Self {
        Self { since: Instant::now(), spent: [Duration::ZERO; 8], full_text: Duration::ZERO }
    }

    /// What was done since the last one was this step.
    pub(super) fn done(&mut self, step: Step) {
        let now = Instant::now();
        self.spent[step as usize] += now - self.since;
        self.since = now;
    }

    /// Tells of a transaction.
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
