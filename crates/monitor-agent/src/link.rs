//! The agent's link to the server: a thread that fetches the agent's tasks as they change, and takes what the agent is ordered to do.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use monitor_api::{Client, Error};
use monitor_wire::{AgentBook, Backoff, BatchStatus, CommandId, CommandOrder, CommandReply, CommandStatus, WorkerId};
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep};

use crate::alert;
use crate::asked::Asked;
use crate::commands::ChannelCommands;
use crate::error::AgentError;
use crate::follow::News;
use crate::look;
use crate::request::{Answer, Request};
use crate::telling::Telling;

/// The server is asked to wait so long for a change of the agent's tasks.
const WAIT: Duration = Duration::from_secs(30);
/// Pauses after a failure grow from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A server that refuses for good is asked again after so long: its tokens may change.
const REFUSED: Duration = Duration::from_secs(60);
/// An order waits no longer than so for tasks that the agent does not have yet.
const CATCH_UP: Duration = Duration::from_secs(5);
/// What the agent does when it is asked.
const METHODS: &str = "ping,run,rerun,kill,pause,resume,log,publications,publication,publication-file,compare-publications,\
                       restore-publication,alert-command";

/// What an agent of this machine does when it is asked.
pub(crate) fn methods() -> String {
    if alert::sendmail().is_some() { format!("{METHODS},{}", alert::MAIL) } else { METHODS.to_owned() }
}

/// Tasks as the server told of them.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) book: AgentBook,
    /// These are all; else only those that have changed.
    pub(crate) is_whole: bool,
    /// Told true once the agent has written them down.
    pub(crate) done: oneshot::Sender<bool>,
}

/// What the link knows of the agent.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) client: Client,
    pub(crate) agent: String,
    pub(crate) worker: WorkerId,
    pub(crate) data: PathBuf,
    pub(crate) news: Sender<News>,
    /// Durable orders that are being taken or done: the server repeats those on every new channel that it has not heard of.
    pub(crate) under_way: Arc<Mutex<HashSet<CommandId>>>,
    /// True if it takes tasks from the server.
    pub(crate) takes_tasks: bool,
    /// True if the agent has lost its database and asks for the server's knowledge of it.
    pub(crate) asks_known: bool,
    /// The commands of alert channels that it runs.
    pub(crate) commands: ChannelCommands,
    /// The revision of the server's tasks up to which the agent has them.
    pub(crate) fetched: Arc<watch::Sender<u64>>,
}

/// Holds why the agent is not connected, in its folder.
const DISCONNECTED: &str = "disconnected";

/// Why the agent in a folder has no connection to its server; none if it has one.
pub fn disconnected(folder: &Path) -> Option<String> {
    fs::read_to_string(folder.join(DISCONNECTED)).ok()
}

/// Why something is not to be tried again now.
#[derive(Default)]
struct Trouble {
    told: Telling,
    backoff: Backoff,
    /// The file that says it, and what it says.
    file: Option<(PathBuf, String)>,
}

