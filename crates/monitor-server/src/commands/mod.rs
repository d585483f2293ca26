//! Commands to workers, and their replies. A worker that opens its channel receives its commands, and posts its replies. A command waits
//! for the replies of all its targets until its time-out. A durable command waits in the [book](ledger) until its worker connects, even if
//! both are restarted.

mod agents;
mod allowed;
mod ask;
mod cancel;
mod channels;
mod error;
mod figures;
mod ledger;
mod methods;
mod names;
mod newest;
mod queues;
mod reply;
mod revoked;
mod single;
mod watched;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use monitor_store::{Queries, StoreError};
use monitor_wire::{Command, CommandId, CommandsPage, Worker, WorkerId, WorkerState};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) use self::agents::Origin;
pub use self::allowed::AllowedCommands;
use self::ask::Asked;
pub(crate) use self::ask::{Caller, check_arguments, is_reading};
use self::channels::Channel;
pub(crate) use self::channels::key_hash;
pub(crate) use self::error::CommandError;
pub(crate) use self::figures::{Figures, Reply};
pub(crate) use self::ledger::SCHEMA;
use self::ledger::{Ledger, Waiting};
use self::names::{Identity, Known};
pub(crate) use self::newest::CommandsQuery;
use self::revoked::Revocations;
pub(crate) use self::watched::Watched;
use crate::clock::Clock;
use crate::duties::Duty;

/// Interval of the check for expired durable commands.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Commands of a server, and the channels of its workers.
pub(crate) struct Commands {
    hub: Mutex<Hub>,
    ledger: Ledger,
    store: Arc<dyn Queries>,
    clock: Clock,
    stopping: CancellationToken,
    max_channels: usize,
    allowed: AllowedCommands,
    figures: Figures,
    /// Held while a command with an `Idempotency-Key` is recorded, so that two requests with the same key can't both create one.
    keyed: tokio::sync::Mutex<()>,
}

/// State in memory.
#[derive(Debug, Default)]
struct Hub {
    channels: HashMap<WorkerId, Channel>,
    /// Commands that aren't durable, until they are done.
    asked: HashMap<CommandId, Asked>,
    /// Durable commands, until they are done.
    orders: HashMap<CommandId, Durable>,
    /// Cache of identities of workers.
    identities: HashMap<WorkerId, Arc<Identity>>,
    /// Number of lines of durable commands that aren't done. It can be slightly too high.
    open_lines: usize,
    /// Revoked tasks that workers which connect later must not execute.
    revoked: Revocations,
}

/// Durable command that isn't done.
#[derive(Debug)]
struct Durable {
    /// The command as a message of a channel.
    order: axum::body::Bytes,
    waiting: Vec<Waiting>,
    until_us: u64,
    /// True once the command is done.
    done: watch::Sender<bool>,
}

impl Commands {
    /// Opens the book of a data folder, for up to `max_channels` open channels. Durable commands in it continue to wait.
    pub(crate) fn open(
        folder: &Path,
        store: Arc<dyn Queries>,
        clock: Clock,
        stopping: CancellationToken,
        max_channels: usize,
        allowed: AllowedCommands,
    ) -> Result<Self, StoreError> {
        let ledger = Ledger::open(folder)?;
        let mut hub = Hub { open_lines: ledger.open_lines()?, ..Hub::default() };
        for unfinished in ledger.unfinished()? {
            let Some(id) = unfinished.command.id else { continue };
            hub.orders.insert(id, Durable::new(id, &unfinished.command, unfinished.waiting));
        }
        for (id, at_us) in ledger.revoked()? {
            hub.revoked.add(&id, at_us);
        }
        let (hub, figures, keyed) = (Mutex::new(hub), Figures::default(), tokio::sync::Mutex::default());
        Ok(Self { hub, ledger, store, clock, stopping, max_channels, allowed, figures, keyed })
    }

    /// Ends durable commands whose time is over, and lines whose workers have ended, until the server stops.
    pub(crate) async fn expire(self: &Arc<Self>, duty: &Duty) {
        while self.stopping.run_until_cancelled(self.clock.sleep(LOOK_EVERY)).await.is_some() {
            let result = self
                .look()
                .await
                .map_err(|error| format!("could not look for commands that are over: {}", monitor_http::with_causes(&error)));
            duty.ran(result, LOOK_EVERY);
        }
    }

