//! Alerts: the queries that a store answers about them, and the changes that are made in one transaction.

use monitor_alerts::{Alert, AlertState, Common, Entry, Hush, Key, Message, Note, Order, Rule, Sign};
use serde_json::{Map, Value};

use super::StoreError;

/// Retention of signs and notes, in microseconds: 90 days.
pub const KEPT_US: u64 = 90 * 86_400 * 1_000_000;
/// Number of newest attempts that are stored for each message.
pub const ATTEMPTS: usize = 20;

/// Queries about alerts. Every method blocks, so call it only where blocking is allowed.
///
/// # Errors
/// Every method returns an error if the store fails.
#[allow(clippy::missing_errors_doc, reason = "said once for all above")]
pub trait AlertQueries: Send + Sync + 'static {
    /// Returns the number of the newest sign without a database query. Returns 0 if there is none.
    fn last_sign(&self) -> u64;

    /// Returns up to `limit` signs with numbers after `seq`, oldest first.
    fn signs_after(&self, seq: u64, limit: usize) -> Result<Vec<Sign>, StoreError>;

    /// Returns the newest `limit` signs of a time span, oldest first.
    fn signs_between(&self, time: (u64, u64), limit: usize) -> Result<Vec<Sign>, StoreError>;

    /// Returns up to `limit` signs of a tree, or of a process in the tree, oldest first.
    fn signs_of(&self, root: &str, process: Option<&str>, limit: usize) -> Result<Vec<Sign>, StoreError>;

    /// Returns the state that the alert evaluation stored last.
    fn alert_memory(&self) -> Result<AlertMemory, StoreError>;

    /// Returns alerts that match the query, newest first.
    fn alerts(&self, query: &AlertsQuery) -> Result<Vec<Alert>, StoreError>;

    /// Returns one alert.
    fn alert(&self, id: u64) -> Result<Option<Alert>, StoreError>;

    /// Returns up to `limit` notes on an alert or a sign, oldest first.
    fn alert_notes(&self, of: NotesOf, limit: usize) -> Result<Vec<Note>, StoreError>;

    /// Returns up to `limit` tasks that alerts start and whose agents must be contacted now, oldest first.
    fn follow_ups_due(&self, now_us: u64, limit: usize) -> Result<Vec<FollowUp>, StoreError>;

    /// Returns up to `limit` waiting messages that are due, oldest first.
    fn deliveries_due(&self, now_us: u64, limit: usize) -> Result<Vec<Delivery>, StoreError>;

    /// Returns the time at which the next message is due, in Unix microseconds. Returns `None` if no message is waiting.
    fn next_delivery_us(&self) -> Result<Option<u64>, StoreError>;

    /// Returns up to `limit` messages of an alert or a channel, newest first.
    fn deliveries(&self, of: DeliveriesOf<'_>, limit: usize) -> Result<Vec<Delivery>, StoreError>;

    /// Returns the hushes that have not ended, with their numbers.
    fn hushes(&self, now_us: u64) -> Result<Vec<(u64, Hush)>, StoreError>;

    /// Returns the rules that are kept in the store, sorted by name.
    fn alert_rules(&self) -> Result<Vec<StoredRule>, StoreError>;
}

/// State that the alert evaluation keeps between two steps: the number of the last evaluated sign, the entries, and the state that is
/// common to all entries.
pub type AlertMemory = (u64, Vec<(Key, Entry)>, Common);

/// Filters and page of a list of alerts.
#[derive(Debug, Clone, Default)]
pub struct AlertsQuery {
    /// The alert has this state.
    pub state: Option<AlertState>,
    /// The alert has this subject, such as `task:gold`.
    pub subject: Option<String>,
    /// The alert has a smaller number.
    pub before: Option<u64>,
    /// Maximum number of alerts to return.
    pub limit: usize,
}

/// Subject of the notes to return.
#[derive(Debug, Clone, Copy)]
pub enum NotesOf {
    /// The alert with this number.
    Alert(u64),
    /// The sign with this number.
    Sign(u64),
}

