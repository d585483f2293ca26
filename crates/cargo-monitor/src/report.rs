//! Result of compiling a crate: written by the compiler wrapper, displayed by `cargo monitor`, and read again by the next build.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::weave::Limit;

/// One compilation of a crate.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) crate_name: String,
    /// Number of woven functions.
    pub(crate) woven: usize,
    /// Functions that are woven only in part, or not at all, because the compiler refused; with its message.
    pub(crate) refused: BTreeMap<String, Refusal>,
    /// Reason why the whole crate is unmonitored.
    pub(crate) unmonitored: Option<String>,
    /// Version of cargo-monitor and digest of the sources. The refusals are valid only for these.
    pub(crate) of: (String, String),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) limit: Limit,
    pub(crate) why: String,
}

impl Report {
    pub(crate) fn limits(&self) -> BTreeMap<String, Limit> {
        self.refused.iter().map(|(key, refusal)| (key.clone(), refusal.limit)).collect()
    }
}
