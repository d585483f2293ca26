//! Queries for batch tasks.

use monitor_store::StoreError;
use monitor_store::batch::{
    BY_RULE, BatchQueries, BatchRunsQuery, BatchTasksQuery, DECIDED, Decided, Definition, MARKS, TaskHistory, TaskRow, VERSIONS, cursor_of,
    decided_of, run_cursor, with_diffs,
};
use monitor_store::signs::{LONG_PAUSE_US, PAST};
use monitor_wire::{BatchAgent, BatchDecision, BatchMark, BatchRun, BatchRunsPage, BatchTask, BatchTasksPage, BatchVersion, KnownDues};
use rusqlite::types::{Type, Value};
use rusqlite::{Connection, Error, OptionalExtension as _, Result, Row, params, params_from_iter};

use super::{ReadError, SqliteStore, as_of};

/// Selects the columns that [`task_row`] reads, and the revision.
pub(super) const TASK: &str = "SELECT name, version, status, until, agent, changed, who, definition, revision FROM batch_task";
/// Columns that [`run`] reads, in this order.
pub(super) const RUN_COLUMNS: &str = "task, due, run, version, agent, trigger, who, root, process, started, ended, elapsed, outcome, \
                                      exit_code, result_code, signal, reason, error";
/// Condition for a page of tasks whose names contain a text.
pub(super) const TASKS: &str =
    " WHERE name > ?1 AND status <> 'deleted' AND (?2 IS NULL OR instr(lower(name), lower(?2)) > 0) ORDER BY name LIMIT ?3";
/// The newest run of a task.
const LAST_RUN: &str = "FROM batch_run WHERE task = ?1 ORDER BY due DESC, run DESC LIMIT 1";
/// Newest runs of a task.
pub(super) const NEWEST: &str = "SELECT run, root, due, outcome FROM batch_run WHERE task = ?1 ORDER BY due DESC, run DESC LIMIT ?2";
/// Newest decision about due times of a task without a run.
pub(super) const LAST_DECISION: &str = "SELECT what, last FROM batch_decision WHERE task = ?1 \
                                        ORDER BY first DESC, last DESC, agent DESC, what DESC, reason DESC LIMIT 1";
/// Last time of the newest alerts about a task.
pub(super) const WARNED: &str = "SELECT max(at) FROM \
                                 (SELECT detail ->> 'last_us' AS at FROM alert WHERE subject = 'task:' || ?1 ORDER BY id DESC LIMIT 10)";
/// Durations of the newest successful runs of a task, except one run.
pub(super) const PAST_RUNS: &str = "SELECT elapsed FROM batch_run WHERE task = ?1 AND run <> ?2 AND outcome = 'succeeded' AND \
                                    elapsed IS NOT NULL ORDER BY due DESC LIMIT ?3";
/// Condition for tasks that have been paused for long without a notification.
pub(super) const LONG_PAUSES: &str =
    " WHERE status = 'paused' AND pause_told = 0 AND changed <= ?2 AND (until IS NULL OR until > ?1) LIMIT ?3";
/// Condition for tasks whose pause has reached its end after a notification that it was long.
pub(super) const ENDED_PAUSES: &str = " WHERE status = 'paused' AND pause_told = 1 AND changed <= ?2 AND until <= ?1 LIMIT ?3";
/// Due times without a run that overlap a range of time.
pub(super) const DECISIONS: &str = "SELECT task, agent, version, first, last, count, what, reason, blocked_by FROM batch_decision \
                                    WHERE task = ?1 AND first < ?3 AND last >= ?2 ORDER BY first LIMIT ?4";
/// Newest due times of a task whose runs an agent has started by a rule. Each is selected as first and as last due time.
pub(super) const DECIDED_RUNS: &str =
    "SELECT due, due FROM batch_run WHERE task = ?1 AND agent = ?2 AND trigger IN (?4, ?5) ORDER BY due DESC LIMIT ?3";
/// Newest due times of a task that an agent has decided without a run.
pub(super) const DECIDED_WITHOUT: &str =
    "SELECT first, last FROM batch_decision WHERE task = ?1 AND agent = ?2 ORDER BY first DESC LIMIT ?3";

impl BatchQueries for SqliteStore {
    fn batch_tasks(&self, query: &BatchTasksQuery) -> Result<BatchTasksPage, StoreError> {
        self.read("list batch tasks", |snapshot| Ok(tasks(snapshot, query)?))
    }

