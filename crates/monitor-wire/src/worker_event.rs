//! Events about workers.

use serde::{Deserialize, Serialize};

use crate::event::WorkerRef;
use crate::failure::Source;
use crate::ids::WorkerId;
use crate::words::{Kind, WorkerRole};

/// A worker started to report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkerOnline {
    /// Time of the event, in Unix microseconds.
    pub time_us: u64,
    /// Start of the program, in Unix microseconds.
    pub started_us: u64,
    /// Version of the software that reports the events.
    pub version: String,
    /// Interval between heartbeats, in milliseconds; 0 if the worker sends none.
    pub heartbeat_interval_ms: u64,
    /// Attributed functions of the program.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub registered: Vec<Registered>,
    /// Role of the worker.
    #[serde(default = "program", skip_serializing_if = "is_program")]
    pub role: WorkerRole,
    /// Capabilities of the worker, in its own words, such as the commands that it accepts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// Worker that the event is about, if another worker relays the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<WorkerRef>,
}

fn program() -> WorkerRole {
    WorkerRole::PROGRAM
}

fn is_program(role: &WorkerRole) -> bool {
    *role == WorkerRole::PROGRAM
}

/// An attributed function of a program, called or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Registered {
    /// Name of the function's processes.
    pub name: String,
    /// Kind of the function's processes.
    pub kind: Kind,
    /// Place of the function in the source code.
    pub source: Source,
}

/// A worker is alive.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkerHeartbeat {
    /// Time of the event, in Unix microseconds.
    pub time_us: u64,
    /// Number of tasks that the worker is executing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<u64>,
    /// Number of tasks that the worker has executed since it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processed: Option<u64>,
    /// Load averages of the worker's host over the last 1, 5 and 15 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<f64>>))]
    pub loadavg: Option<[f64; 3]>,
    /// Worker that the event is about, if another worker relays the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<WorkerRef>,
}

/// A worker reported its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkerOffline {
    /// Time of the event, in Unix microseconds.
    pub time_us: u64,
    /// Worker that the event is about, if another worker relays the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<WorkerRef>,
}

/// The server lost a worker, or found a lost worker again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkerChanged {
    /// Time of the event, in Unix microseconds by the server's clock.
    pub time_us: u64,
    /// Id of the worker.
    pub worker_id: WorkerId,
}
