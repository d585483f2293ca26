//! Sends the batches of the outbox.

use std::sync::Mutex;
use std::time::Duration;

use monitor_api::{BatchAnswer, Client, Error};
use monitor_spool::{Answer, Answered, Head, Next, Parcel, Sent, Settled, Way, content_encoding, send_all};
use tokio::sync::Notify;

use super::outbox::{Outbox, Shared};

/// Sends batches as they are added. Never returns. `sent` is notified after each batch.
pub(crate) async fn send(client: &Client, outbox: &Mutex<Outbox>, added: &Notify, sent: &Notify) {
    let way = ToServer(client);
    let mut problem = String::new();
    loop {
        let then = async |_: &mut Shared<'_>, Answered { answer, settled, wait }: Answered<'_>| {
            match answer {
                Answer::Accepted if !problem.is_empty() => {
                    problem.clear();
                    tracing::info!("the server accepts events again");
                }
                Answer::Accepted => {}
                Answer::Unreadable { why, .. } | Answer::TooLarge { why } => {
                    tracing::warn!("the server refuses a part of the events: {why}");
                }
                Answer::Busy { why, .. } | Answer::Refused { why } | Answer::Away { why } => {
                    if problem != *why {
                        problem.clone_from(why);
                        tracing::warn!("events wait for the server: {why}");
                    }
                }
            }
            sent.notify_one();
            if settled == Settled::Waits {
                tokio::time::sleep(wait.unwrap_or(Duration::ZERO)).await;
            }
            Next::GoOn
        };
        send_all(&mut Shared(outbox), &way, then).await;
        added.notified().await;
    }
}

struct ToServer<'a>(&'a Client);

impl Way for ToServer<'_> {
    type Request = (Vec<u8>, Sent);

    fn request(&self, parcel: &Parcel, head: &Head<'_>) -> Self::Request {
        (parcel.body(head), parcel.sent())
    }

    async fn send(&self, (body, sent): Self::Request) -> Answer {
        let encoding = content_encoding(&body);
        match self.0.post_batch(body, encoding).await {
            Ok(BatchAnswer { status, retry_after, body }) => Answer::of(sent, status, retry_after, &body),
            Err(error @ Error::Setting(_)) => Answer::Refused { why: error.to_string() },
            Err(error) => Answer::Away { why: error.causes() },
        }
    }
}
