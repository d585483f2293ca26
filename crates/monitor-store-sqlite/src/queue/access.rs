//! How the rows of a list are found.
//!
//! Every index of `queue_task` has the state. A list is merged from parts: one for each state and phase or name, and for each value of a
//! filter if an index has both the filter and the order. The parts of a queue are the names and states of its tasks. If few tasks pass
//! another filter, all of them are sorted instead.

use std::cmp::Ordering;
use std::fmt::Write as _;

use monitor_store::queue::QueueSort;
use rusqlite::types::Value;
use rusqlite::{Connection, Params, Result, params_from_iter};

use super::super::dictionary::hash;
use super::super::ids;
use super::super::pool::Snapshot;
use super::{Cursor, Filter, Wanted, order};

/// Largest number of parts of a list. With more, a filter is checked row by row.
const MAX_PARTS: usize = 250;
/// Time to read a row of `queue_task`, in units of the time to read an entry of an index.
pub(crate) const ROW_COST: u64 = 8;
/// Highest cost at which tasks are sorted before any is examined, in entries of an index. This and the following are small in tests, so
/// that few tasks are found in every way.
pub(crate) const LITTLE: u64 = if cfg!(test) { 40 } else { 16_000 };
/// Highest cost at which tasks are sorted after [`WALKED_ROWS`] rows in the order of the list were not enough.
pub(crate) const MUCH: u64 = if cfg!(test) { 400 } else { 250_000 };
/// Rows that are examined in the order of the list before sorting is considered.
pub(crate) const WALKED_ROWS: usize = if cfg!(test) { 10 } else { 5_000 };
/// Smallest number of rows of a piece of a sorted list.
const LEAST_PIECE: usize = if cfg!(test) { 4 } else { 1_000 };

/// Rows in one state, and with one value in another column.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    index: &'static str,
    state: Word,
    /// The value of another column, if the part has only one.
    also: Option<(&'static str, i64)>,
    /// The text of the name, if the part has only one.
    name: Option<String>,
}

/// A text by which lists are sorted, and the code or key that rows have for it.
#[derive(Debug, Clone)]
struct Word {
    code: i64,
    text: String,
}

/// The ways to find the rows of a list.
#[derive(Debug)]
pub(crate) struct Access {
    /// Parts in the order of the list. All tasks of a group come before those of the next one; the parts of a group are merged.
    pub(crate) ordered: Vec<Vec<Part>>,
    /// Parts that have all matching tasks, in another order.
    others: Vec<Vec<Part>>,
}

impl Part {
    /// The rows in one state with this value in the first column of an index.
    fn new(index: &'static str, state: &Word, also: (&'static str, i64)) -> Self {
        Self { index, state: state.clone(), also: Some(also), name: None }
    }

    fn of_name(state: &Word, name: &Word) -> Self {
        Self { name: Some(name.text.clone()), ..Self::new("queue_task_state_name", state, ("name", name.code)) }
    }

    /// The rows after `FROM`, with their conditions.
    fn rows(&self, values: &mut Vec<Value>) -> String {
        let mut sql = format!("queue_task INDEXED BY {} WHERE ", self.index);
        for (number, (column, value)) in self.also.iter().copied().chain([("state", self.state.code)]).enumerate() {
            values.push(Value::Integer(value));
            let and = if number > 0 { " AND " } else { "" };
            let _ = write!(sql, "{and}queue_task.{column} = ?{}", values.len());
        }
        sql
    }

    /// The text that all rows have in a column of the order.
    fn text(&self, column: &str) -> Option<&str> {
        match column {
            "state" => Some(&self.state.text),
            "name" => self.name.as_deref(),
            _ => None,
        }
    }

    /// The columns of the order, with the texts of names and states.
    fn columns(&self, columns: &[&str], values: &mut Vec<Value>) -> String {
        let mut column = |column: &&str| {
            let Some(text) = self.text(column) else { return with_text(column) };
            values.push(Value::Text(text.to_owned()));
            format!("?{} AS {column}", values.len())
        };
        columns.iter().map(&mut column).collect::<Vec<_>>().join(", ")
    }

    /// The condition on rows that follow the cursor; `None` if no row of this part does. Columns that have one value in the part are
    /// compared here, so that the index is searched by the others.
    fn following(&self, wanted: &Wanted<'_>, from: Option<&Cursor>, values: &mut Vec<Value>) -> Option<String> {
        let Some(from) = from else { return Some(String::new()) };
        let (columns, is_descending) = (order(wanted.query.sort), wanted.query.is_descending);
        for (number, (column, place)) in columns.iter().zip(&from.values).enumerate() {
            let (Some(value), Value::Text(place)) = (self.text(column), place) else {
                return Some(format!(" AND {}", super::beyond(&columns[number..], &from.values[number..], is_descending, values)));
            };
            match (value.cmp(place), is_descending) {
                (Ordering::Equal, _) => {}
                (Ordering::Greater, false) | (Ordering::Less, true) => return Some(String::new()),
                _ => return None,
            }
        }
        None
    }
}

