//! Interpretation of an OTLP receiver's answer.

use std::time::Duration;

use http::StatusCode;
use prost::Message as _;

use crate::proto::{RpcStatus, TracesTaken};

/// Maximum number of bytes of an answer to read.
pub const LONGEST_ANSWER: usize = 64 << 10;
/// Maximum number of characters quoted from a receiver's message.
const LONGEST_WORDS: usize = 500;
/// Path that is appended to an endpoint, as specified by OpenTelemetry.
const PATH: &str = "v1/traces";

/// Result of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// All spans were accepted.
    Taken,
    /// Some or all spans were permanently rejected.
    Rejected {
        /// Message of the receiver.
        why: String,
    },
    /// The request has too many spans.
    TooLarge {
        /// Message of the receiver.
        why: String,
    },
    /// The receiver can't accept the spans now. They are sent again, not before the time that it specifies.
    Busy {
        /// Message of the receiver.
        why: String,
        /// Wait specified by the receiver.
        retry_after: Option<Duration>,
    },
    /// The spans are fine, but a token or an address is wrong and must be corrected by the operator.
    Refused {
        /// Description of the mistake.
        why: String,
    },
    /// The receiver could not be reached.
    Away {
        /// Description of the error.
        why: String,
    },
}

impl Answer {
    /// Interprets the answer of `receiver` to a request with `spans` spans, according to status, content type, header `Retry-After`, and
    /// the part of the body that was read. The second value is a warning from a receiver that accepted all spans.
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
            // Temporary errors according to the OTLP specification.
            429 | 502 | 503 | 504 => Self::Busy { why, retry_after },
            401 | 403 | 404 | 407 => Self::Refused { why },
            _ if status.is_redirection() => Self::Refused { why },
            _ => Self::Rejected { why: format!("{why}: {spans} spans are not sent again") },
        };
        (answer, None)
    }
}

/// Interprets an answer that accepted all or some spans.
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

/// Appends the receiver's message to a sentence.
fn said(mut what: String, words: &str) -> String {
    let words: String = words.trim().chars().take(LONGEST_WORDS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if !words.is_empty() {
        what.push_str(": ");
        what.push_str(&words);
    }
    what
}

/// Returns the path for spans at an endpoint: appends `/v1/traces` unless the path ends with it.
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
    fn temporary_and_correctable_failures_are_retried_and_no_others() {
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
    fn partial_success_is_a_rejection_unless_its_body_is_invalid() {
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
    fn an_answer_with_any_bytes_has_a_message_of_bounded_length() {
        let long = "\u{1b}é".repeat(10_000);
        for (body, kind) in [(long.as_bytes(), None), (b"\xff\xfe\0", None), (b"\xff\xff\xff\xff", Some("application/x-protobuf; x"))] {
            let Answer::Busy { why, .. } = of(503, body, kind) else { panic!("503") };
            assert!(why.chars().count() < 600 && !why.contains(char::is_control), "{why:?}");
        }
    }

    #[test]
    fn spans_are_sent_to_a_path_below_the_endpoint() {
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
