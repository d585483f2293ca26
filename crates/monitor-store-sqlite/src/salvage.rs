//! Copies the readable rows of a damaged database to a new one.
//!
//! The damaged files are copied first and never changed. A table with numeric keys is read past its unreadable rows. A table with names as
//! keys is read from both ends up to the first unreadable row. Derived tables (counts, lists, full text) are built again. Lost sites and
//! texts that other rows refer to are replaced with placeholders. Processes whose tree is lost are left out. The event log starts empty,
//! and so does the list of events that wait for their tree.

use std::fs;
use std::path::{Path, PathBuf};

use monitor_salvage::{Copy, copy_named_table, copy_table};
use monitor_store::StoreError;
use rusqlite::{Connection, OpenFlags, Result, params};

use super::copies::with;
use super::{SqliteStore, dictionary, failed, failed_to_open, folder, invariants, schema};

/// Tables whose rows are copied and whose keys begin with a number, with the first column of the key.
const NUMBERED: [(&str, &str); 29] = [
    ("counter", "rowid"),
    ("text", "id"),
    ("site", "id"),
    ("origin", "id"),
    ("worker", "key"),
    ("worker_events", "worker"),
    ("dropped", "worker"),
    ("root", "number"),
    ("process", "root"),
    ("open", "worker"),
    ("overdue", "root"),
    ("log", "root"),
    ("log_kept", "root"),
    ("unknown", "worker"),
    ("tally", "what"),
    ("rollup", "level"),
    ("sums_from", "level"),
    ("failure", "level"),
    ("wide", "root"),
    ("native", "hash"),
    ("linked", "hash"),
    ("queue_task", "key"),
    ("alert", "id"),
    ("alert_note", "number"),
    ("alert_common", "id"),
    ("outbox", "number"),
    ("follow_up", "alert"),
    ("hush", "id"),
    ("sign", "seq"),
];

/// Tables whose rows are copied and whose keys begin with a text, with the columns of the key.
const NAMED: [(&str, &[&str]); 12] = [
    ("batch_task", &["name"]),
    ("batch_version", &["task", "version"]),
    ("batch_run", &["task", "due", "run"]),
    ("batch_decision", &["task", "first", "last", "agent", "what", "reason"]),
    ("batch_agent", &["name"]),
    ("heartbeat", &["name"]),
    ("agent_heard", &["name"]),
    ("lost_worker", &["name"]),
    ("alert_entry", &["subject", "rule"]),
    ("outbox_attempt", &["message", "number"]),
    ("rule", &["name"]),
    ("rule_version", &["name", "version"]),
];

/// Derived tables, and tables that start empty: the event log and its readers, events that wait for their trees, and trees that were being
/// deleted.
#[cfg(test)]
const NOT_COPIED: [&str; 10] =
    ["failed", "rare", "root_count", "queue_count", "dropped_sum", "text_parts", "event_log", "cursor", "waiting", "leaving"];

/// Selects the ids of all texts that other rows refer to.
const WORDS: &str = "SELECT name AS id FROM site UNION SELECT kind FROM site UNION SELECT file FROM site WHERE file <> 0 \
    UNION SELECT thread FROM origin WHERE thread <> 0 UNION SELECT error FROM process WHERE error NOT NULL \
    UNION SELECT cause FROM process WHERE cause NOT NULL UNION SELECT batch FROM process WHERE batch NOT NULL \
    UNION SELECT name FROM root UNION SELECT batch FROM root WHERE batch NOT NULL UNION SELECT error FROM root WHERE error NOT NULL \
    UNION SELECT cause FROM root WHERE cause NOT NULL UNION SELECT line FROM root WHERE line NOT NULL UNION SELECT type FROM worker_events UNION SELECT type FROM unknown";

