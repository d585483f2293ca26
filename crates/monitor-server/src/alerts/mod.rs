//! Alerts. The duty reads signs, `monitor-alerts` decides, and the decisions are stored. Decisions and the cursor of the processed signs
//! are stored in the same transaction, so that a crash neither loses nor repeats a decision.

pub mod channels;
pub(crate) mod enrich;
mod file;
mod follow;
mod outbox;
mod own_mail;
mod preview;
mod rates;
pub mod template;
pub mod text;
mod troubles;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use monitor_alerts::{Cause, Hush, Rule, Settings, State, Step, World};
use monitor_store::{AlertsChange, Intake, Store, StoreError, StoredRule, Watched};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

pub(crate) use self::channels::Sender;
pub(crate) use self::file::AlertsFile;
pub(crate) use self::preview::Preview;
use crate::clock::Clock;
use crate::commands::Commands;
use crate::duties::{Duties, Duty};
use crate::ingest::{Ingest, IngestError};

/// Maximum number of signs processed in one transaction.
const AT_ONCE: usize = 1_000;
/// Interval of checking the file.
const EVERY: Duration = Duration::from_secs(1);

/// Parts of the server that alerts use.
pub(crate) struct Parts {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) clock: Clock,
    /// URL of the page.
    pub(crate) page_url: String,
    /// Connection to the agents.
    pub(crate) commands: Arc<Commands>,
    /// Sends messages through channels.
    pub(crate) sender: Sender,
    pub(crate) file: AlertsFile,
    pub(crate) signal: Arc<Notify>,
    pub(crate) stopping: CancellationToken,
}

/// State of alerts: decides in a duty, and serves queries and actions of the API.
pub(crate) struct Alerts {
    parts: Parts,
    /// Wakes the deciding duty: new signs, changed rules, or an action of a user.
    signal: Arc<Notify>,
    /// Wakes the sending duty.
    to_send: Notify,
    rules: watch::Sender<Arc<Ruleset>>,
    /// Time of the last check of the file and the stored rules.
    looked: Mutex<Option<Duration>>,
    memory: tokio::sync::Mutex<Option<Memory>>,
    sending: outbox::Sending,
    firing: watch::Sender<Firing>,
    /// Troubles of the server itself at the last check.
    troubles: Mutex<BTreeMap<&'static str, bool>>,
    /// True if the agent on the server's machine sends mail. `None` if unknown.
    mails: Mutex<Option<bool>>,
    /// Time of the last check of shares of failed calls.
    shares_looked: Mutex<Option<Duration>>,
}

/// Summary of the firing alerts, sent to all clients that subscribe to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Firing {
    /// Number of firing alerts.
    pub(crate) count: usize,
    /// Number of the newest firing alert, 0 if there is none.
    pub(crate) newest: u64,
    /// Counter that increases with each change of an alert, a message, a hush, a rule, a channel or a heartbeat. Clients that show them
    /// then read them again.
    pub(crate) version: u64,
}

/// Rules and channels in effect.
#[derive(Debug, Default)]
pub(crate) struct Ruleset {
    /// Settings from the file.
    pub(crate) settings: Settings,
    /// Mistakes of the current file. If there are any, the last valid version stays in effect.
    pub(crate) mistakes: Vec<String>,
    /// Rules stored in the database.
    pub(crate) stored: Vec<StoredRule>,
    /// All rules in effect.
    pub(crate) rules: Vec<Rule>,
    /// True if the agent on the server's machine sends mail.
    can_mail: bool,
}

/// Time after which waiting signs are checked again, in microseconds.
const HELD_US: u64 = 100_000;

/// Maximum time to wait for the first reading of the rules. After it, a server whose database is too busy answers without rules.
const LONGEST_FIRST_READ: Duration = Duration::from_secs(2);

/// State that is kept in memory between steps.
struct Memory {
    cursor: u64,
    state: State,
    /// Time of the next step.
    wake_us: Option<u64>,
}

impl Alerts {
    pub(crate) fn new(parts: Parts) -> Self {
        let signal = parts.signal.clone();
        let (rules, memory, sending) = (watch::Sender::default(), tokio::sync::Mutex::default(), outbox::Sending::default());
        // The initial version is derived from the time, so that it differs from that before a restart and reconnecting clients read again.
        let firing = watch::Sender::new(Firing { version: parts.clock.wall_us() / 1_000, ..Firing::default() });
        Self {
            parts,
            signal,
            to_send: Notify::new(),
            rules,
            looked: Mutex::default(),
            memory,
            sending,
            troubles: Mutex::default(),
            mails: Mutex::default(),
            shares_looked: Mutex::default(),
            firing,
        }
    }

