//! Questions about tasks of queues.

use std::fmt;

use monitor_wire::{Process, QueueTasksPage};
use rusqlite::types::Value;
use rusqlite::{Connection, Result, Row, params_from_iter};

use super::pool::Snapshot;
use super::{ReadError, SqliteStore, as_of, ids};
use crate::store::StoreError;
use crate::store::queue::{PageFill, QueueCount, QueueQueries, QueueSort, QueueTasksQuery};

impl QueueQueries for SqliteStore {
    fn queue_tasks(&self, query: &QueueTasksQuery) -> Result<QueueTasksPage, StoreError> {
        self.read("list tasks of queues", |snapshot| list(snapshot, query))
    }

    fn queue_counts(&self) -> Result<Vec<QueueCount>, StoreError> {
        self.read("count tasks of queues", |snapshot| Ok(counts(snapshot)?))
    }
}

/// The columns that tasks are sorted by: the first one is what is asked for, and the rest of its index.
pub(super) fn order(sort: QueueSort) -> &'static [&'static str] {
    match sort {
        QueueSort::Name => &["name", "received", "key"],
        QueueSort::State => &["state", "received", "key"],
        QueueSort::Received => &["received", "key"],
        QueueSort::Started => &["started", "key"],
        QueueSort::Runtime => &["runtime", "key"],
    }
}

/// One page of tasks.
fn list(snapshot: &Snapshot<'_>, query: &QueueTasksQuery) -> Result<QueueTasksPage, ReadError> {
    let columns = order(query.sort);
    let from = query.cursor.as_deref().map(|cursor| read_cursor(cursor, columns)).transpose()?;
    let mut fill = PageFill::new(query, from.as_ref().map_or(0, |from| from.offset));
    let (sql, values) = statement(query, from);
    let mut statement = snapshot.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let (mut next_cursor, mut last) = (None, Vec::new());
    while let Some(row) = rows.next()? {
        if !fill.examine(read(row)?) {
            next_cursor = Some(Cursor { values: last, offset: fill.offset }.to_string());
            break;
        }
        last = (1..=columns.len()).map(|column| row.get(column)).collect::<Result<_>>()?;
    }
    Ok(QueueTasksPage { tasks: fill.tasks, next_cursor, examined: fill.examined, as_of: as_of(snapshot)? })
}

/// The task of a row, if its columns match.
fn read(row: &Row<'_>) -> Result<Option<Process>> {
    let body = row.get_ref(0)?.as_str_or_null()?;
    body.map(|body| ids::from_json(0, body.as_bytes())).transpose()
}

/// The statement of a page: each row that must be examined, with its task if its columns match. It looks for at most one of the filters, by
/// the index that has the order as well.
pub(super) fn statement(query: &QueueTasksQuery, from: Option<Cursor>) -> (String, Vec<Value>) {
    let columns = order(query.sort);
    let mut values = Vec::new();
    let mut matches = matches(query, &mut values);
    matches.push("EXISTS (SELECT 1 FROM root WHERE number = queue_task.root)".to_owned());
    let mut range = Vec::new();
    if let Some((column, value)) = indexed(query) {
        range.push(condition(&mut values, &format!("{column} ="), Value::Text(value)));
    }
    let times = match query.sort {
        QueueSort::Received => query.received,
        QueueSort::Started => query.started,
        QueueSort::Name | QueueSort::State | QueueSort::Runtime => (None, None),
    };
    range.extend(within(&mut values, columns[0], times));
    if let Some(from) = from {
        let places: Vec<_> = (1..=from.values.len()).map(|number| format!("?{}", values.len() + number)).collect();
        let than = if query.is_descending { "<" } else { ">" };
        range.push(format!("({}) {than} ({})", columns.join(", "), places.join(", ")));
        values.extend(from.values);
    }
    let range = if range.is_empty() { String::new() } else { format!(" WHERE {}", range.join(" AND ")) };
    let direction = if query.is_descending { "DESC" } else { "ASC" };
    let order: Vec<_> = columns.iter().map(|column| format!("{column} {direction}")).collect();
    let sql = format!(
        "SELECT CASE WHEN {} THEN body END, {} FROM queue_task{range} ORDER BY {}",
        matches.join(" AND "),
        columns.join(", "),
        order.join(", ")
    );
    (sql, values)
}

/// Adds a value, and returns the condition that compares with it.
fn condition(values: &mut Vec<Value>, compare: &str, value: Value) -> String {
    values.push(value);
    format!("{compare} ?{}", values.len())
}

