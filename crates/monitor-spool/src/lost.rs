//! Counts of dropped events.

use std::collections::BTreeMap;

use crate::parcel::{Parcel, Rejected};
use crate::wire::{Dropped, RootId};

/// Maximum number of keys with separate counts per tree. Further trees share one count.
const COUNTED_TREES: usize = 1_000;

/// Counts of dropped events by type, reason and tree.
#[derive(Debug, Default)]
pub struct Lost(BTreeMap<(String, &'static str, Option<RootId>), u64>);

impl Lost {
    /// Counts events of a type, with a reason as on the wire.
    pub fn add(&mut self, event: Rejected, reason: &'static str, count: u64) {
        let mut key = (event.event_type, reason, event.root_id);
        if self.0.len() >= COUNTED_TREES && !self.0.contains_key(&key) {
            key.2 = None;
        }
        *self.0.entry(key).or_default() += count;
    }

    pub(crate) fn add_all(&mut self, parcel: &Parcel, reason: &'static str) {
        let kinds = parcel.kinds();
        let unknown = parcel.count().saturating_sub(kinds.len() as u64);
        for kind in kinds {
            self.add(kind, reason, 1);
        }
        self.add_unknown(reason, unknown);
    }

    pub(crate) fn add_unknown(&mut self, reason: &'static str, count: u64) {
        if count > 0 {
            self.add(Rejected { event_type: "unknown".to_owned(), root_id: None }, reason, count);
        }
    }

    /// Returns the total count for a reason.
    pub fn count_for(&self, reason: &str) -> u64 {
        self.0.iter().filter(|((_, why, _), _)| *why == reason).map(|(_, count)| count).sum()
    }

    /// Returns the counts in the form of a batch.
    pub fn dropped(&self) -> impl Iterator<Item = Dropped> {
        self.0.iter().map(|((event_type, reason, root_id), count)| Dropped {
            event_type: event_type.clone(),
            reason: (*reason).to_owned(),
            root_id: *root_id,
            count: *count,
        })
    }
}
