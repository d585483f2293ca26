//! The newest commands of the [book](super::ledger), either all or those for one worker.

use monitor_store::StoreError;
use monitor_wire::{CommandLine, CommandStatus, CommandsPage, READING_METHODS, WorkerId};
use rusqlite::{Result, Row, params};

use super::ledger::{COLUMNS, Ledger, bytes, lines, read};

/// Condition for the commands of a worker: those that aren't durable, those that it took or that are for it alone, and those that wait for
/// any worker with its name.
const OF_WORKER: &str = "AND number IN (SELECT command FROM meant WHERE worker = ?3 UNION SELECT command FROM line WHERE worker = ?3
                                        UNION SELECT command FROM line WHERE status = 'waiting' AND target = ?4)";
/// The worker's line of a command that isn't durable.
const ITS_LINE: &str = "(SELECT json_group_array(json(value)) FROM json_each(lines) WHERE value ->> 'worker_id' = ?5)";

/// Query for a list of commands.
#[derive(Debug, Clone)]
pub(crate) struct CommandsQuery {
    pub(crate) limit: usize,
    /// Only commands before this number.
    pub(crate) before: i64,
    /// Only commands for this worker, each with its line.
    pub(crate) worker: Option<WorkerId>,
    /// True for only commands that change something, false for only those that query.
    pub(crate) is_changing: Option<bool>,
}

impl Ledger {
    /// Returns the newest commands, newest first. `name` is the name that the requested worker shares with earlier workers of the same
    /// program and host.
    pub(super) fn page(&self, query: &CommandsQuery, name: Option<&str>) -> std::result::Result<CommandsPage, StoreError> {
        let CommandsQuery { limit, before, worker, is_changing } = *query;
        self.file.read(|connection| {
            let (of_worker, line) = match worker {
                Some(_) => (OF_WORKER, ITS_LINE),
                None => ("AND ?3 IS NULL AND ?4 IS NULL AND ?5 IS NULL", "NULL"),
            };
            let reading = READING_METHODS.map(|method| format!("'{method}'")).join(", ");
            let of_kind = match is_changing {
                Some(true) => format!("AND method NOT IN ({reading})"),
                Some(false) => format!("AND method IN ({reading})"),
                None => String::new(),
            };
            let only = format!("number < ?1 {of_worker} {of_kind}");
            let sql = format!("SELECT {COLUMNS}, {line} FROM command WHERE {only} ORDER BY number DESC LIMIT ?2");
            let given = params![before, limit as i64 + 1, worker.map(bytes), name, worker.map(|id| id.to_string())];
            let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, read(row)?));
            let mut found = connection.prepare_cached(&sql)?.query_map(given, read)?.collect::<Result<Vec<_>>>()?;
            let has_more = found.len() > limit;
            found.truncate(limit);
            let next_cursor = found.last().filter(|_| has_more).map(|(number, _)| number.to_string());
            for (number, command) in found.iter_mut().filter(|(_, command)| worker.is_some() && command.until_us.is_some()) {
                command.lines = lines(connection, *number)?;
                let is_its_own = |line: &CommandLine| line.worker_id == worker;
                let awaits_it = |line: &CommandLine| line.status == CommandStatus::WAITING && Some(line.name.as_str()) == name;
                let at = command.lines.iter().position(is_its_own).or_else(|| command.lines.iter().position(awaits_it));
                command.lines = at.map(|at| command.lines.swap_remove(at)).into_iter().collect();
            }
            Ok(CommandsPage { commands: found.into_iter().map(|(_, command)| command).collect(), next_cursor })
        })
    }
}
