//! HTTP client for requests to the provider: no redirects, limits on time and size, and unencrypted only to this machine.

use std::time::Duration;

use monitor_wire::is_loopback;
use openidconnect::{HttpRequest, HttpResponse};
use reqwest::Client;
use url::Url;

/// Maximum time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum time to wait for a response.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum size of a response, in bytes.
const LONGEST_ANSWER: usize = 1 << 20;

/// Error of a request.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    /// The URL is not encrypted.
    #[error("{0} is neither https nor on this machine: secrets would be read on the way")]
    Plain(String),
    /// The connection failed.
    #[error(transparent)]
    Away(#[from] reqwest::Error),
    /// The response is too long.
    #[error("the answer is longer than {LONGEST_ANSWER} bytes")]
    Long,
}

/// True if requests to the URL can't be read on the way: it uses https, or is on this machine.
pub(crate) fn is_safe(url: &Url) -> bool {
    url.has_host() && (url.scheme() == "https" || (url.scheme() == "http" && url.host_str().is_some_and(is_loopback)))
}

/// Creates the client for requests to an issuer.
pub(super) fn client(issuer: &Url) -> Result<Client, reqwest::Error> {
    let mut client = Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(ANSWER_TIMEOUT).user_agent("process-monitor");
    client = client.redirect(reqwest::redirect::Policy::none()).referer(false);
    client = client.resolve_to_addrs("localhost", &monitor_http::LOCALHOST);
    client = client.tls_certs_merge(monitor_http::built_in_roots().filter_map(|root| reqwest::Certificate::from_der(root).ok()));
    if issuer.host_str().is_some_and(is_loopback) {
        // Proxies are meant for other hosts.
        client = client.no_proxy();
    }
    client.build()
}

/// Sends a request.
pub(super) async fn send(client: Client, request: HttpRequest) -> Result<HttpResponse, RequestError> {
    let request = reqwest::Request::try_from(request)?;
    if !is_safe(request.url()) {
        return Err(RequestError::Plain(request.url().origin().ascii_serialization()));
    }
    let mut answer = client.execute(request).await.map_err(reqwest::Error::without_url)?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
        if body.len() + chunk.len() > LONGEST_ANSWER {
            return Err(RequestError::Long);
        }
        body.extend_from_slice(&chunk);
    }
    let mut response = HttpResponse::new(body);
    *response.status_mut() = answer.status();
    *response.headers_mut() = std::mem::take(answer.headers_mut());
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_accepted_only_on_loopback() {
        for (url, expected) in [
            ("https://login.example.com", true),
            ("http://127.0.0.1:9000/realms/a", true),
            ("http://localhost:9000", true),
            ("http://[::1]:9000", true),
            ("http://login.example.com", false),
            ("http://127.0.0.1.example.com", false),
            ("http://192.0.2.1", false),
            ("ftp://127.0.0.1", false),
        ] {
            assert_eq!(is_safe(&url.parse().unwrap()), expected, "{url}");
        }
    }
}
