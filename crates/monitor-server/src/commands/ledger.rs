//! The book of commands: `commands.db` of the data folder. It stores the newest commands, the keys that workers' channels are bound to, and
//! each step of durable commands. A step is written to disk before its sender gets a response.

use std::collections::BTreeMap;
use std::path::Path;

use monitor_store::StoreError;
use monitor_store_sqlite::{Durability, Schema, SubjectFile};
use monitor_wire::{Command, CommandId, CommandLine, CommandStatus, WorkerId};
use rusqlite::{Connection, OptionalExtension, Result, Row, params};

/// The schema of commands and their answers, in `commands.db`.
pub(crate) const SCHEMA: Schema = Schema {
    // `PMco`.
    application_id: 0x504d_636f,
    first: 5,
    steps: &[include_str!("schema.sql")],
};

/// Number of commands to keep. Older commands are deleted.
const KEPT: i64 = 10_000;
/// Size beyond which the lines of the oldest commands are deleted.
const KEPT_BYTES: i64 = 64 << 20;
/// Number of ids of revoked tasks to keep, and the time to keep them in microseconds.
const KEPT_REVOKED: i64 = 50_000;
const KEPT_REVOKED_US: u64 = 3 * 3_600 * 1_000_000;
/// Number of channels to keep. Channels opened before these are deleted.
const KEPT_CHANNELS: i64 = 200_000;
/// Error of a line whose reply was not received before the server ended.
pub(super) const BROKEN_OFF: &str = "the server ended before all answers had come";

pub(super) type KeyHash = [u8; 32];

type Stored<T> = std::result::Result<T, StoreError>;

/// The book of a data folder. Every method blocks briefly.
pub(super) struct Ledger {
    pub(super) file: SubjectFile,
}

/// New command to record.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) command: &'a Command,
    pub(super) key: Option<&'a str>,
    pub(super) request: &'a [u8; 32],
    /// For each line of a durable command, the name of the workers that may take it.
    pub(super) targets: &'a [Option<String>],
}

/// Line of a durable command that has no reply yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) is_taken: bool,
    pub(super) worker: Option<WorkerId>,
    pub(super) target: Option<String>,
}

/// Durable command that is not done, as found when the server starts.
#[derive(Debug)]
pub(super) struct Unfinished {
    pub(super) command: Command,
    pub(super) waiting: Vec<Waiting>,
}

/// Result of a step of a durable command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The step was written. True if the command is done.
    Written(bool),
    /// The step was written before, by the same worker.
    Repeated,
    /// Another worker has taken the command.
    Taken,
    /// The worker must take the command first.
    NotTaken,
    /// The line already has its final status.
    Over,
    /// The command is not for this worker.
    NotMeant,
}

impl Ledger {
    /// Opens the book of a data folder, and creates both if necessary. Commands that were waiting when the server was killed are marked as
    /// done. Durable commands continue to wait.
    pub(super) fn open(folder: &Path) -> Stored<Self> {
        let file = SubjectFile::open(folder, "commands.db", &SCHEMA)?;
        file.write_by(Durability::Kill, |connection| {
            connection.execute("UPDATE command SET done = 1 WHERE done = 0 AND until IS NULL", [])
        })?;
        Ok(Self { file })
    }

    /// Binds a worker's channel to a key, and the worker to its name, unless they are already bound. Returns true if the channel is bound
    /// to this key.
    pub(super) fn bind(&self, worker: WorkerId, key: &KeyHash, name: &str) -> Stored<bool> {
        if let Some(bound) = self.key(worker)? {
            if bound == *key && self.name(worker)?.is_none() {
                self.file.write_by(Durability::Kill, |connection| {
                    let sql = "UPDATE channel SET name = ?2 WHERE worker = ?1";
                    connection.prepare_cached(sql)?.execute(params![bytes(worker), name])
                })?;
            }
            return Ok(bound == *key);
        }
        self.file.write_by(Durability::Kill, |connection| {
            connection
                .prepare_cached("INSERT INTO channel(worker, key, name) VALUES(?, ?, ?) ON CONFLICT DO NOTHING")?
                .execute(params![bytes(worker), key, name])?;
            let newest = connection.last_insert_rowid();
            connection.prepare_cached("DELETE FROM channel WHERE number <= ?")?.execute([newest - KEPT_CHANNELS])?;
            Ok(())
        })?;
        Ok(self.key(worker)? == Some(*key))
    }

