//! Sends processes that have ended as spans to an OTLP receiver over HTTP, instead of events to a server.
//!
//! Events are numbered, kept and retried as usual. A batch is converted to the spans of the processes that end in it. So a repeated batch
//! results in the same spans, and each half of a split batch in a part of them.

use std::cell::RefCell;

use monitor_otlp::{Collector, LONGEST_ANSWER, OtlpHeaders, Part};
use monitor_spool::{Answer, Head, Parcel};
use reqwest::RequestBuilder;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};

use super::outbox::Request;
use super::post::causes;
use crate::report::{self, Said};

/// Converts batches to spans and sends them to a receiver.
#[derive(Debug)]
pub(super) struct Otlp {
    headers: OtlpHeaders,
    told: RefCell<Told>,
}

/// State after the batches so far.
#[derive(Debug, Default)]
struct Told {
    collector: Collector,
    /// Number of spans in the last request.
    spans: usize,
    /// True if the receiver has answered. A batch without spans is accepted without a request.
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

    /// Builds the request for the processes that end in a parcel. The body is empty if there are none.
    pub(super) fn request(&self, parcel: &Parcel, head: &Head<'_>) -> Request {
        let told = &mut *self.told.borrow_mut();
        // Decoding can't fail, because this program has encoded the parcel.
        let part = Part::whole(parcel.batch(head).map(|batch| told.collector.collect(&batch)).unwrap_or_default());
        if told.collector.left_out() > 0 {
            told.said.warn_once("open", || "too many processes are open at once: those that began last make no span".to_owned());
        }
        told.spans = part.count();
        Request { body: if told.spans == 0 { Vec::new() } else { part.body() }, sent: parcel.sent() }
    }

    /// Sends a body and converts the receiver's answer to a server's answer.
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
                // The receiver has accepted the request, even if the number of rejected spans is unknown.
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
