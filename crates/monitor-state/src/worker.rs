//! The facts about a worker.

use std::collections::BTreeSet;

use monitor_wire::{Event, Registered, WorkerId, WorkerRef, WorkerRole, WorkerState};
use serde::{Deserialize, Serialize};

use crate::told::Stamp;

/// All facts that events reported about a worker. Independent of order and repetition.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkerFacts {
    /// Reports by the worker itself.
    #[serde(flatten)]
    own: Reports,
    /// True if the worker has sent a batch itself. Relayed reports about it have no effect then.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    reports_itself: bool,
    /// Reports relayed by other workers.
    #[serde(skip_serializing_if = "Reports::is_empty")]
    relayed: Reports,
    /// Last time at which the server considered the worker offline because it had sent nothing for a long time and had no running
    /// processes. Only set for a worker that never sent an online event, and so specified no heartbeat interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    idle: Option<u64>,
    /// Workers that relay reports of this worker: those with the greatest ids.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    relayed_by: BTreeSet<WorkerId>,
}

/// Reports about a worker, by itself or by others.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Reports {
    /// Name of the host.
    hostname: String,
    /// Process id on the host.
    pid: u32,
    /// Name of the program.
    program: String,
    /// First online event.
    #[serde(skip_serializing_if = "Option::is_none")]
    online: Option<(Stamp, Announced)>,
    /// Values of the last heartbeat that contains any.
    #[serde(skip_serializing_if = "Option::is_none")]
    heartbeat: Option<(Stamp, Figures)>,
    /// Time of the latest online event or heartbeat.
    #[serde(skip_serializing_if = "Option::is_none")]
    alive_us: Option<u64>,
    /// Latest offline event.
    #[serde(skip_serializing_if = "Option::is_none")]
    offline: Option<Stamp>,
    /// Time at which the server last marked the worker as lost or found; true if found. The server's own
    /// events are applied like the worker's.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<(u64, bool)>,
}

impl Reports {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the names, in the order of their comparison.
    fn names(&self) -> (&str, u32, &str) {
        (&self.hostname, self.pid, &self.program)
    }

    /// Applies a description. Of conflicting descriptions, the greatest is kept. Returns true if the description changed.
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

/// Maximum number of stored relays of a worker.
const MAX_RELAYS: usize = 8;

/// Content of a worker's online event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Announced {
    /// Start time of the program.
    pub started_us: u64,
    /// Version of the reporting software.
    pub version: String,
    /// Interval between heartbeats.
    pub heartbeat_interval_ms: u64,
    /// Attributed functions of the program.
    pub registered: Vec<Registered>,
    /// Role of the worker. `None` for a program that records itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<WorkerRole>,
    /// Methods and features that the worker supports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
}

/// Values of a heartbeat.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Figures {
    /// Number of tasks that the worker executes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<u64>,
    /// Number of tasks that the worker has executed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processed: Option<u64>,
    /// Load averages of the host over 1, 5 and 15 minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loadavg: Option<[f64; 3]>,
}

/// Status of a worker, as far as its running processes depend on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WorkerStatus {
    /// The worker is running.
    #[default]
    Online,
    /// Unknown, because the server has received no heartbeat from the worker.
    Lost,
    /// The worker has ended.
    Offline {
        /// Time of the end.
        time_us: u64,
    },
}

impl WorkerFacts {
    /// Returns the reports that count: the worker's own reports, and the relayed reports unless the worker has sent a batch itself.
    fn reports(&self) -> impl Iterator<Item = &Reports> {
        std::iter::once(&self.own).chain(Some(&self.relayed).filter(|_| !self.reports_itself))
    }

    /// Applies the description that the worker itself sends with a batch. Returns true if a fact changed.
    pub fn describe(&mut self, worker: &WorkerRef) -> bool {
        let is_first = !std::mem::replace(&mut self.reports_itself, true);
        self.own.describe(worker) || is_first
    }

    /// Applies the description that another worker relays. Returns true if a fact changed.
    pub fn describe_relayed(&mut self, worker: &WorkerRef, by: WorkerId) -> bool {
        let is_news = self.relayed.describe(worker);
        self.relay(by) || is_news
    }

