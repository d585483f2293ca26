//! Requests of all channels that speak HTTP: no redirects, no proxies, and only to the whole internet unless a channel says otherwise.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use monitor_wire::retry_after;
use reqwest::Client;
use url::{Host, Url};

use super::Undelivered;
use super::reach::{Public, is_public, refused};

/// A connection that isn't made by then will not be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A request that isn't answered by then has failed.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// More of an answer is not read, in bytes.
const LONGEST_ANSWER: usize = 16 << 10;

/// A request that is to be sent: JSON by POST.
pub(super) struct Post {
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Post {
    pub(super) fn json(url: Url, body: &serde_json::Value) -> Self {
        let headers = [(CONTENT_TYPE, http::HeaderValue::from_static("application/json"))].into_iter().collect();
        Self { url, headers, body: body.to_string().into_bytes() }
    }
}

/// An answer that came.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) after: Option<Duration>,
    pub(super) body: String,
}

impl Answer {
    /// The answer as a failure.
    pub(super) fn failed(&self) -> Undelivered {
        let words = self.body.trim();
        let (status, between) = (self.status, if words.is_empty() { "" } else { ": " });
        let hint = if status.is_redirection() { ", a redirect, which is not followed" } else { "" };
        Undelivered { why: format!("answered with {status}{hint}{between}{words}"), after: self.after }
    }

    /// The answer of a chat: one with status 200 may tell of a failure by a number in its body that is not 0.
    ///
    /// # Errors
    /// If it tells of a failure.
    pub(super) fn numbered(self, codes: &[&str]) -> Result<String, Undelivered> {
        let body: Option<serde_json::Value> = serde_json::from_str(&self.body).ok();
        let code = codes.iter().find_map(|code| body.as_ref()?.get(code)?.as_i64());
        if self.status.is_success() && code == Some(0) { Ok(self.body) } else { Err(self.failed()) }
    }
}

/// What sends requests: made when there is something to send, one for public addresses and one for all.
pub(super) struct Requests {
    public: Result<Client, String>,
    private: Result<Client, String>,
}

impl Requests {
    pub(super) fn new() -> Self {
        let client = || {
            let client = Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(ANSWER_TIMEOUT).no_proxy();
            client.redirect(reqwest::redirect::Policy::none()).referer(false).user_agent("process-monitor")
        };
        let built = |client: reqwest::ClientBuilder| client.build().map_err(|error| format!("no HTTP client can be made: {error}"));
        // Connections are not kept: each looks its name up anew.
        Self { public: built(client().dns_resolver(Arc::new(Public)).pool_max_idle_per_host(0)), private: built(client()) }
    }

    /// Sends a request once.
    ///
    /// # Errors
    /// If there is no answer.
    pub(super) async fn send(&self, post: Post, is_private: bool) -> Result<Answer, Undelivered> {
        let client = if is_private { &self.private } else { &self.public };
        let client = client.as_ref().map_err(Clone::clone)?;
        let host = post.url.host_str().unwrap_or_default().to_owned();
        // Addresses in digits are not looked up.
        let literal = match post.url.host() {
            Some(Host::Ipv4(ip)) => Some(ip.into()),
            Some(Host::Ipv6(ip)) => Some(ip.into()),
            _ => None,
        };
        if !is_private && literal.is_some_and(|ip| !is_public(ip)) {
            return Err(refused(&host).into());
        }
        let away = |error: reqwest::Error| {
            Undelivered::from(format!("{host} is not reached: {}", monitor_http::with_causes(&error.without_url())))
        };
        let sent = client.post(post.url).headers(post.headers).body(post.body).send().await;
        let mut response = sent.map_err(away)?;
        let mut body = Vec::new();
        while body.len() < LONGEST_ANSWER
            && let Some(chunk) = response.chunk().await.map_err(away)?
        {
            body.extend_from_slice(&chunk[..chunk.len().min(LONGEST_ANSWER - body.len())]);
        }
        let after = response.headers().get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?));
        Ok(Answer { status: response.status(), after, body: String::from_utf8_lossy(&body).into_owned() })
    }
}
