//! One request: spans out, the receiver's word back.

use std::time::Duration;

use http::StatusCode;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use monitor_wire::retry_after;
use prost::Message as _;
use reqwest::Client;
use url::Url;

use super::batch::Part;
use super::headers::OtlpHeaders;
use super::target::Target;
use crate::otlp::proto::{RpcStatus, TracesTaken};

/// A connection that isn't made by then will not be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A request that isn't answered by then is sent again, as OpenTelemetry's own exporters do.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// More of an answer is not read.
const LONGEST_ANSWER: usize = 64 << 10;
/// More of a receiver's own words is not repeated.
const LONGEST_WORDS: usize = 500;

/// What became of a request.
#[derive(Debug)]
pub(super) enum Answer {
    /// All of it was taken.
    Taken,
    /// Some or all of it was not, and never will be.
    Rejected(String),
    /// Less at a time may be taken.
    TooLarge(String),
    /// It may be taken later, after so long if the receiver says so.
    Later { after: Option<Duration>, why: String },
}

/// The way to a receiver.
pub(super) struct Sender {
    url: Url,
    headers: OtlpHeaders,
    client: Result<Client, String>,
}

impl Sender {
    /// Nothing is connected yet.
    pub(super) fn new(target: &Target) -> Self {
        let url = target.url.clone();
        let mut client =
            Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(ANSWER_TIMEOUT).redirect(reqwest::redirect::Policy::none());
        if url.host_str().is_some_and(monitor_wire::is_loopback) {
            // A proxy is for what is elsewhere.
            client = client.no_proxy();
        }
        if url.scheme() == "http" {
            // No certificate is ever looked at: none has to be read, and none has to be there.
            client = client.tls_certs_only([]);
        }
        let client = client.build().map_err(|error| format!("no HTTP client can be made: {}", crate::causes(&error)));
        Self { url, headers: target.headers.clone(), client }
    }

    /// Sends spans once.
    pub(super) async fn send(&self, part: &Part) -> Answer {
        let ready = self.client.as_ref().map_err(Clone::clone).and_then(|client| Ok((client, self.headers.values()?)));
        let (client, headers) = match ready {
            Ok(ready) => ready,
            Err(why) => return Answer::Later { after: None, why },
        };
        let request = client.post(self.url.clone()).headers(headers).header(CONTENT_TYPE, "application/x-protobuf").body(part.body());
        match request.send().await {
            Ok(response) => self.answer(response, part.count()).await,
            Err(error) => Answer::Later { after: None, why: self.away(error) },
        }
    }

    fn away(&self, error: reqwest::Error) -> String {
        format!("{} is not reached: {}", self.shown(), crate::causes(&error.without_url()))
    }

    /// Where it sends, as it may be shown.
    fn shown(&self) -> String {
        format!("the OTLP receiver at {}", self.url.origin().ascii_serialization())
    }

    async fn answer(&self, mut response: reqwest::Response, spans: usize) -> Answer {
        let status = response.status();
        let after = response.headers().get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?));
        let is_protobuf = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-protobuf"));
        let mut body = Vec::new();
        while body.len() < LONGEST_ANSWER {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk[..chunk.len().min(LONGEST_ANSWER - body.len())]),
                Ok(None) => break,
                // What was taken is taken, though nobody knows how much of it.
                Err(_) if status.is_success() => break,
                Err(error) => return Answer::Later { after: None, why: self.away(error) },
            }
        }
        if status.is_success() {
            return self.taken(&body, is_protobuf, spans);
        }
        let words = if is_protobuf {
            RpcStatus::decode(&*body).map(|status| status.message).unwrap_or_default()
        } else {
            String::from_utf8_lossy(&body).into_owned()
        };
        let why = said(format!("{} answered {status}", self.shown()), &words);
        match status {
            StatusCode::PAYLOAD_TOO_LARGE => Answer::TooLarge(why),
            _ if is_tried_again(status) => Answer::Later { after, why },
            _ => Answer::Rejected(format!("{why}: {spans} spans are not sent again")),
        }
    }

    /// What an answer says of spans that were taken, all or some.
    fn taken(&self, body: &[u8], is_protobuf: bool, spans: usize) -> Answer {
        let partial = TracesTaken::decode(body).ok().filter(|_| is_protobuf).and_then(|taken| taken.partial_success);
        match partial {
            Some(partial) if partial.rejected_spans > 0 => Answer::Rejected(said(
                format!("{} rejected {} of {spans} spans", self.shown(), partial.rejected_spans),
                &partial.error_message,
            )),
            Some(partial) if !partial.error_message.is_empty() => {
                tracing::warn!("{}", said(format!("{} took all spans and warns", self.shown()), &partial.error_message));
                Answer::Taken
            }
            _ => Answer::Taken,
        }
    }
}

/// Returns true for what passes by itself, as OTLP has it, and where nothing is wrong with the spans: a token or an address has to be mended.
fn is_tried_again(status: StatusCode) -> bool {
    let passes = [429, 502, 503, 504].contains(&status.as_u16());
    passes || status.is_redirection() || [401, 403, 404, 407].contains(&status.as_u16())
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
