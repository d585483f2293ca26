//! The one rule of what becomes of a batch by the server's answer to it, for everybody who sends batches: a program's own shipper,
//! those who ship what dead programs left, the launcher, and a server that takes in what it finds.
//!
//! Only two answers cost data: a 400 that names an event of the batch, and a 413 to a single event that is really large. Whatever
//! else is answered, by the server or by something in its place, keeps everything for the next try.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

use monitor_wire::{Accepted, Problem};

use crate::Parcel;

/// A single event whose JSON is shorter is never the reason for a 413: something refuses everything.
const SMALL: usize = 64 << 10;

/// Advice for whoever reads that a server's certificate was refused by these words; none if they are about something else.
pub fn certificate_hint(why: &str) -> Option<&'static str> {
    why.contains("CaUsedAsEndEntity").then_some(
        "the server's certificate signs itself and says that it is an authority's, as `openssl req -x509` makes them; \
         make it with `-addext basicConstraints=critical,CA:FALSE`",
    )
}

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

    /// The meaning of an HTTP answer: its status, its header `Retry-After`, and its body.
    pub fn of(sent: Sent, status: u16, retry_after: Option<&str>, body: &[u8]) -> Self {
        if (200..300).contains(&status) {
            let is_ours = serde_json::from_slice::<Accepted>(body).is_ok_and(|answer| answer.accepted == sent.last);
            let stranger = || Self::Refused { why: "what answers there is no Process Monitor".to_owned() };
            return if is_ours { Self::Accepted } else { stranger() };
        }
        let problem = serde_json::from_slice::<Problem>(body).ok();
        let event_number = problem.as_ref().and_then(|problem| problem.event_number);
        let why = problem.map(|problem| problem.detail).filter(|detail| !detail.is_empty());
        let why = why.unwrap_or_else(|| format!("it answered {status}"));
        let retry_after = retry_after.and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
        match (status, event_number) {
            (400, number) => Self::unreadable(sent, number, why),
            (413, _) if !sent.is_small => Self::TooLarge { why },
            (408 | 429 | 500..=599, _) => Self::Busy { why, retry_after },
            _ => Self::Refused { why },
        }
    }
}

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);
/// Somebody has to change something first.
const FIRST_REFUSED: Duration = Duration::from_secs(2);
const LONGEST_REFUSED: Duration = Duration::from_secs(60);

/// How long to wait before the next try: doubling, with jitter, so that a thousand programs don't come back at once.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The next failure waits briefly again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// The wait after an answer; none if there is something to be sent at once.
    pub fn after(&mut self, answer: &Answer) -> Option<Duration> {
        match answer {
            Answer::Accepted => {
                self.reset();
                None
            }
            Answer::TooLarge { .. } | Answer::Unreadable { .. } => None,
            // A server that asks for a day is a mistake somewhere: it would look like a loss.
            Answer::Busy { retry_after, .. } => Some(self.next(FIRST, LONGEST).max(retry_after.unwrap_or_default().min(LONGEST * 6))),
            Answer::Away { .. } => Some(self.next(FIRST, LONGEST)),
            Answer::Refused { .. } => Some(self.next(FIRST_REFUSED, LONGEST_REFUSED)),
        }
    }

    /// Half of the wait is fixed, half is by chance.
    fn next(&mut self, first: Duration, longest: Duration) -> Duration {
        let full = first.saturating_mul(1 << self.failures.min(10)).min(longest);
        self.failures = self.failures.saturating_add(1);
        let chance = RandomState::new().hash_one(self.failures) % 1_000;
        full / 2 + full.mul_f64(chance as f64 / 2_000.0)
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
        assert_eq!(backoff.after(&busy(86_400)), Some(Duration::from_secs(60)));
        assert_eq!(backoff.after(&Answer::Accepted), None);
        assert!(backoff.after(&away) <= Some(FIRST));
        backoff.reset();
        for full_ms in [2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] {
            let wait = backoff.after(&refused).unwrap().as_millis();
            assert!((full_ms / 2..=full_ms).contains(&wait), "{wait} of {full_ms}");
        }
    }

    #[test]
    fn two_programs_do_not_wait_alike() {
        let away = Answer::Away { why: String::new() };
        let waits: std::collections::HashSet<_> = (0..20).map(|_| Backoff { failures: 7 }.after(&away)).collect();
        assert!(waits.len() > 1, "{waits:?}");
    }
}