    async fn look(self: &Arc<Self>) -> Result<(), CommandError> {
        if self.hub().orders.is_empty() {
            return Ok(());
        }
        let now_us = self.clock.wall_us();
        let mut over = self.book(move |ledger| ledger.expire(now_us)).await?;
        let bound: Vec<(CommandId, Vec<WorkerId>)> = {
            let hub = self.hub();
            let for_one =
                |order: &Durable| order.waiting.iter().filter(|line| line.target.is_none()).filter_map(|line| line.worker).collect();
            hub.orders.iter().map(|(id, order)| (*id, for_one(order))).collect()
        };
        if bound.iter().any(|(_, workers)| !workers.is_empty()) {
            let online = self.online().await?;
            for (id, mut workers) in bound {
                workers.retain(|worker| !online.iter().any(|(id, _)| id == worker));
                if !workers.is_empty() && self.book(move |ledger| ledger.lose(id, &workers)).await? {
                    over.push(id);
                }
            }
        }
        let mut hub = self.hub();
        for id in over {
            hub.end(id);
        }
        if hub.orders.is_empty() {
            hub.open_lines = 0;
        }
        Ok(())
    }

    /// Returns an error if this server doesn't pass a method on.
    pub(crate) fn check_allowed(&self, method: &str) -> Result<(), CommandError> {
        self.allowed.check(method)
    }

    /// Returns a command with its results.
    pub(crate) async fn command(self: &Arc<Self>, id: CommandId) -> Result<Command, CommandError> {
        if let Some(asked) = self.hub().asked.get(&id) {
            return Ok(asked.command());
        }
        self.book(move |ledger| ledger.command(id)).await?.ok_or(CommandError::UnknownCommand(id))
    }

    /// Returns a page of the newest commands, newest first, without lines except for those of the requested worker.
    pub(crate) async fn page(self: &Arc<Self>, query: CommandsQuery) -> Result<CommandsPage, CommandError> {
        let identity = match query.worker {
            Some(worker) => self.identity(worker).await?,
            None => None,
        };
        let (worker, name) = (query.worker, identity.map(|identity| identity.plain.clone()));
        let mut page = self.book(move |ledger| ledger.page(&query, name.as_deref())).await?;
        let hub = self.hub();
        for command in page.commands.iter_mut().filter(|command| !command.done) {
            // The book contains the state for the case that the server is killed.
            let Some(asked) = command.id.and_then(|id| hub.asked.get(&id)) else { continue };
            *command = asked.command();
            command.lines.retain(|line| worker.is_some() && line.worker_id == worker);
        }
        Ok(page)
    }

    /// True if a worker of this name, `program@host`, supports the method. `None` if no such worker has a channel now.
    pub(crate) fn does(&self, name: &str, method: &str) -> Option<bool> {
        let hub = self.hub();
        hub.channels.values().find(|channel| channel.identity.plain == name).map(|channel| channel.does(method))
    }

    /// True if a worker of this name, `program@host`, has an open channel.
    pub(crate) fn has_channel(&self, name: &str) -> bool {
        self.hub().channels.values().any(|channel| channel.identity.plain == name)
    }

    pub(crate) fn figures(&self) -> &Figures {
        &self.figures
    }

    fn hub(&self) -> MutexGuard<'_, Hub> {
        self.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads or writes the book on a thread that may block.
    async fn book<T: Send + 'static>(
        self: &Arc<Self>,
        ask: impl FnOnce(&Ledger) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, CommandError> {
        let commands = self.clone();
        Ok(tokio::task::spawn_blocking(move || ask(&commands.ledger)).await??)
    }

    /// Returns the online workers, with the time at which each was last seen.
    async fn online(self: &Arc<Self>) -> Result<Vec<(WorkerId, u64)>, CommandError> {
        let commands = self.clone();
        Ok(tokio::task::spawn_blocking(move || commands.read_online()).await??)
    }