impl Access {
    /// The ways to find the tasks that a query asks for.
    pub(crate) fn of(snapshot: &mut Snapshot<'_>, wanted: &Wanted<'_>) -> Result<Self> {
        let query = wanted.query;
        let mut known = states(snapshot, wanted)?;
        let phases = phases(snapshot)?;
        // A filter with the parts that have its tasks, ordered by state and then by when they were received.
        let mut filters: Vec<(&'static str, Vec<Part>)> = Vec::new();
        if (1..=MAX_PARTS).contains(&wanted.workers.len()) {
            let mut parts = Vec::new();
            for worker in &wanted.workers {
                let found = codes(snapshot, STATES_OF_WORKER, *worker)?;
                let found = known.iter().filter(|state| found.contains(&state.code));
                parts.extend(found.map(|state| Part::new("queue_task_worker", state, ("worker", *worker))));
            }
            filters.push(("worker", parts));
        }
        if let Some((code, text)) = wanted.name.zip(query.name.clone()) {
            let found = codes(snapshot, STATES_OF_NAME, code)?;
            let (found, name) = (known.iter().filter(|state| found.contains(&state.code)), Word { code, text });
            filters.push(("name", found.map(|state| Part::of_name(state, &name)).collect()));
        }
        if let Some(queue) = &query.queue {
            let parts = named(snapshot, &known, "SELECT state, name FROM queue_count WHERE queue = ?1", [queue])?;
            filters.push(("queue", parts));
        }
        let of_phases = |states: &[Word], is_wanted: &dyn Fn(i64) -> bool| -> Vec<Part> {
            let found = phases.iter().filter(|(phase, _)| is_wanted(*phase)).filter_map(|(phase, state)| {
                states.iter().find(|known| known.code == *state).map(|state| Part::new("queue_task_phase", state, ("phase", *phase)))
            });
            found.collect()
        };
        if !wanted.phases.is_empty() {
            filters.push(("phase", of_phases(&known, &|phase| wanted.phases.contains(&phase))));
        }
        // A task passes all filters, so that it is in a state that each of them has.
        known.retain(|state| filters.iter().all(|(_, parts)| parts.iter().any(|part| part.state.code == state.code)));
        filters.retain(|(_, parts)| (1..=MAX_PARTS).contains(&parts.len()));
        let in_order = match query.sort {
            QueueSort::Received | QueueSort::State => {
                if filters.is_empty() {
                    None
                } else {
                    Some(filters.remove(0).1)
                }
            }
            // Their parts have one name each.
            QueueSort::Name => {
                let at = filters.iter().position(|(column, _)| matches!(*column, "name" | "queue"));
                at.map(|at| filters.remove(at).1)
            }
            QueueSort::Started | QueueSort::Runtime => None,
        };
        let by_state = |index| known.iter().map(|state| Part { index, state: state.clone(), also: None, name: None }).collect();
        let mut ordered = match in_order {
            Some(parts) => parts,
            None => match query.sort {
                QueueSort::Received | QueueSort::State => of_phases(&known, &|_| true),
                QueueSort::Name => named(snapshot, &known, "SELECT DISTINCT state, name FROM queue_count", [])?,
                QueueSort::Started => by_state("queue_task_state_started"),
                QueueSort::Runtime => by_state("queue_task_state_runtime"),
            },
        };
        ordered.retain(|part| known.iter().any(|state| state.code == part.state.code));
        let others = filters.into_iter().map(|(_, parts)| parts).collect();
        let first = order(query.sort)[0];
        if !matches!(query.sort, QueueSort::Name | QueueSort::State) {
            return Ok(Self { ordered: vec![ordered], others });
        }
        // Names and states are sorted by their texts, which rows don't have.
        ordered.sort_by(|one, other| one.text(first).cmp(&other.text(first)));
        if query.is_descending {
            ordered.reverse();
        }
        Ok(Self { ordered: ordered.chunk_by(|one, other| one.text(first) == other.text(first)).map(<[_]>::to_vec).collect(), others })
    }

    /// The parts that cost least to sort, if that is at most `max_cost`.
    pub(crate) fn sorted(&self, connection: &Connection, sort: QueueSort, max_cost: u64) -> Result<Option<&[Part]>> {
        let mut best = None;
        // An index of a filter has the columns of only two orders.
        let cost = if matches!(sort, QueueSort::Received | QueueSort::State) { 1 } else { ROW_COST };
        let mut least = max_cost / cost + 1;
        for parts in &self.others {
            let mut sum = 0;
            for part in parts {
                let mut values = Vec::new();
                let rows = part.rows(&mut values);
                values.push(Value::Integer(least as i64));
                let sql = format!("SELECT count(*) FROM (SELECT 1 FROM {rows} LIMIT ?{})", values.len());
                sum += connection.prepare_cached(&sql)?.query_row(params_from_iter(values), |row| row.get::<_, i64>(0))? as u64;
                if sum >= least {
                    break;
                }
            }
            if sum < least {
                (best, least) = (Some(&**parts), sum);
            }
        }
        Ok(best)
    }
}

/// A statement with its values.
pub(crate) type Statement = (String, Vec<Value>);

/// The rows of a group of parts that are in the order of the list, merged; `None` if no part is left after the cursor.
pub(crate) fn merged(wanted: &Wanted<'_>, parts: &[Part], from: Option<&Cursor>) -> Option<Statement> {
    let columns = order(wanted.query.sort);
    let Filter { matches, range, mut values } = Filter::of(wanted);
    let mut selects = Vec::new();
    for part in parts {
        let Some(following) = part.following(wanted, from, &mut values) else { continue };
        let (columns, rows) = (part.columns(columns, &mut values), part.rows(&mut values));
        selects.push(format!("SELECT CASE WHEN {matches} THEN root END, id, {columns} FROM {rows}{range}{following}"));
    }
    // A group of a list by names or states has one of them, which would keep SQLite from using the order of an index.
    let constant = usize::from(matches!(wanted.query.sort, QueueSort::Name | QueueSort::State));
    let order: Vec<_> = (3 + constant..columns.len() + 3).map(|number| format!("{number} {}", super::direction(wanted.query))).collect();
    (!selects.is_empty()).then(|| (format!("{} ORDER BY {}", selects.join(" UNION ALL "), order.join(", ")), values))
}

/// A piece of the rows of these parts, sorted, and the most rows that it has.
pub(crate) fn sorted(wanted: &Wanted<'_>, parts: &[Part], from: Option<&Cursor>, offset: usize) -> (Statement, usize) {
    let mut values = Vec::new();
    let columns = order(wanted.query.sort);
    let mut select = |part: &Part| format!("SELECT {} FROM {}", part.columns(columns, &mut values), part.rows(&mut values));
    let selects: Vec<_> = parts.iter().map(&mut select).collect();
    sorted_of(wanted, &selects, values, from, offset)
}

/// The tasks with exactly this id in the queue, sorted.
pub(crate) fn with_id(wanted: &Wanted<'_>, id: &str, from: Option<&Cursor>, offset: usize) -> (Statement, usize) {
    let columns = columns(order(wanted.query.sort));
    let select = format!("SELECT {columns} FROM native CROSS JOIN queue_task USING (root, id) WHERE {WITH_HASH}");
    sorted_of(wanted, &[select], hashes(id).into(), from, offset)
}

/// The tasks of these rows, sorted.
pub(crate) fn with_keys(wanted: &Wanted<'_>, keys: &[i64], from: Option<&Cursor>, offset: usize) -> (Statement, usize) {
    let columns = columns(order(wanted.query.sort));
    let select = format!("SELECT {columns} FROM queue_task WHERE key IN (SELECT value FROM json_each(?1))");
    sorted_of(wanted, &[select], vec![Value::Text(serde_json::Value::from(keys).to_string())], from, offset)
}

/// True if tasks with exactly this id in the queue are known.
pub(crate) fn has_id(connection: &Connection, id: &str) -> Result<bool> {
    let sql = format!("SELECT EXISTS (SELECT 1 FROM native CROSS JOIN queue_task USING (root, id) WHERE {WITH_HASH})");
    connection.prepare_cached(&sql)?.query_row(params_from_iter(hashes(id)), |row| row.get(0))
}

const WITH_HASH: &str = "native.hash IN (?1, ?2)";

/// A search has its words in lower case; ids of queues are rarely written otherwise.
fn hashes(id: &str) -> [Value; 2] {
    [id, &id.to_uppercase()].map(|id| Value::Integer(hash(id)))
}

/// The columns of an order, with the texts of names and states.
fn columns(columns: &[&str]) -> String {
    columns.iter().map(|column| with_text(column)).collect::<Vec<_>>().join(", ")
}

fn with_text(column: &str) -> String {
    match column {
        "state" => ids::state_text("queue_task") + " AS state",
        "name" => super::text_of("queue_task.name") + " AS name",
        column => column.to_owned(),
    }
}

fn sorted_of(wanted: &Wanted<'_>, selects: &[String], mut values: Vec<Value>, from: Option<&Cursor>, offset: usize) -> (Statement, usize) {
    let query = wanted.query;
    let sort = order(query.sort);
    let piece = query.limit.saturating_add(offset).saturating_add(1).clamp(LEAST_PIECE, 10 * LEAST_PIECE);
    let following = match from {
        Some(from) => format!(" WHERE {}", super::beyond(sort, &from.values, query.is_descending, &mut values)),
        None => String::new(),
    };
    let given = values.len();
    let Filter { matches, values: more, .. } = Filter::after(wanted, given);
    values.extend(more);
    let order = super::order_by(query);
    let found = format!("SELECT key AS found FROM ({}){following} ORDER BY {order} LIMIT {piece}", selects.join(" UNION ALL "));
    let columns = columns(sort);
    // The row of a task is read once it is known to be in this piece.
    let sql = format!(
        "SELECT CASE WHEN {matches} THEN root END, id, {columns} FROM ({found}) CROSS JOIN queue_task ON key = found ORDER BY {order}"
    );
    ((sql, values), piece)
}

/// The parts for the states and names that a statement has found.
fn named<P: Params>(snapshot: &mut Snapshot<'_>, known: &[Word], sql: &str, of: P) -> Result<Vec<Part>> {
    let (connection, dictionary) = snapshot.parts();
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(of)?;
    let mut parts = Vec::new();
    while let Some(row) = rows.next()? {
        let (state, code): (i64, i64) = (row.get(0)?, row.get(1)?);
        if let Some(state) = known.iter().find(|known| known.code == state) {
            let text = if code == 0 { String::new() } else { dictionary.text(connection, code)?.to_string() };
            parts.push(Part::of_name(state, &Word { code, text }));
        }
    }
    Ok(parts)
}

/// The states of the tasks with this code or key in a column.
fn codes(connection: &Connection, sql: &str, of: i64) -> Result<Vec<i64>> {
    connection.prepare_cached(sql)?.query_map([of], |row| row.get(0))?.collect()
}

/// All phases and states that tasks have.
fn phases(connection: &Connection) -> Result<Vec<(i64, i64)>> {
    let mut found = Vec::new();
    for phase in connection.prepare_cached(PHASES)?.query_map([], |row| row.get::<_, i64>(0))? {
        let phase = phase?;
        found.extend(codes(connection, STATES_OF_PHASE, phase)?.into_iter().map(|state| (phase, state)));
    }
    Ok(found)
}

const STATES: &str = "SELECT DISTINCT state FROM queue_count";
const STATES_OF_NAME: &str = "SELECT DISTINCT state FROM queue_count WHERE name = ?1";

/// Finds each value of a column in an index after the one before. A comparison of two columns at once would walk all rows with the same
/// value in the first one.
macro_rules! values_of {
    ($column:literal, $where:literal, $and:literal) => {
        concat!(
            "WITH RECURSIVE found(value) AS (SELECT min(",
            $column,
            ") FROM queue_task ",
            $where,
            " UNION ALL SELECT (SELECT min(",
            $column,
            ") FROM queue_task WHERE ",
            $and,
            $column,
            " > found.value) FROM found WHERE found.value IS NOT NULL) SELECT value FROM found WHERE value IS NOT NULL"
        )
    };
}
pub(crate) const PHASES: &str = values_of!("phase", "", "");
pub(crate) const STATES_OF_PHASE: &str = values_of!("state", "WHERE phase = ?1", "phase = ?1 AND ");
pub(crate) const STATES_OF_WORKER: &str = values_of!("state", "WHERE worker = ?1", "worker = ?1 AND ");

/// The states that tasks are in, of those that the query names.
fn states(snapshot: &mut Snapshot<'_>, wanted: &Wanted<'_>) -> Result<Vec<Word>> {
    let (connection, dictionary) = snapshot.parts();
    let codes = connection.prepare_cached(STATES)?.query_map([], |row| row.get(0))?.collect::<Result<Vec<i64>>>()?;
    let codes = codes.into_iter().filter(|code| wanted.states.is_empty() || wanted.states.contains(code));
    codes.map(|code| Ok(Word { code, text: ids::state(connection, dictionary, code)?.to_string() })).collect()
}