    /// Stores that another worker relays reports of this worker. Returns true if this is new.
    fn relay(&mut self, by: WorkerId) -> bool {
        let is_news = self.relayed_by.insert(by);
        if self.relayed_by.len() > MAX_RELAYS {
            // The remaining relays do not depend on the order of insertion.
            let least = self.relayed_by.pop_first();
            return is_news && least != Some(by);
        }
        is_news
    }

    /// Returns true if the worker has sent a batch itself. Relayed reports about it have no effect then.
    pub fn reports_itself(&self) -> bool {
        self.reports_itself
    }

    /// Returns the name of the host.
    pub fn hostname(&self) -> &str {
        self.names().0
    }

    /// Returns the process id on the host.
    pub fn pid(&self) -> u32 {
        self.names().1
    }

    /// Returns the name of the program.
    pub fn program(&self) -> &str {
        self.names().2
    }

    fn names(&self) -> (&str, u32, &str) {
        self.reports().map(Reports::names).max().unwrap_or_default()
    }

    /// Returns the first online event.
    pub fn online(&self) -> Option<&Announced> {
        self.reports().filter_map(|of| of.online.as_ref()).min_by_key(|(stamp, _)| *stamp).map(|(_, announced)| announced)
    }

    /// Returns the values of the last heartbeat that contains any.
    pub fn heartbeat(&self) -> Option<&Figures> {
        self.reports().filter_map(|of| of.heartbeat.as_ref()).max_by_key(|(stamp, _)| *stamp).map(|(_, figures)| figures)
    }

    /// Returns the workers that relay this worker's reports. Empty if the worker reports itself.
    pub fn relayed_by(&self) -> impl Iterator<Item = WorkerId> {
        self.relayed_by.iter().copied().filter(|_| !self.reports_itself)
    }

    /// Returns true if all of the worker's relays are offline or lost, so that missing heartbeats give no information about the worker.
    pub fn is_behind_silence(&self, is_online: impl FnMut(WorkerId) -> bool) -> bool {
        self.relayed_by().next().is_some() && !self.relayed_by().any(is_online)
    }

    /// Applies an event about this worker, `id`. `number` is the number of the batch's worker, or 0 if the server created the
    /// event. Other events have no effect.
    pub fn apply(&mut self, id: WorkerId, number: u64, batch_worker: WorkerId, event: &Event) {
        match event {
            Event::WorkerOffline(event) if number == 0 => self.idle = self.idle.max(Some(event.time_us)),
            event if id == batch_worker => self.own.apply(number, batch_worker, event),
            event => self.relayed.apply(number, batch_worker, event),
        }
    }

    /// Returns the latest offline event, unless the worker has reported itself as alive later.
    fn offline(&self) -> Option<Stamp> {
        let alive_us = self.reports().filter_map(|of| of.alive_us).max();
        self.reports().filter_map(|of| of.offline).max().filter(|stamp| alive_us.is_none_or(|alive_us| alive_us <= stamp.time_us))
    }

    /// Returns the time at which the worker was last marked as lost or found; true if found.
    pub fn changed(&self) -> Option<(u64, bool)> {
        self.reports().filter_map(|of| of.changed).max()
    }

    /// Returns the status. The worker's own offline event takes precedence over the server's lost event.
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

    /// Returns the time at which the server last changed its judgement of the worker to lost, idle or found.
    pub fn judged_us(&self) -> Option<u64> {
        self.changed().map(|(time_us, _)| time_us).max(self.idle)
    }

    /// Returns true if the server considers the worker as lost or idle, without an offline event of the worker itself. Any report of the
    /// worker then changes it to found.
    pub fn is_missed(&self) -> bool {
        self.offline().is_none() && self.status() != WorkerStatus::Online
    }

    /// Returns the state, as displayed.
    pub fn state(&self) -> WorkerState {
        match self.status() {
            WorkerStatus::Online => WorkerState::ONLINE,
            WorkerStatus::Lost => WorkerState::LOST,
            WorkerStatus::Offline { .. } => WorkerState::OFFLINE,
        }
    }

    /// Returns the specified heartbeat interval. `None` if the worker specified none.
    pub fn heartbeat_interval_ms(&self) -> Option<u64> {
        self.online().map(|announced| announced.heartbeat_interval_ms).filter(|interval| *interval > 0)
    }
}
