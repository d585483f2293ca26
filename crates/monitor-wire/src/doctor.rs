//! `GET /api/v1/doctor`: processes that lost their parents, and the likely causes.

use serde::{Deserialize, Serialize};

use crate::model::Process;
use crate::words::{Fix, Loss};

/// Result of a search for processes without parents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Diagnosis {
    /// Processes without a parent. If the request names a run, they are in the order of its tree. Otherwise the newest are first.
    pub findings: Vec<Finding>,
    /// True if there are more processes without a parent, or may be more.
    pub more: bool,
}

/// A process without a parent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Finding {
    /// The process without a parent.
    pub process: Process,
    /// Title of the process's run.
    pub title: String,
    /// How the process lost its parent.
    pub loss: Loss,
    /// Processes that may be the parent, the likeliest first. They belong to the same worker and were running when the process started.
    pub likely: Vec<Likely>,
    /// Likely fix.
    pub fix: Fix,
    /// The line of code to write, if the fix is a single line.
    pub line: Option<String>,
    /// Description of the finding and its fix.
    pub words: String,
}

/// A process that may be the parent of another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Likely {
    /// The process that may be the parent.
    pub process: Process,
    /// Title of the process's run.
    pub title: String,
}