    fn batch_task(&self, name: &str) -> Result<Option<BatchTask>, StoreError> {
        self.read("read a batch task", |snapshot| Ok(task(snapshot, name)?))
    }

    fn batch_versions(&self, name: &str) -> Result<Vec<BatchVersion>, StoreError> {
        self.read("read the versions of a batch task", |snapshot| Ok(versions(snapshot, name)?))
    }

    fn batch_runs(&self, query: &BatchRunsQuery) -> Result<BatchRunsPage, StoreError> {
        self.read("list runs", |snapshot| runs(snapshot, query))
    }

    fn batch_decisions(&self, task: &str, time: (u64, u64), limit: usize) -> Result<Vec<BatchDecision>, StoreError> {
        self.read("list decisions", |snapshot| Ok(decisions(snapshot, task, time, limit)?))
    }

    fn batch_decided(&self, task: &str, agent: &str) -> Result<Decided, StoreError> {
        self.read("read what is decided of a task", |snapshot| Ok(decided(snapshot, task, agent)?))
    }

    fn batch_changes(&self, after: u64) -> Result<Vec<(u64, BatchTask)>, StoreError> {
        self.read("list changes of batch tasks", |snapshot| Ok(changes(snapshot, after)?))
    }

    fn batch_agents(&self) -> Result<Vec<BatchAgent>, StoreError> {
        self.read("list agents", |snapshot| Ok(agents(snapshot)?))
    }
}

pub(crate) fn task_row(row: &Row<'_>) -> Result<TaskRow> {
    Ok(TaskRow {
        name: row.get(0)?,
        version: row.get::<_, i64>(1)? as u64,
        status: row.get::<_, String>(2)?.into(),
        until_us: row.get::<_, Option<i64>>(3)?.map(|us| us as u64),
        agent: row.get(4)?,
        changed_us: row.get::<_, i64>(5)? as u64,
        who: row.get(6)?,
        definition: definition(row, 7)?,
    })
}

fn definition(row: &Row<'_>, column: usize) -> Result<Definition> {
    serde_json::from_str(row.get_ref(column)?.as_str()?).map_err(|error| Error::FromSqlConversionFailure(column, Type::Text, error.into()))
}

pub(super) fn json(definition: &Definition) -> String {
    serde_json::to_string(definition).expect("plain data with text keys is JSON")
}

fn tasks(connection: &Connection, query: &BatchTasksQuery) -> Result<BatchTasksPage> {
    let mut statement = connection.prepare_cached(&format!("{TASK}{TASKS}"))?;
    let after = query.cursor.as_deref().unwrap_or_default();
    let rows = statement.query_map(params![after, query.text, query.limit as i64 + 1], task_row)?;
    let mut rows = rows.collect::<Result<Vec<_>>>()?;
    let is_more = rows.len() > query.limit;
    rows.truncate(query.limit);
    let next_cursor = rows.last().filter(|_| is_more).map(|row| row.name.clone());
    let tasks = rows.into_iter().map(|row| show(connection, row)).collect::<Result<_>>()?;
    Ok(BatchTasksPage { tasks, next_cursor, as_of: as_of(connection)? })
}

fn task(connection: &Connection, name: &str) -> Result<Option<BatchTask>> {
    let row = connection.prepare_cached(&format!("{TASK} WHERE name = ?1"))?.query_row([name], task_row).optional()?;
    row.map(|row| show(connection, row)).transpose()
}

fn show(connection: &Connection, row: TaskRow) -> Result<BatchTask> {
    let mut statement = connection.prepare_cached(NEWEST)?;
    let mark = |row: &Row<'_>| {
        Ok(BatchMark {
            run: row.get(0)?,
            root_id: parsed(row, 1)?,
            due_us: row.get::<_, i64>(2)? as u64,
            outcome: row.get::<_, String>(3)?.into(),
        })
    };
    let runs = statement.query_map(params![row.name, MARKS as i64], mark)?.collect::<Result<_>>()?;
    let last_run = connection.prepare_cached(&format!("SELECT {RUN_COLUMNS} {LAST_RUN}"))?.query_row([&row.name], run).optional()?;
    let last_decision = |row: &Row<'_>| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64));
    let last_decision = connection.prepare_cached(LAST_DECISION)?.query_row([&row.name], last_decision).optional()?;
    let warned = connection.prepare_cached(WARNED)?.query_row([&row.name], |row| row.get::<_, Option<i64>>(0))?;
    Ok(row.show(TaskHistory { runs, last_run, last_decision, last_warning_us: warned.map(|us| us as u64) }))
}

