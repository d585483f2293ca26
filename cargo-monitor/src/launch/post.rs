//! One request: a batch out, the server's word back.

use std::time::Duration;

use monitor_api::{BatchAnswer, Client, Error, Settings};
use monitor_spool::{Answer, Head, Parcel, content_encoding};
use tokio::runtime::Runtime;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The way to the server.
#[derive(Debug)]
pub(crate) struct Post {
    client: Client,
    runtime: Runtime,
}

impl Post {
    /// Nothing is connected yet.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let client = Client::new(Settings::from_env()?.connect_timeout(CONNECT_TIMEOUT));
        Ok(Self { client, runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()? })
    }

    /// Sends a batch once.
    pub(crate) fn send(&self, parcel: &Parcel, head: &Head<'_>) -> Answer {
        let body = parcel.body(head);
        let encoding = content_encoding(&body);
        match self.runtime.block_on(self.client.post_batch(body, encoding)) {
            Ok(BatchAnswer { status, retry_after, body }) => Answer::of(parcel.sent(), status, retry_after, &body),
            Err(error @ Error::Setting(_)) => Answer::Refused { why: error.to_string() },
            Err(error) => Answer::Away { why: error.causes() },
        }
    }
}
