//! Queries for the names of roots, with the newest roots of each name.

use std::collections::BTreeMap;

use monitor_wire::{Counts, RootMark, RootName, RootNamesPage};
use rusqlite::types::Value;
use rusqlite::{Connection, Result, Row, params_from_iter};

use super::dictionary::Dictionary;
use super::ids::code;
use super::pool::Snapshot;
use super::roots::{matching, place_of};
use super::{ReadError, as_of, ids};

/// Maximum number of roots listed for each name.
const MARKS: usize = 30;

/// Newest root of a name.
pub(super) const NEWEST: &str =
    "SELECT base + at, number FROM root INDEXED BY root_name WHERE name = ?1 ORDER BY base + at DESC, number DESC LIMIT 1";
/// Newest roots of a name.
pub(super) const OF_NAME: &str = "SELECT number, id, base + started, state, elapsed FROM root INDEXED BY root_name \
    WHERE name = ?1 ORDER BY base + at DESC, number DESC LIMIT 30";

/// Number of names whose newest ended root failed or was lost.
pub(super) const FAILING: &str = "SELECT count(*) FROM (SELECT DISTINCT name FROM root_count WHERE state IN (?1, ?2) AND count > 0) AS failed \
    WHERE (SELECT state FROM root INDEXED BY root_name WHERE root.name = failed.name AND state NOT IN (?3, ?4, ?5) \
        ORDER BY base + at DESC, number DESC LIMIT 1) IN (?1, ?2)";

/// Returns the number of names whose newest ended root failed or was lost.
pub(super) fn failing(connection: &Connection) -> Result<u64> {
    let (failed, open) = ([code::FAILED, code::LOST], [code::RUNNING, code::PENDING, code::RETRYING]);
    let count = |row: &Row<'_>| row.get::<_, i64>(0);
    let found = connection.prepare_cached(FAILING)?.query_row(params_from_iter(failed.into_iter().chain(open)), count)?;
    Ok(found as u64)
}

/// Returns the statement for the names of roots with their counts by state. Appends its values to `values`.
pub(super) fn all(text: Option<&str>, values: &mut Vec<Value>) -> String {
    let condition = text.map(|text| format!(" WHERE name IN ({})", matching(text, values))).unwrap_or_default();
    format!("SELECT name, state, count FROM root_count{condition}")
}

/// Reads one page of names, sorted by the newest root of each, newest first. The cursor is the place of the last name's newest root.
pub(super) fn list(
    snapshot: &mut Snapshot<'_>,
    text: Option<&str>,
    limit: usize,
    cursor: Option<&str>,
) -> Result<RootNamesPage, ReadError> {
    let before = cursor.map_or(Ok((i64::MAX, i64::MAX)), place_of)?;
    let mut page = RootNamesPage { names: Vec::new(), next_cursor: None, as_of: as_of(snapshot)? };
    let mut values = Vec::new();
    let sql = all(text, &mut values);
    let (connection, dictionary) = snapshot.parts();
    let mut counts = BTreeMap::<i64, Counts>::new();
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    while let Some(row) = rows.next()? {
        let state = ids::state(connection, dictionary, row.get(1)?)?;
        *counts.entry(row.get(0)?).or_default().of(&state) += row.get::<_, i64>(2)? as u64;
    }
    let mut newest = connection.prepare_cached(NEWEST)?;
    let mut names = Vec::with_capacity(counts.len());
    for (name, counts) in counts {
        let place: (i64, i64) = newest.query_row([name], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if place < before {
            names.push((place, name, counts));
        }
    }
    names.sort_unstable_by_key(|(place, _, _)| std::cmp::Reverse(*place));
    if names.len() > limit {
        names.truncate(limit);
        page.next_cursor = names.last().map(|((begin, number), _, _)| format!("{begin}.{number}"));
    }
    for (_, name, counts) in names {
        let roots = marks(connection, dictionary, name)?;
        page.names.push(RootName { name: dictionary.text(connection, name)?.to_string(), counts, roots });
    }
    Ok(page)
}

fn marks(connection: &Connection, dictionary: &mut Dictionary, name: i64) -> Result<Vec<RootMark>> {
    let mut statement = connection.prepare_cached(OF_NAME)?;
    let mut rows = statement.query([name])?;
    let mut marks = Vec::with_capacity(MARKS);
    while let Some(row) = rows.next()? {
        marks.push(RootMark {
            root_id: ids::root(row, 1)?,
            number: row.get::<_, i64>(0)? as u64,
            state: ids::state(connection, dictionary, row.get(3)?)?,
            started_us: row.get::<_, Option<i64>>(2)?.map(|started| started as u64),
            elapsed_ns: row.get::<_, Option<i64>>(4)?.map(|elapsed| elapsed as u64),
        });
    }
    Ok(marks)
}
