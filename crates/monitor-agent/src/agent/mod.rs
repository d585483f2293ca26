//! The agent. One thread runs a loop that handles messages and requests, decides about runs, and starts them.

mod database;
mod mark;
mod recover;
mod requests;
mod server_knowledge;
mod tasks;

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use monitor_salvage::beside;
use monitor_tasks::plan::KillReason;
use monitor_tasks::{Action, Book, Clock, Ledger, Now, Outcome, Place, RunId, Task, Trigger, plan};
use sd_notify::NotifyState;

use self::server_knowledge::PATIENCE;
use self::tasks::Sources;
use crate::clock;
use crate::config::Config;
use crate::data::{self, Database, TaskRow};
use crate::error::AgentError;
use crate::files::Files;
use crate::folder::{self, DATABASE, Lock};
use crate::link::Link;
use crate::messages::{AgentMessage, PendingRequest};
use crate::outbox::{HEARTBEAT_MS, Teller};
use crate::rebuild;
use crate::rebuilt::Rebuilt;
use crate::report::Reporter;
use crate::run_watcher::Runner;
use crate::socket::Publisher;
use crate::verdict::{Recorded, RunVerdict};
use crate::watch::identity;
use crate::{job, log, spec};

/// Maximum time between two checks of the clock, the task files and the requests.
const LOOK: Duration = Duration::from_secs(1);
/// Maximum time that an agent waits for the server when it ends. Events that were not sent by then are sent after the next start.
const GOODBYE: Duration = Duration::from_secs(2);

/// Interval at which the folders of old runs are removed.
const TIDY: Duration = Duration::from_secs(60);
/// Maximum number of reported mistakes in task files.
const MOST_MISTAKES: usize = 20;

/// Device and inode of a file. `None` if the file doesn't exist.
type FileIdentity = Option<(u64, u64)>;

/// Reason why an agent has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The agent was stopped.
    Stopped,
    /// The agent lost its database while it ran. The caller must execute the program again in this process, so that the agent continues with
    /// another database.
    Again,
}

/// An agent that has locked its folder.
#[derive(Debug)]
pub struct Agent {
    config: Config,
    database: Database,
    book: Book,
    ledger: Ledger,
    runner: Arc<Runner>,
    files: Option<Files>,
    /// Tasks as defined by the files and the server.
    sources: Sources,
    /// Names of the tasks that the server keeps. All other tasks are defined by files.
    of_server: BTreeSet<String>,
    /// True if the book does not contain all changes of `sources` yet.
    is_unsettled: bool,
    /// Work that is left since the database was lost.
    rebuilt: Option<Rebuilt>,
    /// Time until which tasks of files wait for the server's knowledge of the agent.
    waits_until: Option<Instant>,
    clock: clock::Watch,
    zone: TimeZone,
    messages: Receiver<AgentMessage>,
    sender: Sender<AgentMessage>,
    teller: Teller,
    reporter: Reporter,
    /// Time of the last report to the server of how far the agent has decided.
    told_decided: Option<Instant>,
    tidied: Option<Instant>,
    /// Messages that are not stored in the database yet.
    unwritten: Vec<AgentMessage>,
    /// Tasks whose ledger entries are not stored in the database yet.
    dirty: BTreeSet<String>,
    /// Database version when the requests were last read. It changes when another connection writes.
    others: Option<i64>,
    /// Text of the last database error. The same error is logged once.
    failure: Option<String>,
    /// Reported mistakes in task files.
    mistakes: Vec<String>,
    /// Requests that the agent has not answered yet.
    requests: VecDeque<PendingRequest>,
    /// Runs that the agent ends because they exceed `kill-after`.
    too_long: BTreeSet<RunId>,
    is_stopping: bool,
    /// Files of the database, with their identities when they were opened.
    opened: Vec<(PathBuf, FileIdentity)>,
    /// Reason why the database is lost.
    lost: Option<String>,
    _lock: Lock,
}