/// The conditions of a range of times.
fn within(values: &mut Vec<Value>, column: &str, (from, to): (Option<u64>, Option<u64>)) -> Vec<String> {
    let time = |time: u64| Value::Integer(i64::try_from(time).unwrap_or(i64::MAX));
    let bounds = [(">=", from), ("<", to)];
    bounds.into_iter().filter_map(|(than, bound)| Some(condition(values, &format!("{column} {than}"), time(bound?)))).collect()
}

/// The conditions that a matching task meets by its columns. [`QueueTasksQuery::is_wanted`] decides: this only saves reading most of the
/// other tasks.
fn matches(query: &QueueTasksQuery, values: &mut Vec<Value>) -> Vec<String> {
    let mut all = Vec::new();
    for (column, text) in [("name", &query.name), ("queue", &query.queue)] {
        if let Some(text) = text {
            all.push(condition(values, &format!("{column} ="), Value::Text(text.clone())));
        }
    }
    let words = [
        ("state", query.states.iter().map(|state| state.as_str().to_owned()).collect()),
        ("phase", query.phases.iter().map(|phase| phase.as_str().to_owned()).collect()),
        ("worker", query.workers.iter().map(ToString::to_string).collect::<Vec<_>>()),
    ];
    for (column, words) in words {
        if !words.is_empty() {
            let list = condition(
                values,
                &format!("{column} IN (SELECT value FROM json_each("),
                Value::Text(serde_json::Value::from(words).to_string()),
            );
            all.push(format!("{list}))"));
        }
    }
    all.extend(within(values, "received", query.received));
    all.extend(within(values, "started", query.started));
    all
}

/// The filter whose index has the order of the list.
fn indexed(query: &QueueTasksQuery) -> Option<(&'static str, String)> {
    let name = || Some(("name", query.name.clone()?));
    let state = || if let [state] = &*query.states { Some(("state", state.as_str().to_owned())) } else { None };
    match query.sort {
        QueueSort::Name => name(),
        QueueSort::State => state(),
        QueueSort::Received => {
            let queue = || Some(("queue", query.queue.clone()?));
            let worker = || if let [worker] = &*query.workers { Some(("worker", worker.to_string())) } else { None };
            let phase = || if let [phase] = &*query.phases { Some(("phase", phase.as_str().to_owned())) } else { None };
            worker().or_else(name).or_else(queue).or_else(phase).or_else(state)
        }
        QueueSort::Started | QueueSort::Runtime => None,
    }
}

/// The place of a row in the list: its values of the columns that the list is sorted by; and the tasks to leave out after it.
pub(super) struct Cursor {
    values: Vec<Value>,
    offset: usize,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |value: &Value| match value {
            Value::Text(text) => text.as_str().into(),
            Value::Integer(number) => (*number).into(),
            _ => serde_json::Value::Null,
        };
        let offset = (self.offset > 0).then(|| self.offset.into());
        serde_json::Value::Array(self.values.iter().map(value).chain(offset).collect()).fmt(f)
    }
}

pub(super) fn read_cursor(cursor: &str, columns: &[&str]) -> Result<Cursor, ReadError> {
    let wrong = || ReadError::Cursor(cursor.to_owned());
    let mut values: Vec<serde_json::Value> = serde_json::from_str(cursor).map_err(|_| wrong())?;
    let offset = if values.len() == columns.len() + 1 { values.pop() } else { None };
    let offset = offset.map_or(Some(0), |offset| usize::try_from(offset.as_u64()?).ok()).ok_or_else(wrong)?;
    let value = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => Some(Value::Text(text)),
        value => value.as_i64().map(Value::Integer),
    };
    let values: Option<Vec<_>> = values.into_iter().map(value).collect();
    let values = values.filter(|values| values.len() == columns.len()).ok_or_else(wrong)?;
    Ok(Cursor { values, offset })
}

/// How many tasks there are, by queue, name and state.
fn counts(connection: &Connection) -> Result<Vec<QueueCount>> {
    let mut statement = connection.prepare_cached("SELECT queue, name, state, count FROM queue_count ORDER BY queue, name, state")?;
    let count = |row: &Row<'_>| {
        Ok(QueueCount { queue: row.get(0)?, name: row.get(1)?, state: row.get(2)?, count: row.get::<_, i64>(3)?.max(0) as u64 })
    };
    statement.query_map([], count)?.collect()
}
