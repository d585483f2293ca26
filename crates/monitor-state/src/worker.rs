//! What is known of a worker.

use std::collections::BTreeSet;

use monitor_wire::{Event, Registered, WorkerId, WorkerRef, WorkerRole, WorkerState};
use serde::{Deserialize, Serialize};

use crate::told::Stamp;

/// All that events reported about a worker. Equal however they were delivered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkerFacts {
    /// Its own reports.
    #[serde(flatten)]
    own: Reports,
    /// True once it has sent a batch itself. What others relay about it has no effect then.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    reports_itself: bool,
    /// What others relayed about it.
    #[serde(skip_serializing_if = "Reports::is_empty")]
    relayed: Reports,
    /// When the server last took it for gone because it had said nothing for long and had nothing open. Only of a worker that never
    /// announced itself, and so promised no heartbeat.
    #[serde(skip_serializing_if = "Option::is_none")]
    idle: Option<u64>,
    /// The workers that relay what it says: the greatest ids of all that ever did.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    relayed_by: BTreeSet<WorkerId>,
}

/// What was reported about a worker, by itself or by others.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Reports {
    /// Name of its host.
    hostname: String,
    /// Its process number on the host.
    pid: u32,
    /// Name of its program.
    program: String,
    /// Its first announcement.
    #[serde(skip_serializing_if = "Option::is_none")]
    online: Option<(Stamp, Announced)>,
    /// Figures of the last heartbeat that has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    heartbeat: Option<(Stamp, Figures)>,
    /// Time of its latest announcement or heartbeat.
    #[serde(skip_serializing_if = "Option::is_none")]
    alive_us: Option<u64>,
    /// Its latest goodbye.
    #[serde(skip_serializing_if = "Option::is_none")]
    offline: Option<Stamp>,
    /// When it was last lost or found, and true if found. The server's own events count as the worker's.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<(u64, bool)>,
}

impl Reports {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Its names, by which descriptions are compared.
    fn names(&self) -> (&str, u32, &str) {
        (&self.hostname, self.pid, &self.program)
    }

    /// Takes a description; of conflicting ones the greatest counts. Returns true if it was news.
    fn describe(&mut self, worker: &WorkerRef) -> bool {
        let is_news = self.names() < (&*worker.hostname, worker.pid, &*worker.program);
        if is_news {
            self.hostname.clone_from(&worker.hostname);
            self.pid = worker.pid;
            self.program.clone_from(&worker.program);
        }
        is_news
    }

    fn apply(&mut self, number: u64, batch_worker: WorkerId, event: &Event) {
        let stamp = |time_us| Stamp { time_us, worker: batch_worker, number };
        match event {
            Event::WorkerOnline(event) => {
                let stamp = stamp(event.time_us);
                self.alive_us = self.alive_us.max(Some(event.time_us));
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
                self.alive_us = self.alive_us.max(Some(event.time_us));
                if event.active.or(event.processed).is_some() && self.heartbeat.as_ref().is_none_or(|(last, _)| stamp > *last) {
                    self.heartbeat = Some((stamp, figures));
                }
            }
            Event::WorkerOffline(event) => self.offline = self.offline.max(Some(stamp(event.time_us))),
            Event::WorkerLost(event) => self.changed = self.changed.max(Some((event.time_us, false))),
            Event::WorkerFound(event) => self.changed = self.changed.max(Some((event.time_us, true))),
            _ => {}
        }
    }
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
    /// Unknown, because the server has received no heartbeat from it.
    Lost,
    /// It was closed.
    Offline {
        /// When.
        time_us: u64,
    },
}

impl WorkerFacts {
    /// What counts: its own reports and, as long as it has sent nothing itself, what others relayed.
    fn reports(&self) -> impl Iterator<Item = &Reports> {
        std::iter::once(&self.own).chain(Some(&self.relayed).filter(|_| !self.reports_itself))
    }