    /// Returns the key that a worker's channel is bound to.
    pub(super) fn key(&self, worker: WorkerId) -> Stored<Option<KeyHash>> {
        self.file.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT key FROM channel WHERE worker = ?")?;
            statement.query_row([bytes(worker)], |row| row.get(0)).optional()
        })
    }

    /// Returns the name that a worker had when its channel was bound. Commands use only this name, whatever is reported about the worker
    /// later.
    pub(super) fn name(&self, worker: WorkerId) -> Stored<Option<String>> {
        self.file.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT name FROM channel WHERE worker = ?")?;
            Ok(statement.query_row([bytes(worker)], |row| row.get(0)).optional()?.flatten())
        })
    }

    /// Returns true for each of these workers that has ever opened a channel.
    pub(super) fn have_opened(&self, workers: &[WorkerId]) -> Stored<Vec<bool>> {
        self.file.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT 1 FROM channel WHERE worker = ?")?;
            let has_opened = |worker: &WorkerId| statement.exists([bytes(*worker)]);
            workers.iter().map(has_opened).collect()
        })
    }

    /// Records that tasks are revoked, and deletes the oldest entries.
    pub(super) fn revoke(&self, ids: &[String], now_us: u64) -> Stored<()> {
        self.file.write_by(Durability::Machine, |connection| {
            let mut insert = connection.prepare_cached("INSERT INTO revoked(id, at) VALUES(?, ?)")?;
            for id in ids {
                insert.execute(params![id, now_us as i64])?;
            }
            let newest = connection.last_insert_rowid();
            let old = now_us.saturating_sub(KEPT_REVOKED_US) as i64;
            connection.prepare_cached("DELETE FROM revoked WHERE number <= ? OR at < ?")?.execute([newest - KEPT_REVOKED, old])?;
            Ok(())
        })
    }

    /// Returns the ids of revoked tasks and their times, oldest first.
    pub(super) fn revoked(&self) -> Stored<Vec<(String, u64)>> {
        self.file.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT id, at FROM revoked ORDER BY number")?;
            statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)))?.collect()
        })
    }

    /// Records a new command, and deletes the oldest commands.
    pub(super) fn enter(&self, Entry { command, key, request, targets }: &Entry<'_>) -> Stored<()> {
        let is_durable = command.until_us.is_some();
        let durability = if is_durable { Durability::Machine } else { Durability::Kill };
        let lines = (!is_durable).then(|| json(&command.lines));
        let size = lines.as_ref().map_or(0, String::len);
        self.file.write_by(durability, |connection| {
            let sql = "INSERT INTO command(id, method, arguments, created, who, key, request, timeout, until, done, counts, bytes, lines)
                       VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
            connection.prepare_cached(sql)?.execute(params![
                command.id.map(number),
                command.method,
                json(&command.arguments),
                command.created_us as i64,
                command.by,
                key,
                request,
                command.timeout_ms as i64,
                command.until_us.map(|until| until as i64),
                command.done,
                json(&command.counts),
                size as i64,
                lines,
            ])?;
            let newest = connection.last_insert_rowid();
            if is_durable {
                let sql = "INSERT INTO line(command, place, worker, target, name, status) VALUES(?, ?, ?, ?, ?, ?)";
                let mut insert = connection.prepare_cached(sql)?;
                for (place, (line, target)) in command.lines.iter().zip(*targets).enumerate() {
                    let (worker, status) = (line.worker_id.map(bytes), line.status.as_str());
                    insert.execute(params![newest, place as i64, worker, target, line.name, status])?;
                }
            } else {
                let mut insert = connection.prepare_cached("INSERT OR IGNORE INTO meant(command, worker) VALUES(?, ?)")?;
                for worker in command.lines.iter().filter_map(|line| line.worker_id) {
                    insert.execute(params![newest, bytes(worker)])?;
                }
            }
            forget(connection, newest)
        })
    }

    /// Records the end of a command that isn't durable.
    pub(super) fn finish(&self, command: &Command) -> Stored<()> {
        let lines = json(&command.lines);
        self.file.write_by(Durability::Kill, |connection| {
            let sql = "UPDATE command SET done = 1, counts = ?, bytes = ?, lines = ? WHERE id = ?";
            let size = lines.len() as i64;
            connection.prepare_cached(sql)?.execute(params![json(&command.counts), size, lines, command.id.map(number)])?;
            forget_lines(connection)
        })
    }

    /// Records that a worker takes its line of a durable command. `name` is the name that the worker shares with earlier workers of the
    /// same program and host.
    pub(super) fn take(&self, id: CommandId, worker: WorkerId, name: &str, now_us: u64) -> Stored<Step> {
        self.file.write_by(Durability::Machine, |connection| {
            let Some(line) = line_of(connection, id, worker, name)? else { return Ok(Step::NotMeant) };
            match line.status.as_str() {
                "waiting" => {
                    let sql = "UPDATE line SET status = 'taken', worker = ?, at = ? WHERE command = ? AND place = ?";
                    connection.prepare_cached(sql)?.execute(params![bytes(worker), now_us as i64, line.command, line.place])?;
                    count(connection, line.command)?;
                    Ok(Step::Written(false))
                }
                "taken" if line.worker == Some(worker) => Ok(Step::Repeated),
                "taken" => Ok(Step::Taken),
                _ => Ok(Step::Over),
            }
        })
    }

    /// Records a worker's reply to a durable command.
    pub(super) fn answer(&self, id: CommandId, worker: WorkerId, name: &str, answer: &CommandLine, now_us: u64) -> Stored<Step> {
        self.file.write_by(Durability::Machine, |connection| {
            let Some(line) = line_of(connection, id, worker, name)? else { return Ok(Step::NotMeant) };
            let is_done = answer.status == CommandStatus::OK || answer.status == CommandStatus::ERROR;
            match line.status.as_str() {
                "waiting" if is_done => return Ok(Step::NotTaken),
                "waiting" | "taken" => {}
                _ => return Ok(Step::Over),
            }
            let elapsed = line.at.map(|at| now_us.saturating_sub(at).saturating_mul(1_000) as i64);
            let value = answer.value.as_ref().map(json);
            let size = value.as_ref().map_or(0, String::len) + answer.error.as_ref().map_or(0, String::len);
            let sql = "UPDATE line SET status = ?, worker = ?, elapsed = ?, value = ?, error = ? WHERE command = ? AND place = ?";
            let row = params![answer.status.as_str(), bytes(worker), elapsed, value, answer.error, line.command, line.place];
            connection.prepare_cached(sql)?.execute(row)?;
            connection.prepare_cached("UPDATE command SET bytes = bytes + ? WHERE number = ?")?.execute([size as i64, line.command])?;
            let is_done = count(connection, line.command)?;
            forget_lines(connection)?;
            Ok(Step::Written(is_done))
        })
    }

    /// Sets the lines of expired commands to expired or unanswered. Returns these commands.
    pub(super) fn expire(&self, now_us: u64) -> Stored<Vec<CommandId>> {
        let due = |connection: &Connection| -> Result<Vec<(i64, CommandId)>> {
            let mut statement = connection.prepare_cached("SELECT number, id FROM command WHERE done = 0 AND until <= ?")?;
            let due = statement.query_map([now_us as i64], |row| Ok((row.get(0)?, id_of(row, 1)?)))?;
            due.collect::<Result<_>>()
        };
        if self.file.read(due)?.is_empty() {
            return Ok(Vec::new());
        }
        self.file.write_by(Durability::Machine, |connection| {
            let due = due(connection)?;
            for (number, _) in &due {
                let sql = "UPDATE line SET status = CASE status WHEN 'taken' THEN 'unanswered' ELSE 'expired' END
                           WHERE command = ? AND status IN ('waiting', 'taken')";
                connection.prepare_cached(sql)?.execute([number])?;
                count(connection, *number)?;
            }
            Ok(due.into_iter().map(|(_, id)| id).collect())
        })
    }

    /// Sets the lines of a durable command whose workers have ended to gone. Returns true if the command is done.
    pub(super) fn lose(&self, id: CommandId, workers: &[WorkerId]) -> Stored<bool> {
        self.file.write_by(Durability::Machine, |connection| {
            let Some(command) = number_of(connection, id)? else { return Ok(true) };
            for worker in workers {
                let sql = "UPDATE line SET status = 'gone' WHERE command = ? AND worker = ? AND target IS NULL AND status IN ('waiting', 'taken')";
                connection.prepare_cached(sql)?.execute(params![command, bytes(*worker)])?;
            }
            count(connection, command)
        })
    }

    /// Returns the command that a caller sent with this key, and the hash of its request.
    pub(super) fn by_key(&self, by: &str, key: &str) -> Stored<Option<(CommandId, [u8; 32])>> {
        self.file.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT id, request FROM command WHERE who = ? AND key = ?")?;
            statement.query_row([by, key], |row| Ok((id_of(row, 0)?, row.get(1)?))).optional()
        })
    }

    /// True if a command is stored.
    pub(super) fn is_there(&self, id: CommandId) -> Stored<bool> {
        self.file.read(|connection| connection.prepare_cached("SELECT 1 FROM command WHERE id = ?")?.exists([number(id)]))
    }

    /// True if a worker has replied to a durable command.
    pub(super) fn has_answered(&self, id: CommandId, worker: WorkerId) -> Stored<bool> {
        self.file.read(|connection| {
            let sql = "SELECT 1 FROM line JOIN command ON number = command
                       WHERE id = ? AND worker = ? AND status IN ('ok', 'error', 'refused', 'unsupported')";
            connection.prepare_cached(sql)?.exists(params![number(id), bytes(worker)])
        })
    }

    /// Returns a command with its lines.
    pub(super) fn command(&self, id: CommandId) -> Stored<Option<Command>> {
        self.file.read(|connection| {
            let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS}, lines FROM command WHERE id = ?"))?;
            let found = statement.query_row([number(id)], |row| Ok((row.get::<_, i64>(0)?, read(row)?))).optional()?;
            let Some((number, mut command)) = found else { return Ok(None) };
            if command.until_us.is_some() {
                command.lines = lines(connection, number)?;
            }
            Ok(Some(command))
        })
    }

    /// Returns the durable commands that aren't done.
    pub(super) fn unfinished(&self) -> Stored<Vec<Unfinished>> {
        self.file.read(|connection| {
            let mut statement =
                connection.prepare_cached(&format!("SELECT {COLUMNS}, lines FROM command WHERE done = 0 AND until IS NOT NULL"))?;
            let found = statement.query_map([], |row| Ok((row.get::<_, i64>(0)?, read(row)?)))?.collect::<Result<Vec<(i64, Command)>>>()?;
            let mut waiting = connection
                .prepare_cached("SELECT status = 'taken', worker, target FROM line WHERE command = ? AND status IN ('waiting', 'taken')")?;
            let mut all = Vec::new();
            for (number, command) in found {
                let read = |row: &Row<'_>| Ok(Waiting { is_taken: row.get(0)?, worker: worker(row, 1)?, target: row.get(2)? });
                all.push(Unfinished { command, waiting: waiting.query_map([number], read)?.collect::<Result<_>>()? });
            }
            Ok(all)
        })
    }

    /// Returns the number of lines of durable commands that aren't done.
    pub(super) fn open_lines(&self) -> Stored<usize> {
        self.file.read(|connection| {
            let sql = "SELECT count(*) FROM line JOIN command ON number = command WHERE done = 0";
            Ok(connection.query_row(sql, [], |row| row.get::<_, i64>(0))? as usize)
        })
    }
}

