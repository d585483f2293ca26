//! One request to the server and its answer.

use std::cell::OnceCell;
use std::time::Duration;

use monitor_http::{certificate_hint, with_causes};
use monitor_spool::{Answer, Head, Parcel, Sent, Way, content_encoding};
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder, Response};

use super::outbox::Request;
use crate::settings::Settings;

/// Maximum time to establish a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum time until the answer. After it, the batch is sent again; the server counts its events once.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Number of bytes after which the rest of an answer is ignored. Our server sends no longer answers.
const LONGEST_ANSWER: usize = 64 << 10;

/// HTTP client of the server or receiver.
#[derive(Debug)]
pub(super) struct Post {
    /// Created at the first request. This takes milliseconds, and many programs end earlier.
    client: OnceCell<Client>,
    url: reqwest::Url,
    authorization: Option<String>,
    #[cfg(feature = "tls")]
    certificate_file: Option<std::path::PathBuf>,
    is_otlp: bool,
    #[cfg(feature = "otlp")]
    otlp: Option<super::otlp::Otlp>,
}

impl Post {
    /// Creates the client without a connection.
    pub(super) fn new(settings: &Settings) -> Self {
        let authorization = settings.token.as_ref().map(|token| format!("Bearer {token}"));
        Self {
            client: OnceCell::new(),
            url: settings.events_url.clone(),
            authorization,
            #[cfg(feature = "tls")]
            certificate_file: settings.certificate_file.clone().filter(|_| !settings.is_otlp),
            is_otlp: settings.is_otlp,
            #[cfg(feature = "otlp")]
            otlp: settings.otlp.clone().map(super::otlp::Otlp::new),
        }
    }

    /// Returns true if events are sent to an OTLP receiver instead of a server.
    pub(super) fn is_otlp(&self) -> bool {
        self.is_otlp
    }

    /// Returns true if the accepted batch was answered over the network. A batch without spans is accepted without a request.
    pub(super) fn is_answered(&self) -> bool {
        #[cfg(feature = "otlp")]
        if let Some(otlp) = &self.otlp {
            return otlp.is_answered();
        }
        !self.is_otlp
    }

    /// Returns a description of the server or receiver, for messages.
    pub(super) fn receiver(&self) -> String {
        let who = if self.is_otlp() { "OTLP receiver" } else { "server" };
        format!("the {who} at {}", self.address())
    }

    fn client(&self) -> Result<&Client, reqwest::Error> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let mut client =
            Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(ANSWER_TIMEOUT).redirect(reqwest::redirect::Policy::none());
        client = client.resolve_to_addrs("localhost", &monitor_http::LOCALHOST);
        let is_loopback = self.url.host_str().is_some_and(monitor_wire::is_loopback);
        if is_loopback {
            // Don't use a proxy for the local machine.
            client = client.no_proxy();
        }
        #[cfg(feature = "tls")]
        if self.url.scheme() == "http" {
            // No certificate is needed for http, so don't read any.
            client = client.tls_certs_only([]);
        } else if let Some(path) = &self.certificate_file {
            client = client.tls_backend_preconfigured(monitor_http::pinned(path.clone()));
        } else {
            client = client.tls_certs_merge(monitor_http::built_in_roots().filter_map(|root| reqwest::Certificate::from_der(root).ok()));
        }
        let client = client.build()?;
        Ok(self.client.get_or_init(|| client))
    }

    /// Returns the address of the server in a form that can be displayed.
    pub(super) fn address(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Builds a request to another path of the server's API, like `["commands", id, "replies"]`.
    pub(super) fn call(&self, method: Method, path: &[&str], query: Option<&str>) -> Result<RequestBuilder, reqwest::Error> {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop().extend(path);
        }
        url.set_query(query);
        let request = self.client()?.request(method, url);
        Ok(match &self.authorization {
            Some(authorization) => request.header(AUTHORIZATION, authorization),
            None => request,
        })
    }
}

impl Way for Post {
    type Request = Request;

    fn request(&self, parcel: &Parcel, head: &Head<'_>) -> Request {
        #[cfg(feature = "otlp")]
        if let Some(otlp) = &self.otlp {
            return otlp.request(parcel, head);
        }
        Request::of(parcel, head)
    }

    async fn send(&self, Request { body, sent }: Request) -> Answer {
        let client = match self.client() {
            Ok(client) => client,
            Err(error) => return Answer::Refused { why: causes(error) },
        };
        #[cfg(feature = "otlp")]
        if let Some(otlp) = &self.otlp {
            return otlp.send(client.post(self.url.clone()), body, &self.receiver()).await;
        }
        let mut request =
            client.post(self.url.clone()).header(CONTENT_TYPE, "application/json").header(CONTENT_ENCODING, content_encoding(&body));
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        match request.body(body).send().await {
            Ok(response) => answer(response, sent).await,
            Err(error) => Answer::Away { why: causes(error) },
        }
    }
}

/// Reads the answer to a request and evaluates it.
pub(super) async fn answer(mut response: Response, sent: Sent) -> Answer {
    let status = response.status();
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| monitor_wire::retry_after(value.to_str().ok()?));
    let mut body = Vec::new();
    while body.len() < LONGEST_ANSWER {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk[..chunk.len().min(LONGEST_ANSWER - body.len())]),
            Ok(None) => break,
            Err(error) => return Answer::Away { why: causes(error) },
        }
    }
    Answer::of(sent, status.as_u16(), retry_after, &body)
}

/// Formats an error with its sources. The message of a reqwest error itself is only "error sending request".
pub(super) fn causes(error: reqwest::Error) -> String {
    let text = with_causes(&error.without_url());
    match certificate_hint(&text) {
        Some(hint) => format!("{text}: {hint}"),
        None => text,
    }
}