/// Deletes rows that refer to lost rows, and builds the derived data again.
const REPAIR: &str = "
    DELETE FROM process WHERE root NOT IN (SELECT number FROM root);
    DELETE FROM open WHERE NOT EXISTS (SELECT 1 FROM process AS p WHERE p.root = open.root AND p.id = open.id)
        OR worker NOT IN (SELECT key FROM worker);
    DELETE FROM native WHERE NOT EXISTS (SELECT 1 FROM process AS p WHERE p.root = native.root AND p.id = native.id);
    DELETE FROM linked WHERE NOT EXISTS (SELECT 1 FROM process AS p WHERE p.root = linked.root AND p.id = linked.id);
    DELETE FROM queue_task WHERE NOT EXISTS (SELECT 1 FROM process AS p WHERE p.root = queue_task.root AND p.id = queue_task.id);
    DELETE FROM overdue WHERE NOT EXISTS (SELECT 1 FROM process AS p WHERE p.root = overdue.root AND p.id = overdue.id);
    DELETE FROM log WHERE root NOT IN (SELECT number FROM root);
    DELETE FROM log_kept WHERE root NOT IN (SELECT number FROM root);
    DELETE FROM wide WHERE root NOT IN (SELECT number FROM root);
    UPDATE process SET origin = NULL WHERE origin NOT IN (SELECT id FROM origin);
    UPDATE queue_task SET worker = 0 WHERE worker NOT IN (SELECT key FROM worker);
    UPDATE root SET worker = NULL WHERE worker NOT IN (SELECT key FROM worker);
    UPDATE root SET process = NULL WHERE process NOT NULL
        AND NOT EXISTS (SELECT 1 FROM process AS p WHERE p.root = number AND p.id = root.process);
    INSERT INTO failed SELECT root, at + iif(skew IS NULL, 0, coalesce(elapsed, 0) / 1000 + skew), id, parent FROM process WHERE state = 3;
    INSERT INTO rare SELECT kind, root, process.id FROM process JOIN site ON site.id = process.site
        WHERE kind NOT IN (SELECT id FROM text WHERE value IN ('normal', 'cross_thread', 'span'))
        AND NOT EXISTS (SELECT 1 FROM queue_task AS task WHERE task.root = process.root AND task.id = process.id);
    WITH counted AS (SELECT root AS number, sum(state = 0) AS a, sum(state = 1) AS b, sum(state = 2) AS c, sum(state = 3) AS d,
        sum(state = 4) AS e, sum(state = 5) AS f, sum(state > 5) AS g FROM process GROUP BY root)
        UPDATE root SET succeeded = a, running = b, pending = c, failed = d, cancelled = e, lost = f, other = g
        FROM counted WHERE counted.number = root.number;
    UPDATE root SET succeeded = 0, running = 0, pending = 0, failed = 0, cancelled = 0, lost = 0, other = 0
        WHERE number NOT IN (SELECT root FROM process);
    UPDATE worker SET open = (SELECT count(*) FROM open WHERE open.worker = key);
    DELETE FROM tally WHERE what <> 3;
    INSERT INTO tally SELECT 0, state, count(*) FROM root GROUP BY state;
    INSERT INTO tally SELECT 1, state, count(*) FROM process GROUP BY state;
    INSERT INTO tally SELECT 2, state, count(*) FROM worker GROUP BY state;
    INSERT INTO root_count SELECT name, state, count(*) FROM root GROUP BY name, state;
    INSERT INTO dropped_sum SELECT type, reason, CAST(min(total(count), 9.2e18) AS INTEGER) FROM dropped GROUP BY type, reason;
    DELETE FROM rollup WHERE name <> 0 AND name NOT IN (SELECT id FROM text);
    DELETE FROM failure WHERE shape NOT IN (SELECT id FROM text) OR name NOT IN (SELECT id FROM text) OR message NOT IN (SELECT id FROM text);
    INSERT INTO text_parts(rowid, value) SELECT id, value FROM text WHERE found <> 0;
    INSERT OR IGNORE INTO alert_common VALUES(1, 0, '{}');
    UPDATE alert_common SET cursor = min(cursor, (SELECT coalesce(max(seq), 0) FROM sign));
    UPDATE follow_up SET state = 'undelivered', answer = 'given up: the database was salvaged' WHERE state = 'waiting';
    UPDATE counter SET root = max(root, (SELECT coalesce(max(number), 0) FROM root)), logged = 0;
";

/// Result of [`salvage`].
#[derive(Debug)]
pub struct Salvaged {
    /// Path of the new database.
    pub database: PathBuf,
    /// Number of trees.
    pub roots: u64,
    /// Number of processes.
    pub processes: u64,
    /// Tables with rows that could not be read.
    pub damaged: Vec<String>,
    /// Problems that `monitor check` would report for the new database.
    pub problems: Vec<String>,
}

/// Copies the readable rows of the database in `data` to a new data folder.
///
/// # Errors
/// Returns an error if a server uses the folder, there is no database, the new folder already contains one, or nothing can be read.
pub fn salvage(data: &Path, into: &Path) -> Result<Salvaged, StoreError> {
    let database = folder::existing(data)?;
    let _lock = folder::lock(data)?;
    let new = folder::path(into);
    if new.exists() {
        return Err(StoreError::Exists { path: new });
    }
    drop(SqliteStore::open(into)?);
    let copied = Copy::of(&database, with(&new, ".damaged"));
    let copied = copied.map_err(|(path, source)| StoreError::Disk { action: "copy", path, source });
    let result = copied.and_then(|copy| copy_all(&copy, &new, &database));
    if result.is_err() {
        for suffix in ["", "-wal", "-shm", ".mark"] {
            let _ = fs::remove_file(with(&new, suffix));
        }
    }
    result
}

