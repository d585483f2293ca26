//! Alerts: what the store is asked of them, and what is changed of them in one transaction.

use monitor_alerts::{Alert, AlertState, Common, Entry, Hush, Key, Message, Note, Order, Rule, Sign};
use serde_json::{Map, Value};

use super::StoreError;

/// Signs and notes are kept for so long, in microseconds: 90 days.
pub const KEPT_US: u64 = 90 * 86_400 * 1_000_000;
/// So many of a message's attempts are told.
pub const ATTEMPTS: usize = 20;

/// Answers questions about alerts. Every method blocks; call it where blocking is allowed.
///
/// # Errors
/// Every method fails if the store does.
#[allow(clippy::missing_errors_doc, reason = "said once for all above")]
pub trait AlertQueries: Send + Sync + 'static {
    /// Number of the newest sign, without asking the database; 0 if there is none.
    fn last_sign(&self) -> u64;

    /// The signs after a number, the oldest first, at most so many.
    fn signs_after(&self, seq: u64, limit: usize) -> Result<Vec<Sign>, StoreError>;

    /// Returns the newest signs of a time span, oldest first. `limit` is their maximum number.
    fn signs_between(&self, time: (u64, u64), limit: usize) -> Result<Vec<Sign>, StoreError>;

    /// The signs of a tree or of one of its processes, the oldest first, at most so many.
    fn signs_of(&self, root: &str, process: Option<&str>, limit: usize) -> Result<Vec<Sign>, StoreError>;

    /// What was remembered last: the number of the last sign that was taken, entries, and what doesn't belong to one.
    fn alert_memory(&self) -> Result<AlertMemory, StoreError>;

    /// Alerts, the newest first, at most so many, those before a number.
    fn alerts(&self, query: &AlertsQuery) -> Result<Vec<Alert>, StoreError>;

    /// One alert.
    fn alert(&self, id: u64) -> Result<Option<Alert>, StoreError>;

    /// What was noted of an alert or of a sign, the oldest first, at most so many.
    fn alert_notes(&self, of: NotesOf, limit: usize) -> Result<Vec<Note>, StoreError>;

    /// Tasks that alerts start and whose agents are to be asked now, the oldest first, at most so many.
    fn follow_ups_due(&self, now_us: u64, limit: usize) -> Result<Vec<FollowUp>, StoreError>;

    /// Messages that wait and are due, the oldest first, at most so many.
    fn deliveries_due(&self, now_us: u64, limit: usize) -> Result<Vec<Delivery>, StoreError>;

    /// When the next message is due; none if none waits.
    fn next_delivery_us(&self) -> Result<Option<u64>, StoreError>;

    /// Messages of an alert or of a channel, the newest first, at most so many.
    fn deliveries(&self, of: DeliveriesOf<'_>, limit: usize) -> Result<Vec<Delivery>, StoreError>;

    /// Hushes that are not over, by their numbers.
    fn hushes(&self, now_us: u64) -> Result<Vec<(u64, Hush)>, StoreError>;

    /// Rules that are kept here, by name.
    fn alert_rules(&self) -> Result<Vec<StoredRule>, StoreError>;
}

/// What is remembered of alerts between steps.
pub type AlertMemory = (u64, Vec<(Key, Entry)>, Common);

/// Which alerts are listed.
#[derive(Debug, Clone, Default)]
pub struct AlertsQuery {
    /// Those in this state.
    pub state: Option<AlertState>,
    /// Those of this subject, such as `task:gold`.
    pub subject: Option<String>,
    /// Those with a smaller number.
    pub before: Option<u64>,
    /// At most so many.
    pub limit: usize,
}

/// Whose notes are asked for.
#[derive(Debug, Clone, Copy)]
pub enum NotesOf {
    /// An alert's.
    Alert(u64),
    /// A sign's.
    Sign(u64),
}

/// Whose messages are asked for.
#[derive(Debug, Clone, Copy)]
pub enum DeliveriesOf<'a> {
    /// An alert's.
    Alert(u64),
    /// A channel's.
    Channel(&'a str),
}

/// A message on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// The message.
    pub message: Message,
    /// What has become of it.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u64,
    /// When it is tried next, in Unix microseconds.
    pub next_us: u64,
    /// The last answer, in words.
    pub answer: Option<String>,
}

