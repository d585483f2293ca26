//! HTTP requests of channels and of callbacks of jobs: without redirects or proxies, and only to public addresses unless the channel or callback has
//! `private = true`.

use std::sync::Arc;
use std::time::Duration;

use monitor_notify::post::{self, Answer, Client, ClientBuilder, Post};
use url::{Host, Url};

use super::Undelivered;
use super::reach::{Public, is_public, refused};

/// Timeout of a whole request.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// Creates a request with a JSON body.
pub(super) fn json(url: Url, body: &serde_json::Value) -> Post {
    Post::json(url, body.to_string().into_bytes())
}

/// Converts a response to a failure.
pub(super) fn failed(answer: &Answer) -> Undelivered {
    Undelivered { why: answer.words(), after: answer.after }
}

/// Evaluates the response of a chat. A response with status 200 is a failure if its body contains a code other than 0.
///
/// # Errors
/// Returns an error if the response is a failure.
pub(super) fn numbered(answer: Answer, codes: &[&str]) -> Result<String, Undelivered> {
    let body: Option<serde_json::Value> = serde_json::from_str(&answer.body).ok();
    let code = codes.iter().find_map(|code| body.as_ref()?.get(code)?.as_i64());
    if answer.status.is_success() && code == Some(0) { Ok(answer.body) } else { Err(failed(&answer)) }
}

/// HTTP clients: one for public addresses, one for all addresses.
pub(crate) struct Requests {
    public: Result<Client, String>,
    private: Result<Client, String>,
}

impl Requests {
    pub(crate) fn new() -> Self {
        let client = || post::client(ANSWER_TIMEOUT).no_proxy();
        let built = |client: ClientBuilder| client.build().map_err(|error| format!("no HTTP client can be made: {error}"));
        // Connections are not reused, so that the name is resolved and checked for each request.
        Self { public: built(client().dns_resolver(Arc::new(Public)).pool_max_idle_per_host(0)), private: built(client()) }
    }

    /// Sends a request once.
    ///
    /// # Errors
    /// Returns an error if there is no response.
    pub(crate) async fn send(&self, post: Post, is_private: bool) -> Result<Answer, Undelivered> {
        let client = if is_private { &self.private } else { &self.public };
        let client = client.as_ref().map_err(Clone::clone)?;
        let host = post.url.host_str().unwrap_or_default().to_owned();
        // Numeric addresses are not resolved, so they are checked here.
        let literal = match post.url.host() {
            Some(Host::Ipv4(ip)) => Some(ip.into()),
            Some(Host::Ipv6(ip)) => Some(ip.into()),
            _ => None,
        };
        if !is_private && literal.is_some_and(|ip| !is_public(ip)) {
            return Err(refused(&host).into());
        }
        Ok(post::send(client, post).await?)
    }
}