    /// Takes the description that the worker itself sends with a batch. Returns true if it was news.
    pub fn describe(&mut self, worker: &WorkerRef) -> bool {
        let is_first = !std::mem::replace(&mut self.reports_itself, true);
        self.own.describe(worker) || is_first
    }

    /// Takes the description that another worker relays. Returns true if it was news.
    pub fn describe_relayed(&mut self, worker: &WorkerRef, by: WorkerId) -> bool {
        let is_news = self.relayed.describe(worker);
        self.relay(by) || is_news
    }

    /// Learns that another worker relays what this one says. Returns true if that was news.
    fn relay(&mut self, by: WorkerId) -> bool {
        let is_news = self.relayed_by.insert(by);
        if self.relayed_by.len() > MAX_RELAYS {
            // The same ones are left in whatever order they come.
            let least = self.relayed_by.pop_first();
            return is_news && least != Some(by);
        }
        is_news
    }

    /// True if it has sent a batch itself: what others relay about it has no effect.
    pub fn reports_itself(&self) -> bool {
        self.reports_itself
    }

    /// Name of its host.
    pub fn hostname(&self) -> &str {
        self.names().0
    }

    /// Its process number on the host.
    pub fn pid(&self) -> u32 {
        self.names().1
    }

    /// Name of its program.
    pub fn program(&self) -> &str {
        self.names().2
    }

    fn names(&self) -> (&str, u32, &str) {
        self.reports().map(Reports::names).max().unwrap_or_default()
    }

    /// Its first announcement.
    pub fn online(&self) -> Option<&Announced> {
        self.reports().filter_map(|of| of.online.as_ref()).min_by_key(|(stamp, _)| *stamp).map(|(_, announced)| announced)
    }

    /// Figures of the last heartbeat that has any.
    pub fn heartbeat(&self) -> Option<&Figures> {
        self.reports().filter_map(|of| of.heartbeat.as_ref()).max_by_key(|(stamp, _)| *stamp).map(|(_, figures)| figures)
    }

    /// The workers that relay what it says; none if it reports itself.
    pub fn relayed_by(&self) -> impl Iterator<Item = WorkerId> {
        self.relayed_by.iter().copied().filter(|_| !self.reports_itself)
    }

    /// Returns true if nobody who relays what it says is online, given where those are, so that its silence says nothing.
    pub fn is_behind_silence(&self, is_online: impl FnMut(WorkerId) -> bool) -> bool {
        self.relayed_by().next().is_some() && !self.relayed_by().any(is_online)
    }

    /// Takes an event about this worker, `id`, by the number of the batch's worker; 0 if the server made it itself. Others change nothing.
    pub fn apply(&mut self, id: WorkerId, number: u64, batch_worker: WorkerId, event: &Event) {
        match event {
            Event::WorkerOffline(event) if number == 0 => self.idle = self.idle.max(Some(event.time_us)),
            event if id == batch_worker => self.own.apply(number, batch_worker, event),
            event => self.relayed.apply(number, batch_worker, event),
        }
    }

    /// Its latest goodbye, unless it has reported later that it is there.
    fn offline(&self) -> Option<Stamp> {
        let alive_us = self.reports().filter_map(|of| of.alive_us).max();
        self.reports().filter_map(|of| of.offline).max().filter(|stamp| alive_us.is_none_or(|alive_us| alive_us <= stamp.time_us))
    }

    /// When it was last lost or found, and true if found.
    pub fn changed(&self) -> Option<(u64, bool)> {
        self.reports().filter_map(|of| of.changed).max()
    }

    /// Where it is. Its own goodbye is stronger than the server's missing it.
    pub fn status(&self) -> WorkerStatus {
        match (self.offline(), self.changed()) {
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
        self.changed().map(|(time_us, _)| time_us).max(self.idle)
    }

    /// Returns true if the server took it for gone, and it didn't say so itself: whatever comes of it finds it again.
    pub fn is_missed(&self) -> bool {
        self.offline().is_none() && self.status() != WorkerStatus::Online
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
        self.online().map(|announced| announced.heartbeat_interval_ms).filter(|interval| *interval > 0)
    }
}
