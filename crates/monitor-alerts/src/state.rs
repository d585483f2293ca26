//! What is remembered between steps.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::alert::{Alert, AlertState};
use crate::cause::Severity;
use crate::sign::Subject;

/// A rule about a subject.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// The subject. It comes first, for what ends an alert asks for all rules of a subject.
    pub subject: Subject,
    /// The rule's name.
    pub rule: String,
}

/// All that is remembered between steps.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    pub(crate) entries: BTreeMap<Key, Entry>,
    pub(crate) common: Common,
    /// Entries that have changed since [`State::take_changes`].
    pub(crate) changed: BTreeSet<Key>,
}

/// What is remembered of a rule about a subject.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Bad signs in a row.
    pub(crate) in_a_row: u32,
    /// Times of the last bad signs, for rules that count within a time.
    #[serde(default)]
    pub(crate) times_us: Vec<u64>,
    /// Its alert, from its begin until it is over for good.
    pub(crate) live: Option<Live>,
}

/// An alert, and what is still to be done about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Live {
    pub(crate) alert: Alert,
    /// Nobody has been told yet that it fires.
    pub(crate) is_pending: bool,
    /// Until then it is awaited whether its machine isn't heard of, or its end comes late.
    #[serde(default)]
    pub(crate) hold_us: Option<u64>,
    /// The recipients have a message that it is over.
    pub(crate) is_recovery_told: bool,
    /// The alert that leads its group.
    pub(crate) group: Option<u64>,
    /// How often it came back.
    pub(crate) back: u32,
    /// When it is told that it is over, if it stays so.
    pub(crate) settle_us: Option<u64>,
    /// When it is said again that it lasts.
    pub(crate) remind_us: Option<u64>,
    /// Steps of the escalation that are done.
    pub(crate) escalated: usize,
    /// When those who were told heard of it first.
    pub(crate) told_us: Option<u64>,
}

impl Live {
    pub(crate) fn is_firing(&self) -> bool {
        self.alert.state == AlertState::Firing
    }

    /// Returns true if nobody could be told of it, and nobody looks after it.
    pub(crate) fn waits_for_somebody(&self) -> bool {
        self.alert.told.is_empty() && self.alert.acknowledged_by.is_none()
    }
}

/// What doesn't belong to one entry.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Common {
    /// Number of the last alert.
    pub(crate) alerts: u64,
    /// Number of the last message.
    pub(crate) messages: u64,
    /// Groups, by the alert that leads each.
    pub(crate) groups: BTreeMap<u64, Group>,
    /// Machines that aren't heard of, and since when.
    pub(crate) away: BTreeMap<String, u64>,
    /// Processes above one that failed and was told, and when that was.
    pub(crate) above: BTreeMap<String, u64>,
    /// What each channel has sent.
    pub(crate) rates: BTreeMap<String, Rate>,
    /// When tasks were started for a rule and a subject.
    pub(crate) followed: BTreeMap<String, Vec<u64>>,
}

/// Alerts of the same words that are told together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Rule, cause, words and audience.
    pub(crate) key: String,
    /// Its members that fire.
    pub(crate) firing: BTreeSet<Key>,
    /// Names of the members' subjects, the first twenty.
    pub(crate) names: Vec<String>,
    /// How many subjects there are.
    pub(crate) subjects: u64,
    /// How often it happened.
    pub(crate) count: u64,
    /// How often it had happened when it was told.
    pub(crate) told: u64,
    /// When it was opened.
    pub(crate) opened_us: u64,
    /// Until when others join; none if it is closed.
    pub(crate) closes_us: Option<u64>,
}

/// What a channel has sent in the last minute, and what waits for the next sum.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    pub(crate) sent_us: Vec<u64>,
    pub(crate) waiting: u64,
    pub(crate) names: Vec<String>,
    pub(crate) severity: Option<Severity>,
    pub(crate) since_us: u64,
}

/// What a step changed, to be kept.
#[derive(Debug, Default)]
pub struct Changed {
    /// Entries; none for those that are forgotten.
    pub entries: Vec<(Key, Option<Entry>)>,
    /// What doesn't belong to one entry.
    pub common: Common,
}

impl State {
    /// The state that was kept.
    pub fn new(entries: impl IntoIterator<Item = (Key, Entry)>, common: Common) -> Self {
        Self { entries: entries.into_iter().collect(), common, changed: BTreeSet::new() }
    }

    /// What has changed since the last time.
    pub fn take_changes(&mut self) -> Changed {
        let changed = std::mem::take(&mut self.changed);
        let entries = changed.into_iter().map(|key| (key.clone(), self.entries.get(&key).cloned())).collect();
        Changed { entries, common: self.common.clone() }
    }

    /// What is remembered of rules about subjects.
    pub fn entries(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        self.entries.iter()
    }

    /// What is remembered beside that.
    pub fn common(&self) -> &Common {
        &self.common
    }

    /// Alerts that fire.
    pub fn firing(&self) -> impl Iterator<Item = &Alert> {
        self.entries.values().filter_map(|entry| entry.live.as_ref()).filter(|live| live.is_firing()).map(|live| &live.alert)
    }

    /// Changes an entry, and keeps in mind that it has changed.
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

    /// The key of an alert that is remembered.
    pub(crate) fn key_of(&self, alert: u64) -> Option<Key> {
        let is_it = |entry: &Entry| entry.live.as_ref().is_some_and(|live| live.alert.id == alert);
        self.entries.iter().find(|(_, entry)| is_it(entry)).map(|(key, _)| key.clone())
    }
}
