//! One request: a batch out, the server's word back.

use std::time::Duration;

use anyhow::Context;
use monitor_wire::{Accepted, Problem};
use reqwest::blocking::Client;
use reqwest::{StatusCode, Url};

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Accepted,
    /// The same again, later.
    Later,
    TooLarge,
    Unreadable(Option<u64>),
}

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
        url.set_path(&format!("{}/api/v1/events", url.path().trim_end_matches('/')));
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

    /// Sends a batch once, whose last event has this number.
    pub(crate) fn send(&self, body: Vec<u8>, last: u64) -> Answer {
        let mut request = self.client.post(self.url.clone()).header("Content-Type", "application/json").header("Content-Encoding", "zstd");
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let Ok(response) = request.body(body).send() else { return Answer::Later };
        let status = response.status();
        let Ok(body) = response.bytes() else { return Answer::Later };
        if status.is_success() {
            let is_ours = serde_json::from_slice::<Accepted>(&body).is_ok_and(|answer| answer.accepted == last);
            return if is_ours { Answer::Accepted } else { Answer::Later };
        }
        let problem = serde_json::from_slice::<Problem>(&body).ok();
        match (status, problem) {
            (StatusCode::PAYLOAD_TOO_LARGE, _) => Answer::TooLarge,
            // Without a problem's words it wasn't our server that could not read the batch.
            (StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY, Some(problem)) => Answer::Unreadable(problem.event_number),
            _ => Answer::Later,
        }
    }
}
