//! How the rows of a list are found.
//!
//! Every index of `queue_task` has the state. A list is merged from parts: one for each state, and for each value of a filter if an index
//! has both the filter and the order. The parts of a queue are the names and states of its tasks. If few tasks pass another filter, all of
//! them are sorted instead.

use std::cmp::Ordering;
use std::fmt::Write as _;

use monitor_store::queue::{QueueSort, QueueTasksQuery};
use rusqlite::types::Value;
use rusqlite::{Connection, Result, Row, params_from_iter};

use super::super::dictionary::hash;
use super::{Cursor, Filter, order};

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

/// Rows that have these values.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    index: &'static str,
    is: Vec<(&'static str, String)>,
}

/// The ways to find the rows of a list.
#[derive(Debug)]
pub(crate) struct Access {
    /// Parts in the order of the list.
    pub(crate) ordered: Vec<Part>,
    /// Parts that have all matching tasks, in another order.
    others: Vec<Vec<Part>>,
}

impl Part {
    fn new(index: &'static str, is: &[(&'static str, &str)]) -> Self {
        Self { index, is: is.iter().map(|(column, value)| (*column, (*value).to_owned())).collect() }
    }

    /// The rows after `FROM`, with their conditions.
    fn rows(&self, values: &mut Vec<Value>) -> String {
        let mut sql = format!("queue_task INDEXED BY {} WHERE ", self.index);
        for (number, (column, value)) in self.is.iter().enumerate() {
            values.push(Value::Text(value.clone()));
            let and = if number > 0 { " AND " } else { "" };
            let _ = write!(sql, "{and}{column} = ?{}", values.len());
        }
        sql
    }

    /// The condition on rows that follow the cursor; `None` if no row of this part does. Columns that have one value in the part are
    /// compared here, so that the index is searched by the others.
    fn following(&self, query: &QueueTasksQuery, from: Option<&Cursor>, values: &mut Vec<Value>) -> Option<String> {
        let Some(from) = from else { return Some(String::new()) };
        let columns = order(query.sort);
        for (number, (column, place)) in columns.iter().zip(&from.values).enumerate() {
            let value = self.is.iter().find(|(name, _)| name == column).map(|(_, value)| value.as_str());
            let (Some(value), Value::Text(place)) = (value, place) else {
                return Some(format!(" AND {}", super::beyond(&columns[number..], &from.values[number..], query.is_descending, values)));
            };
            match (value.cmp(place), query.is_descending) {
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
    pub(crate) fn of(connection: &Connection, query: &QueueTasksQuery) -> Result<Self> {
        let states = |sql: &str, value: Option<&str>| states(connection, query, sql, value);
        // A filter with the parts that have its tasks, ordered by state and then by when they were received.
        let mut filters: Vec<(&'static str, Vec<Part>)> = Vec::new();
        let mut known: Option<Vec<String>> = None;
        for (column, words) in [
            ("worker", query.workers.iter().map(ToString::to_string).collect()),
            ("name", Vec::from_iter(query.name.clone())),
            ("queue", Vec::from_iter(query.queue.clone())),
            ("phase", query.phases.iter().map(|phase| phase.as_str().to_owned()).collect::<Vec<_>>()),
        ] {
            if words.is_empty() || words.len() > MAX_PARTS {
                continue;
            }
            let mut parts = Vec::new();
            for word in &words {
                let (sql, index) = match column {
                    "worker" => (STATES_OF_WORKER, "queue_task_worker"),
                    "name" => (STATES_OF_NAME, "queue_task_state_name"),
                    "phase" => (STATES_OF_PHASE, "queue_task_phase"),
                    _ => {
                        parts.extend(parts_of_queue(connection, query, word)?);
                        continue;
                    }
                };
                parts.extend(states(sql, Some(word))?.iter().map(|state| Part::new(index, &[("state", state), (column, word)])));
            }
            let mut found: Vec<_> = parts.iter().map(|part| part.is[0].1.clone()).collect();
            found.sort_unstable();
            found.dedup();
            // A task passes all filters, so that it is in a state that each of them has.
            known = Some(known.map_or(found.clone(), |known| known.into_iter().filter(|state| found.contains(state)).collect()));
            if (1..=MAX_PARTS).contains(&parts.len()) {
                filters.push((column, parts));
            }
        }
        let known = known.map_or_else(|| states(STATES, None), Ok)?;
        let by_state = |index| known.iter().map(|state| Part::new(index, &[("state", state)])).collect::<Vec<_>>();
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
        let ordered = in_order.unwrap_or_else(|| {
            by_state(match query.sort {
                QueueSort::Received | QueueSort::State => "queue_task_state",
                QueueSort::Name => "queue_task_state_name",
                QueueSort::Started => "queue_task_state_started",
                QueueSort::Runtime => "queue_task_state_runtime",
            })
        });
        let others = filters.into_iter().map(|(_, parts)| parts).collect();
        Ok(Self { ordered, others })
    }

    /// The parts that cost least to sort, if that is at most `max_cost`.
    pub(crate) fn sorted(&self, connection: &Connection, max_cost: u64) -> Result<Option<&[Part]>> {
        let mut best = None;
        let mut least = max_cost + 1;
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

/// The rows of parts that are in the order of the list, merged; `None` if no part is left after the cursor.
pub(crate) fn merged(query: &QueueTasksQuery, parts: &[Part], from: Option<&Cursor>) -> Option<Statement> {
    let columns = order(query.sort);
    let Filter { matches, range, mut values } = Filter::of(query);
    let mut selects = Vec::new();
    for part in parts {
        let Some(following) = part.following(query, from, &mut values) else { continue };
        let rows = part.rows(&mut values);
        selects.push(format!("SELECT CASE WHEN {matches} THEN body END, {} FROM {rows}{range}{following}", columns.join(", ")));
    }
    let order: Vec<_> = (0..columns.len()).map(|number| format!("{} {}", number + 2, super::direction(query))).collect();
    (!selects.is_empty()).then(|| (format!("{} ORDER BY {}", selects.join(" UNION ALL "), order.join(", ")), values))
}

/// A piece of the rows of these parts, sorted, and the most rows that it has.
pub(crate) fn sorted(query: &QueueTasksQuery, parts: &[Part], from: Option<&Cursor>, offset: usize) -> (Statement, usize) {
    let mut values = Vec::new();
    let columns = order(query.sort).join(", ");
    let rows: Vec<_> = parts.iter().map(|part| part.rows(&mut values)).collect();
    sorted_of(query, &rows.iter().map(|rows| format!("SELECT {columns} FROM {rows}")).collect::<Vec<_>>(), values, from, offset)
}

/// The tasks with exactly this id in the queue, sorted.
pub(crate) fn with_id(query: &QueueTasksQuery, id: &str, from: Option<&Cursor>, offset: usize) -> (Statement, usize) {
    let select = format!("SELECT {} FROM native CROSS JOIN queue_task USING (root, id) WHERE {WITH_HASH}", order(query.sort).join(", "));
    sorted_of(query, &[select], hashes(id).into(), from, offset)
}

/// The tasks of these rows, sorted.
pub(crate) fn with_keys(query: &QueueTasksQuery, keys: &[i64], from: Option<&Cursor>, offset: usize) -> (Statement, usize) {
    let columns = order(query.sort).join(", ");
    let select = format!("SELECT {columns} FROM queue_task WHERE key IN (SELECT value FROM json_each(?1))");
    sorted_of(query, &[select], vec![Value::Text(serde_json::Value::from(keys).to_string())], from, offset)
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

fn sorted_of(
    query: &QueueTasksQuery,
    selects: &[String],
    mut values: Vec<Value>,
    from: Option<&Cursor>,
    offset: usize,
) -> (Statement, usize) {
    let columns = order(query.sort);
    let piece = query.limit.saturating_add(offset).saturating_add(1).clamp(LEAST_PIECE, 10 * LEAST_PIECE);
    let following = match from {
        Some(from) => format!(" WHERE {}", super::beyond(columns, &from.values, query.is_descending, &mut values)),
        None => String::new(),
    };
    let given = values.len();
    let Filter { matches, values: more, .. } = Filter::after(query, given);
    values.extend(more);
    let order = super::order_by(query);
    let found = format!("SELECT key AS found FROM ({}){following} ORDER BY {order} LIMIT {piece}", selects.join(" UNION ALL "));
    let columns = columns.join(", ");
    // The body of a task is read once it is known to be in this piece.
    let sql =
        format!("SELECT CASE WHEN {matches} THEN body END, {columns} FROM ({found}) CROSS JOIN queue_task ON key = found ORDER BY {order}");
    ((sql, values), piece)
}

/// The parts of a queue: one for each name and state of its tasks.
fn parts_of_queue(connection: &Connection, query: &QueueTasksQuery, queue: &str) -> Result<Vec<Part>> {
    let mut statement = connection.prepare_cached("SELECT state, name FROM queue_count WHERE queue = ?1")?;
    let part = |row: &Row<'_>| {
        let (state, name): (String, String) = (row.get(0)?, row.get(1)?);
        Ok(is_wanted(query, &state).then(|| Part::new("queue_task_state_name", &[("state", &state), ("name", &name)])))
    };
    statement.query_map([queue], part)?.filter_map(Result::transpose).collect()
}

const STATES: &str = "SELECT DISTINCT state FROM queue_count";
const STATES_OF_NAME: &str = "SELECT DISTINCT state FROM queue_count WHERE name = ?1";

/// Each state is searched in the index after the one before.
macro_rules! states_of {
    ($column:literal) => {
        concat!(
            "WITH RECURSIVE found(state) AS (SELECT min(state) FROM queue_task WHERE ",
            $column,
            " = ?1 UNION ALL SELECT (SELECT min(state) FROM queue_task WHERE ",
            $column,
            " = ?1 AND state > found.state) FROM found WHERE found.state IS NOT NULL) SELECT state FROM found WHERE state IS NOT NULL"
        )
    };
}
const STATES_OF_WORKER: &str = states_of!("worker");
const STATES_OF_PHASE: &str = states_of!("phase");

/// The states that tasks are in, of those that the query names.
fn states(connection: &Connection, query: &QueueTasksQuery, sql: &str, value: Option<&str>) -> Result<Vec<String>> {
    let mut statement = connection.prepare_cached(sql)?;
    let states = statement.query_map(params_from_iter(value), |row| row.get(0))?.collect::<Result<Vec<String>>>()?;
    Ok(states.into_iter().filter(|state| is_wanted(query, state)).collect())
}

/// True if the query names this state, or none.
fn is_wanted(query: &QueueTasksQuery, state: &str) -> bool {
    query.states.is_empty() || query.states.iter().any(|wanted| wanted.as_str() == state)
}