impl Agent {
    /// Locks the folder of an agent, loads its stored state, follows its runs, and scans the task files.
    ///
    /// # Errors
    /// When another agent has locked the folder, or the folder can't be used.
    pub fn open(config: Config) -> Result<Self, AgentError> {
        let lock = folder::lock(&config.data)?;
        let teller = Teller::new(&config.name, config.files_only);
        let database = rebuild::open(&config, &teller)?;
        let stored = database.load()?;
        let zone = TimeZone::system();
        let (sender, messages) = mpsc::channel();
        let runner = Arc::new(Runner {
            agent: config.name.clone(),
            monitor: config.monitor.clone(),
            home: config.home.clone().unwrap_or_else(|| config.data.clone()),
            runs: config.data.join("runs"),
            output_bytes: config.output_bytes,
            defaults: config.defaults.clone(),
            profile: config.profile.clone(),
            env: config.env.clone(),
            zone: zone.clone(),
            messages: sender.clone(),
            looked: crate::retention::Looked::default(),
        });
        let files = config.tasks.as_ref().map(|folder| {
            let of_file = |task: &TaskRow| Some((task.file.clone()?, task.definition.clone()));
            Files::new(folder, stored.tasks.iter().filter_map(of_file))
        });
        let asks = stored.rebuilt.as_ref().is_some_and(|rebuilt| rebuilt.asks);
        let reporter = Reporter::start(config.name.clone(), config.data.clone(), config.client.clone(), config.spool.clone(), asks)?;
        let mut book = Book { paused: stored.paused, max_runs: Some(config.max_runs), ..Book::default() };
        let mut of_server = BTreeSet::new();
        // A source from which the agent accepts no tasks can't bring tasks back.
        let rebuilt = stored.rebuilt.map(|before| Rebuilt {
            files: before.files && config.tasks.is_some(),
            server: before.server && !config.files_only,
            ..before
        });
        for row in stored.tasks {
            let name = row.definition.name.clone();
            if row.file.is_none() {
                of_server.insert(name.clone());
            }
            match Task::new(row.definition, row.version, row.since, &zone) {
                Ok(task) => {
                    let place = Place::find(&task.definition.on, &config.name).unwrap_or_default();
                    book.put(Task { paused: row.paused, place, ..task });
                }
                Err(error) => tracing::error!(task = name, error, "a task can't be used any more: it is left out"),
            }
        }
        // Tasks from a source that is no longer accepted are removed.
        let sources = Sources {
            files: config.tasks.is_none().then(BTreeMap::new),
            server: config.files_only.then(BTreeMap::new),
            ..Sources::default()
        };
        let mut agent = Self {
            config,
            database,
            book,
            ledger: stored.ledger,
            runner,
            files,
            sources,
            of_server,
            is_unsettled: true,
            rebuilt,
            waits_until: asks.then(|| Instant::now() + PATIENCE),
            clock: clock::Watch::default(),
            zone,
            messages,
            sender,
            teller,
            reporter,
            told_decided: None,
            tidied: None,
            unwritten: Vec::new(),
            dirty: BTreeSet::new(),
            others: None,
            failure: None,
            mistakes: stored.mistakes,
            requests: VecDeque::new(),
            too_long: BTreeSet::new(),
            is_stopping: false,
            opened: Vec::new(),
            lost: None,
            _lock: lock,
        };
        let (teller, name, begun) = (&agent.teller, &agent.config.name, Timestamp::now());
        agent.database.write(|transaction| {
            data::set(transaction, data::NAME, name)?;
            data::set(transaction, data::DEFAULTS, &agent.config.defaults.to_json().to_string())?;
            data::set(transaction, data::SERVER, agent.config.client.url().as_str())?;
            teller.online(transaction, begun)
        })?;
        let path = agent.config.data.join(DATABASE);
        agent.opened =
            ["", "-wal", "-shm"].iter().map(|suffix| beside(&path, suffix)).map(|path| (path.clone(), identity(&path))).collect();
        agent.recover()?;
        agent.look();
        Ok(agent)
    }

