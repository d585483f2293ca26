//! Sends batches of the spool to the server.

use std::time::Duration;

use monitor_api::{BatchAnswer, Client, Error, Settings};
use monitor_spool::{Answer, Answered, Batches, Head, Next, Parcel, Settled, Way, content_encoding};
use tokio::runtime::Runtime;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// HTTP connection to the server, with a runtime of its own.
#[derive(Debug)]
pub(crate) struct Post {
    client: Client,
    runtime: Runtime,
}

impl Post {
    /// Creates the client. It connects with the first batch.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let client = Client::new(Settings::from_env()?.connect_timeout(CONNECT_TIMEOUT));
        Ok(Self { client, runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()? })
    }

    /// Sends pending batches until the server does not accept one.
    pub(crate) fn send_all<B: Batches>(&self, batches: &mut B) -> Sent {
        let mut sent = Sent { is_any: false, refusal: None };
        let once = async |_: &mut B, Answered { answer, settled, .. }: Answered<'_>| {
            if settled != Settled::Waits {
                sent.is_any = true;
                return Next::GoOn;
            }
            sent.refusal = Some(match answer.clone() {
                // The batch belongs to a running program; it is split when that program has ended.
                Answer::TooLarge { why } | Answer::Unreadable { why, .. } => Answer::Refused { why },
                answer => answer,
            });
            Next::Stop
        };
        self.runtime.block_on(monitor_spool::send_all(batches, self, once));
        sent
    }
}

impl Way for Post {
    type Request = (Vec<u8>, monitor_spool::Sent);

    fn request(&self, parcel: &Parcel, head: &Head<'_>) -> Self::Request {
        (parcel.body(head), parcel.sent())
    }

    async fn send(&self, (body, sent): Self::Request) -> Answer {
        let encoding = content_encoding(&body);
        match self.client.post_batch(body, encoding).await {
            Ok(BatchAnswer { status, retry_after, body }) => Answer::of(sent, status, retry_after, &body),
            Err(error @ Error::Setting(_)) => Answer::Refused { why: error.to_string() },
            Err(error) => Answer::Away { why: error.causes() },
        }
    }
}

/// Result of sending batches.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// True if the server accepted at least one batch.
    pub(crate) is_any: bool,
    /// Answer that stopped sending; the remaining batches wait.
    pub(crate) refusal: Option<Answer>,
}
