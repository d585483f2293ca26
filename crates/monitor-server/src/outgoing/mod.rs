//! HTTP requests to addresses that users have set, of alert channels and of callbacks: without redirects or proxies, and only to public addresses
//! unless `private = true` is set.

mod reach;

use std::sync::Arc;
use std::time::Duration;

use monitor_notify::post::{self, Answer, Client, ClientBuilder, Post};
use url::Host;

use self::reach::{Public, is_public, refused};

/// Timeout of a whole request.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// Reason why a message was not delivered. It may be sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undelivered {
    /// Description of the failure, without secrets.
    pub why: String,
    /// Minimum wait requested by the receiver.
    pub after: Option<Duration>,
}

impl From<String> for Undelivered {
    fn from(why: String) -> Self {
        Self { why, after: None }
    }
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
        Self {
            public: built(client().dns_resolver(Arc::new(Public)).pool_max_idle_per_host(0)),
            // Not for the public client, because known names are not resolved, and thus not checked.
            private: built(client().resolve_to_addrs("localhost", &monitor_http::LOCALHOST)),
        }
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
