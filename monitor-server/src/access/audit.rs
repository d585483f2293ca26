//! Who changed what.

use monitor_wire::{AuditEntry, AuditPage};
use rusqlite::params;

use super::{Access, AccessError, How};

/// Older ones are forgotten, so that nobody can fill the disk with tries.
const KEPT: i64 = 100_000;

/// Something that was done, or tried.
#[derive(Debug, Clone)]
pub struct Deed<'a> {
    /// A token's or a user's name, or the address.
    pub who: &'a str,
    /// How that is known.
    pub how: How,
    /// From where; none for the command line.
    pub address: Option<String>,
    /// What, like `DELETE /api/v1/roots/7` or `token create build-7`.
    pub action: &'a str,
    /// `done`, or why not.
    pub outcome: &'a str,
}

impl Access {
    /// Records a deed.
    ///
    /// # Errors
    /// If the database fails.
    pub fn record(&self, deed: &Deed<'_>) -> Result<(), AccessError> {
        let shortened: String = deed.action.chars().take(1_000).collect();
        self.write(|connection| {
            let sql = "INSERT INTO audit(time, who, how, address, action, outcome) VALUES(?, ?, ?, ?, ?, ?)";
            let row = params![self.clock.wall_us() as i64, deed.who, deed.how.as_str(), deed.address, shortened, deed.outcome];
            connection.prepare_cached(sql)?.execute(row)?;
            let newest = connection.last_insert_rowid();
            connection.prepare_cached("DELETE FROM audit WHERE number <= ?")?.execute([newest - KEPT])?;
            Ok(())
        })
    }

    /// One page of deeds, newest first; those before number `before`.
    pub(crate) fn audit(&self, limit: usize, before: Option<u64>) -> Result<AuditPage, AccessError> {
        let before = before.map_or(i64::MAX, |before| i64::try_from(before).unwrap_or(i64::MAX));
        let read = |row: &rusqlite::Row<'_>| {
            Ok(AuditEntry {
                number: row.get::<_, i64>(0)? as u64,
                time_us: row.get::<_, i64>(1)? as u64,
                who: row.get(2)?,
                how: row.get(3)?,
                address: row.get(4)?,
                action: row.get(5)?,
                outcome: row.get(6)?,
            })
        };
        let sql = "SELECT number, time, who, how, address, action, outcome FROM audit WHERE number < ? ORDER BY number DESC LIMIT ?";
        let mut entries: Vec<AuditEntry> =
            self.read(|connection| connection.prepare_cached(sql)?.query_map(params![before, limit as i64 + 1], read)?.collect())?;
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
    fn deeds_are_paged_newest_first() {
        let folder = tempfile::tempdir().unwrap();
        let access = Access::open(folder.path()).unwrap();
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
