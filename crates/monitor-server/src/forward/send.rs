//! Client of the OTLP receiver: sends spans in one request and evaluates the response.

use std::time::Duration;

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use monitor_otlp::{Answer, LONGEST_ANSWER, OtlpHeaders, Part};
use monitor_wire::retry_after;
use reqwest::Client;
use url::Url;

use super::target::Target;

/// Maximum time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum time to wait for a response. After it, the request is sent again, as in OpenTelemetry's own exporters.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Connection to a receiver.
pub(super) struct Sender {
    url: Url,
    headers: OtlpHeaders,
    client: Result<Client, String>,
}

impl Sender {
    /// Creates the client. It connects with the first request.
    pub(super) fn new(target: &Target) -> Self {
        let url = target.url.clone();
        let mut client =
            Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(ANSWER_TIMEOUT).redirect(reqwest::redirect::Policy::none());
        client = client.resolve_to_addrs("localhost", &monitor_http::LOCALHOST);
        if url.host_str().is_some_and(monitor_wire::is_loopback) {
            // Proxies are meant for other hosts.
            client = client.no_proxy();
        }
        if url.scheme() == "http" {
            // Plain HTTP needs no certificates, so the system's certificates need not exist.
            client = client.tls_certs_only([]);
        } else {
            client = client.tls_certs_merge(monitor_http::built_in_roots().filter_map(|root| reqwest::Certificate::from_der(root).ok()));
        }
        let client = client.build().map_err(|error| format!("no HTTP client can be made: {}", monitor_http::with_causes(&error)));
        Self { url, headers: target.headers.clone(), client }
    }

    /// Sends spans once.
    pub(super) async fn send(&self, part: &Part) -> Answer {
        let ready = self.client.as_ref().map_err(Clone::clone).and_then(|client| Ok((client, self.headers.values()?)));
        let (client, headers) = match ready {
            Ok(ready) => ready,
            Err(why) => return Answer::Refused { why },
        };
        let request = client.post(self.url.clone()).headers(headers).header(CONTENT_TYPE, "application/x-protobuf").body(part.body());
        match request.send().await {
            Ok(response) => self.answer(response, part.count()).await,
            Err(error) => Answer::Away { why: self.away(error) },
        }
    }

    fn away(&self, error: reqwest::Error) -> String {
        format!("{} is not reached: {}", self.shown(), monitor_http::with_causes(&error.without_url()))
    }

    /// Returns the receiver's address for messages.
    fn shown(&self) -> String {
        format!("the OTLP receiver at {}", self.url.origin().ascii_serialization())
    }

    async fn answer(&self, mut response: reqwest::Response, spans: usize) -> Answer {
        let status = response.status();
        let header = |name| response.headers().get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
        let (kind, after) = (header(CONTENT_TYPE).map(str::to_owned), header(RETRY_AFTER).and_then(retry_after));
        let mut body = Vec::new();
        while body.len() < LONGEST_ANSWER {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk[..chunk.len().min(LONGEST_ANSWER - body.len())]),
                Ok(None) => break,
                // The status shows that the receiver accepted the request, even if its details are unreadable.
                Err(_) if status.is_success() => break,
                Err(error) => return Answer::Away { why: self.away(error) },
            }
        }
        let (answer, warning) = Answer::of(&self.shown(), status, kind.as_deref(), after, &body, spans);
        if let Some(warning) = warning {
            tracing::warn!("{warning}");
        }
        answer
    }
}
