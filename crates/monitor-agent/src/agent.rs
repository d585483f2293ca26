//! The deciding loop.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use monitor_api::Client;
use monitor_salvage::{beside, move_aside};
use monitor_tasks::plan::KillReason;
use monitor_tasks::{Action, Book, Clock, Ledger, Now, Outcome, Place, RunId, Task, Trigger, plan};
use sd_notify::NotifyState;

use crate::asked::Asked;
use crate::clock;
use crate::commands::ChannelCommands;
use crate::data::{self, Database, TaskRow};
use crate::defaults::Defaults;
use crate::error::AgentError;
use crate::files::Files;
use crate::folder::{self, DATABASE, Lock};
use crate::follow::{News, Runner};
use crate::judge::{Judged, Recorded};
use crate::link::Link;
use crate::outbox::{HEARTBEAT_MS, Teller};
use crate::rebuild::{self, Rebuilt};
use crate::report::Reporter;
use crate::server_knowledge::PATIENCE;
use crate::socket::Publisher;
use crate::tasks::Sources;
use crate::watch::identity;
use crate::{spec, tell};

/// The clock, the files and the requests are looked at so often at least.
const LOOK: Duration = Duration::from_secs(1);
/// An agent that ends waits for the server no longer than so: what it couldn't tell, the next one tells.
const GOODBYE: Duration = Duration::from_secs(2);

/// Old runs are tidied up so often.
const TIDY: Duration = Duration::from_secs(60);
/// Most mistakes in files of tasks that are reported.
const MOST_MISTAKES: usize = 20;

/// Device and inode of a file, if it is there.
type FileIdentity = Option<(u64, u64)>;

/// How an agent works.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its name, which definitions name in `on`.
    pub name: String,
    /// Its folder.
    pub data: PathBuf,
    /// A folder of files that define tasks.
    pub tasks: Option<PathBuf>,
    /// The folder that has `task/NAME` of each task; else its own.
    pub home: Option<PathBuf>,
    /// The table of a task's settings that holds for it.
    pub profile: Option<String>,
    /// Most runs at the same time.
    pub max_runs: u32,
    /// So many bytes of a run's output are kept: the first half and the last one.
    pub output_bytes: u64,
    /// What holds for tasks that say nothing else.
    pub defaults: Defaults,
    /// What the launchers of runs have in their environment besides: where the server is, and the token for it.
    pub env: Vec<(&'static str, OsString)>,
    /// Client that reports to the server.
    pub client: Client,
    /// What the server is asked by, for the agent's tasks and orders; another one, since each keeps to its thread.
    pub orders: Client,
    /// The spool in which launchers leave what they can't send.
    pub spool: Option<PathBuf>,
    /// Takes no definitions from the server.
    pub files_only: bool,
    /// The commands of alert channels that it runs.
    pub commands: ChannelCommands,
    /// The program `monitor`, which launches runs.
    pub monitor: PathBuf,
}

/// Why an agent has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was stopped.
    Stopped,
    /// Its database was lost while it ran. Whoever runs it starts it again in this process's place, so that it goes on with another database.
    Again,
}

/// An agent that holds its folder.
#[derive(Debug)]
pub struct Agent {
    pub(crate) config: Config,
    pub(crate) database: Database,
    pub(crate) book: Book,
    pub(crate) ledger: Ledger,
    pub(crate) runner: Arc<Runner>,
    files: Option<Files>,
    /// What files and server say of tasks.
    pub(crate) sources: Sources,
    /// Tasks that the server keeps; the others are of files.
    pub(crate) of_server: BTreeSet<String>,
    /// Something of that is not taken over yet.
    pub(crate) is_unsettled: bool,
    /// What is still to be done since the database was lost.
    pub(crate) rebuilt: Option<Rebuilt>,
    /// Time until which tasks of files wait for the server's knowledge of the agent.
    pub(crate) waits_until: Option<Instant>,
    pub(crate) clock: clock::Watch,
    pub(crate) zone: TimeZone,
    news: Receiver<News>,
    sender: Sender<News>,
    pub(crate) teller: Teller,
    pub(crate) reporter: Reporter,
    /// When the server was told last how far the agent has decided.
    pub(crate) told_decided: Option<Instant>,
    tidied: Option<Instant>,
    /// Messages that are not in the database yet.
    unwritten: Vec<News>,
    /// Tasks whose part of the ledger is not in the database yet.
    pub(crate) dirty: BTreeSet<String>,
    /// Version of what other programs have written to the database.
    pub(crate) others: Option<i64>,
    /// Text of the last error of the database. The same error is logged once.
    pub(crate) failure: Option<String>,
    /// The reported mistakes in files of tasks.
    pub(crate) mistakes: Vec<String>,
    /// What the agent is asked to do and has not answered.
    pub(crate) asked: VecDeque<Asked>,
    /// Runs that are ended because they ran for too long.
    too_long: BTreeSet<RunId>,
    pub(crate) is_stopping: bool,
    /// The files of the database, as they were opened.
    opened: Vec<(PathBuf, FileIdentity)>,
    /// Why the database is lost.
    lost: Option<String>,
    _lock: Lock,
}

