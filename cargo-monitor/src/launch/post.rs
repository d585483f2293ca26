//! One request: a batch out, the server's word back.

use std::io::Read;
use std::time::Duration;

use anyhow::Context;
use monitor_spool::{Answer, Head, Parcel, content_encoding};
use reqwest::Url;
use reqwest::blocking::{Client, Response};
use reqwest::header::RETRY_AFTER;

/// More of an answer is not read: it is none of our server's.
const LONGEST_ANSWER: u64 = 64 << 10;

/// The way to the server.
#[derive(Debug)]
pub(crate) struct Post {
    client: Client,
    url: Url,
    token: Option<String>,
}

/// The server that is asked for.
///
/// # Errors
/// When `MONITOR_SERVER_URL` is no address.
pub(crate) fn server() -> anyhow::Result<Url> {
    let said = std::env::var("MONITOR_SERVER_URL").ok().filter(|url| !url.trim().is_empty());
    let text = said.unwrap_or_else(|| "http://127.0.0.1:60010".to_owned());
    let url: Url = text.trim().parse().with_context(|| format!("MONITOR_SERVER_URL is {text:?}"))?;
    anyhow::ensure!(
        matches!(url.scheme(), "http" | "https") && url.has_host(),
        "MONITOR_SERVER_URL is {text:?}, expected a URL like http://127.0.0.1:60010"
    );
    Ok(url)
}

impl Post {
    /// Nothing is connected yet.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let mut url = server()?;
        let is_loopback = url.host_str().is_some_and(|host| host == "localhost" || host.starts_with("127.") || host == "[::1]");
        url.set_path(&format!("{}/api/v1/events", monitor_spool::settings::base_path(url.path())));
        let mut client = Client::builder().connect_timeout(Duration::from_secs(5)).timeout(Duration::from_secs(30));
        client = client.redirect(reqwest::redirect::Policy::none());
        if is_loopback {
            // A proxy is for what is elsewhere.
            client = client.no_proxy();
        }
        if url.scheme() == "http" {
            // No certificate is ever looked at: none has to be read, and none has to be there.
            client = client.tls_certs_only([]);
        }
        let token = std::env::var("MONITOR_TOKEN").ok().filter(|token| !token.is_empty());
        Ok(Self { client: client.build()?, url, token })
    }

    /// Sends a batch once.
    pub(crate) fn send(&self, parcel: &Parcel, head: &Head<'_>) -> Answer {
        let body = parcel.body(head);
        let mut request = self.client.post(self.url.clone()).header("Content-Type", "application/json");
        request = request.header("Content-Encoding", content_encoding(&body));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let read = |response: Response| {
            let status = response.status().as_u16();
            let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
            let mut body = Vec::new();
            response.take(LONGEST_ANSWER).read_to_end(&mut body)?;
            Ok::<_, std::io::Error>(Answer::of(parcel.sent(), status, retry_after.as_deref(), &body))
        };
        match request.body(body).send().map_err(std::io::Error::other).and_then(read) {
            Ok(answer) => answer,
            Err(error) => Answer::Away { why: error.to_string() },
        }
    }
}