/// Columns of a command, without its lines.
pub(super) const COLUMNS: &str = "number, id, method, arguments, created, who, timeout, until, done, counts";

/// Reads a command from [`COLUMNS`], followed by its lines as JSON.
pub(super) fn read(row: &Row<'_>) -> Result<Command> {
    Ok(Command {
        id: Some(id_of(row, 1)?),
        method: row.get(2)?,
        arguments: parsed(row, 3)?.unwrap_or_default(),
        created_us: row.get::<_, i64>(4)? as u64,
        by: row.get(5)?,
        timeout_ms: row.get::<_, i64>(6)? as u64,
        until_us: row.get::<_, Option<i64>>(7)?.map(|until| until as u64),
        done: row.get(8)?,
        counts: parsed(row, 9)?.unwrap_or_default(),
        lines: parsed(row, 10)?.unwrap_or_default(),
    })
}

pub(super) fn lines(connection: &Connection, command: i64) -> Result<Vec<CommandLine>> {
    let sql = "SELECT worker, name, status, value, error, elapsed FROM line WHERE command = ? ORDER BY place";
    let mut statement = connection.prepare_cached(sql)?;
    let line = |row: &Row<'_>| {
        Ok(CommandLine {
            worker_id: worker(row, 0)?,
            name: row.get(1)?,
            status: row.get::<_, String>(2)?.as_str().into(),
            value: parsed(row, 3)?,
            error: row.get(4)?,
            elapsed_ns: row.get::<_, Option<i64>>(5)?.map(|elapsed| elapsed as u64),
            last_seen_us: None,
        })
    };
    statement.query_map([command], line)?.collect::<Result<_>>()
}

