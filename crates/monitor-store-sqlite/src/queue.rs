//! Queries for tasks of queues.

pub(super) mod access;
pub(super) mod ids;

use std::fmt;

use monitor_store::StoreError;
use monitor_store::queue::{PageFill, QueueCount, QueueQueries, QueueSort, QueueTasksQuery, Search};
use monitor_wire::{Process, QueueTasksPage};
use rusqlite::types::Value;
use rusqlite::{Connection, Result, Row, params_from_iter};

use self::access::Access;
use super::pool::Snapshot;
use super::{ReadError, SqliteStore, as_of};

impl QueueQueries for SqliteStore {
    fn queue_tasks(&self, query: &QueueTasksQuery) -> Result<QueueTasksPage, StoreError> {
        self.read("list tasks of queues", |snapshot| list(snapshot, query))
    }

    fn queue_counts(&self) -> Result<Vec<QueueCount>, StoreError> {
        self.read("count tasks of queues", |snapshot| Ok(counts(snapshot)?))
    }
}

/// Returns the columns that tasks are sorted by: the requested one, and the others of its index.
pub(super) fn order(sort: QueueSort) -> &'static [&'static str] {
    match sort {
        QueueSort::Name => &["name", "received", "key"],
        QueueSort::State => &["state", "received", "key"],
        QueueSort::Received => &["received", "key"],
        QueueSort::Started => &["started", "key"],
        QueueSort::Runtime => &["runtime", "key"],
    }
}

/// Reads one page of tasks.
fn list(snapshot: &Snapshot<'_>, query: &QueueTasksQuery) -> Result<QueueTasksPage, ReadError> {
    if let Some(reversed) = last_page(snapshot, query)? {
        let mut page = walk(snapshot, &reversed)?;
        if page.tasks.len() == reversed.limit {
            page.tasks.reverse();
            return Ok(QueueTasksPage { next_cursor: None, ..page });
        }
    }
    walk(snapshot, query)
}

/// Returns the query in reverse order that has the tasks of a last page at its beginning, if the number of matching tasks is known.
fn last_page(snapshot: &Snapshot<'_>, query: &QueueTasksQuery) -> Result<Option<QueueTasksQuery>> {
    let QueueTasksQuery { name, queue, states, offset, limit, .. } = query;
    let is_counted = query.workers.is_empty()
        && query.phases.is_empty()
        && (query.received, query.started) == ((None, None), (None, None))
        && query.search.is_none()
        && query.cursor.is_none();
    if !is_counted || *offset < access::WALKED_ROWS {
        return Ok(None);
    }
    let is_wanted = |count: &&QueueCount| {
        name.as_ref().is_none_or(|name| *name == count.name)
            && queue.as_ref().is_none_or(|queue| *queue == count.queue)
            && (states.is_empty() || states.iter().any(|state| state.as_str() == count.state))
    };
    let total = counts(snapshot)?.iter().filter(is_wanted).map(|count| count.count).sum::<u64>();
    let rest = usize::try_from(total).unwrap_or(usize::MAX).saturating_sub(*offset);
    let reversed = || QueueTasksQuery { is_descending: !query.is_descending, offset: 0, limit: rest, ..query.clone() };
    Ok((1..=*limit).contains(&rest).then(reversed))
}

/// Reads one page of tasks in the order of the list.
fn walk(snapshot: &Snapshot<'_>, query: &QueueTasksQuery) -> Result<QueueTasksPage, ReadError> {
    let columns = order(query.sort);
    let mut from = query.cursor.as_deref().map(|cursor| read_cursor(cursor, columns)).transpose()?;
    let mut fill = PageFill::new(query, from.as_ref().map_or(0, |from| from.offset));
    let id = query.search.as_ref().and_then(Search::exact_id);
    let id = if let Some(id) = id { access::has_id(snapshot, id)?.then_some(id) } else { None };
    let prefix = query.search.as_ref().and_then(Search::id_prefix).filter(|_| id.is_none());
    let with_prefix = |max_cost: u64| prefix.map_or(Ok(None), |prefix| ids::keys(snapshot, prefix, max_cost / access::ROW_COST));
    let access = Access::of(snapshot, query)?;
    let mut keys = with_prefix(access::LITTLE)?;
    let mut sorted = access.sorted(snapshot, access::LITTLE)?;
    let mut has_walked = false;
    let next_cursor = 'pieces: loop {
        let piece = match (id, &keys, sorted) {
            (Some(id), ..) => Some(access::with_id(query, id, from.as_ref(), fill.offset)),
            (None, Some(keys), _) => Some(access::with_keys(query, keys, from.as_ref(), fill.offset)),
            (None, None, Some(parts)) => Some(access::sorted(query, parts, from.as_ref(), fill.offset)),
            (None, None, None) => access::merged(query, &access.ordered, from.as_ref()).map(|statement| (statement, usize::MAX)),
        };
        let Some(((sql, values), piece)) = piece else { break None };
        let most = if piece == usize::MAX && !has_walked { access::WALKED_ROWS } else { piece };
        let mut statement = snapshot.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        let mut examined = 0;
        while examined < most
            && let Some(row) = rows.next()?
        {
            if !fill.examine(read(row)?) {
                break 'pieces from;
            }
            examined += 1;
            from = Some(Cursor { values: (1..=columns.len()).map(|column| row.get(column)).collect::<Result<_>>()?, offset: 0 });
        }
        if examined < most {
            break None;
        }
        if piece == usize::MAX {
            // The matching tasks may be at the other end of the order.
            has_walked = true;
            keys = with_prefix(access::MUCH)?;
            sorted = access.sorted(snapshot, access::MUCH)?;
        }
    };
    let next_cursor = next_cursor.map(|from| Cursor { offset: fill.offset, ..from }.to_string());
    Ok(QueueTasksPage { tasks: fill.tasks, next_cursor, examined: fill.examined, as_of: as_of(snapshot)? })
}

