//! Heartbeats: the queries that a store answers about them, and the rules for changing them, which are the same for every store.

use monitor_wire::{BatchRun, Event, HeartbeatDefinition, MissedReason, RunMissed};

use super::StoreError;

/// SHA-256 of a heartbeat's key. The key itself is not stored.
pub type KeyHash = [u8; 32];

/// Value of the field `task.trigger` in processes that are runs of heartbeats.
pub const TRIGGER: &str = "ping";

/// Queries about heartbeats. Every method blocks, so call it only where blocking is allowed.
///
/// # Errors
/// Every method returns an error if the store fails.
#[allow(clippy::missing_errors_doc, reason = "said once for all above")]
pub trait HeartbeatQueries: Send + Sync + 'static {
    /// Returns all heartbeats, sorted by name.
    fn heartbeats(&self) -> Result<Vec<HeartbeatRow>, StoreError>;

    /// Returns the heartbeat that accepts this key at `now_us`: its current key, or the previous one until it expires.
    fn heartbeat_of_key(&self, hash: &KeyHash, now_us: u64) -> Result<Option<HeartbeatRow>, StoreError>;
}

/// A heartbeat as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeartbeatRow {
    /// Definition of the heartbeat.
    pub definition: HeartbeatDefinition,
    /// Hash of the current key.
    pub key_hash: KeyHash,
    /// Hash of the previous key, and the time at which it expires, in Unix microseconds.
    pub old: Option<(KeyHash, u64)>,
    /// Time at which the heartbeat was added, in Unix microseconds.
    pub created_us: u64,
    /// Name of the person or token that added it.
    pub who: String,
    /// Time of the latest ping, in Unix microseconds. `None` before the first ping.
    pub seen_us: Option<u64>,
    /// Due time of the latest ping that was reported as missed, in Unix microseconds.
    pub missed_us: Option<u64>,
}

/// A change of a heartbeat that a client requests.
#[derive(Debug, Clone)]
pub enum HeartbeatEdit {
    /// Adds a heartbeat.
    Add {
        /// Definition of the new heartbeat.
        definition: HeartbeatDefinition,
        /// Hash of its key.
        key_hash: KeyHash,
        /// Name of the person or token that adds it.
        who: String,
    },
    /// Replaces the definition of the heartbeat with the same name.
    Define(HeartbeatDefinition),
    /// Replaces the key. The previous key remains valid for some time.
    Roll {
        /// Name of the heartbeat.
        name: String,
        /// Hash of the new key.
        key_hash: KeyHash,
        /// Time at which the previous key expires, in Unix microseconds.
        until_us: u64,
    },
    /// Deletes the heartbeat with this name.
    Delete(String),
}

/// Result of applying a [`HeartbeatEdit`].
pub enum Edited {
    /// The heartbeat after the change.
    Is(Box<HeartbeatRow>),
    /// The heartbeat is deleted.
    Gone,
    /// The change is refused: the heartbeat to add exists already, or the heartbeat to change doesn't exist.
    Refused,
}

impl HeartbeatEdit {
    /// Returns the name of the heartbeat to change.
    pub fn name(&self) -> &str {
        match self {
            Self::Add { definition, .. } | Self::Define(definition) => &definition.name,
            Self::Roll { name, .. } | Self::Delete(name) => name,
        }
    }

    /// Applies the change to `row`, the stored heartbeat with this name. `None` if there is none.
    pub fn of(self, row: Option<HeartbeatRow>, now_us: u64) -> Edited {
        match (self, row) {
            (Self::Add { definition, key_hash, who }, None) => Edited::Is(Box::new(HeartbeatRow {
                definition,
                key_hash,
                old: None,
                created_us: now_us,
                who,
                seen_us: None,
                missed_us: None,
            })),
            (Self::Define(definition), Some(row)) => Edited::Is(Box::new(HeartbeatRow { definition, ..row })),
            (Self::Roll { key_hash, until_us, .. }, Some(row)) => {
                let old = Some((row.key_hash, until_us)).filter(|(_, until)| *until > now_us);
                Edited::Is(Box::new(HeartbeatRow { key_hash, old, ..row }))
            }
            (Self::Delete(_), Some(_)) => Edited::Gone,
            _ => Edited::Refused,
        }
    }
}

/// A ping that was due and was not received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissedPing {
    /// Name of the heartbeat.
    pub name: String,
    /// Time of the latest ping when the server found the ping missing. If a later one was received since, no ping is missing.
    pub seen_us: u64,
    /// Due time of the missing ping, in Unix microseconds.
    pub due_us: u64,
}

impl MissedPing {
    /// Returns the event that reports the missing ping. Returns `None` if a later ping was received or if the ping was reported before.
    pub fn event(&self, row: &HeartbeatRow, now_us: u64) -> Option<Event> {
        let is_so = row.seen_us == Some(self.seen_us) && row.missed_us != Some(self.due_us);
        is_so.then(|| {
            Event::RunMissed(RunMissed {
                time_us: now_us,
                task: self.name.clone(),
                agent: row.definition.agent.clone().unwrap_or_default(),
                version: 1,
                first_due_us: self.due_us,
                last_due_us: self.due_us,
                count: 1,
                reason: MissedReason::NO_PING,
            })
        })
    }
}

/// Returns the heartbeat's name and the time of its ping if a run is a run of a heartbeat. Returns `None` for runs of batch tasks. Stores
/// ignore pings that are older than the heartbeat: they belong to a deleted heartbeat of the same name.
pub fn ping_of(run: &BatchRun) -> Option<(&str, u64)> {
    let seen_us = run.started_us.max(run.ended_us)?;
    (run.trigger == TRIGGER).then_some((&run.task, seen_us))
}
