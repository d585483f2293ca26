//! Reads the events of a cluster while there is a connection to its broker.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use monitor_spool::now_us;
use monitor_wire::{Error, ErrorKind, Event, Fields, Outcome, Process, ProcessEnded, ProcessUpdated, State, WorkerId};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::AbortHandle;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::depths::Depths;
use super::group_file::GroupFile;
use super::inquiry::Finding;
use super::orders::Orders;
use super::outbox::{Attempts, Digest, FolderError, Outbox, Receipt, digest};
use super::status::Status;
use super::{Bridge, HEARTBEAT, heartbeat};
use crate::error::BrokerError;
use crate::message::{Message, Unreadable};
use crate::nodes::Notice;
use crate::pidbox::Request;
use crate::translate::Translator;
use crate::transport::{CHECK, Connection, Events};

/// Maximum number of messages that are read before they are written.
const MOST_MESSAGES: usize = 1_000;
/// Maximum number of events in a batch.
const MOST_EVENTS: usize = 1_000;
/// Wait for the reply of a node.
const BRIEFLY: Duration = Duration::from_secs(1);
/// Number of attempts to turn on the events of a node.
const ATTEMPTS: u32 = 10;

/// The end of a session that was requested.
#[derive(Debug)]
pub(super) struct Stopped;

/// Notified when something has changed.
#[derive(Clone, Copy)]
pub(super) struct Changes<'a> {
    /// A batch was added to the outbox.
    pub(super) added: &'a Notify,
    /// A batch was sent.
    pub(super) sent: &'a Notify,
    /// There is a connection to the broker.
    pub(super) connected: &'a Notify,
}

/// Files with facts about tasks for the next bridge.
pub(super) struct Remembered {
    pub(super) attempts: Attempts,
    pub(super) groups: GroupFile,
}

/// Reads messages and writes batches.
pub(super) struct Reader<'a> {
    bridge: &'a Bridge,
    outbox: &'a Mutex<Outbox>,
    translator: Arc<Mutex<Translator>>,
    remembered: Remembered,
    orders: Arc<Orders>,
    changes: Changes<'a>,
    receipts: UnboundedReceiver<Receipt>,
    found: UnboundedReceiver<Vec<Finding>>,
    depths: UnboundedReceiver<Depths>,
    status: Status,
    /// Events of the bridge itself that were not written yet.
    own: Vec<Event>,
    /// Number of the connection.
    session: u64,
    /// True if the current connection was complete.
    has_succeeded: bool,
    has_connected: bool,
    serving: HashMap<WorkerId, AbortHandle>,
}

impl<'a> Reader<'a> {
    #[allow(clippy::too_many_arguments, reason = "these are the parts of a bridge, each with its own type")]
    pub(super) fn new(
        bridge: &'a Bridge,
        outbox: &'a Mutex<Outbox>,
        translator: Arc<Mutex<Translator>>,
        remembered: Remembered,
        orders: Arc<Orders>,
        changes: Changes<'a>,
        (receipts, found, depths): (UnboundedReceiver<Receipt>, UnboundedReceiver<Vec<Finding>>, UnboundedReceiver<Depths>),
        status: Status,
    ) -> Self {
        Self {
            bridge,
            outbox,
            translator,
            remembered,
            orders,
            changes,
            receipts,
            found,
            depths,
            status,
            own: Vec::new(),
            session: 0,
            has_succeeded: false,
            has_connected: false,
            serving: HashMap::new(),
        }
    }

    /// True if there ever was a connection.
    pub(super) fn has_connected(&self) -> bool {
        self.has_connected
    }

    /// True if the last session had a connection.
    pub(super) fn take_success(&mut self) -> bool {
        std::mem::take(&mut self.has_succeeded)
    }

    /// Adds an event of the bridge itself.
    pub(super) fn own(&mut self, event: Event) {
        self.own.push(event);
    }

    /// Connects, and reads until `stop` is cancelled or the connection fails.
    pub(super) async fn session(&mut self, stop: &CancellationToken) -> Result<Stopped, BrokerError> {
        self.session += 1;
        let queue = queue_name(&self.bridge.name, self.orders.client.url());
        let opened = async {
            let connection = Arc::new(Connection::open(&self.bridge.broker, &self.bridge.options).await?);
            let events = connection.events(&queue).await?;
            Ok::<_, BrokerError>((connection, events))
        };
        let Some(opened) = stop.run_until_cancelled(opened).await else { return Ok(Stopped) };
        let (connection, mut events) = opened?;
        (self.has_succeeded, self.has_connected) = (true, true);
        self.connected(&connection, &events);
        let result = self.follow(&mut events, stop).await;
        *self.orders.connection.lock().unwrap_or_else(PoisonError::into_inner) = None;
        result
    }