/// Line of a durable command, for a step.
struct Found {
    command: i64,
    place: i64,
    worker: Option<WorkerId>,
    status: String,
    at: Option<u64>,
}

/// Returns the line of a command for this worker: the one that it has taken, that names it, or that names its shared name.
fn line_of(connection: &Connection, id: CommandId, of: WorkerId, name: &str) -> Result<Option<Found>> {
    let Some(command) = number_of(connection, id)? else { return Ok(None) };
    let sql = "SELECT place, worker, status, at FROM line WHERE command = ?1 AND (worker = ?2 OR target = ?3)
               ORDER BY worker IS ?2 DESC, status = 'waiting' DESC, place LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    let found = |row: &Row<'_>| {
        let at = row.get::<_, Option<i64>>(3)?.map(|at| at as u64);
        Ok(Found { command, place: row.get(0)?, worker: worker(row, 1)?, status: row.get(2)?, at })
    };
    statement.query_row(params![command, bytes(of), name], found).optional()
}

fn number_of(connection: &Connection, id: CommandId) -> Result<Option<i64>> {
    let mut statement = connection.prepare_cached("SELECT number FROM command WHERE id = ? AND until IS NOT NULL")?;
    statement.query_row([number(id)], |row| row.get(0)).optional()
}

/// Counts the lines of a durable command again. Returns true if it is done.
fn count(connection: &Connection, command: i64) -> Result<bool> {
    let mut statement = connection.prepare_cached("SELECT status, count(*) FROM line WHERE command = ? GROUP BY status")?;
    let counts: BTreeMap<String, u64> =
        statement.query_map([command], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)))?.collect::<Result<_>>()?;
    let is_done = counts.keys().all(|status| CommandStatus::from(status.as_str()).is_final());
    connection.prepare_cached("UPDATE command SET counts = ?, done = ? WHERE number = ?")?.execute(params![
        json(&counts),
        is_done,
        command
    ])?;
    Ok(is_done)
}

