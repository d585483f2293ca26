//! The hashes by which processes with ids of other systems are found.

use monitor_state::ProcessFacts;

use super::dictionary::hash;
use super::row::Known;

/// The hash by which a process is found; none without an id of another system.
pub(super) fn hash_of(known: &Known) -> Option<i64> {
    match known {
        Known::Plain(_) => None,
        Known::Full(facts) => native_id(facts).map(hash),
    }
}

/// The id that another system gave a process.
pub(super) fn native_id(facts: &ProcessFacts) -> Option<&str> {
    facts.native_id.as_ref().map(|(_, native_id)| native_id.as_str())
}
