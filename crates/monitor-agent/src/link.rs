//! The agent's link to the server: a thread that fetches the agent's tasks when they change, and executes orders of the server.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use monitor_api::{Client, Error};
use monitor_wire::{AgentMethod, AgentOrder, Backoff, BatchStatus, CommandId, CommandOrder, CommandReply, CommandStatus, WorkerId};
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep};

use crate::alert;
use crate::commands::ChannelCommands;
use crate::error::AgentError;
use crate::messages::{AgentMessage, PendingRequest, ServerTasks};
use crate::random::random;
use crate::request::{Answer, Request};
use crate::run_files;
use crate::telling::Telling;

/// Time that the server waits for a change of the agent's tasks before it replies.
const WAIT: Duration = Duration::from_secs(30);
/// Shortest and longest pause after a failure. Each pause is longer than the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Pause after a permanent refusal. The server's tokens may change during it.
const REFUSED: Duration = Duration::from_secs(60);
/// Longest time that an order waits for tasks that the agent has not fetched yet.
const CATCH_UP: Duration = Duration::from_secs(5);
/// Returns the methods that the agent offers on this machine, between commas.
pub(crate) fn methods() -> String {
    let can_mail = alert::sendmail().is_some();
    let names = AgentMethod::ALL.iter().map(|method| method.name);
    names.filter(|name| can_mail || *name != AgentOrder::ALERT_MAIL).collect::<Vec<_>>().join(",")
}

/// The agent's side of the link.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) client: Client,
    pub(crate) agent: String,
    pub(crate) worker: WorkerId,
    pub(crate) data: PathBuf,
    pub(crate) messages: Sender<AgentMessage>,
    /// Durable orders in progress. The server repeats orders without a reply on each new channel, and the repetitions are ignored.
    pub(crate) under_way: Arc<Mutex<HashSet<CommandId>>>,
    /// True if the agent runs tasks of the server.
    pub(crate) takes_tasks: bool,
    /// True if the agent has lost its database and fetches the server's copy of its state.
    pub(crate) asks_known: bool,
    /// Commands of alert channels that the agent runs.
    pub(crate) commands: ChannelCommands,
    /// Newest revision of the server's tasks that the agent has stored.
    pub(crate) fetched: Arc<watch::Sender<u64>>,
}

/// Name of the file in the agent's folder that contains the reason for a lost connection.
const DISCONNECTED: &str = "disconnected";

/// Returns the reason why the agent in a folder has no connection to its server, or `None` if it has one.
pub fn disconnected(folder: &Path) -> Option<String> {
    fs::read_to_string(folder.join(DISCONNECTED)).ok()
}

/// State of repeated failures.
#[derive(Default)]
pub(crate) struct Trouble {
    told: Telling,
    backoff: Backoff,
    /// The file that contains the error, and its content.
    file: Option<(PathBuf, String)>,
}

impl Trouble {
    /// Waits before the next try.
    pub(crate) async fn wait(&mut self, what: &str, error: &Error) {
        // The server returns 404 until it has stored the first events of this worker.
        let is_passing = error.is_temporary() || error.status() == Some(404);
        self.note(&error.causes());
        if is_passing {
            tracing::debug!(error = error.causes(), "{what}");
            return sleep(self.backoff.next(FIRST_PAUSE, LONGEST_PAUSE).max(error.retry_after().unwrap_or_default())).await;
        }
        let words = error.causes();
        if self.told.is_due(&words, std::time::Instant::now()) {
            tracing::warn!("{what}: {words}");
        }
        sleep(REFUSED).await;
    }

    pub(crate) fn is_over(&mut self, what: &str) {
        self.backoff.reset();
        if let Some((path, said)) = &mut self.file {
            said.clear();
            let _ = fs::remove_file(path);
        }
        if self.told.is_over() {
            tracing::info!("{what}");
        }
    }

    /// Writes the error to the file. If that fails, `monitor status` shows no reason.
    fn note(&mut self, words: &str) {
        if let Some((path, said)) = &mut self.file
            && said != words
            && fs::write(path, words).is_ok()
        {
            words.clone_into(said);
        }
    }
}