    /// Number of tasks.
    pub fn tasks(&self) -> usize {
        self.sources.waiting.as_ref().map_or(self.book.tasks.len(), BTreeMap::len)
    }

    /// Returns a function that stops the agent. Its runs continue.
    pub fn stopper(&self) -> impl Fn() + Send + 'static {
        let sender = self.sender.clone();
        move || drop(sender.send(AgentMessage::Stop))
    }

    /// Decides and starts runs until the agent is stopped or loses its database.
    ///
    /// # Errors
    /// When the link to the server can't be started, or the end of the agent can't be stored.
    pub fn run(mut self) -> Result<End, AgentError> {
        self.link()?;
        job::start(&self.config)?;
        let Config { name, data, .. } = &self.config;
        Publisher { agent: name.clone(), data: data.clone(), home: self.runner.home.clone() }.start();
        notify(NotifyState::Ready);
        let mut looked = Instant::now();
        while !self.is_stopping {
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                self.look_for_database();
                self.look();
            }
            if let Some(why) = self.lost.take() {
                self.leave_database(&why);
                return Ok(End::Again);
            }
            self.answer_requests();
            let now = self.clock.now();
            let wake_at = self.decide(&now);
            self.tell_decided(&now);
            notify(NotifyState::Watchdog);
            let left = wake_at.map(|at| Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default());
            let longest = LOOK.saturating_sub(looked.elapsed());
            self.listen(left.map_or(longest, |left| left.min(longest)));
        }
        notify(NotifyState::Stopping);
        self.write();
        let (teller, ended) = (&self.teller, Timestamp::now());
        self.database.write(|transaction| teller.offline(transaction, ended))?;
        self.reporter.end(GOODBYE);
        Ok(End::Stopped)
    }

    /// Starts the link, which receives tasks and orders from the server.
    fn link(&self) -> Result<(), AgentError> {
        let link = Link {
            client: self.config.orders.clone(),
            agent: self.config.name.clone(),
            worker: self.teller.worker.id,
            data: self.config.data.clone(),
            messages: self.sender.clone(),
            under_way: Arc::new(Mutex::new(HashSet::new())),
            takes_tasks: !self.config.files_only,
            asks_known: self.rebuilt.as_ref().is_some_and(|rebuilt| rebuilt.asks || rebuilt.server),
            commands: self.config.commands.clone(),
            fetched: Arc::new(tokio::sync::watch::channel(0).0),
        };
        link.start()
    }

    /// Reports to the server how far the agent has decided, at the interval of its heartbeat. The report follows all earlier decisions in the
    /// outbox. When the server receives it, the server has all decisions up to that time.
    fn tell_decided(&mut self, now: &Now) {
        let is_due = self.told_decided.is_none_or(|told| told.elapsed() >= Duration::from_millis(HEARTBEAT_MS));
        if is_due && now.clock == Clock::Steady && self.unwritten.is_empty() {
            let (teller, paused, mistakes) = (&self.teller, self.book.paused, &self.mistakes);
            // Until the server has answered, only the server knows whether the agent is paused.
            let asks = self.rebuilt.as_ref().is_some_and(|rebuilt| rebuilt.asks);
            let written =
                self.database.write(|transaction| if asks { Ok(()) } else { teller.decided(transaction, now.time, paused, mistakes) });
            if self.is_done(written).is_some() {
                self.told_decided = Some(Instant::now());
                self.reporter.wake();
                self.write_mark(now.time);
            }
        }
    }

    /// Waits up to `longest` for a message, and handles all messages that have arrived.
    fn listen(&mut self, longest: Duration) {
        match self.messages.recv_timeout(longest) {
            Ok(message) => self.hear(message),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
        }
        while let Ok(message) = self.messages.try_recv() {
            self.hear(message);
        }
    }

    /// Handles a message. Messages about runs change the ledger and are stored by [`write`](Self::write).
    fn hear(&mut self, message: AgentMessage) {
        let mut message = match message {
            AgentMessage::ServerTasks(tasks) => return self.take_server_tasks(tasks),
            AgentMessage::Unanswered { is_final } => return self.take_unanswered(is_final),
            AgentMessage::Request(request) => return self.requests.push_back(request),
            message => message,
        };
        if let AgentMessage::Ended { run, verdict, .. } = &mut message {
            if self.too_long.remove(run) {
                verdict.was_too_long();
            }
            let may_follow =
                self.ledger.run(run).zip(self.book.tasks.get(&run.task)).is_some_and(|(run, task)| task.policy.may_try_again(run));
            if verdict.outcome == Outcome::Retry && !may_follow {
                verdict.outcome = Outcome::Fail;
            }
        }
        let (run, is_new) = match &message {
            AgentMessage::Stop => {
                self.is_stopping = true;
                return;
            }
            AgentMessage::ServerTasks(_) | AgentMessage::Unanswered { .. } | AgentMessage::Request(_) => unreachable!("heard above"),
            AgentMessage::Started { run, at } => (run, self.ledger.started(run, *at)),
            AgentMessage::Ended { run, at, verdict } => {
                let is_new = self.ledger.ended(run, *at, verdict.outcome);
                if is_new {
                    log::ended(run, verdict);
                }
                (run, is_new)
            }
            AgentMessage::Unstarted { run } => (run, self.ledger.unstarted(run)),
        };
        if is_new {
            self.dirty.insert(run.task.clone());
            self.unwritten.push(message);
        }
    }

    /// Stores the messages and the changed ledger entries in the database. Returns false if that fails. Then no run may start, because decisions
    /// rely on the stored state.
    fn write(&mut self) -> bool {
        if self.unwritten.is_empty() && self.dirty.is_empty() {
            return true;
        }
        let (ledger, teller, unwritten, dirty) = (&self.ledger, &self.teller, &self.unwritten, &self.dirty);
        let written = self.database.write(|transaction| {
            for message in unwritten {
                match message {
                    AgentMessage::Started { run, at } => data::write_started(transaction, run, *at)?,
                    AgentMessage::Ended { run, at, verdict } => {
                        data::write_ended(transaction, run, *at, verdict)?;
                        teller.ended(transaction, run, *at, verdict)?;
                    }
                    AgentMessage::Unstarted { .. }
                    | AgentMessage::Stop
                    | AgentMessage::ServerTasks(_)
                    | AgentMessage::Unanswered { .. }
                    | AgentMessage::Request(_) => {}
                }
            }
            data::write_ledger(transaction, ledger, dirty.iter().map(String::as_str))
        });
        if self.is_done(written).is_some() {
            if self.unwritten.drain(..).any(|message| matches!(message, AgentMessage::Ended { .. })) {
                self.reporter.wake();
            }
            self.dirty.clear();
            return true;
        }
        false
    }

    /// Decides which actions are due, stores the decisions, and performs the actions. Returns the time at which the next action may be due.
    fn decide(&mut self, now: &Now) -> Option<Timestamp> {
        if !self.write() {
            return None;
        }
        let plan = plan(now, &self.book, &self.ledger);
        if plan.actions.is_empty() && plan.tasks.is_empty() && plan.boot.is_none() {
            return plan.wake_at;
        }
        let given_up = plan.actions.iter().filter_map(Action::given_up);
        let given_up = given_up.filter_map(|(id, reason, words)| Some((self.ledger.runs().find(|run| run.id == *id)?, reason, words)));
        let asked_for: Vec<_> = given_up.filter(|(run, ..)| matches!(run.trigger, Trigger::Request { .. })).collect();
        let (teller, agent) = (&self.teller, &self.runner.agent);
        let written = self.database.write(|transaction| {
            teller.plan(transaction, &plan, now.time)?;
            for (run, reason, words) in &asked_for {
                teller.given_up(transaction, spec::start(None, run, agent), (reason, words))?;
            }
            data::write_plan(transaction, &plan, now.time)
        });
        self.is_done(written)?;
        self.ledger.apply(&plan);
        self.reporter.wake();
        for action in plan.actions {
            self.act(action);
        }
        plan.wake_at
    }

    fn act(&mut self, action: Action) {
        log::action(&action);
        match action {
            Action::Start { run } => {
                let why = match self.definition(&run.id, run.version) {
                    Ok(Some(definition)) => return self.runner.start(run, definition),
                    Ok(None) => "its task is gone".to_owned(),
                    Err(error) => error.to_string(),
                };
                let recorded = Recorded::NoLauncher(Box::new(spec::start(None, &run, &self.runner.agent)));
                let verdict = RunVerdict::not_started(why, 125, recorded);
                self.hear(AgentMessage::Ended { run: run.id, at: Timestamp::now(), verdict: Box::new(verdict) });
            }
            Action::Kill { run, reason, .. } => {
                let is_too_long = reason == KillReason::KillAfter;
                self.runner.kill(&run, false, is_too_long);
                if is_too_long {
                    self.too_long.insert(run);
                }
            }
            Action::Skip { run: Some(run), .. } | Action::Missed { run: Some(run), .. } => self.runner.forget(&run),
            Action::Queue { .. } | Action::Retry { .. } | Action::Overtime { .. } | Action::Skip { .. } | Action::Missed { .. } => {}
        }
    }

    /// Scans the task files, reads new requests, and removes the folders of old runs.
    fn look(&mut self) {
        if let Some(files) = &mut self.files {
            let found = files.look();
            for mistake in &found.mistakes {
                tracing::error!("{mistake}");
            }
            if found.is_mended {
                tracing::info!("the files of tasks have no mistakes any more");
            }
            if let Some(book) = found.book {
                self.take_files(book);
            }
        }
        self.report_mistakes();
        self.check_patience();
        if self.is_unsettled {
            self.settle_tasks();
        }
        self.collect_requests();
        if self.tidied.is_none_or(|tidied| tidied.elapsed() >= TIDY) {
            self.tidied = Some(Instant::now());
            self.tidy();
        }
    }

    /// Reports changed mistakes in task files: to the server by an alert, and to local commands through the database.
    fn report_mistakes(&mut self) {
        let all = self.files.as_ref().map_or(&[][..], Files::mistakes);
        let mistakes: Vec<String> = all.iter().take(MOST_MISTAKES).cloned().collect();
        if mistakes == self.mistakes {
            return;
        }
        let new: Vec<&str> = mistakes.iter().filter(|mistake| !self.mistakes.contains(mistake)).map(String::as_str).collect();
        let (teller, name, now) = (&self.teller, &self.config.name, Timestamp::now());
        let written = self.database.write(|transaction| {
            data::set(transaction, data::MISTAKES, &serde_json::to_string(&mistakes).unwrap_or_default())?;
            if new.is_empty() {
                return Ok(());
            }
            let title = format!("the agent {name} has files of tasks with mistakes");
            let text = format!("Their tasks stay as they were, or are left out:\n{}", new.join("\n"));
            teller.alert(transaction, &format!("agent-files {name}"), &title, &text, now)
        });
        if self.is_done(written).is_some() {
            self.mistakes = mistakes;
            // The next iteration reports it to the server.
            self.told_decided = None;
            self.reporter.wake();
        }
    }

    /// Removes the folders of old runs.
    fn tidy(&mut self) {
        let found = self.database.runs_to_forget();
        let Some(runs) = self.is_done(found).filter(|runs| !runs.is_empty()) else { return };
        for run in &runs {
            let folder = self.runner.runs.join(run);
            if let Err(error) = std::fs::remove_dir_all(&folder)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(run, %error, "the folder of an old run can't be removed: remove it by hand");
            }
        }
        let written = self.database.write(|transaction| data::write_forgotten(transaction, &runs));
        self.is_done(written);
    }
}

fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!(%error, "could not send the agent's state to systemd");
    }
}
