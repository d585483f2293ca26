//! Sending commands to workers, from the request to the last worker's reply.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use monitor_wire::{Command, CommandId, CommandLine, CommandRequest, CommandStatus, Fields, Order, OrderError, READING_METHODS, WorkerId};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::channels::{Channel, is_method, order};
use super::ledger::{BROKEN_OFF, Entry, Waiting};
use super::names::{Target, first_status, meant, named_ids};
use super::single::Plan;
use super::{CommandError, Commands, Durable, Origin};

const DEFAULT_TIMEOUT_MS: u64 = 1_000;
pub(super) const TIMEOUT_MS: std::ops::RangeInclusive<u64> = 10..=60_000;
const LONGEST_UNTIL_US: u64 = 30 * 24 * 3_600 * 1_000_000;
/// Maximum size of the arguments, as JSON.
const MOST_ARGUMENTS: usize = 64 << 10;
/// Maximum size of all replies to one command.
const MOST_ANSWERS: usize = 32 << 20;
/// Maximum number of commands that wait for replies.
const MOST_ASKED: usize = 256;
/// Maximum number of waiting lines of durable commands.
const MOST_OPEN_LINES: usize = 20_000;
/// Age after which a worker that has never opened a channel is assumed to support no commands.
const YOUNG_US: u64 = 10_000_000;

/// True if a method only queries.
pub(crate) fn is_reading(method: &str) -> bool {
    READING_METHODS.contains(&method)
}

/// Arguments of workers that get other arguments than those of the command.
pub(super) type Each = HashMap<WorkerId, Fields>;

/// Sender of a command.
#[derive(Debug)]
pub(crate) struct Caller {
    /// Name of the user or token, or the kind of access.
    pub(crate) name: String,
    /// The sender's `Idempotency-Key`.
    pub(crate) key: Option<String>,
    /// Origin, which decides what may be sent to agents.
    pub(crate) origin: Origin,
}

impl Caller {
    /// Returns the server itself as the sender, on behalf of `name`.
    pub(crate) fn server(name: String, key: Option<String>) -> Self {
        Self { name, key, origin: Origin::Server }
    }
}

/// Command that is not durable and waits for replies.
#[derive(Debug)]
pub(super) struct Asked {
    command: Command,
    places: HashMap<WorkerId, LineSlot>,
    /// True if the command is written to the book.
    is_recorded: bool,
    /// Size of the replies so far.
    bytes: usize,
    /// Number of lines that are still waiting.
    left: watch::Sender<usize>,
}

#[derive(Debug)]
struct LineSlot {
    at: usize,
    order: Bytes,
    sent: Option<Instant>,
}

impl Asked {
    /// Returns the current state of the command.
    pub(super) fn command(&self) -> Command {
        Command { counts: counts(&self.command.lines), ..self.command.clone() }
    }

    /// True if the line of a worker is waiting.
    pub(super) fn waits_for(&self, worker: WorkerId) -> bool {
        self.places.get(&worker).is_some_and(|place| !self.command.lines[place.at].status.is_final())
    }

    /// Sends the command to a worker whose line is waiting, unless it was already sent.
    pub(super) fn send(&mut self, worker: WorkerId, channel: &Channel) {
        if self.waits_for(worker)
            && let Some(place) = self.places.get_mut(&worker).filter(|place| place.sent.is_none())
            && channel.send(&place.order)
        {
            place.sent = Some(Instant::now());
        }
    }

    /// Returns a worker's line, and the time at which the command was sent to the worker.
    pub(super) fn line(&mut self, worker: WorkerId) -> Option<(&mut CommandLine, Option<Instant>)> {
        let place = self.places.get(&worker)?;
        Some((&mut self.command.lines[place.at], place.sent))
    }

    /// Counts the size of a reply. Returns false if the replies are too large together.
    pub(super) fn has_room(&mut self, bytes: usize) -> bool {
        let has_room = self.bytes + bytes <= MOST_ANSWERS;
        self.bytes += if has_room { bytes } else { 0 };
        has_room
    }

    /// Sets the final status of the lines that are still waiting.
    fn finish(&mut self, online: &HashMap<WorkerId, u64>) -> Command {
        for line in self.command.lines.iter_mut().filter(|line| !line.status.is_final()) {
            give_up(line, online);
        }
        self.settled();
        self.command.done = true;
        self.command()
    }

    /// Counts the lines that are still waiting.
    pub(super) fn settled(&self) {
        self.left.send_replace(self.command.lines.iter().filter(|line| !line.status.is_final()).count());
    }

    /// Counts one line less as waiting.
    pub(super) fn settled_one(&self) {
        self.left.send_modify(|left| *left -= 1);
    }
}

