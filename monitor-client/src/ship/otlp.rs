//! Another way than to the server: what has ended goes as spans to a receiver of OTLP over HTTP.
//!
//! Events are numbered, kept and tried again as ever. A batch becomes the spans of what ended by its events, so that a batch that comes
//! again makes the same spans, and one that is halved makes half of them.

use std::cell::RefCell;

use monitor_otlp::{Collector, LONGEST_ANSWER, OtlpHeaders, Part};
use monitor_spool::{Answer, Head, Parcel};
use reqwest::RequestBuilder;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};

use super::outbox::Request;
use super::post::causes;
use crate::report::{self, Said};

/// The way to a receiver.
#[derive(Debug)]
pub(super) struct Otlp {
    headers: OtlpHeaders,
    told: RefCell<Told>,
}

/// What the batches so far have told.
#[derive(Debug, Default)]
struct Told {
    collector: Collector,
    /// Number of spans of the request that was made last.
    spans: usize,
    /// The receiver has answered. A batch without spans is taken before anybody is asked.
    is_answered: bool,
    said: Said,
}

impl Otlp {
    pub(super) fn new(headers: OtlpHeaders) -> Self {
        Self { headers, told: RefCell::default() }
    }

    /// Returns true if the receiver has ever answered.
    pub(super) fn is_answered(&self) -> bool {
        self.told.borrow().is_answered
    }

    /// The request of what ended by the events of a parcel; without a body if nothing did.
    pub(super) fn request(&self, parcel: &Parcel, head: &Head<'_>) -> Request {
        let told = &mut *self.told.borrow_mut();
        // A parcel is what this program has encoded itself.
        let part = Part::whole(parcel.batch(head).map(|batch| told.collector.collect(&batch)).unwrap_or_default());
        if told.collector.left_out() > 0 {
            told.said.warn_once("open", || "too many processes are open at once: those that began last make no span".to_owned());
        }
        told.spans = part.count();
        Request { body: if told.spans == 0 { Vec::new() } else { part.body() }, sent: parcel.sent() }
    }

    /// Sends such a body. The receiver's answer, as if a server had given it.
    pub(super) async fn send(&self, request: RequestBuilder, body: Vec<u8>, receiver: &str) -> Answer {
        if body.is_empty() {
            return Answer::Accepted;
        }
        let headers = match self.headers.values() {
            Ok(headers) => headers,
            Err(why) => return Answer::Refused { why },
        };
        let mut response = match request.headers(headers).header(CONTENT_TYPE, "application/x-protobuf").body(body).send().await {
            Ok(response) => response,
            Err(error) => return Answer::Away { why: causes(error) },
        };
        let status = response.status();
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let (kind, retry_after) = (header(CONTENT_TYPE).map(str::to_owned), header(RETRY_AFTER).and_then(monitor_wire::retry_after));
        let mut body = Vec::new();
        while body.len() < LONGEST_ANSWER {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk[..chunk.len().min(LONGEST_ANSWER - body.len())]),
                Ok(None) => break,
                // What was taken is taken, though nobody knows how much of it.
                Err(_) if status.is_success() => break,
                Err(error) => return Answer::Away { why: causes(error) },
            }
        }
        let told = &mut *self.told.borrow_mut();
        told.is_answered = true;
        let (answer, warning) = monitor_otlp::Answer::of(receiver, status, kind.as_deref(), retry_after, &body, told.spans);
        if let Some(warning) = warning {
            told.said.warn_once("warning", || warning);
        }
        match answer {
            monitor_otlp::Answer::Taken => Answer::Accepted,
            monitor_otlp::Answer::Rejected { why } => {
                report::warn(&why);
                Answer::Accepted
            }
            monitor_otlp::Answer::TooLarge { why } => Answer::TooLarge { why },
            monitor_otlp::Answer::Busy { why, retry_after } => Answer::Busy { why, retry_after },
            monitor_otlp::Answer::Refused { why } => Answer::Refused { why },
            monitor_otlp::Answer::Away { why } => Answer::Away { why },
        }
    }
}
