//! The way of batches to the server.

use std::time::Duration;

use monitor_api::{BatchAnswer, Client, Error, Settings};
use monitor_spool::{Answer, Answered, Batches, Head, Next, Parcel, Settled, Way, content_encoding};
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

    /// Sends what waits until the server doesn't take a batch.
    pub(crate) fn send_all<B: Batches>(&self, batches: &mut B) -> Sent {
        let mut sent = Sent { is_any: false, refusal: None };
        let once = async |_: &mut B, Answered { answer, settled, .. }: Answered<'_>| {
            if settled != Settled::Waits {
                sent.is_any = true;
                return Next::GoOn;
            }
            sent.refusal = Some(match answer.clone() {
                // Of a living program: the batch is taken apart when that one is gone.
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

/// What came of sending.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// The server took some of it.
    pub(crate) is_any: bool,
    /// The answer after which the rest waits.
    pub(crate) refusal: Option<Answer>,
}