impl Commands {
    /// Sends a command to workers, and waits until each has replied or the time is over. The same request with the same key is the same
    /// command.
    pub(crate) async fn ask(self: &Arc<Self>, caller: Caller, request: CommandRequest) -> Result<Command, CommandError> {
        let timeout = check(&request, self.clock.wall_us())?;
        if request.dry_run {
            let Plan { targets, .. } = self.plan(&caller, &request, timeout).await?;
            let (command, _) = self.prepare(None, &caller, request, timeout, targets).await?;
            return Ok(command);
        }
        let fingerprint = fingerprint(caller.origin, &request);
        let turn = match &caller.key {
            Some(_) => Some(self.keyed.lock().await),
            None => None,
        };
        if let Some(key) = caller.key.clone() {
            let by = caller.name.clone();
            match self.book(move |ledger| ledger.by_key(&by, &key)).await? {
                Some((id, found)) if found == fingerprint => {
                    drop(turn);
                    return self.wait(id, timeout).await;
                }
                Some((id, _)) => {
                    return Err(CommandError::OtherKey(id));
                }
                None => {}
            }
        }
        let plan = self.plan(&caller, &request, timeout).await?;
        let id = self.begin(&caller, request, plan, timeout, fingerprint).await?;
        drop(turn);
        self.wait(id, timeout).await
    }

    /// Returns the workers that a command names.
    pub(super) async fn targets(self: &Arc<Self>, request: &CommandRequest) -> Result<Vec<Target>, CommandError> {
        meant(&request.to, &self.known(named_ids(&request.to)).await?, request.until_us.is_some())
    }

    /// Records a command and sends it to the workers with a channel, to some of them with arguments of their own.
    pub(super) async fn begin(
        self: &Arc<Self>,
        caller: &Caller,
        request: CommandRequest,
        plan: Plan,
        timeout: Duration,
        fingerprint: [u8; 32],
    ) -> Result<CommandId, CommandError> {
        let Plan { targets, each } = plan;
        let id = new_id();
        let is_recorded = caller.origin.is_recorded(&request);
        let (command, targets) = self.prepare(Some(id), caller, request, timeout, targets).await?;
        let waiting = command.lines.iter().filter(|line| !line.status.is_final()).count();
        {
            let hub = self.hub();
            let too_many = match command.until_us {
                Some(_) => (hub.open_lines + waiting > MOST_OPEN_LINES).then(|| format!("{MOST_OPEN_LINES} lines of durable commands")),
                None => (hub.asked.len() >= MOST_ASKED).then(|| format!("{MOST_ASKED} commands")),
            };
            if let Some(what) = too_many {
                return Err(CommandError::TooManyWaiting(what));
            }
        }
        // If the server is killed before the replies are written, the book contains this state.
        let entered = match command.until_us {
            Some(_) => command.clone(),
            None => broken_off(&command),
        };
        let (key, names) = (caller.key.clone(), targets.iter().map(|target| target.shared.clone()).collect::<Vec<_>>());
        let entry = move |ledger: &super::Ledger| {
            ledger.enter(&Entry { command: &entered, key: key.as_deref(), request: &fingerprint, targets: &names })
        };
        if is_recorded {
            self.book(entry).await?;
        }
        if let Ok(Some(Order::Revoke { ids, .. })) = Order::read(&command.method, &command.arguments) {
            self.revoke(ids).await?;
        }
        self.figures.asked();
        self.send(id, command, is_recorded, &targets, &each);
        Ok(id)
    }

    /// Records that tasks are revoked, for workers that connect later.
    async fn revoke(self: &Arc<Self>, ids: Vec<String>) -> Result<(), CommandError> {
        let (now_us, written) = (self.clock.wall_us(), ids.clone());
        self.book(move |ledger| ledger.revoke(&written, now_us)).await?;
        let mut hub = self.hub();
        for id in &ids {
            hub.revoked.add(id, now_us);
        }
        Ok(())
    }

