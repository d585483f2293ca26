//! Interpretation of a server's answer to a batch. All senders of batches use it: a program's own shipper, the shippers of dead programs'
//! records, the launcher, and a server that reads spools.
//!
//! Only two answers discard data: a 400 that names an event of the batch, and a 413 for a single event that is really large. After any
//! other answer, from the server or from a proxy, all events are kept for the next try.

use std::time::Duration;

use monitor_wire::{Accepted, Problem, is_temporary};

use crate::Parcel;

/// Size of an event's JSON, in bytes, below which a 413 can't be the event's fault. In that case some intermediary refuses everything.
const SMALL: usize = 64 << 10;

/// Meaning of a server's answer for the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The batch is stored.
    Accepted,
    /// One event of the batch can't be read by the server. It is dropped and counted; the other events are sent again.
    Unreadable {
        /// Number of the event.
        number: u64,
        /// Error text of the server.
        why: String,
    },
    /// The batch is too large. Its halves are sent. A single event is dropped and counted.
    TooLarge {
        /// Error text of the server.
        why: String,
    },
    /// The server can't accept the batch now. It is sent again, not before the time that the server specifies.
    Busy {
        /// Error text of the server.
        why: String,
        /// Wait specified by the server.
        retry_after: Option<Duration>,
    },
    /// The batch is refused, and sending it again helps only after a change of the configuration. It is kept and retried rarely.
    Refused {
        /// Reason for the refusal.
        why: String,
    },
    /// The server could not be reached. The batch is sent again.
    Away {
        /// Description of the error.
        why: String,
    },
}

/// Properties of a sent batch that affect the interpretation of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Number of the batch's first event.
    pub first: u64,
    /// Number of the batch's last event.
    pub last: u64,
    /// True if the batch has at most one event, which is so short that no server refuses it for its size.
    pub is_small: bool,
}

impl Parcel {
    /// Returns the properties for [`Answer::of`].
    pub fn sent(&self) -> Sent {
        Sent { first: self.first(), last: self.last(), is_small: self.count() <= 1 && self.json().is_none_or(|json| json.len() < SMALL) }
    }
}

impl Answer {
    /// Interprets a server's complaint that an event can't be read. If the event is not in the batch, the whole batch counts as refused.
    pub fn unreadable(sent: Sent, event_number: Option<u64>, why: String) -> Self {
        match event_number.filter(|number| (sent.first..=sent.last).contains(number)) {
            Some(number) => Self::Unreadable { number, why },
            None => Self::Refused { why },
        }
    }

    /// Interprets an HTTP answer: its status, its header `Retry-After` as parsed by [`monitor_wire::retry_after`], and its body.
    pub fn of(sent: Sent, status: u16, retry_after: Option<Duration>, body: &[u8]) -> Self {
        if (200..300).contains(&status) {
            let is_ours = serde_json::from_slice::<Accepted>(body).is_ok_and(|answer| answer.accepted == sent.last);
            let stranger = || Self::Refused { why: "what answers there is no Process Monitor".to_owned() };
            return if is_ours { Self::Accepted } else { stranger() };
        }
        let problem = serde_json::from_slice::<Problem>(body).ok();
        let event_number = problem.as_ref().and_then(|problem| problem.event_number);
        let why = problem.map(|problem| problem.detail).filter(|detail| !detail.is_empty());
        let why = why.unwrap_or_else(|| format!("it answered {status}"));
        match (status, event_number) {
            (400, number) => Self::unreadable(sent, number, why),
            (413, _) if !sent.is_small => Self::TooLarge { why },
            (status, _) if is_temporary(status) => Self::Busy { why, retry_after },
            _ => Self::Refused { why },
        }
    }
}

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);
/// Waits after a refusal, which persists until the configuration is changed.
const FIRST_REFUSED: Duration = Duration::from_secs(2);
const LONGEST_REFUSED: Duration = Duration::from_secs(60);

/// Wait before the next try.
#[derive(Debug, Default)]
pub struct Backoff(monitor_wire::Backoff);

impl Backoff {
    /// Resets the wait to its initial value.
    pub fn reset(&mut self) {
        self.0.reset();
    }

