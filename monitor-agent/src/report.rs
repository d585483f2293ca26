//! A thread that sends what waits in the outbox to the server, again and again until it is taken.

use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use monitor_api::{BatchAnswer, Client, Error};
use monitor_spool::{Answer, Answered, Head, Next, Parcel, Sent, Settled, Way, content_encoding, send_all};

use crate::data::Database;
use crate::error::AgentError;
use crate::outbox::Outbox;

/// A database that can't be read or written now is asked again after so long.
const STUCK: Duration = Duration::from_secs(1);

/// The thread's ear.
#[derive(Debug)]
pub(crate) struct Reporter {
    /// Dropped at the end: then the thread ends when nothing waits any more.
    wake: Sender<()>,
    /// Closed when the thread has ended.
    ended: Receiver<()>,
}

impl Reporter {
    /// Starts the thread, with a connection of its own to the agent's database.
    pub(crate) fn start(data: PathBuf, client: Client) -> Result<Self, AgentError> {
        let (wake, woken) = mpsc::channel();
        let (ending, ended) = mpsc::channel();
        let report = move || {
            let _ending: Sender<()> = ending;
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
            let Ok(mut database) = Database::existing(&data) else { return };
            let mut told = None;
            loop {
                let is_stuck = runtime.block_on(empty(&mut database, &client, &mut told));
                let heard = if is_stuck { woken.recv_timeout(STUCK) } else { woken.recv().map_err(RecvTimeoutError::from) };
                match heard {
                    Ok(()) => while woken.try_recv().is_ok() {},
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        };
        let spawned = std::thread::Builder::new().name("reporter".to_owned()).spawn(report);
        spawned.map_err(|source| AgentError::Disk { action: "start a thread for", path: "the server".into(), source })?;
        Ok(Self { wake, ended })
    }

    /// Something waits.
    pub(crate) fn wake(&self) {
        let _ = self.wake.send(());
    }

    /// Waits until all that waits is sent, for so long at most. The rest waits for the next start.
    pub(crate) fn end(self, longest: Duration) {
        self.wake();
        drop(self.wake);
        let _ = self.ended.recv_timeout(longest);
    }
}

/// Sends all that waits. Returns true if something may be left, for the database can't be read or written now.
async fn empty(database: &mut Database, client: &Client, told: &mut Option<String>) -> bool {
    let mut outbox = Outbox::new(database);
    let then = async |outbox: &mut Outbox<'_>, Answered { answer, settled, wait }: Answered<'_>| {
        match answer {
            Answer::Accepted => {
                if told.take().is_some() {
                    tracing::info!("the server takes what the agent tells again");
                }
            }
            Answer::Unreadable { why, .. } | Answer::TooLarge { why } => {
                tracing::warn!("the server can't take a part of what it is told: {why}");
            }
            Answer::Busy { why, .. } | Answer::Refused { why } | Answer::Away { why } => tell_once(told, why),
        }
        if outbox.is_stuck() {
            return Next::Stop;
        }
        if settled == Settled::Waits {
            tokio::time::sleep(wait.unwrap_or_default()).await;
        }
        Next::GoOn
    };
    send_all(&mut outbox, &ToServer { client }, then).await;
    outbox.is_stuck()
}

/// Why the server doesn't take it is told once.
fn tell_once(told: &mut Option<String>, why: &str) {
    if told.as_deref() != Some(why) {
        tracing::warn!("the server doesn't take what the agent tells, which waits: {why}");
        *told = Some(why.to_owned());
    }
}

/// The way of batches to the server.
struct ToServer<'a> {
    client: &'a Client,
}

impl Way for ToServer<'_> {
    type Request = (Vec<u8>, Sent);

    fn now_us(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_micros() as u64)
    }

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