impl Trouble {
    /// Waits before the next try.
    async fn wait(&mut self, what: &str, error: &Error) {
        // A worker that is not known yet will be as soon as the server has taken its first events.
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

    fn is_over(&mut self, what: &str) {
        self.backoff.reset();
        if let Some((path, said)) = &mut self.file {
            said.clear();
            let _ = fs::remove_file(path);
        }
        if self.told.is_over() {
            tracing::info!("{what}");
        }
    }

    /// Writes it where others look. If that fails they only know less.
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

    /// Fetches the tasks, again and again. After a break all of them: the server may be another one by then, or have been restored. An agent that takes
    /// none only asks for the server's knowledge of it.
    async fn fetch(self) {
        let mut trouble = Trouble::default();
        let (mut after, mut wait) = (0, Duration::ZERO);
        // The agent may still wait for an answer after the link has given up asking for `known`.
        let (mut asks_known, mut is_awaited) = (self.asks_known, self.asks_known);
        let is_final = |error: &Error| !error.is_temporary() && error.status() != Some(401);
        loop {
            let asked =
                if asks_known { self.client.known_agent_book(&self.agent) } else { self.client.agent_book(&self.agent, after, wait) };
            let book = match asked.await {
                Ok(book) => book,
                Err(error) if asks_known && is_final(&error) => {
                    // As an older server refuses the parameter.
                    asks_known = false;
                    continue;
                }
                Err(error) => {
                    if is_awaited && self.news.send(News::Unanswered { is_final: is_final(&error) }).is_err() {
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
            if self.news.send(News::Told(Told { book, is_whole, done })).is_err() {
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

    /// Opens the channel for orders, again and again.
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

    /// Does what is ordered, and says what came of it. A durable order is taken first; what was taken is done once or not at all.
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

    /// Posts a reply until the server has it or refuses it, or its time is over. Returns true if the server has it.
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

    /// Waits until the agent has the tasks that the server has now: an order may be for one that was added a moment ago.
    async fn catch_up(&self, until: Timestamp) {
        if !self.takes_tasks {
            return;
        }
        let mut fetched = self.fetched.subscribe();
        let known = *fetched.borrow();
        let Ok(book) = self.client.agent_book(&self.agent, known, Duration::ZERO).await else { return };
        // Changes of tasks that are not this agent's, or that a file defines, are not told at once.
        if book.tasks.iter().all(|task| task.status == BatchStatus::DELETED) {
            return;
        }
        let left = Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default();
        // What can't be had in time is answered by what is known.
        let _ = tokio::time::timeout(left.min(CATCH_UP), fetched.wait_for(|revision| *revision >= book.revision)).await;
    }

    /// Does what is ordered. None if the agent ends meanwhile: then nobody knows.
    async fn answer(&self, order: &CommandOrder, until: Timestamp) -> Option<CommandReply> {
        let reply = |status, value, error| Some(CommandReply { worker_id: self.worker, status, value, error });
        let methods = methods();
        if !methods.split(',').any(|method| method == order.method) {
            return reply(CommandStatus::UNSUPPORTED, None, Some(format!("this agent does {methods}, and not {:?}", order.method)));
        }
        if [alert::COMMAND, alert::MAIL].contains(&order.method.as_str()) {
            let (method, agent, commands) = (order.method.clone(), self.agent.clone(), self.commands.clone());
            let arguments = order.arguments.clone().into_iter().collect();
            let may_run = move |channel: &str, command: &[String]| commands.check(&agent, channel, command);
            let done = tokio::task::spawn_blocking(move || alert::obey(&method, &arguments, may_run)).await.ok()?;
            return match done {
                Ok(value) => reply(CommandStatus::OK, Some(value), None),
                Err(why) => {
                    tracing::warn!(command = %order.id, "an order of the server is refused: {why}");
                    reply(CommandStatus::REFUSED, None, Some(why))
                }
            };
        }
        let text = |key: &str| order.arguments.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        if look::is_look(&order.method) {
            let (data, agent, method, arguments) = (self.data.clone(), self.agent.clone(), order.method.clone(), order.arguments.clone());
            let looked = tokio::task::spawn_blocking(move || look::look(&data, &agent, &method, arguments)).await.ok()?;
            return match looked {
                Ok(value) => reply(CommandStatus::OK, Some(value), None),
                Err(why) => reply(CommandStatus::REFUSED, None, Some(why)),
            };
        }
        let mut asked: serde_json::Map<String, Value> = order.arguments.clone().into_iter().collect();
        asked.insert("do".to_owned(), order.method.clone().into());
        let request = match serde_json::from_value::<Request>(Value::Object(asked)) {
            Ok(request) => request,
            Err(error) => return reply(CommandStatus::REFUSED, None, Some(format!("it can't be read: {error}"))),
        };
        if matches!(request, Request::Run { .. } | Request::Pause { .. } | Request::Resume { .. }) {
            self.catch_up(until).await;
        }
        let (to, answer) = oneshot::channel();
        self.news.send(News::Asked(Asked::over_channel(text("by"), until, request, to))).ok()?;
        match answer.await.ok()? {
            Answer::Done { .. } if order.method == "ping" => reply(CommandStatus::OK, Some("pong".into()), None),
            Answer::Done { runs } => reply(CommandStatus::OK, Some(json!({ "runs": runs })), None),
            Answer::Refused { why } => reply(CommandStatus::REFUSED, None, Some(why)),
        }
    }
}

/// Returns 32 hexadecimal digits that nobody guesses.
///
/// # Panics
/// On a system without random numbers: nothing could be kept secret there.
pub(crate) fn random() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    format!("{:032x}", u128::from_ne_bytes(bytes))
}
