//! Writes to the agent's database. Each function stores one kind of change in a transaction of its caller.

use jiff::Timestamp;
use monitor_tasks::{Action, Definition, Dues, EndReason, Ledger, Paused, Plan, Run, RunId, TaskLedger};
use rusqlite::{Transaction, params};

use super::us;
use crate::request::Answer;
use crate::verdict::RunVerdict;

/// Maximum number of stored decisions. Older decisions are deleted.
const MOST_DECISIONS: i64 = 100_000;

/// Stores the decisions of a plan.
pub(crate) fn write_plan(transaction: &Transaction<'_>, plan: &Plan, now: Timestamp) -> rusqlite::Result<()> {
    for (name, state) in &plan.tasks {
        write_state(transaction, name, state)?;
    }
    if let Some(boot) = &plan.boot {
        set(transaction, "boot", boot)?;
    }
    for action in &plan.actions {
        match action {
            Action::Start { run } => {
                let sql = "INSERT INTO run(id, task, due_us, version, cause, attempt, told_us) VALUES(?, ?, ?, ?, ?, ?, ?)
                           ON CONFLICT DO UPDATE SET told_us = excluded.told_us";
                let cause = serde_json::to_string(&run.trigger).unwrap_or_default();
                let row = params![run.id.to_string(), run.id.task, us(run.id.due), run.version as i64, cause, run.attempt, us(now)];
                transaction.prepare_cached(sql)?.execute(row)?;
            }
            Action::Skip { task, version, dues, reason, blocked_by, run } => {
                let decision = Decision { task, version: *version, what: "skipped", reason: reason.word(), dues, run: run.as_ref() };
                decision.write(transaction, now, blocked_by.as_ref())?;
            }
            Action::Missed { task, version, dues, reason, run } => {
                let decision = Decision { task, version: *version, what: "missed", reason: reason.word(), dues, run: run.as_ref() };
                decision.write(transaction, now, None)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Stores a run that was found by its folder.
pub(crate) fn write_found(transaction: &Transaction<'_>, run: &Run, asked: Timestamp, started: Option<Timestamp>) -> rusqlite::Result<()> {
    let sql = "INSERT INTO run(id, task, due_us, version, cause, attempt, told_us, started_us) VALUES(?, ?, ?, ?, ?, ?, ?, ?)";
    let cause = serde_json::to_string(&run.trigger).unwrap_or_default();
    let row = params![run.id.to_string(), run.id.task, us(run.id.due), run.version as i64, cause, run.attempt, us(asked), started.map(us)];
    transaction.prepare_cached(sql)?.execute(row).map(drop)
}

/// Due times at which no run was started.
struct Decision<'a> {
    task: &'a str,
    version: u64,
    what: &'static str,
    reason: &'static str,
    dues: &'a Dues,
    run: Option<&'a RunId>,
}

impl Decision<'_> {
    fn write(&self, transaction: &Transaction<'_>, now: Timestamp, blocked_by: Option<&RunId>) -> rusqlite::Result<()> {
        let sql = "INSERT INTO decision(time_us, task, version, what, reason, first_due_us, last_due_us, count, run, blocked_by)
                   VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let (run, blocked_by) = (self.run.map(RunId::to_string), blocked_by.map(RunId::to_string));
        let Dues { first, last, count } = *self.dues;
        let row = params![us(now), self.task, self.version as i64, self.what, self.reason, us(first), us(last), count, run, blocked_by];
        transaction.prepare_cached(sql)?.execute(row)?;
        transaction.execute("DELETE FROM decision WHERE number <= ?", [transaction.last_insert_rowid() - MOST_DECISIONS]).map(drop)
    }
}

/// Stores the ledger entries of the given tasks. Deletes the entries of tasks that the ledger no longer contains.
pub(crate) fn write_ledger<'a>(
    transaction: &Transaction<'_>,
    ledger: &Ledger,
    tasks: impl Iterator<Item = &'a str>,
) -> rusqlite::Result<()> {
    for name in tasks {
        if let Some(state) = ledger.tasks.get(name) {
            write_state(transaction, name, state)?;
        } else {
            transaction.execute("DELETE FROM ledger WHERE task = ?", [name])?;
        }
    }
    Ok(())
}

fn write_state(transaction: &Transaction<'_>, task: &str, state: &TaskLedger) -> rusqlite::Result<()> {
    let state = serde_json::to_string(state).unwrap_or_default();
    let sql = "INSERT INTO ledger(task, state) VALUES(?, ?) ON CONFLICT DO UPDATE SET state = excluded.state";
    transaction.prepare_cached(sql)?.execute(params![task, state]).map(drop)
}

/// Stores the start time of a run's command, unless it is stored already.
pub(crate) fn write_started(transaction: &Transaction<'_>, run: &RunId, at: Timestamp) -> rusqlite::Result<()> {
    let sql = "UPDATE run SET started_us = ? WHERE id = ? AND started_us IS NULL";
    transaction.prepare_cached(sql)?.execute(params![us(at), run.to_string()]).map(drop)
}

/// Stores the end of a run.
pub(crate) fn write_ended(transaction: &Transaction<'_>, run: &RunId, at: Timestamp, verdict: &RunVerdict) -> rusqlite::Result<()> {
    let RunVerdict { outcome, exit_code, result_code, signal, reason, words, started_us, publication, recorded: _ } = verdict;
    let sql = "UPDATE run SET ended_us = ?, outcome = ?, exit_code = ?, result_code = ?, signal = ?, reason = ?, words = ?,
               started_us = coalesce(started_us, ?), publication = ? WHERE id = ?";
    let started = started_us.map(|at| at as i64);
    let reason = reason.map(EndReason::word);
    let row = params![us(at), outcome.word(), exit_code, result_code, signal, reason, words, started, publication, run.to_string()];
    transaction.prepare_cached(sql)?.execute(row).map(drop)
}

/// Stores a task and its version. `version` is the number of a version that the server keeps. Without it, the task gets its next number. Returns
/// the number.
pub(crate) fn write_task(
    transaction: &Transaction<'_>,
    file: Option<&str>,
    definition: &Definition,
    version: Option<u64>,
    now: Timestamp,
) -> rusqlite::Result<u64> {
    let name = &definition.name;
    let next = || {
        let sql = "SELECT coalesce(max(version), 0) + 1 FROM version WHERE task = ?";
        transaction.prepare_cached(sql)?.query_row([name], |row| row.get(0))
    };
    let version: i64 = version.map_or_else(next, |version| Ok(version as i64))?;
    write_version(transaction, definition, version as u64, now)?;
    let sql = "INSERT INTO task(name, file, version, since_us) VALUES(?1, ?2, ?3, ?4)
               ON CONFLICT DO UPDATE SET since_us = iif(version = excluded.version AND file = excluded.file, since_us, excluded.since_us),
                                         file = excluded.file, version = excluded.version";
    transaction.prepare_cached(sql)?.execute(params![name, file.unwrap_or_default(), version, us(now)])?;
    Ok(version as u64)
}

/// Stores a version of a task.
pub(crate) fn write_version(transaction: &Transaction<'_>, definition: &Definition, version: u64, now: Timestamp) -> rusqlite::Result<()> {
    let text = serde_json::to_string(definition).unwrap_or_default();
    let sql = "INSERT INTO version(task, version, time_us, definition) VALUES(?1, ?2, ?3, ?4)
               ON CONFLICT DO UPDATE SET time_us = excluded.time_us, definition = excluded.definition WHERE definition <> excluded.definition";
    transaction.prepare_cached(sql)?.execute(params![definition.name, version as i64, us(now), text]).map(drop)
}

/// Removes a task. Its versions stay.
pub(crate) fn remove_task(transaction: &Transaction<'_>, task: &str) -> rusqlite::Result<()> {
    transaction.execute("DELETE FROM task WHERE name = ?", [task]).map(drop)
}

/// Stores the pause of a task. `None` stores that the task is not paused.
pub(crate) fn write_paused(transaction: &Transaction<'_>, task: &str, paused: Option<Paused>) -> rusqlite::Result<()> {
    let from = paused.map(|paused| us(paused.from));
    let until = paused.and_then(|paused| paused.until).map(us);
    let sql = "UPDATE task SET paused_from_us = ?, paused_until_us = ? WHERE name = ?";
    transaction.execute(sql, params![from, until, task]).map(drop)
}

/// Stores the answer to a request. Also deletes answered requests whose numbers are smaller by 1,000 or more.
pub(crate) fn write_answer(transaction: &Transaction<'_>, number: i64, answer: &Answer) -> rusqlite::Result<()> {
    let answer = serde_json::to_string(answer).unwrap_or_default();
    transaction.execute("UPDATE request SET answer = ? WHERE number = ?", params![answer, number])?;
    transaction.execute("DELETE FROM request WHERE answer IS NOT NULL AND number <= ?", [number - 1_000]).map(drop)
}

/// Stores a value of the agent that belongs to no task.
pub(crate) fn set(transaction: &Transaction<'_>, key: &str, value: &str) -> rusqlite::Result<()> {
    let sql = "INSERT INTO agent(key, value) VALUES(?, ?) ON CONFLICT DO UPDATE SET value = excluded.value";
    transaction.execute(sql, [key, value]).map(drop)
}

/// Removes a value of the agent that belongs to no task.
pub(crate) fn remove(transaction: &Transaction<'_>, key: &str) -> rusqlite::Result<()> {
    transaction.execute("DELETE FROM agent WHERE key = ?", [key]).map(drop)
}
