//! What became of a crate: written by the wrapper, read by the front, and remembered for the next time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::weave::Limit;

/// One compilation of a crate.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) crate_name: String,
    /// How many functions are woven.
    pub(crate) woven: usize,
    /// Functions that are woven only in part, or not at all, because the compiler refused; with its words.
    pub(crate) refused: BTreeMap<String, Refusal>,
    /// Why the whole crate is unmonitored.
    pub(crate) unmonitored: Option<String>,
    /// Version of the tool, and digest of the sources, that the refusals belong to.
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
