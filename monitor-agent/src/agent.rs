//! The deciding loop.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use monitor_api::Client;
use monitor_tasks::plan::KillReason;
use monitor_tasks::{Action, Book, Clock, Definition, Ledger, Now, Paused, Place, RunId, Task, plan};
use sd_notify::NotifyState;

use crate::clock;
use crate::data::{self, Database};
use crate::error::AgentError;
use crate::files::Files;
use crate::folder::{self, Lock};
use crate::follow::{News, Runner};
use crate::judge::Judged;
use crate::outbox::{HEARTBEAT_MS, Teller};
use crate::report::Reporter;
use crate::request::{Answer, Request};
use crate::tell;

/// The clock, the files and the requests are looked at so often at least.
const LOOK: Duration = Duration::from_secs(1);
/// An agent that ends waits for the server no longer than so: what it couldn't tell, the next one tells.
const GOODBYE: Duration = Duration::from_secs(2);

/// Old runs are tidied up so often.
const TIDY: Duration = Duration::from_secs(60);

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
    /// What the launchers of runs have in their environment besides: where the server is, and the token for it.
    pub env: Vec<(&'static str, OsString)>,
    /// What the server is told by.
    pub client: Client,
    /// The program `monitor`, which launches runs.
    pub monitor: PathBuf,
}

/// An agent that holds its folder.
#[derive(Debug)]
pub struct Agent {
    config: Config,
    pub(crate) database: Database,
    pub(crate) book: Book,
    pub(crate) ledger: Ledger,
    pub(crate) runner: Arc<Runner>,
    files: Option<Files>,
    clock: clock::Watch,
    zone: TimeZone,
    news: Receiver<News>,
    sender: Sender<News>,
    teller: Teller,
    reporter: Reporter,
    /// When the server was told last how far the agent has decided.
    told_decided: Option<Instant>,
    tidied: Option<Instant>,
    /// What was heard and is not in the database yet.
    unwritten: Vec<News>,
    /// Tasks whose part of the ledger is not in the database yet.
    dirty: BTreeSet<String>,
    /// Version of what other programs have written to the database.
    others: Option<i64>,
    /// What the database said when it failed, so that it is told once.
    failure: Option<String>,
    /// Answers to requests that are not in the database yet.
    answers: BTreeMap<i64, Answer>,
    /// Runs that are ended because they ran for too long.
    too_long: BTreeSet<RunId>,
    is_stopping: bool,
    _lock: Lock,
}

impl Agent {
    /// Takes the folder of an agent, and reads there what it has decided and started so far.
    ///
    /// # Errors
    /// When another agent holds the folder, or it can't be used.
    pub fn open(config: Config) -> Result<Self, AgentError> {
        let lock = folder::lock(&config.data)?;
        let database = Database::open(&config.data)?;
        let stored = database.load()?;
        let zone = TimeZone::system();
        let (sender, news) = mpsc::channel();
        let runner = Arc::new(Runner {
            agent: config.name.clone(),
            monitor: config.monitor.clone(),
            home: config.home.clone().unwrap_or_else(|| config.data.clone()),
            runs: config.data.join("runs"),
            profile: config.profile.clone(),
            env: config.env.clone(),
            zone: zone.clone(),
            news: sender.clone(),
        });
        let files = config.tasks.as_ref().map(|folder| {
            let before = stored.tasks.iter().map(|task| (task.file.clone(), task.definition.clone()));
            Files::new(folder, before)
        });
        let teller = Teller::new(&config.name, gethostname::gethostname().to_string_lossy().into_owned());
        let reporter = Reporter::start(config.data.clone(), config.client.clone())?;
        let mut book = Book { paused: stored.paused, max_runs: Some(config.max_runs), ..Book::default() };
        for row in stored.tasks {
            let name = row.definition.name.clone();
            match Task::new(row.definition, row.version, row.since, &zone) {
                Ok(task) => {
                    let place = Place::find(&task.definition.on, &config.name).unwrap_or_default();
                    book.put(Task { paused: row.paused, place, ..task });
                }
                Err(error) => tracing::error!(task = name, error, "a task can't be used any more: it is left out"),
            }
        }
        Ok(Self {
            config,
            database,
            book,
            ledger: stored.ledger,
            runner,
            files,
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
            answers: BTreeMap::new(),
            too_long: BTreeSet::new(),
            is_stopping: false,
            _lock: lock,
        })
    }

    /// Number of tasks.
    pub fn tasks(&self) -> usize {
        self.book.tasks.len()
    }

