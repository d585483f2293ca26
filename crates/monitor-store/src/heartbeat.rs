//! Heartbeats: what the store is asked of them, and the rules by which they change, the same for every store.

use monitor_wire::{BatchRun, Event, HeartbeatDefinition, MissedReason, RunMissed};

use super::StoreError;

/// What is kept of a key.
pub type KeyHash = [u8; 32];

/// What started the runs of heartbeats, as `task.trigger` of their processes has it.
pub const TRIGGER: &str = "ping";

/// Answers questions about heartbeats. Every method blocks; call it where blocking is allowed.
///
/// # Errors
/// Every method fails if the store does.
#[allow(clippy::missing_errors_doc, reason = "said once for all above")]
pub trait HeartbeatQueries: Send + Sync + 'static {
    /// All heartbeats, by name.
    fn heartbeats(&self) -> Result<Vec<HeartbeatRow>, StoreError>;

    /// The heartbeat with this key, if it is taken at this time.
    fn heartbeat_of_key(&self, hash: &KeyHash, now_us: u64) -> Result<Option<HeartbeatRow>, StoreError>;
}

/// A heartbeat as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeartbeatRow {
    /// What it is to be.
    pub definition: HeartbeatDefinition,
    /// The hash of its key.
    pub key_hash: KeyHash,
    /// The hash of the key before it, and until when that one is taken.
    pub old: Option<(KeyHash, u64)>,
    /// When it was made.
    pub created_us: u64,
    /// Who made it.
    pub who: String,
    /// When its last ping came.
    pub seen_us: Option<u64>,
    /// When the ping was due that was last told to be missing.
    pub missed_us: Option<u64>,
}

/// A change of a heartbeat that somebody asks for.
#[derive(Debug, Clone)]
pub enum HeartbeatEdit {
    /// There is a new one.
    Add {
        /// What it is to be.
        definition: HeartbeatDefinition,
        /// The hash of its key.
        key_hash: KeyHash,
        /// Who asks.
        who: String,
    },
    /// It has another definition, by its name.
    Define(HeartbeatDefinition),
    /// It has another key; the one so far is taken until then.
    Roll {
        /// The heartbeat.
        name: String,
        /// The hash of the new key.
        key_hash: KeyHash,
        /// Until when the old one is taken.
        until_us: u64,
    },
    /// It is gone.
    Delete(String),
}

/// What a change makes of a heartbeat.
pub enum Edited {
    /// It is so.
    Is(Box<HeartbeatRow>),
    /// It is gone.
    Gone,
    /// It can't be: it is there already, or is not.
    Refused,
}

impl HeartbeatEdit {
    /// The heartbeat that is changed.
    pub fn name(&self) -> &str {
        match self {
            Self::Add { definition, .. } | Self::Define(definition) => &definition.name,
            Self::Roll { name, .. } | Self::Delete(name) => name,
        }
    }

    /// The heartbeat after the change.
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

/// A ping that did not come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissedPing {
    /// The heartbeat.
    pub name: String,
    /// The last ping that it had when this was found out. If there is a later one by now, nothing is missing.
    pub seen_us: u64,
    /// When the ping was due.
    pub due_us: u64,
}

impl MissedPing {
    /// The event that tells of it, if it is still so and was not told before.
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

/// The heartbeat whose run this is, and its last ping; none of a run of a batch task. Pings from before a heartbeat was made were those
/// of another one of its name.
pub fn ping_of(run: &BatchRun) -> Option<(&str, u64)> {
    let seen_us = run.started_us.max(run.ended_us)?;
    (run.trigger == TRIGGER).then_some((&run.task, seen_us))
}
