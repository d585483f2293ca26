//! What is known of a worker.

use std::collections::BTreeSet;

use monitor_wire::{Event, Registered, WorkerId, WorkerRef, WorkerRole, WorkerState};
use serde::{Deserialize, Serialize};

use crate::told::Stamp;

/// All that events said about a worker. Equal however they came.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkerFacts {
    /// Name of its host.
    pub hostname: String,
    /// Its process number on the host.
    pub pid: u32,
    /// Name of its program.
    pub program: String,
    /// Its first announcement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub online: Option<(Stamp, Announced)>,
    /// What the last heartbeat says of those that tell of tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<(Stamp, Figures)>,
    /// Its goodbye: the earliest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offline: Option<Stamp>,
    /// When it was last lost or found, and whether found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<(u64, bool)>,
    /// When the server last took it for gone because it had said nothing for long and had nothing open. Only of a worker that never
    /// announced itself, and so promised no heartbeat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<u64>,
    /// The workers that relay what it says: the greatest ids of all that ever did.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub relayed_by: BTreeSet<WorkerId>,
}

/// So many of the workers that relay what another says are remembered.
const MAX_RELAYS: usize = 8;

/// What a worker says when it begins to report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Announced {
    /// When its program began.
    pub started_us: u64,
    /// Version of what reports.
    pub version: String,
    /// How often it says that it is alive.
    pub heartbeat_interval_ms: u64,
    /// The attributed functions of its program.
    pub registered: Vec<Registered>,
    /// What it is for, unless it is a program that records itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<WorkerRole>,
    /// What it can be asked to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
}

/// Figures of a heartbeat.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Figures {
    /// How many tasks it works on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<u64>,
    /// How many tasks it has done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processed: Option<u64>,
    /// How busy its host was over the last 1, 5 and 15 minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loadavg: Option<[f64; 3]>,
}

/// What a worker's state means for what it had open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WorkerStatus {
    /// It goes on.
    #[default]
    Online,
    /// Nobody knows.
    Lost,
    /// It was closed.
    Offline {
        /// When.
        time_us: u64,
    },
}

impl WorkerFacts {
    /// Takes a description; of conflicting ones the greatest counts. Whether it was news.
    pub fn describe(&mut self, worker: &WorkerRef) -> bool {
        let is_news = (&*self.hostname, self.pid, &*self.program) < (&*worker.hostname, worker.pid, &*worker.program);
        if is_news {
            self.hostname.clone_from(&worker.hostname);
            self.pid = worker.pid;
            self.program.clone_from(&worker.program);
        }
        is_news
    }

    /// Learns that another worker relays what this one says. Returns true if that was news.
    pub fn relay(&mut self, by: WorkerId) -> bool {
        let is_news = self.relayed_by.insert(by);
        if self.relayed_by.len() > MAX_RELAYS {
            // The same ones are left in whatever order they come.
            let least = self.relayed_by.pop_first();
            return is_news && least != Some(by);
        }
        is_news
    }

    /// Returns true if nobody who relays what it says is online, given where those are, so that its silence says nothing.
    pub fn is_behind_silence(&self, mut is_online: impl FnMut(WorkerId) -> bool) -> bool {
        !self.relayed_by.is_empty() && !self.relayed_by.iter().any(|relay| is_online(*relay))
    }

    /// Takes an event about this worker, by the number of the batch's worker; 0 if the server made it itself. Others change nothing.
    pub fn apply(&mut self, number: u64, batch_worker: WorkerId, event: &Event) {
        let stamp = |time_us| Stamp { time_us, worker: batch_worker, number };
        match event {
            Event::WorkerOnline(event) => {
                let stamp = stamp(event.time_us);
                if self.online.as_ref().is_none_or(|(first, _)| stamp < *first) {
                    let announced = Announced {
                        started_us: event.started_us,
                        version: event.version.clone(),
                        heartbeat_interval_ms: event.heartbeat_interval_ms,
                        registered: event.registered.clone(),
                        role: Some(event.role.clone()).filter(|role| *role != WorkerRole::PROGRAM),
                        capabilities: event.capabilities.clone(),
                    };
                    self.online = Some((stamp, announced));
                }
            }
            Event::WorkerHeartbeat(event) => {
                let (stamp, figures) =
                    (stamp(event.time_us), Figures { active: event.active, processed: event.processed, loadavg: event.loadavg });
                if event.active.or(event.processed).is_some() && self.heartbeat.as_ref().is_none_or(|(last, _)| stamp > *last) {
                    self.heartbeat = Some((stamp, figures));
                }
            }
            Event::WorkerOffline(event) if number == 0 => self.idle = self.idle.max(Some(event.time_us)),
            Event::WorkerOffline(event) => {
                let stamp = stamp(event.time_us);
                self.offline = Some(self.offline.map_or(stamp, |first| first.min(stamp)));
            }
            Event::WorkerLost(event) => self.changed = self.changed.max(Some((event.time_us, false))),
            Event::WorkerFound(event) => self.changed = self.changed.max(Some((event.time_us, true))),
            _ => {}
        }
    }

    /// Where it is. Its own goodbye is stronger than the server's missing it.
    pub fn status(&self) -> WorkerStatus {
        match (self.offline, self.changed) {
            (Some(stamp), _) => WorkerStatus::Offline { time_us: stamp.time_us },
            (None, changed) => match self.idle {
                Some(idle_us) if changed.is_none_or(|(time_us, _)| time_us < idle_us) => WorkerStatus::Offline { time_us: idle_us },
                _ if changed.is_some_and(|(_, is_found)| !is_found) => WorkerStatus::Lost,
                _ => WorkerStatus::Online,
            },
        }
    }

    /// When the server last judged where it is: found it lost, idle, or there again.
    pub fn judged_us(&self) -> Option<u64> {
        self.changed.map(|(time_us, _)| time_us).max(self.idle)
    }

    /// Returns true if the server took it for gone, and it didn't say so itself: whatever comes of it finds it again.
    pub fn is_missed(&self) -> bool {
        self.offline.is_none() && self.status() != WorkerStatus::Online
    }

    /// Where it is, as shown.
    pub fn state(&self) -> WorkerState {
        match self.status() {
            WorkerStatus::Online => WorkerState::ONLINE,
            WorkerStatus::Lost => WorkerState::LOST,
            WorkerStatus::Offline { .. } => WorkerState::OFFLINE,
        }
    }

    /// How often it promised to say that it is alive; none if it promised nothing.
    pub fn heartbeat_interval_ms(&self) -> Option<u64> {
        self.online.as_ref().map(|(_, announced)| announced.heartbeat_interval_ms).filter(|interval| *interval > 0)
    }
}