    /// A function that ends the agent. Runs go on.
    pub fn stopper(&self) -> impl Fn() + Send + 'static {
        let sender = self.sender.clone();
        move || drop(sender.send(News::Stop))
    }

    /// Decides and starts runs until it is stopped.
    ///
    /// # Errors
    /// When what it finds at the beginning can't be read.
    pub fn run(mut self) -> Result<(), AgentError> {
        let (teller, begun) = (&self.teller, Timestamp::now());
        self.database.write(|transaction| teller.online(transaction, begun))?;
        self.recover()?;
        self.look();
        notify(NotifyState::Ready);
        let mut looked = Instant::now();
        while !self.is_stopping {
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                self.look();
            }
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
        Ok(())
    }

    /// Tells the server now and then how far the agent has decided: what it is not told of by then was not due.
    fn tell_decided(&mut self, now: &Now) {
        let is_due = self.told_decided.is_none_or(|told| told.elapsed() >= Duration::from_millis(HEARTBEAT_MS));
        if is_due && now.clock == Clock::Steady && self.unwritten.is_empty() {
            let teller = &self.teller;
            let written = self.database.write(|transaction| teller.decided(transaction, now.time));
            if self.is_done(written).is_some() {
                self.told_decided = Some(Instant::now());
                self.reporter.wake();
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
    pub(crate) fn hear(&mut self, mut news: News) {
        if let News::Ended { run, judged, .. } = &mut news
            && self.too_long.remove(run)
        {
            judged.was_too_long();
        }
        let (run, is_new) = match &news {
            News::Stop => {
                self.is_stopping = true;
                return;
            }
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

    /// Writes what was heard. Returns false if it couldn't be: nothing is to be done then that relies on it.
    fn write(&mut self) -> bool {
        if self.unwritten.is_empty() && self.dirty.is_empty() {
            return true;
        }
        let (ledger, unwritten, dirty) = (&self.ledger, &self.unwritten, &self.dirty);
        let written = self.database.write(|transaction| {
            for news in unwritten {
                match news {
                    News::Started { run, at } => data::write_started(transaction, run, *at)?,
                    News::Ended { run, at, judged } => data::write_ended(transaction, run, *at, judged)?,
                    News::Unstarted { .. } | News::Stop => {}
                }
            }
            data::write_ledger(transaction, ledger, dirty.iter().map(String::as_str))
        });
        if self.is_done(written).is_some() {
            self.unwritten.clear();
            self.dirty.clear();
            return true;
        }
        false
    }

    /// Decides what is to be done now, and does it. Returns the next time at which there may be something to be done.
    fn decide(&mut self, now: &Now) -> Option<Timestamp> {
        if !self.write() {
            return None;
        }
        let plan = plan(now, &self.book, &self.ledger);
        if plan.actions.is_empty() && plan.tasks.is_empty() && plan.boot.is_none() {
            return plan.wake_at;
        }
        let teller = &self.teller;
        let written = self.database.write(|transaction| {
            teller.plan(transaction, &plan, now.time)?;
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
                if let Some(task) = self.book.tasks.get(&run.id.task) {
                    self.runner.start(run, task.definition.clone());
                } else {
                    let judged = Judged::not_started("its task is gone".to_owned(), 125);
                    self.hear(News::Ended { run: run.id, at: Timestamp::now(), judged: Box::new(judged) });
                }
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
                self.take_book(book);
            }
        }
        self.answer_requests();
        if self.tidied.is_none_or(|tidied| tidied.elapsed() >= TIDY) {
            self.tidied = Some(Instant::now());
            self.tidy();
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

    /// Takes over the tasks of the files.
    fn take_book(&mut self, files: Vec<(String, Definition)>) {
        let is_own = |definition: &Definition| definition.on.is_empty() || Place::find(&definition.on, &self.config.name).is_some();
        let own: Vec<_> = files.into_iter().filter(|(_, definition)| is_own(definition)).collect();
        let is_known = |definition: &Definition| self.book.tasks.get(&definition.name).is_some_and(|task| *task.definition == *definition);
        let names: BTreeSet<&str> = own.iter().map(|(_, definition)| definition.name.as_str()).collect();
        let gone: Vec<String> = self.book.tasks.keys().filter(|name| !names.contains(name.as_str())).cloned().collect();
        let changed: Vec<_> = own.iter().filter(|(_, definition)| !is_known(definition)).collect();
        if gone.is_empty() && changed.is_empty() {
            return;
        }
        // What was due until now is the older versions'.
        let now = self.clock.now();
        self.decide(&now);
        if now.clock != Clock::Steady || self.failure.is_some() {
            self.look_again();
            return;
        }
        let now = now.time;
        let (teller, book) = (&self.teller, &self.book);
        let written = self.database.write(|transaction| {
            for name in &gone {
                data::remove_task(transaction, name)?;
                teller.gone(transaction, name, book.tasks[name].version, "file", now)?;
            }
            let change = |(file, definition): &&(String, Definition)| {
                let version = data::write_task(transaction, file, definition, now)?;
                let paused = book.tasks.get(&definition.name).and_then(|task| task.paused);
                teller.task(transaction, (definition, version), paused, file, now)?;
                Ok(version)
            };
            changed.iter().map(change).collect::<Result<Vec<_>, _>>()
        });
        let Some(versions) = self.is_done(written) else {
            self.look_again();
            return;
        };
        for name in gone {
            tracing::info!(task = name, "a task is gone");
            self.book.tasks.remove(&name);
            self.dirty.insert(name);
        }
        for ((_, definition), version) in changed.into_iter().zip(versions) {
            let name = definition.name.clone();
            let paused = self.book.tasks.get(&name).and_then(|task| task.paused);
            let place = Place::find(&definition.on, &self.config.name).unwrap_or_default();
            match Task::new(definition.clone(), version, now, &self.zone) {
                Ok(task) => {
                    tracing::info!(task = name, version, "a task is new or has changed");
                    self.book.put(Task { paused, place, ..task });
                }
                Err(error) => tracing::error!(task = name, error, "a task can't be used: it stays as it was"),
            }
        }
        self.ledger.forget(&self.book);
    }

    /// What the files say is not taken over yet.
    fn look_again(&mut self) {
        if let Some(files) = &mut self.files {
            files.again();
        }
    }

    /// Does what the agent is asked to do.
    fn answer_requests(&mut self) {
        let version = self.database.others_version();
        let Some(version) = self.is_done(version) else { return };
        if self.others == Some(version) {
            return;
        }
        let requests = self.database.requests();
        let Some(requests) = self.is_done(requests) else { return };
        for (number, until, by, request) in requests {
            let request = serde_json::from_str::<Request>(&request);
            let is_pause = matches!(request, Ok(Request::Pause { .. } | Request::Resume { .. }));
            let done_before = self.answers.remove(&number);
            let answer = match request {
                _ if done_before.is_some() => done_before.unwrap_or_else(|| refused(String::new())),
                Err(error) => refused(format!("this agent doesn't know what is asked: {error}")),
                Ok(_) if until < Timestamp::now() => refused("nobody was there to do it in time".to_owned()),
                Ok(request) => self.answer(&by, request),
            };
            let (ledger, dirty, book, teller) = (&self.ledger, &self.dirty, &self.book, &self.teller);
            let written = self.database.write(|transaction| {
                data::write_ledger(transaction, ledger, dirty.iter().map(String::as_str))?;
                for (name, task) in &book.tasks {
                    if is_pause && dirty.contains(name) {
                        data::write_paused(transaction, name, task.paused)?;
                        teller.task(transaction, (&task.definition, task.version), task.paused, &by, Timestamp::now())?;
                    }
                }
                data::set(transaction, "paused", &serde_json::to_string(&book.paused).unwrap_or_default())?;
                data::write_answer(transaction, number, &answer)
            });
            if self.is_done(written).is_none() {
                // It is done once, and only its answer is written later.
                self.answers.insert(number, answer);
                return;
            }
        }
        self.others = Some(version);
    }

    fn answer(&mut self, by: &str, request: Request) -> Answer {
        let now = Timestamp::now();
        match request {
            Request::Ping => Answer::Done { runs: Vec::new() },
            Request::Run { task, args } => match self.ledger.ask(&self.book, &task, now, by, args) {
                Some(run) => {
                    tracing::info!(%run, by, "a run is asked for");
                    self.dirty.insert(task);
                    Answer::Done { runs: vec![run.to_string()] }
                }
                None => no_task(&task),
            },
            Request::Pause { task, until } => self.pause(by, task, Some(Paused { from: now, until })),
            Request::Resume { task } => self.pause(by, task, None),
            Request::Kill { what, now } => {
                let is_meant = |run: &&monitor_tasks::ledger::Run| run.is_open() && (run.id.task == what || run.id.to_string() == what);
                let runs: Vec<RunId> = self.ledger.runs().filter(is_meant).map(|run| run.id.clone()).collect();
                if runs.is_empty() {
                    return refused(format!("no run of {what:?} runs"));
                }
                for run in &runs {
                    tracing::warn!(%run, by, "ends a run: somebody asked for it");
                    self.runner.kill(run, now, false);
                }
                Answer::Done { runs: runs.iter().map(ToString::to_string).collect() }
            }
        }
    }

    /// Pauses a task or the agent, or ends its pause. What was due until now is decided first, as it was.
    fn pause(&mut self, by: &str, task: Option<String>, paused: Option<Paused>) -> Answer {
        let now = self.clock.now();
        self.decide(&now);
        let place = match &task {
            None => &mut self.book.paused,
            Some(name) => match self.book.tasks.get_mut(name) {
                Some(task) => &mut task.paused,
                None => return no_task(name),
            },
        };
        *place = paused;
        tracing::info!(
            task,
            by,
            until = paused.and_then(|paused| paused.until).map(|until| until.to_string()),
            "{}",
            if paused.is_some() { "paused" } else { "resumed" }
        );
        self.dirty.extend(task);
        Answer::Done { runs: Vec::new() }
    }

    /// Tells once when the database fails, and once when it works again.
    fn is_done<T>(&mut self, result: Result<T, AgentError>) -> Option<T> {
        match result {
            Ok(done) => {
                if self.failure.take().is_some() {
                    tracing::info!("the agent's database works again");
                }
                Some(done)
            }
            Err(error) => {
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

fn refused(why: String) -> Answer {
    Answer::Refused { why }
}

fn no_task(name: &str) -> Answer {
    refused(format!("there is no task {name:?}"))
}

fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!(%error, "could not tell systemd how the agent is");
    }
}
