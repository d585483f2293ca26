//! Heartbeats: changes requested by users, and pings that were received or missed.

use monitor_store::heartbeat::{Edited, ping_of};
use monitor_store::signs::of_removed_heartbeat;
use monitor_store::{Changes, HeartbeatEdit, HeartbeatRow, MissedPing};
use monitor_wire::BatchRun;
use rusqlite::{OptionalExtension as _, Result, params};

use super::changes::NONE;
use super::{Transaction, Writer};
use crate::heartbeat::{HEARTBEAT, row};

impl Writer {
    /// Adds, changes or deletes a heartbeat. Returns false if a heartbeat to add exists already, or one to change does not exist.
    pub(in super::super) fn change_heartbeat(&mut self, edit: HeartbeatEdit, now_us: u64) -> Result<(bool, Changes)> {
        let mut is_done = false;
        let told = self.transaction(now_us, |transaction| {
            let name = edit.name().to_owned();
            let before = transaction.heartbeat(&name)?;
            let after = edit.of(before, now_us);
            is_done = !matches!(after, Edited::Refused);
            match after {
                Edited::Refused => Ok(()),
                Edited::Is(row) => transaction.write_heartbeat(&row),
                Edited::Gone => {
                    transaction.sign(of_removed_heartbeat(&name, now_us));
                    transaction.connection.prepare_cached("DELETE FROM heartbeat WHERE name = ?1")?.execute([name]).map(drop)
                }
            }
        })?;
        Ok((is_done, told))
    }

    /// Stores the events of missed pings.
    pub(in super::super) fn miss_pings(&mut self, missed: &[MissedPing], now_us: u64) -> Result<Changes> {
        self.transaction(now_us, |transaction| {
            for ping in missed {
                let Some(row) = transaction.heartbeat(&ping.name)? else { continue };
                let Some(event) = ping.event(&row, now_us) else { continue };
                transaction.write_heartbeat(&HeartbeatRow { missed_us: Some(ping.due_us), ..row })?;
                transaction.gather_batch(&event)?;
                transaction.push_event(event, NONE);
            }
            Ok(())
        })
    }
}

impl Transaction<'_> {
    pub(super) fn heartbeat(&self, name: &str) -> Result<Option<HeartbeatRow>> {
        self.connection.prepare_cached(&format!("{HEARTBEAT} WHERE name = ?1"))?.query_row([name], row).optional()
    }

    fn write_heartbeat(&self, row: &HeartbeatRow) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO heartbeat(name, definition, key_hash, old_hash, old_until, created, who, seen, missed) \
                   VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        let definition = serde_json::to_string(&row.definition).expect("plain data with text keys is JSON");
        let time = |us: Option<u64>| us.map(|us| us.min(i64::MAX as u64) as i64);
        let (old, until) = row.old.unzip();
        let values = params![
            row.definition.name,
            definition,
            row.key_hash,
            old,
            time(until),
            row.created_us as i64,
            row.who,
            time(row.seen_us),
            time(row.missed_us)
        ];
        self.connection.prepare_cached(sql)?.execute(values).map(drop)
    }

    /// Stores the time of a heartbeat's last ping, if the run is a ping.
    pub(super) fn settle_ping(&self, run: &BatchRun) -> Result<()> {
        let Some((name, seen_us)) = ping_of(run) else { return Ok(()) };
        let sql = "UPDATE heartbeat SET seen = max(coalesce(seen, 0), ?2) WHERE name = ?1 AND created <= ?2";
        self.connection.prepare_cached(sql)?.execute(params![name, seen_us.min(i64::MAX as u64) as i64]).map(drop)
    }
}
