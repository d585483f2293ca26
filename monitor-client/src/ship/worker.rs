//! The identity of this program, and the events about it.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

use monitor_wire::{Event, WorkerHeartbeat, WorkerId, WorkerOffline, WorkerOnline, WorkerRef, WorkerRole};

use monitor_spool::now_us;

/// Identity of this operating-system process.
pub(super) fn identity() -> WorkerRef {
    let pid = std::process::id();
    // Two hashers seeded by the operating system.
    let random = |salt: u64| u128::from(RandomState::new().hash_one((salt, pid, now_us())));
    let id = WorkerId::new(random(1) << 64 | random(2) | 1).expect("the lowest bit is set");
    let program = std::env::current_exe()
        .ok()
        .and_then(|path| path.file_stem().map(|name| name.to_string_lossy().into_owned()))
        .or_else(|| std::env::args_os().next().map(|name| name.to_string_lossy().into_owned()))
        .unwrap_or_default();
    WorkerRef { id, hostname: monitor_spool::hostname(), pid, program }
}

/// Returns the first event of this worker.
pub(super) fn online(heartbeat: Duration) -> Event {
    let time_us = now_us();
    Event::WorkerOnline(WorkerOnline {
        time_us,
        started_us: time_us,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        heartbeat_interval_ms: heartbeat.as_millis() as u64,
        registered: crate::registered().collect(),
        role: WorkerRole::PROGRAM,
        capabilities: Vec::new(),
        worker: None,
    })
}

/// Returns a heartbeat event.
pub(super) fn heartbeat() -> Event {
    let (active, processed) = crate::task::counts().unzip();
    Event::WorkerHeartbeat(WorkerHeartbeat { time_us: now_us(), active, processed, loadavg: active.and_then(|_| loadavg()), worker: None })
}

/// Returns the last event of this worker.
pub(super) fn offline() -> Event {
    Event::WorkerOffline(WorkerOffline { time_us: now_us(), worker: None })
}

/// Returns the load averages of the host over 1, 5 and 15 minutes, on systems with `/proc/loadavg`.
fn loadavg() -> Option<[f64; 3]> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    let mut figures = text.split(' ').map_while(|word| word.parse().ok()).filter(|figure: &f64| figure.is_finite());
    Some([figures.next()?, figures.next()?, figures.next()?])
}