impl Agent {
    /// Takes the folder of an agent, reads there what it has decided and started so far, follows its runs, and looks at the files.
    ///
    /// # Errors
    /// When another agent holds the folder, or it can't be used.
    pub fn open(config: Config) -> Result<Self, AgentError> {
        let lock = folder::lock(&config.data)?;
        let teller = Teller::new(&config.name, config.files_only);
        let database = rebuild::open(&config, &teller)?;
        let stored = database.load()?;
        let zone = TimeZone::system();
        let (sender, news) = mpsc::channel();
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
            news: sender.clone(),
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
        // What it takes no tasks from brings none back.
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
            news,
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
            asked: VecDeque::new(),
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

    /// A function that ends the agent. Runs go on.
    pub fn stopper(&self) -> impl Fn() + Send + 'static {
        let sender = self.sender.clone();
        move || drop(sender.send(News::Stop))
    }

    /// Decides and starts runs until it is stopped.
    ///
    /// # Errors
    /// When it can't begin to listen to the server, or can't write that it ends.
    pub fn run(mut self) -> Result<End, AgentError> {
        self.link()?;
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

    /// Notices that a file of the database was deleted or replaced: what is written to it then, the next start would not find.
    fn look_for_database(&mut self) {
        let changed = self.opened.iter().find_map(|(path, opened)| {
            let now = identity(path);
            (now != *opened).then(|| (path, if now.is_some() { "was replaced" } else { "was deleted" }))
        });
        if let Some((path, what)) = changed {
            self.lost = Some(format!("{} {what} while the agent ran", path.display()));
        }
    }

    /// Puts all that is in a database whose files are no longer there into another one, and moves aside what is in its place. Of a damaged one nothing
    /// is kept here: the next start makes another one from what else is known.
    fn leave_database(&mut self, why: &str) {
        let (data, now) = (self.config.data.clone(), Timestamp::now());
        let (path, new) = (data.join(DATABASE), data.join(format!("{DATABASE}.new")));
        let (key, title) = (format!("agent-database {}", self.config.name), format!("the agent {} lost its database", self.config.name));
        let teller = &self.teller;
        let text = format!("{why}. All that was in it could be kept: the agent goes on with a copy.");
        let copied = self.database.write(|transaction| teller.alert(transaction, &key, &title, &text, now));
        let copied =
            copied.and_then(|()| self.database.copy_to(&new)).inspect_err(|error| tracing::error!(%error, "the database can't be copied"));
        match move_aside(&path, rebuild::DAMAGED, u64::try_from(now.as_second()).unwrap_or_default()) {
            Ok(None) => {}
            Ok(Some(moved)) => tracing::error!("{} was moved aside: it is now {}", path.display(), moved.display()),
            Err((path, error)) => tracing::error!(%error, "{} can't be moved aside", path.display()),
        }
        if copied.is_ok() && std::fs::rename(&new, &path).is_ok() {
            tracing::error!("{title}: {text}");
        } else {
            let _ = std::fs::remove_file(&new);
            tracing::error!("{title}: {why}");
        }
    }

    /// Begins to listen to the server.
    fn link(&self) -> Result<(), AgentError> {
        let link = Link {
            client: self.config.orders.clone(),
            agent: self.config.name.clone(),
            worker: self.teller.worker.id,
            data: self.config.data.clone(),
            news: self.sender.clone(),
            under_way: Arc::new(Mutex::new(HashSet::new())),
            takes_tasks: !self.config.files_only,
            asks_known: self.rebuilt.as_ref().is_some_and(|rebuilt| rebuilt.asks || rebuilt.server),
            commands: self.config.commands.clone(),
            fetched: Arc::new(tokio::sync::watch::channel(0).0),
        };
        link.start()
    }

    /// Tells the server now and then how far the agent has decided: what it is not told of by then was not due.
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

    /// Waits for news, but no longer than so.
    fn listen(&mut self, longest: Duration) {
        match self.news.recv_timeout(longest) {
            Ok(news) => self.hear(news),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
        }
        while let Ok(news) = self.news.try_recv() {
            self.hear(news);
        }
    }

    /// Notes what has become of a run.
    pub(crate) fn hear(&mut self, news: News) {
        let mut news = match news {
            News::Told(told) => return self.take_told(told),
            News::Unanswered { is_final } => return self.take_unanswered(is_final),
            News::Asked(asked) => return self.asked.push_back(asked),
            news => news,
        };
        if let News::Ended { run, judged, .. } = &mut news {
            if self.too_long.remove(run) {
                judged.was_too_long();
            }
            let may_follow =
                self.ledger.run(run).zip(self.book.tasks.get(&run.task)).is_some_and(|(run, task)| task.policy.may_try_again(run));
            if judged.outcome == Outcome::Retry && !may_follow {
                judged.outcome = Outcome::Fail;
            }
        }
        let (run, is_new) = match &news {
            News::Stop => {
                self.is_stopping = true;
                return;
            }
            News::Told(_) | News::Unanswered { .. } | News::Asked(_) => unreachable!("heard above"),
            News::Started { run, at } => (run, self.ledger.started(run, *at)),
            News::Ended { run, at, judged } => {
                let is_new = self.ledger.ended(run, *at, judged.outcome);
                if is_new {
                    tell::ended(run, judged);
                }
                (run, is_new)
            }
            News::Unstarted { run } => (run, self.ledger.unstarted(run)),
        };
        if is_new {
            self.dirty.insert(run.task.clone());
            self.unwritten.push(news);
        }
    }

    /// Writes the messages to the database. Returns false if that fails: then nothing may be started that relies on them.
    fn write(&mut self) -> bool {
        if self.unwritten.is_empty() && self.dirty.is_empty() {
            return true;
        }
        let (ledger, teller, unwritten, dirty) = (&self.ledger, &self.teller, &self.unwritten, &self.dirty);
        let written = self.database.write(|transaction| {
            for news in unwritten {
                match news {
                    News::Started { run, at } => data::write_started(transaction, run, *at)?,
                    News::Ended { run, at, judged } => {
                        data::write_ended(transaction, run, *at, judged)?;
                        teller.ended(transaction, run, *at, judged)?;
                    }
                    News::Unstarted { .. } | News::Stop | News::Told(_) | News::Unanswered { .. } | News::Asked(_) => {}
                }
            }
            data::write_ledger(transaction, ledger, dirty.iter().map(String::as_str))
        });
        if self.is_done(written).is_some() {
            if self.unwritten.drain(..).any(|news| matches!(news, News::Ended { .. })) {
                self.reporter.wake();
            }
            self.dirty.clear();
            return true;
        }
        false
    }

    /// Decides what is to be done now, and does it. Returns the next time at which there may be something to be done.
    pub(crate) fn decide(&mut self, now: &Now) -> Option<Timestamp> {
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
        tell::action(&action);
        match action {
            Action::Start { run } => {
                let why = match self.definition(&run.id, run.version) {
                    Ok(Some(definition)) => return self.runner.start(run, definition),
                    Ok(None) => "its task is gone".to_owned(),
                    Err(error) => error.to_string(),
                };
                let recorded = Recorded::NoLauncher(Box::new(spec::start(None, &run, &self.runner.agent)));
                let judged = Judged::not_started(why, 125, recorded);
                self.hear(News::Ended { run: run.id, at: Timestamp::now(), judged: Box::new(judged) });
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

    /// Looks at the files of tasks, and at what the agent is asked to do.
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

    /// Reports changes of the mistakes in files: to the server, by an alert, and in the database for local commands.
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
            // Reported at once.
            self.told_decided = None;
            self.reporter.wake();
        }
    }

    /// Removes the folders of runs that have ended long ago.
    fn tidy(&mut self) {
        let found = self.database.runs_to_forget();
        let Some((runs, Some(last))) = self.is_done(found) else { return };
        for run in &runs {
            let folder = self.runner.runs.join(run);
            if let Err(error) = std::fs::remove_dir_all(&folder)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(run, %error, "the folder of an old run can't be removed");
            }
        }
        let written = self.database.write(|transaction| data::write_forgotten(transaction, last));
        self.is_done(written);
    }

    /// Tells once when the database fails, and once when it works again.
    pub(crate) fn is_done<T>(&mut self, result: Result<T, AgentError>) -> Option<T> {
        match result {
            Ok(done) => {
                if self.failure.take().is_some() {
                    tracing::info!("the agent's database works again");
                }
                Some(done)
            }
            Err(error) => {
                if let AgentError::Damaged { path, why } = &error {
                    self.lost = Some(format!("{} is damaged: {why}", path.display()));
                }
                let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
                let words = format!("{error}{source}");
                if self.failure.as_ref() != Some(&words) {
                    tracing::error!("{words}; nothing is started until it works again");
                    self.failure = Some(words);
                }
                None
            }
        }
    }
}

fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!(%error, "could not tell systemd how the agent is");
    }
}