impl Link {
    /// Starts the thread. It ends with the agent.
    pub(crate) fn start(self) -> Result<(), AgentError> {
        let talk = move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
            if self.takes_tasks || self.asks_known {
                runtime.spawn(self.clone().fetch());
            }
            runtime.block_on(self.listen());
        };
        let spawned = std::thread::Builder::new().name("link".to_owned()).spawn(talk);
        spawned.map(drop).map_err(|source| AgentError::Disk { action: "start a thread for", path: "the server".into(), source })
    }

    /// Fetches the tasks in a loop. After a failure it fetches all tasks, because the server may have been replaced or restored. An agent that takes no
    /// tasks only fetches the server's copy of its state.
    async fn fetch(self) {
        let mut trouble = Trouble::default();
        let (mut after, mut wait) = (0, Duration::ZERO);
        // The agent may still wait for an answer after the link has stopped requesting `known`.
        let (mut asks_known, mut is_awaited) = (self.asks_known, self.asks_known);
        let is_final = |error: &Error| !error.is_temporary() && error.status() != Some(401);
        loop {
            let asked =
                if asks_known { self.client.known_agent_book(&self.agent) } else { self.client.agent_book(&self.agent, after, wait) };
            let book = match asked.await {
                Ok(book) => book,
                Err(error) if asks_known && is_final(&error) => {
                    // An older server refuses the parameter.
                    asks_known = false;
                    continue;
                }
                Err(error) => {
                    if is_awaited && self.messages.send(AgentMessage::Unanswered { is_final: is_final(&error) }).is_err() {
                        return;
                    }
                    (after, wait) = (0, Duration::ZERO);
                    trouble.wait("the server tells no tasks: those that it has told before hold", &error).await;
                    continue;
                }
            };
            trouble.is_over("the server tells tasks again");
            let revision = book.revision;
            let (done, written) = oneshot::channel();
            let is_whole = after == 0;
            if self.messages.send(AgentMessage::ServerTasks(ServerTasks { book, is_whole, done })).is_err() {
                return;
            }
            if written.await == Ok(true) {
                if !self.takes_tasks {
                    return;
                }
                (asks_known, is_awaited) = (false, false);
                (after, wait) = (revision, WAIT);
                self.fetched.send_replace(revision);
            } else {
                (after, wait) = (0, Duration::ZERO);
                sleep(FIRST_PAUSE).await;
            }
        }
    }

    /// Opens the channel for orders, and opens it again whenever it closes.
    async fn listen(self) {
        let file = self.data.join(DISCONNECTED);
        let _ = fs::remove_file(&file);
        let mut trouble = Trouble { file: Some((file, String::new())), ..Trouble::default() };
        let key = format!("{}{}", random(), random());
        loop {
            let error = match self.client.channel(self.worker, &key, &methods()).await {
                Ok(mut channel) => {
                    trouble.is_over("the server has orders for this agent again");
                    loop {
                        match channel.next().await {
                            Ok(order) => drop(tokio::spawn(self.clone().obey(key.clone(), order))),
                            Err(error) => break error,
                        }
                    }
                }
                Err(error) => error,
            };
            trouble.wait("the server has no orders for this agent", &error).await;
        }
    }

    /// Executes an order and sends the reply. A durable order is executed only after the server has stored the reply `taken`, so that it is executed at
    /// most once.
    async fn obey(self, key: String, order: CommandOrder) {
        let Some(until_us) = order.until_us else {
            let until = Timestamp::now() + Duration::from_millis(order.timeout_ms);
            if let Some(reply) = self.answer(&order, until).await {
                let _ = self.client.reply(order.id, &key, &reply).await;
            }
            return;
        };
        if !self.under_way().insert(order.id) {
            return;
        }
        let until = Timestamp::from_microsecond(i64::try_from(until_us).unwrap_or(i64::MAX)).unwrap_or(Timestamp::MAX);
        let taken = CommandReply { worker_id: self.worker, status: CommandStatus::TAKEN, value: None, error: None };
        if self.reply(order.id, &key, &taken, until).await
            && let Some(reply) = self.answer(&order, until).await
        {
            self.reply(order.id, &key, &reply, until).await;
        }
        self.under_way().remove(&order.id);
    }

    fn under_way(&self) -> std::sync::MutexGuard<'_, HashSet<CommandId>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Posts a reply until the server accepts or refuses it, or the order expires. Returns true if the server has accepted it.
    async fn reply(&self, id: CommandId, key: &str, reply: &CommandReply, until: Timestamp) -> bool {
        let left = Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default();
        let (end, mut backoff) = (Instant::now() + left, Backoff::default());
        loop {
            match self.client.reply(id, key, reply).await {
                Ok(()) => return true,
                Err(error) if error.is_temporary() && Instant::now() < end => {
                    sleep(backoff.next(FIRST_PAUSE, LONGEST_PAUSE).max(error.retry_after().unwrap_or_default())).await;
                }
                Err(error) => {
                    tracing::warn!(command = %id, status = reply.status.as_str(), "the server doesn't take an answer: {}", error.causes());
                    return false;
                }
            }
        }
    }

    /// Waits until the agent has stored the server's current tasks, because an order may be for a task that has just been added.
    async fn catch_up(&self, until: Timestamp) {
        if !self.takes_tasks {
            return;
        }
        let mut fetched = self.fetched.subscribe();
        let known = *fetched.borrow();
        let Ok(book) = self.client.agent_book(&self.agent, known, Duration::ZERO).await else { return };
        // The server does not send changes at once if they concern other agents' tasks, or tasks in files.
        if book.tasks.iter().all(|task| task.status == BatchStatus::DELETED) {
            return;
        }
        let left = Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default();
        // After the timeout, the order is executed with the tasks that the agent has.
        let _ = tokio::time::timeout(left.min(CATCH_UP), fetched.wait_for(|revision| *revision >= book.revision)).await;
    }

    /// Executes an order and returns the reply, or `None` if the agent ends before it has one.
    async fn answer(&self, order: &CommandOrder, until: Timestamp) -> Option<CommandReply> {
        let reply = |status, value, error| Some(CommandReply { worker_id: self.worker, status, value, error });
        let methods = methods();
        if !methods.split(',').any(|method| method == order.method) {
            return reply(CommandStatus::UNSUPPORTED, None, Some(format!("this agent does {methods}, and not {:?}", order.method)));
        }
        let by = order.arguments.get("by").and_then(Value::as_str).unwrap_or_default().to_owned();
        let read = match AgentOrder::read(&order.method, &order.arguments) {
            Ok(read) => read,
            Err(error) => return reply(CommandStatus::REFUSED, None, Some(format!("it can't be read: {error}"))),
        };
        if !is_for_main_loop(&read) {
            let (link, id) = (self.clone(), order.id);
            let done = tokio::task::spawn_blocking(move || link.execute(id, &by, read)).await.ok()?;
            return match done {
                Ok(value) => reply(CommandStatus::OK, Some(value), None),
                Err(why) => reply(CommandStatus::REFUSED, None, Some(why)),
            };
        }
        if matches!(read, AgentOrder::Run { .. } | AgentOrder::Pause { .. } | AgentOrder::Resume { .. }) {
            self.catch_up(until).await;
        }
        let (to, answer) = oneshot::channel();
        self.messages.send(AgentMessage::Request(PendingRequest::over_channel(by, until, Request::Order(read), to))).ok()?;
        match answer.await.ok()? {
            Answer::Done { .. } if order.method == "ping" => reply(CommandStatus::OK, Some("pong".into()), None),
            Answer::Done { runs } => reply(CommandStatus::OK, Some(json!({ "runs": runs })), None),
            Answer::Refused { why } => reply(CommandStatus::REFUSED, None, Some(why)),
        }
    }

    /// Executes an order that the main loop is not needed for. Blocks while it reads files or a command runs.
    fn execute(&self, id: CommandId, by: &str, order: AgentOrder) -> Result<Value, String> {
        let done = match order {
            AgentOrder::AlertCommand { channel, command, message } => {
                self.commands.check(&self.agent, &channel, &command).and_then(|()| alert::run_command(&command, &message))
            }
            AgentOrder::AlertMail { to, mail } => alert::send_mail(to, &mail),
            order => return run_files::look(&self.data, &self.agent, by, order),
        };
        done.inspect_err(|why| tracing::warn!(command = %id, "an order of the server is refused: {why}"))
    }
}

/// Returns true if the agent's main loop executes an order. A thread of its own executes the others, so that they don't delay runs.
fn is_for_main_loop(order: &AgentOrder) -> bool {
    match order {
        AgentOrder::Ping
        | AgentOrder::Run { .. }
        | AgentOrder::Rerun { .. }
        | AgentOrder::Kill { .. }
        | AgentOrder::Pause { .. }
        | AgentOrder::Resume { .. } => true,
        AgentOrder::Log { .. }
        | AgentOrder::Publications { .. }
        | AgentOrder::Publication(_)
        | AgentOrder::PublicationFile { .. }
        | AgentOrder::ComparePublications { .. }
        | AgentOrder::RestorePublication { .. }
        | AgentOrder::AlertCommand { .. }
        | AgentOrder::AlertMail { .. } => false,
    }
}