/// Deletes commands that are too old, except durable commands that aren't done.
fn forget(connection: &Connection, newest: i64) -> Result<()> {
    let old = "SELECT number FROM command WHERE number <= ? AND done = 1";
    for table in ["line", "meant"] {
        connection.prepare_cached(&format!("DELETE FROM {table} WHERE command IN ({old})"))?.execute([newest - KEPT])?;
    }
    connection.prepare_cached("DELETE FROM command WHERE number <= ? AND done = 1")?.execute([newest - KEPT])?;
    forget_lines(connection)
}

/// Deletes the lines of the oldest commands while all lines together are too large.
fn forget_lines(connection: &Connection) -> Result<()> {
    loop {
        let mut statement = connection.prepare_cached("SELECT coalesce(sum(bytes), 0) FROM command WHERE bytes > 0")?;
        if statement.query_row([], |row| row.get::<_, i64>(0))? <= KEPT_BYTES {
            return Ok(());
        }
        let mut oldest = connection.prepare_cached("SELECT min(number) FROM command WHERE bytes > 0 AND done = 1")?;
        let Some(oldest) = oldest.query_row([], |row| row.get::<_, Option<i64>>(0))? else { return Ok(()) };
        for table in ["line", "meant"] {
            connection.prepare_cached(&format!("DELETE FROM {table} WHERE command = ?"))?.execute([oldest])?;
        }
        connection.prepare_cached("UPDATE command SET lines = NULL, bytes = 0 WHERE number = ?")?.execute([oldest])?;
    }
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("plain data with text keys is JSON")
}

fn parsed<T: serde::de::DeserializeOwned>(row: &Row<'_>, at: usize) -> Result<Option<T>> {
    let text: Option<String> = row.get(at)?;
    let wrong = |error| rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, Box::new(error));
    text.map(|text| serde_json::from_str(&text).map_err(wrong)).transpose()
}

fn number(id: CommandId) -> i64 {
    id.get() as i64
}

fn id_of(row: &Row<'_>, at: usize) -> Result<CommandId> {
    let id = row.get::<_, i64>(at)?;
    CommandId::new(id as u64).ok_or(rusqlite::Error::IntegralValueOutOfRange(at, id))
}

pub(super) fn bytes(worker: WorkerId) -> [u8; 16] {
    worker.get().to_be_bytes()
}

fn worker(row: &Row<'_>, at: usize) -> Result<Option<WorkerId>> {
    let bytes: Option<[u8; 16]> = row.get(at)?;
    Ok(bytes.and_then(|bytes| WorkerId::new(u128::from_be_bytes(bytes))))
}
