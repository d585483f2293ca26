//! Hosts and saved targets.

use std::collections::BTreeMap;

use monitor_store::{HostRow, SavedRow};
use monitor_wire::{HostDefinition, Targets};
use rusqlite::{Connection, Row, params};

use super::rows::{from_json, int, to_json};

fn host_row(row: &Row<'_>) -> rusqlite::Result<HostRow> {
    let (id, created_us) = (row.get::<_, i64>(0)? as u64, row.get::<_, i64>(2)? as u64);
    Ok(HostRow { id, definition: from_json(row, 1)?, created_us, is_from_file: row.get(3)?, has_agent: row.get(4)? })
}

/// Returns all hosts, sorted by name.
pub(super) fn hosts(from: &Connection) -> rusqlite::Result<Vec<HostRow>> {
    from.prepare_cached("SELECT id, definition, created, from_file, has_agent FROM host ORDER BY name")?.query_map([], host_row)?.collect()
}

/// Adds a host, or changes the settings of the host with this name. Returns true if it was added.
pub(super) fn put_host(to: &Connection, definition: &HostDefinition, now_us: u64) -> rusqlite::Result<bool> {
    let json = to_json(definition);
    if to.prepare_cached("UPDATE host SET definition = ?2 WHERE name = ?1")?.execute(params![definition.name, json])? > 0 {
        return Ok(false);
    }
    let sql = "INSERT INTO host(name, definition, created) VALUES(?, ?, ?)";
    to.prepare_cached(sql)?.execute(params![definition.name, json, int(now_us)]).map(|_| true)
}

/// Notes that the agent of a host has connected. Adds the host if there is none with this name.
pub(super) fn meet_host(to: &Connection, name: &str, now_us: u64) -> rusqlite::Result<()> {
    let definition = to_json(&HostDefinition { name: name.to_owned(), ..HostDefinition::default() });
    let sql = "INSERT INTO host(name, definition, created, has_agent) VALUES(?, ?, ?, 1) ON CONFLICT(name) DO UPDATE SET has_agent = 1";
    to.prepare_cached(sql)?.execute(params![name, definition, int(now_us)]).map(drop)
}

/// Returns all saved targets, sorted by name.
pub(super) fn saved(from: &Connection) -> rusqlite::Result<Vec<SavedRow>> {
    let row = |row: &Row<'_>| Ok(SavedRow { name: row.get(0)?, targets: from_json(row, 1)?, is_from_file: row.get(2)? });
    from.prepare_cached("SELECT name, targets, from_file FROM saved_targets ORDER BY name")?.query_map([], row)?.collect()
}

/// Adds saved targets, or replaces those with this name.
pub(super) fn put_saved(to: &Connection, name: &str, targets: &Targets, is_from_file: bool) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO saved_targets(name, targets, from_file) VALUES(?, ?, ?)";
    to.prepare_cached(sql)?.execute(params![name, to_json(targets), is_from_file]).map(drop)
}

/// Replaces everything that comes from the file of hosts.
pub(super) fn replace(to: &Connection, hosts: &[HostDefinition], saved: &BTreeMap<String, Targets>, now_us: u64) -> rusqlite::Result<()> {
    // 2 marks the hosts of the former file until the new one is written.
    to.execute("UPDATE host SET from_file = 2 WHERE from_file", [])?;
    for host in hosts {
        put_host(to, host, now_us)?;
        to.prepare_cached("UPDATE host SET from_file = 1 WHERE name = ?")?.execute([&host.name])?;
    }
    to.execute("DELETE FROM host WHERE from_file = 2", [])?;
    to.execute("DELETE FROM saved_targets WHERE from_file", [])?;
    for (name, targets) in saved {
        put_saved(to, name, targets, true)?;
    }
    Ok(())
}
