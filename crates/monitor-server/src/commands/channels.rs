//! Command channels of workers. A channel is an HTTP response that stays open and delivers commands to the worker.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use futures_util::Stream;
use monitor_wire::{Command, CommandId, CommandOrder, Fields, Method, WorkerChannel, WorkerId};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::ledger::KeyHash;
use super::names::{Identity, names};
use super::{CommandError, Commands};

/// Interval of the messages that show that an idle channel is alive.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// Allowed length of a channel's key, in bytes.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 32..=128;
/// Maximum number and length of the methods that a worker may list.
const MOST_METHODS: usize = 64;
const LONGEST_METHOD: usize = 64;
/// Listed by a worker that passes on methods of its own without knowing their names.
pub(super) const ANY_OWN: &str = "*";

/// Open channel.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) key: KeyHash,
    to_worker: mpsc::UnboundedSender<Bytes>,
    /// Distinguishes the channel from one that replaces it.
    serial: u64,
    since_us: u64,
    pub(super) methods: Box<str>,
    /// Identity of the worker.
    pub(super) identity: Arc<Identity>,
    /// Time at which the worker was last notified that a client is watching it.
    pub(super) watched: Option<Instant>,
}

impl Channel {
    /// True if the worker supports the method.
    pub(super) fn does(&self, method: &str) -> bool {
        let is_own = Method::of(method).is_none();
        self.methods.split(',').any(|known| known == method || (is_own && known == ANY_OWN))
    }

    /// The names of the methods that the worker has listed.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.methods.split(',').filter(|method| !method.is_empty() && *method != ANY_OWN)
    }

    /// Sends an order. Returns false if the channel has just been closed.
    pub(super) fn send(&self, order: &Bytes) -> bool {
        self.to_worker.send(order.clone()).is_ok()
    }
}

/// Receiving end of a channel. It becomes the body of the response to the worker. Dropping it closes the channel.
pub(crate) struct Opened {
    commands: Arc<Commands>,
    worker: WorkerId,
    serial: u64,
    orders: mpsc::UnboundedReceiver<Bytes>,
    has_greeted: bool,
}

/// Validates and hashes the key of a channel.
pub(crate) fn key_hash(key: &[u8]) -> Option<KeyHash> {
    let is_key = KEY_BYTES.contains(&key.len()) && key.iter().all(u8::is_ascii_alphanumeric);
    is_key.then(|| Sha256::digest(key).into())
}