fn parsed<T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>>(row: &Row<'_>, column: usize) -> Result<T> {
    row.get_ref(column)?.as_str()?.parse::<T>().map_err(|error| Error::FromSqlConversionFailure(column, Type::Text, error.into()))
}

fn versions(connection: &Connection, name: &str) -> Result<Vec<BatchVersion>> {
    let sql = "SELECT version, time, who, status, definition FROM batch_version WHERE task = ?1 ORDER BY version DESC LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let version = |row: &Row<'_>| {
        Ok(BatchVersion {
            version: row.get::<_, i64>(0)? as u64,
            time_us: row.get::<_, i64>(1)? as u64,
            who: row.get(2)?,
            status: row.get::<_, String>(3)?.into(),
            definition: definition(row, 4)?,
            diff: Vec::new(),
        })
    };
    let rows = statement.query_map(params![name, VERSIONS as i64 + 1], version)?;
    Ok(with_diffs(rows.collect::<Result<_>>()?))
}

/// Returns the statement that lists runs, with its values.
fn runs_statement(query: &BatchRunsQuery) -> std::result::Result<(String, Vec<Value>), ReadError> {
    let mut values = Vec::new();
    let mut conditions = Vec::new();
    let mut add = |condition: &str, of: Vec<Value>| {
        conditions.push(condition.to_owned());
        values.extend(of);
    };
    if let Some(task) = &query.task {
        add("task = ?", vec![task.clone().into()]);
    }
    if let Some(exit_code) = query.exit_code {
        add("coalesce(result_code, exit_code) = ?", vec![exit_code.into()]);
    }
    if let Some(outcome) = &query.outcome {
        add("outcome = ?", vec![outcome.to_string().into()]);
    }
    if let Some(agent) = &query.agent {
        add("agent = ?", vec![agent.clone().into()]);
    }
    if let Some(from_us) = query.from_us {
        add("due >= ?", vec![(from_us.min(i64::MAX as u64) as i64).into()]);
    }
    if let Some(to_us) = query.to_us {
        add("due < ?", vec![(to_us.min(i64::MAX as u64) as i64).into()]);
    }
    if let Some(cursor) = &query.cursor {
        let (due, run) = run_cursor(cursor).ok_or_else(|| ReadError::Cursor(cursor.clone()))?;
        add("(due, run) < (?, ?)", vec![(due as i64).into(), run.to_owned().into()]);
    }
    let wanted = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    values.push((query.limit as i64 + 1).into());
    Ok((format!("SELECT {RUN_COLUMNS} FROM batch_run{wanted} ORDER BY due DESC, run DESC LIMIT ?"), values))
}

fn runs(connection: &Connection, query: &BatchRunsQuery) -> std::result::Result<BatchRunsPage, ReadError> {
    let (sql, values) = runs_statement(query)?;
    let mut statement = connection.prepare_cached(&sql)?;
    let mut runs = statement.query_map(params_from_iter(values), run)?.collect::<Result<Vec<_>>>()?;
    let is_more = runs.len() > query.limit;
    runs.truncate(query.limit);
    let next_cursor = runs.last().filter(|_| is_more).map(cursor_of);
    Ok(BatchRunsPage { runs, next_cursor, as_of: as_of(connection)? })
}

fn run(row: &Row<'_>) -> Result<BatchRun> {
    let number = |column: usize| Ok::<_, Error>(row.get::<_, Option<i64>>(column)?.map(|number| number as u64));
    Ok(BatchRun {
        task: row.get(0)?,
        due_us: row.get::<_, i64>(1)? as u64,
        run: row.get(2)?,
        version: row.get::<_, i64>(3)? as u64,
        agent: row.get(4)?,
        trigger: row.get(5)?,
        by: row.get(6)?,
        root_id: parsed(row, 7)?,
        process_id: parsed(row, 8)?,
        started_us: number(9)?,
        ended_us: number(10)?,
        elapsed_ns: number(11)?,
        outcome: row.get::<_, String>(12)?.into(),
        exit_code: row.get(13)?,
        result_code: row.get(14)?,
        signal: row.get(15)?,
        reason: row.get(16)?,
        error: row.get(17)?,
    })
}

