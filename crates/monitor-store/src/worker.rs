//! The view of a worker that the API shows.

use std::collections::BTreeMap;

use monitor_state::{WorkerFacts, WorkerStatus};
use monitor_wire::{Dropped, Worker, WorkerId, WorkerState, WorkerTasks};

/// Builds the view of a worker from its facts. `is_unheard` is true if the workers that relay its events are silent. The tuple contains the
/// time of the worker's last batch, and the lag of its clock in microseconds if it is known. `open` is the number of its open processes.
pub fn view(
    id: WorkerId,
    facts: &WorkerFacts,
    is_unheard: bool,
    (last_seen_us, lag): (u64, Option<i64>),
    open: i64,
    dropped: Vec<Dropped>,
    tasks: WorkerTasks,
) -> Worker {
    let status = facts.status();
    let online = facts.online();
    let figures = facts.heartbeat().cloned().unwrap_or_default();
    let mut dropped = dropped;
    dropped.sort_unstable_by(|a, b| (&a.event_type, &a.reason, a.root_id).cmp(&(&b.event_type, &b.reason, b.root_id)));
    Worker {
        id,
        hostname: facts.hostname().to_owned(),
        pid: facts.pid(),
        program: facts.program().to_owned(),
        role: online.and_then(|online| online.role.clone()),
        capabilities: online.map(|online| online.capabilities.clone()).unwrap_or_default(),
        relayed_by: facts.relayed_by().collect(),
        version: online.map(|online| online.version.clone()),
        state: if is_unheard && status == WorkerStatus::Online { WorkerState::UNHEARD } else { facts.state() },
        started_us: online.map(|online| online.started_us),
        last_seen_us,
        offline_us: match status {
            WorkerStatus::Offline { time_us } => Some(time_us),
            WorkerStatus::Online | WorkerStatus::Lost => None,
        },
        lost_us: facts.changed().filter(|_| status == WorkerStatus::Lost).map(|(lost_us, _)| lost_us),
        heartbeat_interval_ms: online.map(|online| online.heartbeat_interval_ms),
        dropped,
        running: if status == WorkerStatus::Online { open as u64 } else { 0 },
        active: figures.active,
        processed: figures.processed,
        tasks,
        loadavg: figures.loadavg,
        registered: Vec::new(),
        clock_offset_us: lag.map(|lag| -lag),
        events: BTreeMap::new(),
    }
}
