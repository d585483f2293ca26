//! State of alerts between steps: open alerts, groups of messages, and send rates.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::alert::{Alert, AlertState};
use crate::cause::Severity;
use crate::sign::Subject;

/// A pair of rule and subject.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// Subject. It is the first part of the sort order, so that all rules of a subject are found together when a sign ends their alerts.
    pub subject: Subject,
    /// Name of the rule.
    pub rule: String,
}

/// State between steps.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    pub(crate) entries: BTreeMap<Key, Entry>,
    pub(crate) common: Common,
    /// Keys of the entries that have changed since [`State::take_changes`].
    pub(crate) changed: BTreeSet<Key>,
}

/// State of a rule for a subject.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Number of consecutive bad signs.
    pub(crate) in_a_row: u32,
    /// Times of the last bad signs, for rules that count within a time.
    #[serde(default)]
    pub(crate) times_us: Vec<u64>,
    /// Alert of the rule, from its start until it can no longer recur.
    pub(crate) live: Option<Live>,
}

/// An alert with the work that is still pending for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Live {
    pub(crate) alert: Alert,
    /// True until the start of the alert has been reported.
    pub(crate) is_pending: bool,
    /// Time until which the alert is held back, because its machine may turn out to be lost or the run's end may be late.
    #[serde(default)]
    pub(crate) hold_us: Option<u64>,
    /// True if the recipients were notified of the end.
    pub(crate) is_recovery_told: bool,
    /// Number of the alert that leads the message group.
    pub(crate) group: Option<u64>,
    /// Number of recurrences.
    pub(crate) back: u32,
    /// Time at which the end is reported, if the alert stays resolved.
    pub(crate) settle_us: Option<u64>,
    /// Time of the next reminder.
    pub(crate) remind_us: Option<u64>,
    /// Number of completed escalation steps.
    pub(crate) escalated: usize,
    /// Time of the first notification.
    pub(crate) told_us: Option<u64>,
}

impl Live {
    pub(crate) fn is_firing(&self) -> bool {
        self.alert.state == AlertState::Firing
    }

    /// Returns true if no recipient could be notified and the alert is not acknowledged.
    pub(crate) fn waits_for_somebody(&self) -> bool {
        self.alert.told.is_empty() && self.alert.acknowledged_by.is_none()
    }
}

/// State shared by all entries.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Common {
    /// Number of the last alert.
    pub(crate) alerts: u64,
    /// Number of the last message.
    pub(crate) messages: u64,
    /// Groups, by the alert that leads each.
    pub(crate) groups: BTreeMap<u64, Group>,
    /// Lost machines with the time of the loss.
    pub(crate) away: BTreeMap<String, u64>,
    /// Ancestors of failed processes whose alerts were sent, with the time of the failure.
    pub(crate) above: BTreeMap<String, u64>,
    /// Sent messages per channel.
    pub(crate) rates: BTreeMap<String, Rate>,
    /// Times of follow-up tasks, by rule and subject.
    pub(crate) followed: BTreeMap<String, Vec<u64>>,
}

/// Alerts with the same content that are sent in one message.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Rule, cause, content and recipients.
    pub(crate) key: String,
    /// Members that fire.
    pub(crate) firing: BTreeSet<Key>,
    /// Names of the members' subjects, at most twenty.
    pub(crate) names: Vec<String>,
    /// Number of subjects.
    pub(crate) subjects: u64,
    /// Total number of occurrences.
    pub(crate) count: u64,
    /// Number of occurrences included in the last message.
    pub(crate) told: u64,
    /// Time at which the group was opened.
    pub(crate) opened_us: u64,
    /// Time until which alerts can join. `None` if the group is closed.
    pub(crate) closes_us: Option<u64>,
}

/// Messages that a channel has sent in the last minute, and those waiting for the next sum.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    pub(crate) sent_us: Vec<u64>,
    pub(crate) waiting: u64,
    pub(crate) names: Vec<String>,
    pub(crate) severity: Option<Severity>,
    pub(crate) since_us: u64,
}

/// Changes made by a step, for the store.
#[derive(Debug, Default)]
pub struct Changed {
    /// Changed entries. `None` for a removed entry.
    pub entries: Vec<(Key, Option<Entry>)>,
    /// State shared by all entries.
    pub common: Common,
}

impl State {
    /// Restores a stored state.
    pub fn new(entries: impl IntoIterator<Item = (Key, Entry)>, common: Common) -> Self {
        Self { entries: entries.into_iter().collect(), common, changed: BTreeSet::new() }
    }

    /// Returns the changes since the last call.
    pub fn take_changes(&mut self) -> Changed {
        let changed = std::mem::take(&mut self.changed);
        let entries = changed.into_iter().map(|key| (key.clone(), self.entries.get(&key).cloned())).collect();
        Changed { entries, common: self.common.clone() }
    }

    /// Returns the entries of all rules and subjects.
    pub fn entries(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        self.entries.iter()
    }

    /// Returns the state shared by all entries.
    pub fn common(&self) -> &Common {
        &self.common
    }

    /// Returns the firing alerts.
    pub fn firing(&self) -> impl Iterator<Item = &Alert> {
        self.entries.values().filter_map(|entry| entry.live.as_ref()).filter(|live| live.is_firing()).map(|live| &live.alert)
    }

    /// Returns an entry for modification and marks it as changed.
    pub(crate) fn entry(&mut self, key: &Key) -> &mut Entry {
        self.changed.insert(key.clone());
        self.entries.entry(key.clone()).or_default()
    }

    pub(crate) fn live(&mut self, key: &Key) -> Option<&mut Live> {
        self.changed.insert(key.clone());
        self.entries.get_mut(key)?.live.as_mut()
    }

    pub(crate) fn forget(&mut self, key: &Key) {
        self.changed.insert(key.clone());
        self.entries.remove(key);
    }

    /// Returns the key of an alert.
    pub(crate) fn key_of(&self, alert: u64) -> Option<Key> {
        let is_it = |entry: &Entry| entry.live.as_ref().is_some_and(|live| live.alert.id == alert);
        self.entries.iter().find(|(_, entry)| is_it(entry)).map(|(key, _)| key.clone())
    }
}
