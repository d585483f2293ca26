//! `GET /api/v1/doctor`: processes that lost their parents, and what is likely the reason.

use serde::{Deserialize, Serialize};

use crate::model::Process;
use crate::words::{Fix, Loss};

/// What the doctor finds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Diagnosis {
    /// Processes without a parent, those of a tree in its order, else the newest first.
    pub findings: Vec<Finding>,
    /// There are more of them, or there may be.
    pub more: bool,
}

/// A process without a parent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Finding {
    /// The process.
    pub process: Process,
    /// Its tree as shown.
    pub title: String,
    /// How its parent was lost.
    pub loss: Loss,
    /// Processes that may be its parent, the likeliest first: of the same worker, and running when it began.
    pub likely: Vec<Likely>,
    /// What likely mends it.
    pub fix: Fix,
    /// The line to write, if it is one.
    pub line: Option<String>,
    /// All of this in words.
    pub words: String,
}

/// A process that may be the parent of another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Likely {
    /// The process.
    pub process: Process,
    /// Its tree as shown.
    pub title: String,
}
