//! The one rule of what becomes of a batch by the server's answer to it, for everybody who sends batches: a program's own shipper,
//! those who ship what dead programs left, the launcher, and a server that takes in what it finds.
//!
//! Only two answers cost data: a 400 that names an event of the batch, and a 413 to a single event that is really large. Whatever
//! else is answered, by the server or by something in its place, keeps everything for the next try.

use std::time::Duration;

use monitor_wire::{Accepted, Problem, is_temporary};

use crate::Parcel;

/// A single event whose JSON is shorter is never the reason for a 413: something refuses everything.
const SMALL: usize = 64 << 10;

/// What a server's answer means for the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The batch is stored.
    Accepted,
    /// One event of the batch can't be read. It is given up and counted, the others are sent again.
    Unreadable {
        /// Number of the event.
        number: u64,
        /// The server's words.
        why: String,
    },
    /// The batch is too large: its halves are sent. A single event is given up and counted.
    TooLarge {
        /// The server's words.
        why: String,
    },
    /// The server can't take the batch now: it is sent again, no sooner than the server says.
    Busy {
        /// The server's words.
        why: String,
        /// The time to wait that the server named.
        retry_after: Option<Duration>,
    },
    /// The batch is refused, and sending it again helps only once somebody has changed something: it is kept, and tried rarely.
    Refused {
        /// What is wrong.
        why: String,
    },
    /// Nobody answered: the batch is sent again.
    Away {
        /// Why not.
        why: String,
    },
}

/// What the rule needs to know of a batch that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Number of its first event.
    pub first: u64,
    /// Number of its last event.
    pub last: u64,
    /// One event at most, and so short that no server refuses it for its size.
    pub is_small: bool,
}

impl Parcel {
    /// What the [rule](Answer::of) needs to know of it.
    pub fn sent(&self) -> Sent {
        Sent { first: self.first(), last: self.last(), is_small: self.count() <= 1 && self.json().is_none_or(|json| json.len() < SMALL) }
    }
}

impl Answer {
    /// The batch can't be read: it costs the event that is named, if the batch has it.
    pub fn unreadable(sent: Sent, event_number: Option<u64>, why: String) -> Self {
        match event_number.filter(|number| (sent.first..=sent.last).contains(number)) {
            Some(number) => Self::Unreadable { number, why },
            None => Self::Refused { why },
        }
    }

    /// The meaning of an HTTP answer: its status, its header `Retry-After` as [`monitor_wire::retry_after`] reads it, and its body.
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
/// Somebody has to change something first.
const FIRST_REFUSED: Duration = Duration::from_secs(2);
const LONGEST_REFUSED: Duration = Duration::from_secs(60);

/// How long to wait before the next try.
#[derive(Debug, Default)]
pub struct Backoff(monitor_wire::Backoff);

impl Backoff {
    /// The next failure waits briefly again.
    pub fn reset(&mut self) {
        self.0.reset();
    }

    /// The wait after an answer; none if there is something to be sent at once.
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

    /// One letter for what becomes of the batch.
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
    fn only_a_400_that_names_an_event_of_the_batch_and_a_413_cost_anything() {
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