    /// Returns the wait after an answer. `None` if a batch can be sent immediately.
    pub fn after(&mut self, answer: &Answer) -> Option<Duration> {
        match answer {
            Answer::Accepted => {
                self.reset();
                None
            }
            Answer::TooLarge { .. } | Answer::Unreadable { .. } => None,
            Answer::Busy { retry_after, .. } => Some(self.0.next(FIRST, LONGEST).max(retry_after.unwrap_or_default())),
            Answer::Away { .. } => Some(self.0.next(FIRST, LONGEST)),
            Answer::Refused { .. } => Some(self.0.next(FIRST_REFUSED, LONGEST_REFUSED)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANY: Sent = Sent { first: 5, last: 9, is_small: false };

    fn problem(status: u16, event_number: Option<u64>) -> Vec<u8> {
        let problem = Problem {
            problem_type: "about:blank".to_owned(),
            title: String::new(),
            status,
            detail: "words".to_owned(),
            parameter: None,
            event_number,
            server_time_us: None,
        };
        serde_json::to_vec(&problem).unwrap()
    }

    /// Abbreviates an answer to one letter.
    fn letter(answer: &Answer) -> char {
        match answer {
            Answer::Accepted => 'a',
            Answer::Unreadable { .. } => 'u',
            Answer::TooLarge { .. } => 't',
            Answer::Busy { .. } => 'b',
            Answer::Refused { .. } => 'r',
            Answer::Away { .. } => '-',
        }
    }

    #[test]
    fn only_a_413_or_a_400_that_names_an_event_of_the_batch_loses_events() {
        for status in 100..=999 {
            for number in [None, Some(0), Some(4), Some(5), Some(9), Some(10), Some(u64::MAX)] {
                let expected = match (status, number) {
                    (400, Some(5..=9)) => 'u',
                    (413, _) => 't',
                    (408 | 429 | 500..=599, _) => 'b',
                    _ => 'r',
                };
                assert_eq!(letter(&Answer::of(MANY, status, None, &problem(status, number))), expected, "{status} {number:?}");
            }
            for body in [&b""[..], b"<html>", b"{}", b"null", b"[1]", b"\xff", br#"{"accepted":8}"#, br#"{"event_number":7}"#] {
                let expected = match status {
                    413 => 't',
                    408 | 429 | 500..=599 => 'b',
                    _ => 'r',
                };
                assert_eq!(letter(&Answer::of(MANY, status, None, body)), expected, "{status} {body:?}");
            }
        }
        assert_eq!(Answer::of(MANY, 200, None, br#"{"accepted":9}"#), Answer::Accepted);
    }

    #[test]
    fn one_small_event_is_never_too_large() {
        let sent = |length: usize| Parcel::plain(7, 1, format!("[{:?}]", "x".repeat(length)).as_bytes()).sent();
        for (sent, expected) in [(sent(1), 'r'), (sent(SMALL - 5), 'r'), (sent(SMALL), 't'), (MANY, 't')] {
            assert_eq!(letter(&Answer::of(sent, 413, None, b"")), expected, "{sent:?}");
        }
        let empty = Parcel::empty(7).sent();
        assert_eq!(letter(&Answer::of(empty, 413, None, b"")), 'r');
        assert_eq!(letter(&Answer::of(empty, 400, None, &problem(400, Some(7)))), 'r', "it has no event 7");
    }

    #[test]
    fn waits_grow_within_bounds_and_obey_the_server() {
        let busy = |seconds| Answer::Busy { why: String::new(), retry_after: Some(Duration::from_secs(seconds)) };
        let (away, refused) = (Answer::Away { why: String::new() }, Answer::Refused { why: String::new() });
        let mut backoff = Backoff::default();
        for full_ms in [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000, 10_000] {
            let wait = backoff.after(&away).unwrap().as_millis();
            assert!((full_ms / 2..=full_ms).contains(&wait), "{wait} of {full_ms}");
        }
        assert_eq!(backoff.after(&busy(30)), Some(Duration::from_secs(30)));
        assert_eq!(backoff.after(&Answer::Accepted), None);
        assert!(backoff.after(&away) <= Some(FIRST));
        backoff.reset();
        for full_ms in [2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] {
            let wait = backoff.after(&refused).unwrap().as_millis();
            assert!((full_ms / 2..=full_ms).contains(&wait), "{wait} of {full_ms}");
        }
    }
}
