//! Queries for heartbeats.

use monitor_store::{HeartbeatQueries, HeartbeatRow, KeyHash, StoreError};
use rusqlite::types::Type;
use rusqlite::{Connection, Error, OptionalExtension as _, Result, Row, params};

use super::SqliteStore;

/// Selects the columns that [`row`] reads.
pub(super) const HEARTBEAT: &str = "SELECT definition, key_hash, old_hash, old_until, created, who, seen, missed FROM heartbeat";
/// Condition for the heartbeat with a key: its current key, or its previous key while that is still accepted.
pub(super) const OF_KEY: &str = " WHERE key_hash = ?1 OR (old_hash = ?1 AND old_until > ?2)";

impl HeartbeatQueries for SqliteStore {
    fn heartbeats(&self) -> Result<Vec<HeartbeatRow>, StoreError> {
        self.read("list heartbeats", |snapshot| Ok(all(snapshot)?))
    }

    fn heartbeat_of_key(&self, hash: &KeyHash, now_us: u64) -> Result<Option<HeartbeatRow>, StoreError> {
        self.read("look for a heartbeat", |snapshot| Ok(of_key(snapshot, hash, now_us)?))
    }
}

pub(super) fn row(row: &Row<'_>) -> Result<HeartbeatRow> {
    let time = |column| Ok::<_, Error>(row.get::<_, Option<i64>>(column)?.map(|us| us as u64));
    let unread = |error: serde_json::Error| Error::FromSqlConversionFailure(0, Type::Text, error.into());
    Ok(HeartbeatRow {
        definition: serde_json::from_str(row.get_ref(0)?.as_str()?).map_err(unread)?,
        key_hash: row.get(1)?,
        old: row.get::<_, Option<KeyHash>>(2)?.zip(time(3)?),
        created_us: row.get::<_, i64>(4)? as u64,
        who: row.get(5)?,
        seen_us: time(6)?,
        missed_us: time(7)?,
    })
}

fn all(connection: &Connection) -> Result<Vec<HeartbeatRow>> {
    connection.prepare_cached(&format!("{HEARTBEAT} ORDER BY name"))?.query_map([], row)?.collect()
}

fn of_key(connection: &Connection, hash: &KeyHash, now_us: u64) -> Result<Option<HeartbeatRow>> {
    connection.prepare_cached(&format!("{HEARTBEAT}{OF_KEY}"))?.query_row(params![hash, now_us as i64], row).optional()
}