/// Returns the task of a row, if its columns match.
fn read(row: &Row<'_>) -> Result<Option<Process>> {
    let body = row.get_ref(0)?.as_str_or_null()?;
    body.map(|body| super::ids::from_json(0, body.as_bytes())).transpose()
}

/// Returns the direction of the list.
fn direction(query: &QueueTasksQuery) -> &'static str {
    if query.is_descending { "DESC" } else { "ASC" }
}

/// Returns the columns of the order with their direction.
fn order_by(query: &QueueTasksQuery) -> String {
    order(query.sort).iter().map(|column| format!("{column} {}", direction(query))).collect::<Vec<_>>().join(", ")
}

/// Returns the condition on rows that follow a place in the list.
fn beyond(columns: &[&str], place: &[Value], is_descending: bool, values: &mut Vec<Value>) -> String {
    let places: Vec<_> = (1..=place.len()).map(|number| format!("?{}", values.len() + number)).collect();
    values.extend(place.iter().cloned());
    format!("({}) {} ({})", columns.join(", "), if is_descending { "<" } else { ">" }, places.join(", "))
}

/// The filters of a query as SQL.
struct Filter {
    /// Conditions that a matching task meets by its columns. [`QueueTasksQuery::is_wanted`] decides: this only saves reading most of the
    /// other tasks.
    matches: String,
    /// Conditions on the time that the list is sorted by, each with ` AND ` in front.
    range: String,
    values: Vec<Value>,
}

impl Filter {
    fn of(query: &QueueTasksQuery) -> Self {
        Self::after(query, 0)
    }

    /// Like [`Filter::of`], for a statement that has `given` values before these.
    fn after(query: &QueueTasksQuery, given: usize) -> Self {
        let mut values = vec![Value::Null; given];
        let mut matches = matches(query, &mut values);
        matches.push("EXISTS (SELECT 1 FROM root WHERE number = queue_task.root)".to_owned());
        let times = match query.sort {
            QueueSort::Received => query.received,
            QueueSort::Started => query.started,
            QueueSort::Name | QueueSort::State | QueueSort::Runtime => (None, None),
        };
        let range = within(&mut values, order(query.sort)[0], times);
        let range = range.iter().fold(String::new(), |range, condition| range + " AND " + condition);
        Self { matches: matches.join(" AND "), range, values: values.split_off(given) }
    }
}

/// Adds a value, and returns the condition that compares with it.
fn condition(values: &mut Vec<Value>, compare: &str, value: Value) -> String {
    values.push(value);
    format!("{compare} ?{}", values.len())
}

/// Returns the conditions for a range of times.
fn within(values: &mut Vec<Value>, column: &str, (from, to): (Option<u64>, Option<u64>)) -> Vec<String> {
    let time = |time: u64| Value::Integer(i64::try_from(time).unwrap_or(i64::MAX));
    let bounds = [(">=", from), ("<", to)];
    bounds.into_iter().filter_map(|(than, bound)| Some(condition(values, &format!("{column} {than}"), time(bound?)))).collect()
}

/// Returns the conditions that a matching task meets by its columns.
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
    all.extend(query.search.as_ref().and_then(Search::id_prefix).map(|prefix| ids::condition(prefix, values)));
    all
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

/// Reads the number of tasks by queue, name and state.
fn counts(connection: &Connection) -> Result<Vec<QueueCount>> {
    let mut statement = connection.prepare_cached("SELECT queue, name, state, count FROM queue_count ORDER BY queue, name, state")?;
    let count = |row: &Row<'_>| {
        Ok(QueueCount { queue: row.get(0)?, name: row.get(1)?, state: row.get(2)?, count: row.get::<_, i64>(3)?.max(0) as u64 })
    };
    statement.query_map([], count)?.collect()
}