    /// Returns a receiver for the summary of firing alerts.
    pub(crate) fn firing(&self) -> watch::Receiver<Firing> {
        self.firing.subscribe()
    }

    /// Updates the summary of firing alerts.
    fn tell_firing(&self, state: &State) {
        self.firing.send_if_modified(|known| {
            let none = Firing { count: 0, newest: 0, ..*known };
            let now = state.firing().fold(none, |firing, alert| Firing {
                count: firing.count + 1,
                newest: firing.newest.max(alert.id),
                ..firing
            });
            std::mem::replace(known, now) != now
        });
    }

    /// Notifies subscribers that alerts or heartbeats have changed.
    pub(crate) fn tell_changed(&self) {
        self.firing.send_modify(|firing| firing.version += 1);
    }

    /// Starts the duties that decide and send.
    pub(crate) fn begin(self: &Arc<Self>, duties: &mut Duties) {
        let alerts = self.clone();
        duties.begin("alerts", move |duty| {
            let alerts = alerts.clone();
            async move { alerts.decide(&duty).await }
        });
        let alerts = self.clone();
        duties.begin("alert messages", move |duty| {
            let alerts = alerts.clone();
            async move { alerts.send(&duty).await }
        });
    }

    /// Returns the rules and channels in effect.
    pub(crate) fn rules(&self) -> Arc<Ruleset> {
        self.rules.borrow().clone()
    }

    /// Waits until rules and channels have been read for the first time, up to [`LONGEST_FIRST_READ`].
    pub(crate) async fn first_read(&self) {
        let mut rules = self.rules.subscribe();
        drop(tokio::time::timeout(LONGEST_FIRST_READ, rules.wait_for(|ruleset| !ruleset.rules.is_empty())).await);
    }

    /// Decides until the server stops.
    async fn decide(&self, duty: &Duty) {
        loop {
            let result = self.look_at_all().await;
            match &result {
                Err(IngestError::Stopped) => return,
                Err(IngestError::Store(error)) if error.is_passing() => drop(duty.note(Err(error.to_string()), EVERY)),
                Err(error) => duty.ran(Err(format!("could not decide on alerts: {}", monitor_http::with_causes(error))), EVERY),
                Ok(_) => duty.ran(Ok(()), EVERY),
            }
            let now_us = self.parts.clock.wall_us();
            let pause = match result {
                Ok(Some(wake_us)) => Duration::from_micros(wake_us.saturating_sub(now_us)).min(EVERY),
                _ => EVERY,
            };
            let wait = async {
                tokio::select! {
                    () = self.parts.clock.sleep(pause) => {}
                    () = self.signal.notified() => {}
                }
            };
            if self.parts.stopping.run_until_cancelled(wait).await.is_none() {
                return;
            }
        }
    }

    /// Checks the conditions that no event reports, then the file and the signs.
    async fn look_at_all(&self) -> Result<Option<u64>, IngestError> {
        self.look_at_disk().await?;
        let wake_us = self.look().await?;
        if self.is_time(&self.shares_looked, rates::EVERY) {
            self.look_at_shares().await?;
        }
        Ok(wake_us)
    }

    /// Reads the file if it has changed, and processes all new signs and everything that is due. Returns the time of the next step.
    pub(crate) async fn look(&self) -> Result<Option<u64>, IngestError> {
        self.read_rules().await?;
        self.look_at_mistakes().await?;
        let mut memory = self.memory.lock().await;
        loop {
            let known = self.remembered(&mut memory).await?;
            let (cursor, newest, now_us) = (known.cursor, self.parts.store.last_sign(), self.parts.clock.wall_us());
            let is_due = known.wake_us.is_none_or(|wake_us| wake_us <= now_us);
            if newest <= cursor && !is_due {
                return Ok(known.wake_us);
            }
            let store = self.parts.store.clone();
            let read = move || -> Result<_, StoreError> {
                let mut signs = store.signs_after(cursor, AT_ONCE)?;
                let is_more = signs.len() == AT_ONCE;
                let is_held = enrich::signs(&*store, &mut signs, now_us);
                Ok((signs, store.hushes(now_us)?, is_more && !is_held, is_held))
            };
            let (signs, hushes, is_more, is_held) = blocking(read).await?;
            let held_us = is_held.then_some(now_us + HELD_US);
            if signs.is_empty() && is_held && !is_due {
                return Ok(held_us);
            }
            let to = signs.last().map_or(cursor, |last| last.seq);
            let done =
                self.act(&mut memory, Some((cursor, to)), &hushes, |state, world| Some(monitor_alerts::step(state, world, &signs, now_us)));
            done.await?;
            if !is_more && memory.is_some() {
                let wake_us = memory.as_ref().and_then(|memory| memory.wake_us);
                return Ok(wake_us.into_iter().chain(held_us).min());
            }
        }
    }