/// True if this is a valid name of a method.
pub(crate) fn is_method(name: &str) -> bool {
    (1..=LONGEST_METHOD).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

/// Formats a command with these arguments as a message of a channel.
pub(super) fn order(id: CommandId, command: &Command, arguments: &Fields) -> Bytes {
    let order = CommandOrder {
        id,
        method: command.method.clone(),
        arguments: arguments.clone(),
        timeout_ms: command.timeout_ms,
        until_us: command.until_us,
    };
    let json = serde_json::to_string(&order).expect("plain data with text keys is JSON");
    format!("event: command\nid: {id}\ndata: {json}\n\n").into()
}

impl Commands {
    /// Opens the channel of a worker. The first connection binds the channel to its key, and later connections must have the same key. An
    /// existing channel of the same worker is closed. Waiting commands are sent at once. `check` gets the worker's name, `program@host`,
    /// and can refuse.
    pub(crate) async fn open_channel(
        self: &Arc<Self>,
        worker: WorkerId,
        key: KeyHash,
        methods: &[String],
        check: impl FnOnce(&str) -> Result<(), CommandError>,
    ) -> Result<Opened, CommandError> {
        if methods.len() > MOST_METHODS || !methods.iter().all(|method| is_method(method) || method == ANY_OWN) {
            let detail = format!(
                "parameter `methods`: up to {MOST_METHODS} names between commas, each of 1 to {LONGEST_METHOD} letters, digits and `_`, `.`, `-`, or `*`"
            );
            return Err(CommandError::Parameter { name: "methods".to_owned(), detail });
        }
        let Some(identity) = self.identity(worker).await? else {
            return Err(CommandError::SilentWorker(worker));
        };
        check(&identity.plain)?;
        let is_full = |hub: &super::Hub| !hub.channels.contains_key(&worker) && hub.channels.len() >= self.max_channels;
        if is_full(&self.hub()) {
            return Err(CommandError::TooManyChannels(self.max_channels));
        }
        let name = identity.plain.clone();
        if !self.book(move |ledger| ledger.bind(worker, &key, &name)).await? {
            return Err(CommandError::OtherChannel(worker));
        }
        let (to_worker, orders) = mpsc::unbounded_channel();
        let serial = self.figures.next_serial();
        let channel = Channel {
            key,
            to_worker,
            serial,
            since_us: self.clock.wall_us(),
            methods: methods.join(",").into(),
            identity: identity.clone(),
            watched: None,
        };
        // The waiting commands are sent and the channel is registered under one lock, which `Commands::send` takes too. A command that is
        // sent at the same time is therefore delivered once through this channel: here, if it is already in the hub, or by `send`.
        let mut hub = self.hub();
        if channel.does("revoke")
            && let Some(revoked) = hub.revoked.messages(self.clock.wall_us())
        {
            channel.send(&revoked);
        }
        for asked in hub.asked.values_mut() {
            asked.send(worker, &channel);
        }
        for order in hub.orders.values().filter(|order| order.waits_for(worker, &identity.plain)) {
            channel.send(&order.order);
        }
        hub.channels.insert(worker, channel);
        drop(hub);
        Ok(Opened { commands: self.clone(), worker, serial, orders, has_greeted: false })
    }

    /// Returns the state of a worker's channel. `None` if the worker does not exist.
    pub(crate) async fn channel(self: &Arc<Self>, worker: WorkerId) -> Result<Option<WorkerChannel>, CommandError> {
        let known = self.known(vec![worker]).await?;
        let (online, others): (Vec<_>, Vec<_>) = known.into_iter().partition(|known| known.is_online);
        let name = match online.iter().position(|known| known.id == worker) {
            Some(at) => Some(names(&online).swap_remove(at)),
            None => others.iter().find(|known| known.id == worker).map(|known| known.identity.plain.clone()),
        };
        let Some(name) = name else { return Ok(None) };
        let hub = self.hub();
        let channel = hub.channels.get(&worker);
        Ok(Some(WorkerChannel {
            worker_id: worker,
            name,
            open_since_us: channel.map(|channel| channel.since_us),
            methods: channel.into_iter().flat_map(Channel::names).map(str::to_owned).collect(),
        }))
    }

    /// Returns the number of open channels.
    pub(crate) fn channels(&self) -> usize {
        self.hub().channels.len()
    }
}

impl Opened {
    /// Returns the messages to the worker, until the server stops or another channel replaces this channel.
    pub(crate) fn into_stream(self) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> {
        futures_util::stream::unfold(self, |mut opened| async move {
            let bytes = opened.next().await?;
            Some((Ok(bytes), opened))
        })
    }

    async fn next(&mut self) -> Option<Bytes> {
        if !std::mem::replace(&mut self.has_greeted, true) {
            return Some(format!("event: open\ndata: {{\"heartbeat_ms\":{}}}\n\n", HEARTBEAT.as_millis()).into());
        }
        let stopping = self.commands.stopping.clone();
        match stopping.run_until_cancelled(tokio::time::timeout(HEARTBEAT, self.orders.recv())).await? {
            Ok(order) => order,
            Err(_) => Some(Bytes::from_static(b": alive\n\n")),
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let worker = self.worker;
        let mut hub = self.commands.hub();
        if hub.channels.get(&worker).is_some_and(|channel| channel.serial == self.serial) {
            hub.channels.remove(&worker);
            let is_awaited = hub.asked.values().any(|asked| asked.waits_for(worker));
            drop(hub);
            if is_awaited && let Ok(runtime) = tokio::runtime::Handle::try_current() {
                let commands = self.commands.clone();
                runtime.spawn(async move { commands.ended(worker).await });
            }
        }
    }
}