    fn send(&self, id: CommandId, command: Command, is_recorded: bool, targets: &[Target], each: &Each) {
        let mut hub = self.hub();
        let hub = &mut *hub;
        if command.until_us.is_some() {
            let line = |(line, target): (&CommandLine, &Target)| {
                let waiting = Waiting { is_taken: false, worker: line.worker_id, target: target.shared.clone() };
                (!line.status.is_final()).then_some(waiting)
            };
            let waiting: Vec<Waiting> = command.lines.iter().zip(targets).filter_map(line).collect();
            if waiting.is_empty() {
                return;
            }
            hub.open_lines += waiting.len();
            let durable = Durable::new(id, &command, waiting);
            for (worker, channel) in &hub.channels {
                if durable.waits_for(*worker, &channel.identity.plain) {
                    channel.send(&durable.order);
                }
            }
            hub.orders.insert(id, durable);
            return;
        }
        let same = order(id, &command, &command.arguments);
        let place = |(at, line): (usize, &CommandLine)| {
            let worker = line.worker_id?;
            let order = each.get(&worker).map_or_else(|| same.clone(), |arguments| order(id, &command, arguments));
            Some((worker, LineSlot { at, order, sent: None }))
        };
        let (places, left) = (command.lines.iter().enumerate().filter_map(place).collect(), watch::Sender::new(0));
        let mut asked = Asked { command, places, is_recorded, bytes: 0, left };
        asked.settled();
        for (worker, channel) in &hub.channels {
            asked.send(*worker, channel);
        }
        hub.asked.insert(id, asked);
    }

    /// Creates the command with its initial lines, and returns it with the target of each line.
    pub(super) async fn prepare(
        self: &Arc<Self>,
        id: Option<CommandId>,
        caller: &Caller,
        request: CommandRequest,
        timeout: Duration,
        targets: Vec<Target>,
    ) -> Result<(Command, Vec<Target>), CommandError> {
        let now_us = self.clock.wall_us();
        let workers: Vec<WorkerId> = targets.iter().filter_map(|target| target.worker.as_ref()).map(|worker| worker.id).collect();
        let have_opened =
            self.book(move |ledger| Ok(workers.iter().copied().zip(ledger.have_opened(&workers)?).collect::<HashMap<_, _>>()));
        let have_opened = have_opened.await?;
        let line = |target: &Target| {
            let worker = target.worker.as_ref();
            let is_young = |started_us: Option<u64>| started_us.is_some_and(|started| now_us.saturating_sub(started) < YOUNG_US);
            let may_answer = worker.is_none_or(|worker| have_opened[&worker.id] || is_young(worker.identity.started_us));
            let status = if target.refusal.is_some() { CommandStatus::UNSUPPORTED } else { first_status(target, may_answer) };
            let no_channel = || (status == CommandStatus::UNSUPPORTED).then(|| "it has opened no channel for commands".to_owned());
            CommandLine {
                worker_id: worker.map(|worker| worker.id),
                name: target.name.clone(),
                error: target.refusal.clone().or_else(no_channel),
                last_seen_us: worker.filter(|_| status == CommandStatus::GONE).map(|worker| worker.last_seen_us),
                status,
                value: None,
                elapsed_ns: None,
            }
        };
        let lines: Vec<CommandLine> = targets.iter().map(line).collect();
        // The server knows the methods of agents, also while no channel lists them because all agents are away.
        if request.until_us.is_none() && caller.origin == Origin::Client {
            self.check_method(&request.method, &lines)?;
        }
        let command = Command {
            id,
            method: request.method,
            arguments: request.arguments,
            created_us: now_us,
            by: caller.name.clone(),
            timeout_ms: timeout.as_millis() as u64,
            until_us: request.until_us,
            done: lines.iter().all(|line| line.status.is_final()),
            counts: counts(&lines),
            lines,
        };
        Ok((command, targets))
    }

    /// Waits until a command is done or its time is over. Returns its state at that point.
    pub(super) async fn wait(self: &Arc<Self>, id: CommandId, timeout: Duration) -> Result<Command, CommandError> {
        let (asked, order) = {
            let hub = self.hub();
            (hub.asked.get(&id).map(|asked| asked.left.subscribe()), hub.orders.get(&id).map(|order| order.done.subscribe()))
        };
        if let Some(mut left) = asked {
            tokio::select! {
                _ = left.wait_for(|left| *left == 0) => {}
                () = self.clock.sleep(timeout) => {}
                () = self.stopping.cancelled() => {}
            }
            return self.finish(id).await;
        }
        if let Some(mut done) = order {
            tokio::select! {
                _ = done.wait_for(|done| *done) => {}
                () = self.clock.sleep(timeout) => {}
                () = self.stopping.cancelled() => {}
            }
        }
        self.command(id).await
    }

    /// Sets the final status of the lines that are still waiting, and writes the command to the book.
    async fn finish(self: &Arc<Self>, id: CommandId) -> Result<Command, CommandError> {
        let online: HashMap<WorkerId, u64> = self.online().await?.into_iter().collect();
        let finished = self.hub().asked.get_mut(&id).map(|asked| (asked.finish(&online), asked.is_recorded));
        // Another request with the same key may have finished the command first.
        let Some((command, is_recorded)) = finished else { return self.command(id).await };
        let written = command.clone();
        if is_recorded && let Err(error) = self.book(move |ledger| ledger.finish(&written)).await {
            tracing::error!(error = monitor_http::with_causes(&error), command = %id, "what became of a command could not be written");
        }
        self.hub().asked.remove(&id);
        Ok(command)
    }

