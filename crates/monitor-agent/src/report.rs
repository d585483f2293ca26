//! A thread that sends the events in the outbox to the server, and retries until the server accepts them. It then sends the events that
//! launchers of runs wrote to the spool while the server was unreachable.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use monitor_api::{BatchAnswer, Client, Error};
use monitor_spool::{Answer, Answered, Head, Next, Parcel, Replay, Sent, Settled, Spool, SpoolError, Way, content_encoding, send_all};
use monitor_wire::{Problem, VERSION};
use serde_json::json;

use crate::data::Database;
use crate::error::AgentError;
use crate::outbox::{Outbox, alert};
use crate::random::random;
use crate::telling::Telling;

/// Time until the next attempt if the database can't be read or written.
const STUCK: Duration = Duration::from_secs(1);

/// Minimum time between two scans of the spool.
const ADOPT: Duration = Duration::from_secs(5);

/// Controls the thread.
#[derive(Debug)]
pub(crate) struct Reporter {
    /// Wakes the thread. Dropping it ends the thread after it has sent the pending events.
    wake: Sender<()>,
    /// Disconnected once the thread has ended.
    ended: Receiver<()>,
    /// True while the agent's own events are held back. Sent before the server has answered with its knowledge of the agent, they would replace
    /// the pauses that the server stores.
    is_held: Arc<AtomicBool>,
}

