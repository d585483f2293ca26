//! The audit log: changes, and the callers who made them.

use monitor_store::cut::cut;
use monitor_wire::{AuditEntry, AuditPage};

use super::{Access, AccessError, How};

/// Maximum number of entries. Older entries are deleted, so that failed attempts can't fill the disk.
const KEPT: u64 = 100_000;
/// Maximum length of an action and of an outcome, in bytes.
const MOST_WORDS: usize = 2_048;

/// Action that was done or attempted.
#[derive(Debug, Clone)]
pub struct Deed<'a> {
    /// Name of the token or user, or the address of the caller.
    pub who: &'a str,
    /// Means of identifying the caller.
    pub how: How,
    /// Address of the caller. `None` for the command line.
    pub address: Option<String>,
    /// Action, such as `DELETE /api/v1/roots/7` or `token create build-7`.
    pub action: &'a str,
    /// `done`, or the reason for the failure.
    pub outcome: &'a str,
}

impl Access {
    /// Adds an entry to the audit log.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub fn record(&self, deed: &Deed<'_>) -> Result<(), AccessError> {
        let Deed { who, how, address, outcome, .. } = deed;
        let entry = AuditEntry {
            number: 0,
            time_us: self.clock.wall_us(),
            who: (*who).to_owned(),
            how: how.as_str().to_owned(),
            address: address.clone(),
            action: cut(deed.action, MOST_WORDS),
            outcome: cut(outcome, MOST_WORDS),
        };
        self.records.add_deed(&entry, KEPT)
    }

    /// Returns a page of entries before number `before`, newest first.
    pub(crate) fn audit(&self, limit: usize, before: Option<u64>) -> Result<AuditPage, AccessError> {
        let mut entries = self.records.deeds(before.unwrap_or(u64::MAX), limit.saturating_add(1))?;
        let has_more = entries.len() > limit;
        entries.truncate(limit);
        let next_cursor = entries.last().filter(|_| has_more).map(|entry| entry.number.to_string());
        Ok(AuditPage { entries, next_cursor })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audit_entries_are_paged_newest_first() {
        let (_folder, accesses) = super::super::both();
        for [access, _] in accesses {
            deeds_are_paged(&access);
        }
    }

    fn deeds_are_paged(access: &Access) {
        for number in 1..=5 {
            let deed = Deed { who: "ada", how: How::Session, address: None, action: &format!("deed {number}"), outcome: "done" };
            access.record(&deed).unwrap();
        }
        let (mut seen, mut before) = (Vec::new(), None);
        loop {
            let page = access.audit(2, before).unwrap();
            seen.extend(page.entries.iter().map(|entry| entry.action.clone()));
            let Some(cursor) = page.next_cursor else { break };
            before = Some(cursor.parse().unwrap());
        }
        assert_eq!(seen, ["deed 5", "deed 4", "deed 3", "deed 2", "deed 1"]);
    }
}
