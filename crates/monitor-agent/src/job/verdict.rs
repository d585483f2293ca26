//! Translates the outcome that a launcher has recorded into the status of a host, for the report to the server.

use monitor_runs::Outcome;
use monitor_wire::{HostStatus, JobReportEvent};

/// Maximum number of characters of a reported reason.
const MOST_REASON: usize = 1_000;

/// The end of a run: status, exit code and reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    pub(super) status: HostStatus,
    pub(super) exit_code: Option<i32>,
    pub(super) reason: Option<String>,
    /// Time of the end, in Unix microseconds.
    pub(super) at_us: u64,
}

impl End {
    /// Creates the end of a run that has no exit code.
    pub(super) fn new(status: HostStatus, reason: impl Into<String>) -> Self {
        Self { status, exit_code: None, reason: Some(reason.into()), at_us: monitor_runs::now_us() }
    }

    pub(super) fn lost(reason: &str) -> Self {
        Self::new(HostStatus::LOST, reason)
    }

    /// Translates the outcome that the launcher has recorded. `is_stopped` is true if the server has stopped the run.
    pub(super) fn of(outcome: &Outcome, is_stopped: bool) -> Self {
        let words = || Some(outcome.why.clone().filter(|_| outcome.error.is_none()).unwrap_or_else(|| outcome.words()));
        let (status, exit_code, reason) = match (outcome.reason.as_deref(), outcome.code, outcome.signal) {
            _ if outcome.is_cancelled && is_stopped => (HostStatus::STOPPED, None, None),
            (Some("lost"), ..) => (HostStatus::LOST, None, Some("its helper was killed, so nobody saw how it ended".to_owned())),
            (Some("timeout"), ..) => (HostStatus::TIMED_OUT, None, None),
            (Some("memory" | "cpu"), code, _) => (HostStatus::ENDED_ON_HOST, code, words()),
            (Some(_), ..) => (HostStatus::NOT_STARTED, None, words()),
            _ if outcome.is_cancelled => (
                HostStatus::ENDED_ON_HOST,
                None,
                Some("it was ended on the host, by `monitor runs kill` or a signal to its launcher".to_owned()),
            ),
            (None, Some(0), _) => (HostStatus::SUCCEEDED, Some(0), None),
            (None, Some(code), _) => (HostStatus::EXIT_CODE, Some(code), outcome.why.clone()),
            (None, None, Some(_)) => (HostStatus::ENDED_ON_HOST, None, Some(outcome.words())),
            (None, None, None) => (HostStatus::LOST, None, words()),
        };
        let at_us = if outcome.ended_us == 0 { monitor_runs::now_us() } else { outcome.ended_us };
        Self { status, exit_code, reason, at_us }
    }

    /// Returns the event that reports this end.
    pub(super) fn event(self, tag: Option<String>, output_bytes: u64, omitted_bytes: u64) -> JobReportEvent {
        let Self { status, exit_code, reason, .. } = self;
        let reason = reason.map(|reason| reason.chars().take(MOST_REASON).collect());
        JobReportEvent::Ended { status, exit_code, reason, tag, output_bytes, omitted_bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_end_has_its_status() {
        let with = |code, signal, reason: Option<&str>| Outcome { code, signal, reason: reason.map(str::to_owned), ..Outcome::default() };
        let cancelled = Outcome { is_cancelled: true, ..with(None, Some(15), None) };
        for (outcome, is_stopped, status, code) in [
            (with(Some(0), None, None), false, HostStatus::SUCCEEDED, Some(0)),
            (with(Some(0), None, None), true, HostStatus::SUCCEEDED, Some(0)),
            (with(Some(137), None, None), false, HostStatus::EXIT_CODE, Some(137)),
            (with(None, Some(15), Some("timeout")), false, HostStatus::TIMED_OUT, None),
            (with(None, Some(9), Some("memory")), false, HostStatus::ENDED_ON_HOST, None),
            (with(None, Some(9), None), false, HostStatus::ENDED_ON_HOST, None),
            (with(Some(127), None, Some("not-found")), false, HostStatus::NOT_STARTED, None),
            (with(None, None, Some("lost")), false, HostStatus::LOST, None),
            (with(None, None, None), false, HostStatus::LOST, None),
            (cancelled.clone(), true, HostStatus::STOPPED, None),
            (cancelled, false, HostStatus::ENDED_ON_HOST, None),
        ] {
            let end = End::of(&outcome, is_stopped);
            assert_eq!((end.status, end.exit_code), (status, code), "{outcome:?}");
        }
    }
}
