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
use super::dictionary::Dictionary;
use super::pool::Snapshot;
use super::processes::Viewer;
use super::row::ProcessRow;
use super::{ReadError, SqliteStore, as_of, workers};

impl QueueQueries for SqliteStore {
    fn queue_tasks(&self, query: &QueueTasksQuery) -> Result<QueueTasksPage, StoreError> {
        self.read("list tasks of queues", |snapshot| list(snapshot, query))
    }

    fn queue_counts(&self) -> Result<Vec<QueueCount>, StoreError> {
        self.read("count tasks of queues", |snapshot| Ok(counts(snapshot)?))
    }
}

/// Returns the columns that tasks are sorted by. Names and states are sorted by their texts.
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
fn list(snapshot: &mut Snapshot<'_>, query: &QueueTasksQuery) -> Result<QueueTasksPage, ReadError> {
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
fn last_page(snapshot: &mut Snapshot<'_>, query: &QueueTasksQuery) -> Result<Option<QueueTasksQuery>> {
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
fn walk(snapshot: &mut Snapshot<'_>, query: &QueueTasksQuery) -> Result<QueueTasksPage, ReadError> {
    let as_of = as_of(snapshot)?;
    let wanted = Wanted::of(snapshot, query)?;
    let access = Access::of(snapshot, &wanted)?;
    let (snapshot, dictionary) = snapshot.parts();
    let mut viewer = Viewer::default();
    let columns = order(query.sort);
    let mut from = query.cursor.as_deref().map(|cursor| read_cursor(cursor, columns)).transpose()?;
    let mut fill = PageFill::new(query, from.as_ref().map_or(0, |from| from.offset));
    let id = query.search.as_ref().and_then(Search::exact_id);
    let id = if let Some(id) = id { access::has_id(snapshot, id)?.then_some(id) } else { None };
    let prefix = query.search.as_ref().and_then(Search::id_prefix).filter(|_| id.is_none());
    let with_prefix = |max_cost: u64| prefix.map_or(Ok(None), |prefix| ids::keys(snapshot, prefix, max_cost / access::ROW_COST));
    let mut keys = with_prefix(access::LITTLE)?;
    let mut sorted = access.sorted(snapshot, query.sort, access::LITTLE)?;
    let mut ordered = access.ordered.iter();
    let mut group = ordered.next();
    // Rows that are examined in the order of the list before sorting is considered.
    let mut left = access::WALKED_ROWS;
    let next_cursor = 'pieces: loop {
        let ((sql, values), piece) = match (id, &keys, sorted) {
            (Some(id), ..) => access::with_id(&wanted, id, from.as_ref(), fill.offset),
            (None, Some(keys), _) => access::with_keys(&wanted, keys, from.as_ref(), fill.offset),
            (None, None, Some(parts)) => access::sorted(&wanted, parts, from.as_ref(), fill.offset),
            (None, None, None) => {
                let Some(parts) = group else { break None };
                let Some(statement) = access::merged(&wanted, parts, from.as_ref()) else {
                    group = ordered.next();
                    continue;
                };
                (statement, usize::MAX)
            }
        };
        let most = if piece == usize::MAX { left } else { piece };
        let mut statement = snapshot.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        let mut examined = 0;
        while examined < most
            && let Some(row) = rows.next()?
        {
            let number: Option<i64> = row.get(0)?;
            let goes_on = match number {
                Some(_) if fill.skips_unread() => fill.skip(),
                Some(number) => fill.examine(read(snapshot, dictionary, &mut viewer, (number, row.get(1)?))?),
                None => fill.examine(None),
            };
            if !goes_on {
                break 'pieces from;
            }
            examined += 1;
            let values = (2..columns.len() + 2).map(|column| row.get(column)).collect::<Result<_>>()?;
            from = Some(Cursor { values, offset: 0 });
        }
        if examined < most {
            if piece < usize::MAX {
                break None;
            }
            group = ordered.next();
            left = if left == usize::MAX { left } else { left - examined };
        } else if piece == usize::MAX {
            // The matching tasks may be at the other end of the order.
            left = usize::MAX;
            keys = with_prefix(access::MUCH)?;
            sorted = access.sorted(snapshot, query.sort, access::MUCH)?;
        }
    };
    let next_cursor = next_cursor.map(|from| Cursor { offset: fill.offset, ..from }.to_string());
    Ok(QueueTasksPage { tasks: fill.tasks, next_cursor, examined: fill.examined, as_of })
}

/// Returns the task with this root's number and key, without its attempts, which lists don't show.
fn read(connection: &Connection, dictionary: &mut Dictionary, viewer: &mut Viewer, (number, id): (i64, i64)) -> Result<Option<Process>> {
    let mut root = connection.prepare_cached("SELECT id, base FROM root WHERE number = ?1")?;
    let (root, base) = root.query_row([number], |row| Ok((super::ids::root(row, 0)?, row.get(1)?)))?;
    let found = ProcessRow::find(connection, (number, base), super::ids::process_id(id)?)?;
    let Some(found) = found else { return Ok(None) };
    let process = viewer.plain_view(connection, dictionary, root, &found)?;
    Ok(Some(Process { attempts: Vec::new(), ..process }))
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

/// A query, with the codes and keys that rows have for the words in its filters.
pub(super) struct Wanted<'a> {
    query: &'a QueueTasksQuery,
    name: Option<i64>,
    states: Vec<i64>,
    phases: Vec<i64>,
    workers: Vec<i64>,
}

/// The code or key that no row has.
const NONE: i64 = -1;

impl<'a> Wanted<'a> {
    pub(super) fn of(snapshot: &mut Snapshot<'_>, query: &'a QueueTasksQuery) -> Result<Self> {
        let (connection, dictionary) = snapshot.parts();
        let mut state = |state| super::ids::find_state_code(connection, dictionary, state);
        let states = query.states.iter().map(|of| Ok(state(of)?.unwrap_or(NONE))).collect::<Result<_>>()?;
        let mut phase = |phase| super::ids::find_phase_code(connection, dictionary, phase);
        let phases = query.phases.iter().map(|of| Ok(phase(of)?.unwrap_or(NONE))).collect::<Result<_>>()?;
        let workers = query.workers.iter().map(|id| Ok(workers::key(connection, *id)?.unwrap_or(NONE))).collect::<Result<_>>()?;
        let name = match &query.name {
            Some(name) => Some(dictionary.find_text(connection, name)?.unwrap_or(NONE)),
            None => None,
        };
        Ok(Self { query, name, states, phases, workers })
    }
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
    fn of(wanted: &Wanted<'_>) -> Self {
        Self::after(wanted, 0)
    }

    /// Like [`Filter::of`], for a statement that has `given` values before these.
    fn after(wanted: &Wanted<'_>, given: usize) -> Self {
        let query = wanted.query;
        let mut values = vec![Value::Null; given];
        let mut matches = matches(wanted, &mut values);
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
fn matches(wanted: &Wanted<'_>, values: &mut Vec<Value>) -> Vec<String> {
    let query = wanted.query;
    let mut all = Vec::new();
    all.extend(wanted.name.map(|name| condition(values, "queue_task.name =", Value::Integer(name))));
    all.extend(query.queue.clone().map(|queue| condition(values, "queue =", Value::Text(queue))));
    for (column, numbers) in [("state", &wanted.states), ("phase", &wanted.phases), ("worker", &wanted.workers)] {
        if !numbers.is_empty() {
            let list = Value::Text(serde_json::Value::from(numbers.as_slice()).to_string());
            all.push(condition(values, &format!("queue_task.{column} IN (SELECT value FROM json_each("), list) + "))");
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

/// Returns the SQL expression for the text with a key, empty for 0.
fn text_of(key: &str) -> String {
    format!("coalesce((SELECT value FROM text WHERE text.id = {key}), '')")
}

/// Reads the number of tasks by queue, name and state.
fn counts(connection: &Connection) -> Result<Vec<QueueCount>> {
    let state = super::ids::state_text("queue_count");
    let name = text_of("queue_count.name");
    let sql = format!("SELECT queue, {name} AS named, {state} AS word, count FROM queue_count ORDER BY queue, named, word");
    let mut statement = connection.prepare_cached(&sql)?;
    let count = |row: &Row<'_>| {
        Ok(QueueCount { queue: row.get(0)?, name: row.get(1)?, state: row.get(2)?, count: row.get::<_, i64>(3)?.max(0) as u64 })
    };
    statement.query_map([], count)?.collect()
}
