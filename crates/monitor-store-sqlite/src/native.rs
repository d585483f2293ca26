//! Hashes of ids that other systems gave to processes.

use monitor_state::ProcessFacts;

use super::dictionary::hash;
use super::row::Known;

/// Returns the hash of a process's id in another system; `None` if it has no such id.
pub(super) fn hash_of(known: &Known) -> Option<i64> {
    match known {
        Known::Plain(_) => None,
        Known::Full(facts) => native_id(facts).map(hash),
    }
}

/// Returns the id that another system gave to a process.
pub(super) fn native_id(facts: &ProcessFacts) -> Option<&str> {
    facts.native_id.as_ref().map(|(_, native_id)| native_id.as_str())
}