impl Reporter {
    /// Starts the thread of the agent `agent`. The thread opens its own connection to the agent's database. Launchers store events that they
    /// can't send in the folder `spool`. If `is_held` is true, the agent's own events wait for [`release`](Self::release).
    pub(crate) fn start(agent: String, data: PathBuf, client: Client, spool: Option<PathBuf>, is_held: bool) -> Result<Self, AgentError> {
        let is_held = Arc::new(AtomicBool::new(is_held));
        let held = is_held.clone();
        let (wake, woken) = mpsc::channel();
        let (ending, ended) = mpsc::channel();
        let report = move || {
            let _ending: Sender<()> = ending;
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
            let Ok(mut database) = Database::existing(&data) else { return };
            let (mut told, mut adopted, mut clock) = (Telling::default(), None::<Instant>, ClockAlert { agent, is_raised: false });
            loop {
                let is_stuck = !held.load(Ordering::Acquire) && runtime.block_on(empty(&mut database, &client, &mut told, &mut clock));
                if let Some(spool) = spool.as_ref().filter(|_| !is_stuck && adopted.is_none_or(|adopted| adopted.elapsed() >= ADOPT)) {
                    adopted = Some(Instant::now());
                    if let Err(error) = runtime.block_on(adopt(spool, &client)) {
                        tell(&mut told, &format!("{}: {error}", spool.display()));
                    }
                }
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
        Ok(Self { wake, ended, is_held })
    }

    /// Starts to send the agent's own events.
    pub(crate) fn release(&self) {
        if self.is_held.swap(false, Ordering::AcqRel) {
            self.wake();
        }
    }

    /// Wakes the thread, because the outbox contains new events.
    pub(crate) fn wake(&self) {
        let _ = self.wake.send(());
    }

    /// Waits until all pending events are sent, for at most `longest`. The next start sends the rest.
    pub(crate) fn end(self, longest: Duration) {
        self.wake();
        drop(self.wake);
        let _ = self.ended.recv_timeout(longest);
    }
}

/// Sends all events in the outbox. Returns true if events may be left because the database can't be read or written now.
async fn empty(database: &mut Database, client: &Client, told: &mut Telling, clock: &mut ClockAlert) -> bool {
    let mut outbox = Outbox::new(database);
    let way = ToServer::new(client);
    let then = async |outbox: &mut Outbox<'_>, Answered { answer, settled, wait }: Answered<'_>| {
        match answer {
            Answer::Accepted => {
                clock.is_raised = false;
                if told.is_over() {
                    tracing::info!("the server accepts the agent's events again");
                }
            }
            Answer::Refused { .. } if way.server_time_us.get().is_some() => {
                let server_us = way.server_time_us.get().unwrap_or_default();
                tell(told, "its events are dated ahead of the server: this machine's clock or the server's is wrong");
                clock.raise(client, server_us).await;
                outbox.limit_times(way.now_us());
            }
            Answer::Unreadable { why, .. } | Answer::TooLarge { why } => {
                tracing::warn!("the server refused a part of the agent's events: {why}");
            }
            Answer::Busy { why, .. } | Answer::Refused { why } | Answer::Away { why } => tell(told, why),
        }
        if outbox.is_stuck() {
            return Next::Stop;
        }
        if settled == Settled::Waits {
            tokio::time::sleep(wait.unwrap_or_default()).await;
        }
        Next::GoOn
    };
    send_all(&mut outbox, &way, then).await;
    outbox.is_stuck()
}

/// Sends the events that ended programs have left in the spool. Stops at a batch that the server doesn't accept now; it stays in the spool for
/// the next scan.
async fn adopt(spool: &Path, client: &Client) -> Result<(), SpoolError> {
    let Some(spool) = Spool::existing(spool)? else { return Ok(()) };
    for worker in spool.dead()? {
        let Some(mut replay) = spool.claim(worker)? else { continue };
        let mut is_over = true;
        let then = async |_: &mut Replay, Answered { settled, wait, .. }: Answered<'_>| {
            is_over = settled != Settled::Waits;
            if is_over {
                tokio::time::sleep(wait.unwrap_or_default()).await;
                Next::GoOn
            } else {
                Next::Stop
            }
        };
        send_all(&mut replay, &ToServer::new(client), then).await;
        if !is_over {
            return Ok(());
        }
        let events = replay.accepted();
        replay.finish()?;
        tracing::debug!(%worker, events, "sent the events of a program from the spool");
    }
    Ok(())
}

/// The alert about a clock that differs from the server's. Raised once, and again only after the server has accepted events in between.
struct ClockAlert {
    agent: String,
    is_raised: bool,
}

impl ClockAlert {
    /// Raises the alert with a separate notification, which the server accepts with any time.
    async fn raise(&mut self, client: &Client, server_us: u64) {
        if self.is_raised {
            return;
        }
        let now_us = monitor_spool::now_us();
        let (agent, seconds) = (&self.agent, now_us.saturating_sub(server_us) / 1_000_000);
        let title = format!("the clock of the agent {agent} is ahead of the server's");
        let text = format!(
            "It is about {seconds} s ahead. What the agent decides waits on its machine, and is sent once the clocks agree: set the clock of \
             the agent's machine or of the server right."
        );
        let [started, notified, ended] = alert("clock", &format!("agent-clock {agent}"), &title, &text, now_us);
        let batch = json!({
            "version": VERSION,
            "worker": {"id": random(), "hostname": agent, "pid": std::process::id(), "program": "monitor-agent-clock"},
            "sequence": 1,
            "sent_us": now_us,
            "events": [started, notified, ended, {"type": "worker-offline", "time_us": now_us}],
        });
        let posted = client.post_batch(batch.to_string().into_bytes(), "identity").await;
        self.is_raised = posted.is_ok_and(|answer| answer.status == 200);
    }
}

fn tell(told: &mut Telling, why: &str) {
    if told.is_due(why, Instant::now()) {
        tracing::warn!("the server doesn't accept the agent's events, so they wait: {why}");
    }
}

/// Sends batches to the server.
struct ToServer<'a> {
    client: &'a Client,
    /// The server's time, if it refused the last batch because the date of an event is ahead of this time.
    server_time_us: Cell<Option<u64>>,
}

impl<'a> ToServer<'a> {
    fn new(client: &'a Client) -> Self {
        Self { client, server_time_us: Cell::default() }
    }
}

impl Way for ToServer<'_> {
    type Request = (Vec<u8>, Sent);

    fn request(&self, parcel: &Parcel, head: &Head<'_>) -> Self::Request {
        (parcel.body(head), parcel.sent())
    }

    async fn send(&self, (body, sent): Self::Request) -> Answer {
        let encoding = content_encoding(&body);
        self.server_time_us.set(None);
        match self.client.post_batch(body, encoding).await {
            Ok(BatchAnswer { status, retry_after, body }) => {
                self.server_time_us.set(serde_json::from_slice::<Problem>(&body).ok().and_then(|problem| problem.server_time_us));
                Answer::of(sent, status, retry_after, &body)
            }
            Err(error @ Error::Setting(_)) => Answer::Refused { why: error.to_string() },
            Err(error) => Answer::Away { why: error.causes() },
        }
    }
}