/// What has become of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// It is still to be sent.
    Waiting,
    /// It was taken.
    Sent,
    /// It was given up.
    Undelivered,
}

impl DeliveryState {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sent => "sent",
            Self::Undelivered => "undelivered",
        }
    }

    /// Returns the state with this name, and `Waiting` for any other name.
    pub fn from_word(word: &str) -> Self {
        match word {
            "sent" => Self::Sent,
            "undelivered" => Self::Undelivered,
            _ => Self::Waiting,
        }
    }
}

/// An attempt to send a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// Id of the message.
    pub message: String,
    /// What has become of it.
    pub state: DeliveryState,
    /// When it is tried next, in Unix microseconds.
    pub next_us: u64,
    /// The answer, in words.
    pub answer: String,
}

/// A task that an alert starts, until its agents are asked for the run.
#[derive(Debug, Clone, PartialEq)]
pub struct FollowUp {
    /// The task, and why.
    pub order: Order,
    /// How often it was tried to ask.
    pub attempts: u64,
}

/// An attempt to ask agents for the run that an alert starts.
#[derive(Debug, Clone, PartialEq)]
pub struct FollowUpAttempt {
    /// The alert: it starts one run at most.
    pub alert: u64,
    /// What has become of it.
    pub state: DeliveryState,
    /// When it is tried next, in Unix microseconds.
    pub next_us: u64,
    /// What came of it, in words.
    pub answer: String,
}

/// A rule that is kept here.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRule {
    /// Its name.
    pub name: String,
    /// Number of its newest version, from 1.
    pub version: u64,
    /// When it was changed, in Unix microseconds.
    pub changed_us: u64,
    /// Who changed it.
    pub who: String,
    /// The rule as JSON; none if it was deleted.
    pub definition: Option<Map<String, Value>>,
}

/// A change of a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleEdit {
    /// Its name.
    pub name: String,
    /// The person or token that changes it.
    pub who: String,
    /// The rule; none to delete it.
    pub rule: Option<Rule>,
}

/// What is changed of alerts, all of it or nothing.
#[derive(Debug, Clone, Default)]
pub struct AlertsChange {
    /// The cursor on signs is moved from one number to another. If another has moved it, nothing is changed.
    pub cursor: Option<(u64, u64)>,
    /// What is remembered of rules about subjects; none for those that are forgotten.
    pub entries: Vec<(Key, Option<Entry>)>,
    /// What is remembered beside that.
    pub common: Option<Common>,
    /// Alerts as they are now.
    pub alerts: Vec<Alert>,
    /// New notes.
    pub notes: Vec<Note>,
    /// Messages that are to be sent.
    pub messages: Vec<Message>,
    /// Attempts to send messages.
    pub attempts: Vec<Attempt>,
    /// Tasks that are to be started.
    pub orders: Vec<Order>,
    /// Attempts to ask for them.
    pub followed: Vec<FollowUpAttempt>,
    /// New hushes.
    pub hushes: Vec<Hush>,
    /// Hushes that end now, by their numbers.
    pub ended_hushes: Vec<u64>,
    /// Rules that are changed.
    pub rules: Vec<RuleEdit>,
    /// Signs that the server makes itself.
    pub signs: Vec<Sign>,
}

impl AlertsChange {
    /// Returns true if it changes what a reader of alerts is shown, and not only what is remembered between decisions.
    pub fn is_shown(&self) -> bool {
        let Self {
            cursor: _,
            entries: _,
            common: _,
            alerts,
            notes,
            messages,
            attempts,
            orders,
            followed,
            hushes,
            ended_hushes,
            rules,
            signs: _,
        } = self;
        let counts = [
            alerts.len(),
            notes.len(),
            messages.len(),
            attempts.len(),
            orders.len(),
            followed.len(),
            hushes.len(),
            ended_hushes.len(),
            rules.len(),
        ];
        counts.iter().any(|count| *count > 0)
    }
}

/// A rule as it is kept.
pub fn definition_of(rule: &Rule) -> Map<String, Value> {
    match serde_json::to_value(rule) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
}