    /// Called when a worker's channel has closed. If the worker has ended, its lines are no longer waited for.
    pub(super) async fn ended(self: &Arc<Self>, worker: WorkerId) {
        match self.online().await {
            Ok(online) if online.iter().all(|(id, _)| *id != worker) => {
                for asked in self.hub().asked.values_mut().filter(|asked| asked.waits_for(worker)) {
                    if let Some((line, _)) = asked.line(worker) {
                        line.status = CommandStatus::GONE;
                        asked.settled_one();
                    }
                }
            }
            Ok(_) => {}
            Err(error) => tracing::error!(error = monitor_http::with_causes(&error), "could not look whether a worker has ended"),
        }
    }
}

/// Sets the final status of a worker that did not reply.
fn give_up(line: &mut CommandLine, online: &HashMap<WorkerId, u64>) {
    let last_seen_us = line.worker_id.and_then(|worker| online.get(&worker)).copied();
    line.status = if last_seen_us.is_some() { CommandStatus::UNANSWERED } else { CommandStatus::GONE };
    line.last_seen_us = last_seen_us;
}

fn broken_off(command: &Command) -> Command {
    let mut entered = command.clone();
    for line in entered.lines.iter_mut().filter(|line| !line.status.is_final()) {
        (line.status, line.error) = (CommandStatus::UNANSWERED, Some(BROKEN_OFF.to_owned()));
    }
    (entered.counts, entered.done) = (counts(&entered.lines), false);
    entered
}

pub(super) fn counts(lines: &[CommandLine]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for line in lines {
        *counts.entry(line.status.as_str().to_owned()).or_default() += 1;
    }
    counts
}

fn new_id() -> CommandId {
    let random = getrandom::u64().unwrap_or_else(|_| {
        // The id must be unique, not secret.
        use std::hash::BuildHasher;
        std::collections::hash_map::RandomState::new().hash_one(Instant::now())
    });
    CommandId::new(random.max(1)).expect("it isn't zero")
}

/// Computes a hash that is equal for equal requests with one `Idempotency-Key`. The server computes `until_us` and `timeout_ms` of its own
/// orders from the current time and the open channels, so they differ when a client repeats its request and are left out of the hash.
fn fingerprint(origin: Origin, request: &CommandRequest) -> [u8; 32] {
    let mut request = request.clone();
    if origin == Origin::Server {
        (request.until_us, request.timeout_ms) = (None, None);
    }
    Sha256::digest(serde_json::to_vec(&request).expect("plain data with text keys is JSON")).into()
}

/// Validates a request. Returns the time to wait for replies.
fn check(request: &CommandRequest, now_us: u64) -> Result<Duration, CommandError> {
    let wrong = |name: &str, detail: String| Err(CommandError::Parameter { name: name.to_owned(), detail: format!("`{name}`: {detail}") });
    if !is_method(&request.method) {
        return wrong("method", "a method's name has from 1 to 64 letters, digits and `_`, `.`, `-`, like `ping`".to_owned());
    }
    let timeout_ms = request.timeout_ms.unwrap_or(DEFAULT_TIMEOUT_MS);
    if !TIMEOUT_MS.contains(&timeout_ms) {
        return wrong("timeout_ms", format!("expected a number from {} to {}", TIMEOUT_MS.start(), TIMEOUT_MS.end()));
    }
    if serde_json::to_vec(&request.arguments).map_or(0, |json| json.len()) > MOST_ARGUMENTS {
        return wrong("arguments", format!("they have {MOST_ARGUMENTS} bytes at most, as JSON"));
    }
    if let Some(until_us) = request.until_us
        && !(now_us..=now_us.saturating_add(LONGEST_UNTIL_US)).contains(&until_us)
    {
        return wrong("until_us", format!("expected a time from now ({now_us}) on, at most 30 days ahead, in Unix µs"));
    }
    Ok(Duration::from_millis(timeout_ms))
}

/// Checks the arguments of a method for workers of queues. Agents have methods of the same names with other arguments, which only the
/// server itself sends.
pub(crate) fn check_arguments(request: &CommandRequest) -> Result<(), CommandError> {
    let wrong = |error: OrderError| CommandError::Parameter { name: format!("arguments.{}", error.argument), detail: error.to_string() };
    monitor_wire::check_arguments(&request.method, &request.arguments).map_err(wrong)
}
