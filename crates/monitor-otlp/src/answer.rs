//! The one rule of what a receiver's answer makes of spans.

use std::time::Duration;

use http::StatusCode;
use prost::Message as _;

use crate::proto::{RpcStatus, TracesTaken};

/// The most bytes of an answer that are worth reading.
pub const LONGEST_ANSWER: usize = 64 << 10;
/// The most characters of a receiver's own words that are repeated.
const LONGEST_WORDS: usize = 500;
/// The path of spans, which is added to an endpoint as OpenTelemetry has it.
const PATH: &str = "v1/traces";

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// All spans were taken.
    Taken,
    /// Some or all spans were not taken, and never will be.
    Rejected {
        /// The receiver's words.
        why: String,
    },
    /// Fewer spans at a time may be taken.
    TooLarge {
        /// The receiver's words.
        why: String,
    },
    /// The receiver can't take the spans now: they are sent again, no sooner than it says.
    Busy {
        /// The receiver's words.
        why: String,
        /// The time to wait that the receiver named.
        retry_after: Option<Duration>,
    },
    /// Nothing is wrong with the spans, but with a token or an address, which somebody has to mend.
    Refused {
        /// What is wrong.
        why: String,
    },
    /// Nobody answered.
    Away {
        /// Why not.
        why: String,
    },
}

impl Answer {
    /// The meaning of an answer of `receiver` to so many spans: by its status, its content type, its header `Retry-After`, and its body as
    /// far as that was read. A receiver that takes all may have a warning to say, which comes second.
    pub fn of(
        receiver: &str,
        status: StatusCode,
        content_type: Option<&str>,
        retry_after: Option<Duration>,
        body: &[u8],
        spans: usize,
    ) -> (Self, Option<String>) {
        let is_protobuf = content_type.is_some_and(|kind| kind.starts_with("application/x-protobuf"));
        if status.is_success() {
            return taken(receiver, is_protobuf.then_some(body), spans);
        }
        let words = if is_protobuf {
            RpcStatus::decode(body).map(|status| status.message).unwrap_or_default()
        } else {
            String::from_utf8_lossy(body).into_owned()
        };
        let why = said(format!("{receiver} answered {status}"), &words);
        let answer = match status.as_u16() {
            413 => Self::TooLarge { why },
            // What passes by itself, as OTLP has it.
            429 | 502 | 503 | 504 => Self::Busy { why, retry_after },
            401 | 403 | 404 | 407 => Self::Refused { why },
            _ if status.is_redirection() => Self::Refused { why },
            _ => Self::Rejected { why: format!("{why}: {spans} spans are not sent again") },
        };
        (answer, None)
    }
}

/// The meaning of an answer that took spans, all or some.
fn taken(receiver: &str, body: Option<&[u8]>, spans: usize) -> (Answer, Option<String>) {
    match body.and_then(|body| TracesTaken::decode(body).ok()).and_then(|taken| taken.partial_success) {
        Some(partial) if partial.rejected_spans > 0 => {
            let what = format!("{receiver} rejected {} of {spans} spans", partial.rejected_spans);
            (Answer::Rejected { why: said(what, &partial.error_message) }, None)
        }
        Some(partial) if !partial.error_message.is_empty() => {
            (Answer::Taken, Some(said(format!("{receiver} took all spans and warns"), &partial.error_message)))
        }
        _ => (Answer::Taken, None),
    }
}

/// A sentence, and the receiver's own words after it.
fn said(mut what: String, words: &str) -> String {
    let words: String = words.trim().chars().take(LONGEST_WORDS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if !words.is_empty() {
        what.push_str(": ");
        what.push_str(&words);
    }
    what
}

/// The path of spans at an endpoint with this path: `/v1/traces` is added, unless it ends so.
pub fn traces_path(path: &str) -> String {
    let path = path.trim_end_matches('/');
    if path.ends_with(&format!("/{PATH}")) { path.to_owned() } else { format!("{path}/{PATH}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::RejectedSpans;

    fn of(status: u16, body: &[u8], kind: Option<&str>) -> Answer {
        Answer::of("it", StatusCode::from_u16(status).unwrap(), kind, Some(Duration::from_secs(7)), body, 3).0
    }

    #[test]
    fn what_passes_is_tried_again_what_is_to_be_mended_too_and_nothing_else() {
        for status in 200..600 {
            let answer = of(status, b"words\nhere", None);
            let expected = match status {
                200..=299 => matches!(answer, Answer::Taken),
                429 | 502..=504 => matches!(&answer, Answer::Busy { retry_after: Some(wait), .. } if wait.as_secs() == 7),
                300..=399 | 401 | 403 | 404 | 407 => matches!(answer, Answer::Refused { .. }),
                413 => matches!(answer, Answer::TooLarge { .. }),
                _ => matches!(&answer, Answer::Rejected { why } if why.ends_with(": words here: 3 spans are not sent again")),
            };
            assert!(expected, "{status}: {answer:?}");
        }
    }

    #[test]
    fn half_a_success_is_a_rejection_and_nonsense_is_none() {
        let half =
            TracesTaken { partial_success: Some(RejectedSpans { rejected_spans: 2, error_message: "no room".to_owned() }) }.encode_to_vec();
        let protobuf = Some("application/x-protobuf");
        assert_eq!(of(200, &half, protobuf), Answer::Rejected { why: "it rejected 2 of 3 spans: no room".to_owned() });
        for (body, kind) in [(&half[..], None), (&half[..half.len() - 1], protobuf), (b"{}", protobuf), (b"", protobuf)] {
            assert_eq!(of(200, body, kind), Answer::Taken);
        }
        let warning = TracesTaken { partial_success: Some(RejectedSpans { rejected_spans: 0, error_message: "soon full".to_owned() }) };
        let (answer, said) = Answer::of("it", StatusCode::OK, protobuf, None, &warning.encode_to_vec(), 3);
        assert_eq!((answer, said.as_deref()), (Answer::Taken, Some("it took all spans and warns: soon full")));
    }

    #[test]
    fn an_answer_of_any_bytes_has_words_of_bounded_length() {
        let long = "\u{1b}é".repeat(10_000);
        for (body, kind) in [(long.as_bytes(), None), (b"\xff\xfe\0", None), (b"\xff\xff\xff\xff", Some("application/x-protobuf; x"))] {
            let Answer::Busy { why, .. } = of(503, body, kind) else { panic!("503") };
            assert!(why.chars().count() < 600 && !why.contains(char::is_control), "{why:?}");
        }
    }

    #[test]
    fn spans_go_below_the_endpoint() {
        for (path, expected) in [
            ("", "/v1/traces"),
            ("/", "/v1/traces"),
            ("/otlp/", "/otlp/v1/traces"),
            ("/otlp/v1/traces", "/otlp/v1/traces"),
            ("/v1/traces/", "/v1/traces"),
        ] {
            assert_eq!(traces_path(path), expected);
        }
    }
}
