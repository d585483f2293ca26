//! Warnings about programs and agents that use another version of the wire format.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use monitor_wire::DecodeError;

/// Time between two warnings about senders with another version of the wire format. Such senders repeat their batches.
const AGAIN: Duration = Duration::from_secs(60);

/// Warnings about senders with another version of the wire format.
#[derive(Default)]
pub(super) struct OtherWires {
    /// Time of the last warning.
    warned: Mutex<Option<Instant>>,
}

impl OtherWires {
    /// Logs a refused batch of another version, at most one each minute.
    pub(super) fn warn(&self, token: Option<&str>, error: &DecodeError) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.is_none_or(|warned| warned.elapsed() >= AGAIN) {
            *warned = Some(Instant::now());
            tracing::warn!(%error, ?token, "a program or agent uses another wire version: upgrade the older side; the sender keeps its data until then");
        }
    }
}