    fn connected(&mut self, connection: &Arc<Connection>, events: &Events) {
        *self.orders.connection.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection.clone());
        tracing::info!(broker = %self.bridge.broker, cluster = self.bridge.name, "connected to the broker");
        if let Some(since_us) = self.status.is_connected() {
            let seconds = now_us().saturating_sub(since_us) / 1_000_000;
            let words = if events.are_kept() {
                format!("connected again after {seconds} s; the broker has kept the events")
            } else {
                self.status.has_gap();
                format!("connected again after {seconds} s; events of this time are missing, because Redis keeps none")
            };
            self.status.log("warn", words);
        }
        self.write_own();
        self.changes.connected.notify_one();
    }

    async fn follow(&mut self, events: &mut Events, stop: &CancellationToken) -> Result<Stopped, BrokerError> {
        let (mut check, mut beat) = (interval(CHECK), interval(HEARTBEAT));
        loop {
            let may_read = !(events.are_kept() && self.outbox().is_full());
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(Stopped),
                Some(receipt) = self.receipts.recv() => {
                    if receipt.session == self.session {
                        events.acknowledge(receipt.tag).await?;
                    }
                }
                _ = beat.tick() => self.beat(),
                Some(found) = self.found.recv() => self.add_missed(found),
                Some(depths) = self.depths.recv() => {
                    self.status.has_read(depths);
                    self.write_own();
                }
                _ = check.tick() => events.check().await?,
                first = events.next(), if may_read => {
                    let mut messages = vec![first?];
                    let mut failed = None;
                    while messages.len() < MOST_MESSAGES && failed.is_none() {
                        match events.next().now_or_never() {
                            Some(Ok(message)) => messages.push(message),
                            Some(Err(error)) => failed = Some(error),
                            None => break,
                        }
                    }
                    self.take(messages).map_err(|error| self.not_kept(&error))?;
                    if let Some(error) = failed {
                        return Err(error);
                    }
                }
                () = self.changes.sent.notified(), if !may_read => {}
            }
        }
    }

    /// Waits while there is no connection. The bridge remains alive for the server.
    pub(super) async fn wait(&mut self, pause: Duration) {
        let mut beat = interval(HEARTBEAT);
        let sleep = tokio::time::sleep(pause);
        tokio::pin!(sleep);
        loop {
            tokio::select! {
                () = &mut sleep => return,
                _ = beat.tick() => self.beat(),
            }
        }
    }

    /// Reports that there is no connection.
    pub(super) fn is_away(&mut self, error: &BrokerError, pause: Duration) {
        tracing::warn!("{error}; trying again in {:.1} s", pause.as_secs_f64());
        self.status.is_away(&error.to_string());
    }

    /// Writes the last event, and ends the commands.
    pub(super) fn end(&mut self, last: Event) {
        self.serving.drain().for_each(|(_, task)| task.abort());
        self.own(last);
        self.write_own();
    }

    fn beat(&mut self) {
        self.status.begin_lines();
        self.own(heartbeat());
        self.write_own();
        self.translator().forget_silent_nodes(now_us());
        self.notice();
    }

    /// Translates and writes messages.
    fn take(&mut self, messages: Vec<Result<Message, Unreadable>>) -> Result<(), FolderError> {
        let (mut events, mut digests, mut tag) = (Vec::new(), Vec::new(), None);
        let now_us = now_us();
        for message in messages {
            let message = match message {
                Ok(message) => message,
                Err(why) => {
                    self.is_unreadable(&why);
                    continue;
                }
            };
            tag = message.tag.or(tag);
            if message.tag.is_some() {
                let digest = digest(&message.body);
                if message.is_redelivered && (self.outbox().has(digest) || digests.contains(&digest)) {
                    continue;
                }
                digests.push(digest);
            }
            match message.events() {
                Ok(found) => {
                    for event in &found {
                        let translated = self.translator().translate(event, now_us);
                        match translated {
                            Ok(translated) => events.extend(translated),
                            Err(why) => self.is_unreadable(&why),
                        }
                    }
                }
                Err(why) => self.is_unreadable(&why),
            }
        }
        let receipt = tag.map(|tag| Receipt { session: self.session, tag });
        self.notice();
        self.write(events, digests, receipt)
    }

    /// Adds the events that an inquiry has found, and marks their tasks.
    fn add_missed(&mut self, found: Vec<Finding>) {
        let now_us = now_us();
        let (mut missed, mut gone) = (HashSet::new(), 0);
        for finding in found {
            let (root, id, from) = match finding {
                Finding::Own(event) => {
                    self.own(*event);
                    continue;
                }
                Finding::Missed { event, root, id, from } => {
                    let translated = self.translator().translate(&event, now_us);
                    match translated {
                        Ok(translated) => self.own.extend(translated),
                        Err(why) => self.is_unreadable(&why),
                    }
                    missed.insert(id);
                    (root, id, from)
                }
                Finding::Gone(task) => {
                    gone += 1;
                    self.own(unknown_end(&task, now_us));
                    let native_id = task.native_id.as_deref().unwrap_or_default();
                    let of_group = self.translator().is_gone(native_id, now_us);
                    self.own.extend(of_group);
                    (task.root_id, task.id, "gone")
                }
            };
            let fields = Fields::from([("celery.queried".to_owned(), from.into())]);
            self.own(Event::ProcessUpdated(ProcessUpdated::new(root, id, now_us, fields)));
        }
        if !missed.is_empty() {
            let words = format!("events of {} tasks were missing; what happened is known from their nodes or results", missed.len());
            self.status.log("info", words);
        }
        if gone > 0 {
            self.status.log("warn", format!("events of {gone} tasks are missing, and their ends are not known: they count as lost"));
        }
        self.write_own();
    }

    fn not_kept(&self, error: &FolderError) -> BrokerError {
        BrokerError::NotKept { broker: self.bridge.broker.to_string(), why: error.to_string() }
    }

    fn is_unreadable(&mut self, why: &Unreadable) {
        tracing::debug!("a message can't be read: {why}");
        self.status.is_unreadable(&why.to_string());
    }

    /// Writes events of the bridge itself. If they can't be written, they are counted as dropped.
    fn write_own(&mut self) {
        // Without a receipt, the error is logged and has no other consequence.
        let _ = self.write(Vec::new(), Vec::new(), None);
    }

    /// Writes events of the cluster and of the bridge itself.
    ///
    /// # Errors
    /// If events with a receipt can't be written. The session must end then: a later receipt would acknowledge their messages as well.
    fn write(&mut self, events: Vec<Event>, mut digests: Vec<Digest>, receipt: Option<Receipt>) -> Result<(), FolderError> {
        let (retries, changes) = {
            let mut translator = self.translator();
            (translator.take_retries(), translator.take_group_changes())
        };
        if let Err(error) = self.remembered.attempts.add(&retries).and_then(|()| self.remembered.groups.add(&changes)) {
            tracing::error!(%error, folder = %self.bridge.folder.display(), "attempts of tasks and groups can't be written");
        }
        let mut all = std::mem::take(&mut self.own);
        all.extend(self.status.take());
        all.extend(events);
        let mut outbox = self.outbox();
        if outbox.is_full() && receipt.is_none() && !all.is_empty() {
            outbox.count_dropped(all.iter().map(Event::type_name), "spool");
            return Ok(());
        }
        let chunks = all.chunks(MOST_EVENTS).count().max(1);
        for at in 0..chunks {
            let chunk = all.chunks(MOST_EVENTS).nth(at).unwrap_or_default();
            // The messages count as received once all their events are written.
            let is_last = at + 1 == chunks;
            let digests = if is_last { std::mem::take(&mut digests) } else { Vec::new() };
            if let Err(error) = outbox.add(chunk, digests, receipt.filter(|_| is_last)) {
                if receipt.is_some() {
                    return Err(error);
                }
                tracing::error!("events are not kept: {error}");
                outbox.count_dropped(chunk.iter().map(Event::type_name), "spool");
            }
        }
        drop(outbox);
        self.changes.added.notify_one();
        Ok(())
    }

    /// Opens and closes the channels of nodes, and turns events on.
    fn notice(&mut self) {
        let notices = self.translator().take_notices();
        for notice in notices {
            match notice {
                Notice::Appeared { node, worker } => {
                    if self.bridge.enable_events {
                        self.enable_events(&node);
                    }
                    let serving = tokio::spawn(self.orders.clone().serve(node, worker));
                    if let Some(former) = self.serving.insert(worker, serving.abort_handle()) {
                        former.abort();
                    }
                }
                Notice::Gone { worker } => {
                    if let Some(serving) = self.serving.remove(&worker) {
                        serving.abort();
                    }
                }
                Notice::EventsOff { node } => {
                    let words = format!(
                        "{node} works on tasks without sending events: start it with -E, or use `monitor control enable-events {node}`"
                    );
                    tracing::warn!("{words}");
                    self.status.log("warn", words);
                }
            }
        }
    }

    fn enable_events(&self, node: &str) {
        let Some(connection) = self.orders.connection.lock().unwrap_or_else(PoisonError::into_inner).clone() else { return };
        let request = Request::to_node(node, "enable_events", serde_json::json!({}), BRIEFLY);
        tokio::spawn(async move {
            // A node sends its first event before it accepts commands.
            for _ in 0..ATTEMPTS {
                if connection.request(&request).await.is_ok_and(|replies| !replies.is_empty()) {
                    return;
                }
                tokio::time::sleep(BRIEFLY).await;
            }
        });
    }

    fn outbox(&self) -> MutexGuard<'a, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn translator(&self) -> MutexGuard<'_, Translator> {
        self.translator.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of a task whose outcome is not known. An event of its real end is earlier, and replaces it.
fn unknown_end(task: &Process, now_us: u64) -> Event {
    let why = "its worker no longer holds the task, and neither an event nor a result tells how it ended";
    let outcome = Outcome::from(State::LOST.as_str());
    let error = Some(Error::new(ErrorKind::ERROR, why.to_owned()));
    let ended = ProcessEnded::new(task.root_id, task.id, now_us, outcome);
    Event::ProcessEnded(ProcessEnded { attempt: task.attempt, error, native_id: task.native_id.clone(), ..ended })
}

/// Name of the durable queue that keeps the events for this bridge.
fn queue_name(cluster: &str, server: &Url) -> String {
    let server = format!("{}:{}", server.host_str().unwrap_or_default(), server.port_or_known_default().unwrap_or_default());
    format!("monitor.celeryev.{cluster}.{server}")
}