/// Subject of the messages to return.
#[derive(Debug, Clone, Copy)]
pub enum DeliveriesOf<'a> {
    /// The alert with this number.
    Alert(u64),
    /// The channel with this name.
    Channel(&'a str),
}

/// A message in the outbox, with the state of its delivery.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// The message.
    pub message: Message,
    /// State of the delivery.
    pub state: DeliveryState,
    /// Number of attempts so far.
    pub attempts: u64,
    /// Time of the next attempt, in Unix microseconds.
    pub next_us: u64,
    /// Description of the receiver's last answer.
    pub answer: Option<String>,
}

/// State of a message, or of a request to run a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// It is waiting for its next attempt.
    Waiting,
    /// The receiver has accepted it.
    Sent,
    /// The server has given up.
    Undelivered,
}

impl DeliveryState {
    /// Returns the name of the state.
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
    /// State of the delivery after the attempt.
    pub state: DeliveryState,
    /// Time of the next attempt, in Unix microseconds.
    pub next_us: u64,
    /// Description of the receiver's answer.
    pub answer: String,
}

/// A task that an alert starts, stored until an agent has been asked to run it.
#[derive(Debug, Clone, PartialEq)]
pub struct FollowUp {
    /// The task and the alert that starts it.
    pub order: Order,
    /// Number of attempts so far.
    pub attempts: u64,
}

/// An attempt to ask agents to run the task that an alert starts.
#[derive(Debug, Clone, PartialEq)]
pub struct FollowUpAttempt {
    /// Number of the alert. An alert starts at most one run.
    pub alert: u64,
    /// State of the request after the attempt.
    pub state: DeliveryState,
    /// Time of the next attempt, in Unix microseconds.
    pub next_us: u64,
    /// Description of the result.
    pub answer: String,
}

/// A rule that is kept in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRule {
    /// Name of the rule.
    pub name: String,
    /// Number of its newest version, from 1.
    pub version: u64,
    /// Time of the latest change, in Unix microseconds.
    pub changed_us: u64,
    /// The person or token that made the latest change.
    pub who: String,
    /// The rule as JSON. `None` if it was deleted.
    pub definition: Option<Map<String, Value>>,
}

/// A change of a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleEdit {
    /// Name of the rule.
    pub name: String,
    /// The person or token that changes it.
    pub who: String,
    /// The new rule. `None` to delete it.
    pub rule: Option<Rule>,
}

/// Changes to alerts that are applied together in one transaction.
#[derive(Debug, Clone, Default)]
pub struct AlertsChange {
    /// Moves the cursor on signs from the first number to the second. If the cursor is elsewhere, because another caller has moved it,
    /// nothing is changed.
    pub cursor: Option<(u64, u64)>,
    /// New state of rules for their subjects. `None` deletes an entry.
    pub entries: Vec<(Key, Option<Entry>)>,
    /// New state that is common to all entries.
    pub common: Option<Common>,
    /// Alerts to store. They replace stored alerts with the same numbers.
    pub alerts: Vec<Alert>,
    /// New notes.
    pub notes: Vec<Note>,
    /// Messages to send.
    pub messages: Vec<Message>,
    /// Attempts to send messages.
    pub attempts: Vec<Attempt>,
    /// Tasks to start.
    pub orders: Vec<Order>,
    /// Attempts to ask agents to run the tasks.
    pub followed: Vec<FollowUpAttempt>,
    /// New hushes.
    pub hushes: Vec<Hush>,
    /// Numbers of hushes that end now.
    pub ended_hushes: Vec<u64>,
    /// Rules to change.
    pub rules: Vec<RuleEdit>,
    /// Signs that the server itself creates.
    pub signs: Vec<Sign>,
}

impl AlertsChange {
    /// Returns true if the change affects data that API clients see, and not only the state that the alert evaluation keeps between steps.
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

/// Converts a rule to the JSON that is stored.
pub fn definition_of(rule: &Rule) -> Map<String, Value> {
    match serde_json::to_value(rule) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
}