    /// Applies `act` to the state and stores the result. Returns `None` if nothing was done or another process has moved the cursor.
    async fn act(
        &self,
        memory: &mut Option<Memory>,
        cursor: Option<(u64, u64)>,
        hushes: &[(u64, Hush)],
        act: impl FnOnce(&mut State, World<'_>) -> Option<Step>,
    ) -> Result<Option<()>, IngestError> {
        self.remembered(memory).await?;
        // The state is taken out while it is changed. If storing fails, the state stays empty and is read again, because the database is
        // authoritative.
        let is_action = cursor.is_none();
        let Some(Memory { mut state, cursor: at, wake_us }) = memory.take() else { return Ok(None) };
        let ruleset = self.rules();
        let hushes: Vec<Hush> = hushes.iter().map(|(_, hush)| hush.clone()).collect();
        let world = World { rules: &ruleset.rules, channels: &ruleset.settings.channels, hushes: &hushes };
        let Some(step) = act(&mut state, world) else {
            *memory = Some(Memory { state, cursor: at, wake_us });
            return Ok(None);
        };
        let changed = state.take_changes();
        let mut messages = step.messages;
        let (store, url) = (self.parts.store.clone(), self.parts.page_url.clone());
        if !messages.is_empty() {
            messages = blocking(move || {
                enrich::messages(&*store, &url, &mut messages);
                Ok(messages)
            })
            .await?;
        }
        let (has_messages, now_us) = (!messages.is_empty(), self.parts.clock.wall_us());
        let change = AlertsChange {
            cursor: cursor.filter(|(from, to)| from != to),
            entries: changed.entries,
            common: Some(changed.common),
            alerts: step.alerts.into_values().collect(),
            notes: step.notes,
            messages,
            orders: step.orders,
            ..AlertsChange::default()
        };
        let has_alerts = !change.alerts.is_empty();
        let has_orders = !change.orders.is_empty();
        let is_something = change.cursor.is_some() || !change.entries.is_empty() || has_messages || !change.notes.is_empty();
        if is_something && !self.change(change).await? {
            // Another process has moved the cursor.
            return Ok(None);
        }
        if has_alerts {
            self.tell_firing(&state);
        }
        let cursor = cursor.map_or(at, |(_, to)| to);
        // The next step is at least 1 ms later, so that a step without a result does not lead to a busy loop.
        let wake_us = step.wake_us.map(|wake_us| wake_us.max(now_us + 1_000));
        // An action of a user may change what is due, so the next step follows at once.
        let wake_us = if is_action { None } else { Some(wake_us.unwrap_or(u64::MAX)) };
        *memory = Some(Memory { cursor, state, wake_us });
        if is_action {
            self.signal.notify_one();
        }
        if has_messages || has_orders {
            self.to_send.notify_one();
        }
        Ok(Some(()))
    }

    /// Returns the URL of the page that shows runs.
    pub(crate) fn page_url(&self) -> &str {
        &self.parts.page_url
    }

    /// Acknowledges an alert. Returns false if it isn't firing.
    pub(crate) async fn acknowledge(&self, alert: u64, who: &str) -> Result<bool, IngestError> {
        let now_us = self.parts.clock.wall_us();
        let mut memory = self.memory.lock().await;
        let done = self.act(&mut memory, None, &[], |state, _| monitor_alerts::acknowledge(state, alert, who, now_us)).await?;
        Ok(done.is_some())
    }

    /// Resolves an alert on behalf of a user. Returns false if it isn't firing.
    pub(crate) async fn resolve(&self, alert: u64, who: &str) -> Result<bool, IngestError> {
        let now_us = self.parts.clock.wall_us();
        let mut memory = self.memory.lock().await;
        let done = self.act(&mut memory, None, &[], |state, world| monitor_alerts::resolve(state, world, alert, who, now_us)).await?;
        Ok(done.is_some())
    }

    /// Makes the duty decide at once on everything that is due.
    pub(crate) async fn wake_now(&self) {
        if let Some(memory) = self.memory.lock().await.as_mut() {
            memory.wake_us = None;
        }
        self.signal.notify_one();
    }

    /// Returns the path of the file with rules and channels.
    pub(crate) fn file(&self) -> &std::path::Path {
        self.parts.file.path()
    }

    /// Stores a change of alerts. Returns false if another process has moved the cursor.
    pub(crate) async fn change(&self, change: AlertsChange) -> Result<bool, IngestError> {
        let (clock, is_shown) = (self.parts.clock.clone(), change.is_shown());
        let change = move |store: &dyn Intake| Ok((store.change_alerts(&change, clock.wall_us())?, monitor_store::Changes::none()));
        let is_done = self.parts.ingest.change(change).await?;
        if is_done && is_shown {
            self.tell_changed();
        }
        Ok(is_done)
    }

    /// Returns the state, reading it from the database if necessary.
    async fn remembered<'a>(&self, memory: &'a mut Option<Memory>) -> Result<&'a mut Memory, IngestError> {
        if memory.is_none() {
            let store = self.parts.store.clone();
            let (cursor, entries, common) = blocking(move || store.alert_memory()).await?;
            let state = State::new(entries, common);
            self.tell_firing(&state);
            *memory = Some(Memory { cursor, state, wake_us: None });
        }
        Ok(memory.as_mut().expect("it was just read"))
    }

    /// Makes the duty read rules again that were changed in the database.
    pub(crate) fn rules_changed(&self) {
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.signal.notify_one();
    }

    /// True if the rules must be checked now.
    fn is_time_to_look(&self) -> bool {
        self.is_time(&self.looked, EVERY)
    }

    /// True if the last check in `looked` is at least `every` ago. Then also sets it to now.
    fn is_time(&self, looked: &Mutex<Option<Duration>>, every: Duration) -> bool {
        let mut looked = looked.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.parts.clock.running();
        let is_time = looked.is_none_or(|looked| now.saturating_sub(looked) >= every);
        if is_time {
            *looked = Some(now);
        }
        is_time
    }

    /// Reads rules and channels if the file or the stored rules have changed.
    async fn read_rules(&self) -> Result<(), IngestError> {
        if !self.is_time_to_look() {
            return Ok(());
        }
        let known = self.rules();
        let store = self.parts.store.clone();
        let stored = blocking(move || store.alert_rules()).await?;
        let is_first = known.rules.is_empty();
        let can_mail = self.can_mail().await?;
        let read = self.parts.file.read();
        if read.is_none() && stored == known.stored && can_mail == known.can_mail && !is_first {
            return Ok(());
        }
        let (settings, mistakes) = match read {
            Some(Ok(settings)) => (settings, Vec::new()),
            Some(Err(mistakes)) => {
                for mistake in &mistakes {
                    tracing::error!("{mistake}");
                }
                let last_good = if is_first { self.parts.file.last_good() } else { None };
                (last_good.unwrap_or_else(|| known.settings.clone()), mistakes)
            }
            None => (known.settings.clone(), known.mistakes.clone()),
        };
        let settings = own_mail::with_own_mail(settings, can_mail);
        let of_page = stored.iter().filter_map(|stored| {
            let definition = stored.definition.clone()?;
            Rule::from_json(definition.into(), &settings.channels)
                .map_err(|mistakes| tracing::warn!(rule = stored.name, ?mistakes, "a rule can't be used"))
                .ok()
        });
        let of_page: Vec<Rule> = of_page.collect();
        let rules = monitor_alerts::rules(&settings.rules, &of_page);
        let fast = rules.iter().any(|rule| rule.on.cause.contains(&Cause::Fast));
        let watched = Watched { names: rules.iter().filter_map(|rule| rule.on.name.clone()).collect(), fast };
        let watched = self.parts.ingest.change(move |store| Ok((store.watch(watched)?, monitor_store::Changes::none()))).await;
        watched.inspect_err(|_| self.parts.file.forget())?;
        self.rules.send_replace(Arc::new(Ruleset { settings, mistakes, stored, rules, can_mail }));
        self.tell_changed();
        if let Some(memory) = self.memory.lock().await.as_mut() {
            memory.wake_us = None;
        }
        Ok(())
    }
}

/// Reads from the store on a thread that may block.
async fn blocking<T: Send + 'static>(ask: impl FnOnce() -> Result<T, StoreError> + Send + 'static) -> Result<T, IngestError> {
    match tokio::task::spawn_blocking(ask).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(IngestError::Stopped),
    }
}
