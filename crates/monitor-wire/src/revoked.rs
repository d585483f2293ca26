//! Ids of revoked tasks, which must not run any more. The server and the workers store them.

use std::collections::{HashMap, VecDeque};

/// Maximum number of entries.
const MOST: usize = 50_000;
/// Time that an entry is kept, in µs.
const KEPT_US: u64 = 3 * 3_600 * 1_000_000;

/// Ids of tasks that were revoked in the last three hours, at most 50,000.
#[derive(Debug, Default)]
pub struct RevokedIds {
    /// Time at which each id was last revoked.
    times: HashMap<String, u64>,
    /// Revocations in order. If an id was revoked several times, only the last entry counts.
    order: VecDeque<(u64, String)>,
}

impl RevokedIds {
    /// Adds an id that was revoked at `now_us`, in Unix µs.
    pub fn add(&mut self, id: &str, now_us: u64) {
        if self.times.insert(id.to_owned(), now_us) != Some(now_us) {
            self.order.push_back((now_us, id.to_owned()));
        }
        self.forget(now_us);
    }

    /// Returns true if the id was revoked in the last three hours.
    pub fn has(&self, id: &str, now_us: u64) -> bool {
        self.times.get(id).is_some_and(|at| now_us.saturating_sub(*at) < KEPT_US)
    }

    /// Returns the ids and the times at which they were revoked, oldest first.
    pub fn iter(&mut self, now_us: u64) -> impl DoubleEndedIterator<Item = (&str, u64)> {
        self.forget(now_us);
        self.order.iter().filter(|(at, id)| self.times.get(id) == Some(at)).map(|(at, id)| (id.as_str(), *at))
    }

    /// Returns the number of ids.
    #[must_use]
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Returns true if there are no ids.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Removes entries that are too old. If there are too many, removes the oldest.
    fn forget(&mut self, now_us: u64) {
        while let Some((at, _)) = self.order.front()
            && (self.order.len() > MOST || now_us.saturating_sub(*at) >= KEPT_US)
            && let Some((at, id)) = self.order.pop_front()
        {
            if self.times.get(&id) == Some(&at) {
                self.times.remove(&id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_remembered_for_three_hours_and_no_more_than_fifty_thousand() {
        let mut revoked = RevokedIds::default();
        revoked.add("a", 1);
        revoked.add("b", 2);
        revoked.add("a", 3);
        revoked.add("a", 3);
        assert_eq!(revoked.iter(3).collect::<Vec<_>>(), [("b", 2), ("a", 3)]);
        assert!(revoked.has("a", KEPT_US + 2) && !revoked.has("a", KEPT_US + 3) && !revoked.has("c", 3));
        assert_eq!(revoked.iter(KEPT_US + 2).collect::<Vec<_>>(), [("a", 3)]);
        assert_eq!(revoked.len(), 1);
        (0..MOST + 10).for_each(|number| revoked.add(&number.to_string(), KEPT_US + 5));
        assert_eq!(revoked.iter(KEPT_US + 5).count(), MOST);
        assert!(!revoked.has("9", KEPT_US + 5) && revoked.has("10", KEPT_US + 5));
        assert!(revoked.iter(3 * KEPT_US).next().is_none() && revoked.is_empty());
    }
}
