//! Events about workers.

use serde::{Deserialize, Serialize};

use crate::event::WorkerRef;
use crate::failure::Source;
use crate::ids::WorkerId;
use crate::words::{Kind, WorkerRole};

/// A worker began to report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkerOnline {
    /// When, in Unix microseconds.
    pub time_us: u64,
    /// When its program began, in Unix microseconds.
    pub started_us: u64,
    /// Version of what reports.
    pub version: String,
    /// How often it says that it is alive.
    pub heartbeat_interval_ms: u64,
    /// The attributed functions of its program.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub registered: Vec<Registered>,
    /// What it is for.
    #[serde(default = "program", skip_serializing_if = "is_program")]
    pub role: WorkerRole,
    /// What it can be asked to do, in words of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// Whom the event is about, where someone else relays it.
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
    /// Name of its processes.
    pub name: String,
    /// Their kind.
    pub kind: Kind,
    /// Where it stands.
    pub source: Source,
}

/// A worker is alive.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkerHeartbeat {
    /// When, in Unix microseconds.
    pub time_us: u64,
    /// How many tasks it works on now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<u64>,
    /// How many tasks it has done since it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processed: Option<u64>,
    /// How busy its host was over the last 1, 5 and 15 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<f64>>))]
    pub loadavg: Option<[f64; 3]>,
    /// Whom the event is about, where someone else relays it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<WorkerRef>,
}

/// A worker said goodbye.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkerOffline {
    /// When, in Unix microseconds.
    pub time_us: u64,
    /// Whom the event is about, where someone else relays it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<WorkerRef>,
}

/// The server lost or found a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkerChanged {
    /// When, in Unix microseconds, by the server's clock.
    pub time_us: u64,
    /// The worker.
    pub worker_id: WorkerId,
}