    /// Reads the online workers: those that send heartbeats, and those without heartbeats that have a channel. Blocks.
    fn read_online(&self) -> Result<Vec<(WorkerId, u64)>, StoreError> {
        let mut holders: HashSet<WorkerId> = self.hub().channels.keys().copied().collect();
        let mut online = self.store.online()?;
        for (id, _) in &online {
            holders.remove(id);
        }
        for id in holders {
            // A worker that should send heartbeats and is not online has ended or is lost.
            if let Some(worker) = self.store.worker(id)?
                && worker.state == WorkerState::ONLINE
            {
                online.push((id, worker.last_seen_us));
            }
        }
        Ok(online)
    }

    /// Returns the online workers, and those of `others` that exist. If one of several agents with the same name has a channel, the others
    /// are left out: opening the channel requires the token of that name, so a worker without it may only claim the name.
    async fn known(self: &Arc<Self>, others: Vec<WorkerId>) -> Result<Vec<Known>, CommandError> {
        let mut identities = self.hub().identities.clone();
        let commands = self.clone();
        let looked_up = tokio::task::spawn_blocking(move || {
            let mut known = Vec::new();
            for (id, last_seen_us) in commands.read_online()? {
                let identity = match identities.get(&id) {
                    Some(identity) => identity.clone(),
                    None => match commands.look_up(id)? {
                        Some(identity) => identity,
                        None => continue,
                    },
                };
                known.push(Known { id, identity, last_seen_us, is_online: true });
            }
            identities = known.iter().map(|worker| (worker.id, worker.identity.clone())).collect();
            for id in others {
                if !identities.contains_key(&id)
                    && let Some(worker) = commands.store.worker(id)?
                {
                    let identity = commands.identify(&worker)?;
                    known.push(Known { id, identity, last_seen_us: worker.last_seen_us, is_online: false });
                }
            }
            Ok::<_, StoreError>((known, identities))
        });
        let (mut known, identities) = looked_up.await??;
        let mut hub = self.hub();
        hub.identities = identities;
        let agents = hub.channels.values().map(|channel| &channel.identity).filter(|identity| identity.is_agent());
        let held: HashSet<String> = agents.map(|identity| identity.plain.clone()).collect();
        known.retain(|of| !of.is_online || !held.contains(&of.identity.plain) || hub.channels.contains_key(&of.id));
        Ok(known)
    }

    /// Returns the identity of a worker from the store and the book. `None` if the worker does not exist. Blocks.
    fn look_up(&self, id: WorkerId) -> Result<Option<Arc<Identity>>, StoreError> {
        self.store.worker(id)?.map(|worker| self.identify(&worker)).transpose()
    }

    /// Returns the identity of a worker. Its name is the one that it had when its channel was bound.
    fn identify(&self, worker: &Worker) -> Result<Arc<Identity>, StoreError> {
        let identity = Identity::from(worker);
        let plain = self.ledger.name(worker.id)?.unwrap_or_else(|| identity.plain.clone());
        Ok(Arc::new(Identity { plain, ..identity }))
    }

    /// Returns the identity of a worker. `None` if the worker does not exist.
    async fn identity(self: &Arc<Self>, id: WorkerId) -> Result<Option<Arc<Identity>>, CommandError> {
        if let Some(identity) = self.hub().identities.get(&id) {
            return Ok(Some(identity.clone()));
        }
        let commands = self.clone();
        let identity = tokio::task::spawn_blocking(move || commands.look_up(id)).await??;
        if let Some(identity) = &identity {
            self.hub().identities.insert(id, identity.clone());
        }
        Ok(identity)
    }
}

impl Hub {
    /// Ends a durable command for those that wait for it.
    fn end(&mut self, id: CommandId) {
        if let Some(order) = self.orders.remove(&id) {
            order.done.send_replace(true);
        }
    }
}

impl Durable {
    fn new(id: CommandId, command: &Command, waiting: Vec<Waiting>) -> Self {
        let until_us = command.until_us.unwrap_or_default();
        Self { order: channels::order(id, command, &command.arguments), waiting, until_us, done: watch::Sender::new(false) }
    }

    /// True if a line waits for this worker, or for any worker with its name.
    fn waits_for(&self, worker: WorkerId, plain: &str) -> bool {
        self.waiting.iter().any(|line| !line.is_taken && line.is_for(worker, plain))
    }
}

impl Waiting {
    fn is_for(&self, worker: WorkerId, plain: &str) -> bool {
        self.worker == Some(worker) || self.target.as_deref() == Some(plain)
    }
}