/// Opens a copy of the damaged database and migrates it to the current schema. Turns off SQLite's additional check of b-tree pages, so that
/// rows of a damaged page can be read.
fn open(copy: &Path, database: &Path) -> Result<Connection, StoreError> {
    let failed = |source| failed_to_open(source, database);
    let mut connection = Connection::open_with_flags(copy, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    if schema::TREES.outdated(&connection, database)?.is_some() {
        schema::TREES.migrate(&mut connection, database)?;
    }
    schema::TREES.recognize(&connection, database)?;
    connection.execute_batch("PRAGMA query_only=ON; PRAGMA cell_size_check=OFF;").map_err(failed)?;
    Ok(connection)
}

fn copy_all(copy: &Copy, new: &Path, database: &Path) -> Result<Salvaged, StoreError> {
    let from = copy.open(|copy| open(copy, database))?;
    let failed = |source| failed("take what was got out", source);
    let to = Connection::open(new).map_err(failed)?;
    to.execute_batch("PRAGMA synchronous=OFF; BEGIN; DELETE FROM counter; DELETE FROM alert_common;").map_err(failed)?;
    let mut damaged = Vec::new();
    let numbered = NUMBERED.iter().map(|(table, key)| (*table, copy_table(&from, &to, table, key)));
    let named = NAMED.iter().map(|(table, key)| (*table, copy_named_table(&from, &to, table, key)));
    for (table, is_whole) in numbered.chain(named) {
        if !is_whole.map_err(failed)? {
            damaged.push(table.to_owned());
        }
    }
    repair(&to).map_err(failed)?;
    to.execute_batch("COMMIT; PRAGMA synchronous=FULL; PRAGMA wal_checkpoint(TRUNCATE);").map_err(failed)?;
    let count = |table: &str| to.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0)).map_err(failed);
    let (roots, processes) = (count("root")? as u64, count("process")? as u64);
    let problems = invariants::problems(&to).map_err(failed)?;
    Ok(Salvaged { database: new.to_owned(), roots, processes, damaged, problems })
}

/// Inserts placeholders for lost rows, and builds the derived data again.
fn repair(to: &Connection) -> Result<()> {
    to.execute(
        "INSERT INTO counter(seq, events, root, longest, earliest, rolled) SELECT 1, 0, 0, 2764800000000, 2764800000000, unixepoch() / 60 WHERE NOT EXISTS (SELECT 1 FROM counter)",
        [],
    )?;
    let lost = |sql: &str| -> Result<Vec<i64>> { to.prepare(sql)?.query_map([], |row| row.get(0))?.collect() };
    let sites = lost("SELECT DISTINCT site FROM process WHERE site NOT NULL AND site NOT IN (SELECT id FROM site)")?;
    if !sites.is_empty() {
        let (name, kind) = (text(to, "(unreadable)")?, text(to, "normal")?);
        for site in sites {
            to.execute("INSERT INTO site VALUES(?1, ?2, ?3, 0, ?1)", params![site, name, kind])?;
        }
    }
    to.execute(
        "WITH known(key) AS (SELECT 0 UNION ALL SELECT key FROM worker) DELETE FROM origin WHERE worker NOT IN known OR relay NOT IN known",
        [],
    )?;
    for id in lost(&format!("SELECT id FROM ({WORDS}) WHERE id NOT IN (SELECT id FROM text)"))? {
        let value = format!("(unreadable {id})");
        to.execute("INSERT INTO text VALUES(?1, ?2, ?3, 0)", params![id, dictionary::hash(&value), value])?;
    }
    to.execute_batch(REPAIR)
}

/// Returns the key of a text. Inserts the text if it doesn't exist.
fn text(to: &Connection, value: &str) -> Result<i64> {
    to.execute(
        "INSERT INTO text(hash, value, found) SELECT ?1, ?2, 0 WHERE NOT EXISTS (SELECT 1 FROM text WHERE hash = ?1 AND value = ?2)",
        params![dictionary::hash(value), value],
    )?;
    to.query_row("SELECT id FROM text WHERE hash = ?1 AND value = ?2", params![dictionary::hash(value), value], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_table_is_copied_or_left_out_on_purpose() {
        let folder = tempfile::tempdir().unwrap();
        drop(SqliteStore::open(folder.path()).unwrap());
        let connection = Connection::open(folder::path(folder.path())).unwrap();
        let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'text_parts_%'";
        let tables: BTreeSet<String> =
            connection.prepare(sql).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let copied = NUMBERED.iter().map(|(table, _)| *table).chain(NAMED.iter().map(|(table, _)| *table));
        assert_eq!(copied.chain(NOT_COPIED).map(str::to_owned).collect::<BTreeSet<_>>(), tables);
        for (table, key) in NAMED {
            let sql = "SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk";
            let columns: Vec<String> =
                connection.prepare(sql).unwrap().query_map([table], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
            assert_eq!(columns, key, "the key of {table}");
        }
    }
}
