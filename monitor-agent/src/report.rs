//! A thread that sends what waits in the outbox to the server, again and again until it is taken.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use monitor_api::{Client, Error};
use monitor_wire::Batch;

use crate::data::Database;
use crate::error::AgentError;
use crate::outbox::{self, Waiting};

/// A server that refuses is asked again after so long.
const REFUSED: Duration = Duration::from_secs(60);

/// The thread's ear.
#[derive(Debug)]
pub(crate) struct Reporter {
    /// Dropped at the end: then the thread tries once more, and ends.
    wake: Sender<()>,
}

impl Reporter {
    /// Starts the thread, with a connection of its own to the agent's database.
    pub(crate) fn start(data: PathBuf, client: Client) -> Result<Self, AgentError> {
        let (wake, woken) = mpsc::channel();
        let report = move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
            let Ok(mut database) = Database::existing(&data) else { return };
            let mut told = None;
            loop {
                let pause = runtime.block_on(empty(&mut database, &client, &mut told));
                match pause.map_or_else(|| woken.recv().map_err(RecvTimeoutError::from), |pause| woken.recv_timeout(pause)) {
                    Ok(()) => while woken.try_recv().is_ok() {},
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        };
        let spawned = std::thread::Builder::new().name("reporter".to_owned()).spawn(report);
        spawned.map_err(|source| AgentError::Disk { action: "start a thread for", path: "the server".into(), source })?;
        Ok(Self { wake })
    }

    /// Something waits.
    pub(crate) fn wake(&self) {
        let _ = self.wake.send(());
    }
}

/// Sends all that waits. Returns how long to pause before it is tried again, or None if nothing waits any more.
async fn empty(database: &mut Database, client: &Client, told: &mut Option<String>) -> Option<Duration> {
    loop {
        let waiting = match database.write(|transaction| outbox::take(transaction)) {
            Ok(Some(waiting)) => waiting,
            Ok(None) => return None,
            Err(_) => return Some(Duration::from_secs(1)),
        };
        let last = waiting.last;
        match send(client, waiting, told).await {
            Ok(()) => {
                if told.take().is_some() {
                    tracing::info!("the server takes what the agent tells again");
                }
                if database.write(|transaction| outbox::forget(transaction, last)).is_err() {
                    return Some(Duration::from_secs(1));
                }
            }
            Err(error) => {
                tell_once(told, &error);
                return Some(REFUSED);
            }
        }
    }
}

async fn send(client: &Client, waiting: Waiting, told: &mut Option<String>) -> Result<(), Error> {
    let sent_us = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64);
    let Waiting { worker, sequence, events, .. } = waiting;
    let batch = Batch { version: 1, worker, sequence, sent_us, dropped: Vec::new(), lost: false, events };
    let answer = client.events(&batch).send_again(|error, _| {
        tell_once(told, error);
        ControlFlow::Continue(())
    });
    answer.await.map(drop)
}

/// Why the server doesn't take it is told once.
fn tell_once(told: &mut Option<String>, error: &Error) {
    let words = error.to_string();
    if told.as_ref() != Some(&words) {
        tracing::warn!("the server doesn't take what the agent tells, which waits: {words}");
        *told = Some(words);
    }
}