/// Returns the durations in nanoseconds of the last successful runs of a task, except `run`.
pub(super) fn past_ns(connection: &Connection, task: &str, run: &str) -> Result<Vec<u64>> {
    let mut statement = connection.prepare_cached(PAST_RUNS)?;
    statement.query_map(params![task, run, PAST as i64], |row| Ok(row.get::<_, i64>(0)? as u64))?.collect()
}

/// Returns up to `limit` tasks that have been paused for long without a notification, with false, and up to `limit` tasks whose pause has
/// ended after a notification, with true.
pub(super) fn long_pauses(connection: &Connection, now_us: u64, limit: usize) -> Result<Vec<(TaskRow, bool)>> {
    let now = now_us.min(i64::MAX as u64) as i64;
    let mut found = Vec::new();
    for (wanted, is_over) in [(LONG_PAUSES, false), (ENDED_PAUSES, true)] {
        let mut statement = connection.prepare_cached(&format!("{TASK}{wanted}"))?;
        let rows = statement.query_map(params![now, now.saturating_sub(LONG_PAUSE_US as i64), limit as i64], task_row)?;
        for row in rows {
            found.push((row?, is_over));
        }
    }
    Ok(found)
}

fn decisions(connection: &Connection, task: &str, (from_us, to_us): (u64, u64), limit: usize) -> Result<Vec<BatchDecision>> {
    let bound = |us: u64| us.min(i64::MAX as u64) as i64;
    let decision = |row: &Row<'_>| {
        Ok(BatchDecision {
            task: row.get(0)?,
            agent: row.get(1)?,
            version: row.get::<_, i64>(2)? as u64,
            first_due_us: row.get::<_, i64>(3)? as u64,
            last_due_us: row.get::<_, i64>(4)? as u64,
            count: row.get::<_, i64>(5)? as u64,
            what: row.get(6)?,
            reason: row.get(7)?,
            blocked_by: row.get(8)?,
        })
    };
    let mut statement = connection.prepare_cached(DECISIONS)?;
    statement.query_map(params![task, bound(from_us), bound(to_us), limit as i64], decision)?.collect()
}

fn decided(connection: &Connection, task: &str, agent: &str) -> Result<Decided> {
    let since = "SELECT time FROM batch_task t JOIN batch_version v ON v.task = t.name AND v.version = t.version WHERE t.name = ?1";
    let since: Option<i64> = connection.prepare_cached(since)?.query_row([task], |row| row.get(0)).optional()?;
    let dues = |row: &Row<'_>| Ok(KnownDues { first_us: row.get::<_, i64>(0)? as u64, last_us: row.get::<_, i64>(1)? as u64 });
    let mut runs = connection.prepare_cached(DECIDED_RUNS)?;
    let runs = runs.query_map(params![task, agent, DECIDED as i64, BY_RULE[0], BY_RULE[1]], dues)?.collect::<Result<_>>()?;
    let mut others = connection.prepare_cached(DECIDED_WITHOUT)?;
    let others = others.query_map(params![task, agent, DECIDED as i64], dues)?.collect::<Result<_>>()?;
    Ok(decided_of(since.unwrap_or_default() as u64, [runs, others]))
}

fn changes(connection: &Connection, after: u64) -> Result<Vec<(u64, BatchTask)>> {
    let mut statement = connection.prepare_cached(&format!("{TASK} WHERE revision > ?1 ORDER BY revision"))?;
    let rows = statement.query_map([after.min(i64::MAX as u64) as i64], |row| {
        Ok((row.get::<_, i64>(8)? as u64, task_row(row)?.show(TaskHistory::default())))
    })?;
    rows.collect()
}

fn agents(connection: &Connection) -> Result<Vec<BatchAgent>> {
    let mut statement =
        connection.prepare_cached("SELECT name, until, paused_from, paused_until, mistakes, files_only FROM batch_agent ORDER BY name")?;
    let time = |row: &Row<'_>, index: usize| row.get::<_, Option<i64>>(index).map(|us| us.map(|us| us as u64));
    let agent = |row: &Row<'_>| {
        let decided_us = time(row, 1)?.unwrap_or_default();
        let mistakes = serde_json::from_str(&row.get::<_, String>(4)?).unwrap_or_default();
        let (paused_from_us, paused_until_us, files_only) = (time(row, 2)?, time(row, 3)?, row.get(5)?);
        Ok(BatchAgent { name: row.get(0)?, decided_us, paused_from_us, paused_until_us, files_only, mistakes })
    };
    statement.query_map([], agent)?.collect()
}
