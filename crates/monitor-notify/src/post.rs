//! A POST of JSON by HTTP: no redirects, and answers of a bounded length.

use std::time::Duration;

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use monitor_wire::retry_after;
pub use reqwest::{Client, ClientBuilder, Url};

/// Timeout for making a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of an answer that are read.
const LONGEST_ANSWER: usize = 16 << 10;

/// A request to be sent.
#[derive(Debug)]
pub struct Post {
    /// The address.
    pub url: Url,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

/// An answer that was received.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// The pause before the next request that the receiver asks for.
    pub after: Option<Duration>,
    /// The beginning of its body.
    pub body: String,
}

impl Post {
    /// A request with JSON.
    pub fn json(url: Url, body: Vec<u8>) -> Self {
        let headers = [(CONTENT_TYPE, http::HeaderValue::from_static("application/json"))].into_iter().collect();
        Self { url, headers, body }
    }
}

impl Answer {
    /// The words of an answer that is a failure.
    pub fn words(&self) -> String {
        let words = self.body.trim();
        let (status, between) = (self.status, if words.is_empty() { "" } else { ": " });
        let hint = if status.is_redirection() { ", a redirect, which is not followed" } else { "" };
        format!("answered with {status}{hint}{between}{words}")
    }
}

/// A client that follows no redirects. `timeout` is that of a whole request.
pub fn client(timeout: Duration) -> ClientBuilder {
    let client = Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(timeout).redirect(reqwest::redirect::Policy::none());
    let client = client.referer(false).user_agent("process-monitor");
    #[cfg(feature = "tls")]
    let client = client.tls_certs_merge(monitor_http::built_in_roots().filter_map(|root| reqwest::Certificate::from_der(root).ok()));
    client
}

/// Sends a request once.
///
/// # Errors
/// If no answer is received. The message names the host, and neither the path nor a password of the address.
pub async fn send(client: &Client, post: Post) -> Result<Answer, String> {
    let host = post.url.host_str().unwrap_or_default().to_owned();
    let away = |error: reqwest::Error| format!("{host} is not reached: {}", monitor_http::with_causes(&error.without_url()));
    let mut response = client.post(post.url).headers(post.headers).body(post.body).send().await.map_err(away)?;
    let mut body = Vec::new();
    while body.len() < LONGEST_ANSWER
        && let Some(chunk) = response.chunk().await.map_err(away)?
    {
        body.extend_from_slice(&chunk[..chunk.len().min(LONGEST_ANSWER - body.len())]);
    }
    let after = response.headers().get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?));
    Ok(Answer { status: response.status(), after, body: String::from_utf8_lossy(&body).into_owned() })
}
