//! Queries for the log lines of processes.

use monitor_store::{LogsQuery, RootKey};
use monitor_wire::{Fields, LogEntry, LogGap, LogsPage};
use rusqlite::{Connection, OptionalExtension, Result, Row, params, params_from_iter};

use super::dictionary::Dictionary;
use super::pool::Snapshot;
use super::roots::find_row;
use super::{ReadError, as_of, ids};

/// Maximum number of lines that are scanned for a page. If few of them match, a page may have fewer lines than its limit.
const LOOKED_AT: usize = 50_000;
/// Approximate maximum number of bytes of text in a page.
const BYTES: usize = 8 << 20;

const COLUMNS: &str = "time, process, worker, number, about, level, target, stream, message, fields";

/// End of a page: (time, process, worker, number) of its last line.
type LogCursor = [i64; 4];

/// Reads one page of the log lines of a tree or of a process; `None` if there is no such tree or process.
pub(super) fn page(snapshot: &mut Snapshot<'_>, root: RootKey, query: &LogsQuery) -> Result<Option<LogsPage>, ReadError> {
    let as_of = as_of(snapshot)?;
    let cursor = query.cursor.as_deref().map(place_of).transpose()?;
    let (connection, dictionary) = snapshot.parts();
    let Some(root) = find_row(connection, root)? else { return Ok(None) };
    let process = query.process.map(ids::process_key);
    let (missing, gap) = match process {
        Some(process) => {
            let Some(kept) = kept(connection, root.number, process)? else {
                let sql = "SELECT 1 FROM process WHERE root = ?1 AND id = ?2";
                let found = connection.prepare_cached(sql)?.query_row([root.number, process], |_| Ok(())).optional()?;
                return Ok(found.map(|()| LogsPage { logs: Vec::new(), next_cursor: None, missing: 0, gap: None, as_of }));
            };
            kept
        }
        None => (missing(connection, root.number)?, None),
    };
    let mut page = LogsPage { logs: Vec::new(), next_cursor: None, missing, gap, as_of };
    let (sql, values) = statement(root.number, process, query.is_newest_first, cursor);
    let text = query.text.as_deref().map(str::to_lowercase);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let (mut looked_at, mut bytes, mut last) = (0, 0, None);
    while let Some(row) = rows.next()? {
        if page.logs.len() >= query.limit || looked_at >= LOOKED_AT || bytes >= BYTES {
            page.next_cursor = last.map(|place: LogCursor| place.map(|number| number.to_string()).join("."));
            break;
        }
        looked_at += 1;
        last = Some([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]);
        let level = dictionary.text(connection, row.get(5)?)?;
        if query.without_levels.contains(&&*level) {
            continue;
        }
        let entry = read(connection, dictionary, row, level.to_string())?;
        if text.as_deref().is_none_or(|text| contains(&entry, text)) {
            bytes += entry.message.len() + row.get_ref(9)?.as_blob_or_null().map_err(rusqlite::Error::from)?.map_or(0, <[u8]>::len);
            page.logs.push(entry);
        }
    }
    Ok(Some(page))
}

/// Returns the statement for the lines of a process, or of a whole tree, after a cursor.
pub(super) fn statement(root: i64, process: Option<i64>, is_newest_first: bool, cursor: Option<LogCursor>) -> (String, Vec<i64>) {
    let (compare, order, begin) = if is_newest_first { ("<", "DESC", i64::MAX) } else { (">", "", i64::MIN) };
    let [time, of, worker, number] = cursor.unwrap_or([begin; 4]);
    if let Some(process) = process {
        let sql = format!(
            "SELECT {COLUMNS} FROM log NOT INDEXED WHERE root = ?1 AND process = ?2 AND (time, worker, number) {compare} (?3, ?4, ?5) \
             ORDER BY time {order}, worker {order}, number {order}"
        );
        return (sql, vec![root, process, time, worker, number]);
    }
    let sql = format!(
        "SELECT {COLUMNS} FROM log INDEXED BY log_time WHERE root = ?1 AND (time, process, worker, number) {compare} (?2, ?3, ?4, ?5) \
         ORDER BY time {order}, process {order}, worker {order}, number {order}"
    );
    (sql, vec![root, time, of, worker, number])
}

fn place_of(cursor: &str) -> Result<LogCursor, ReadError> {
    let malformed = || ReadError::Cursor(cursor.to_owned());
    let numbers: Vec<i64> = cursor.split('.').map(str::parse).collect::<Result<_, _>>().map_err(|_| malformed())?;
    numbers.try_into().map_err(|_| malformed())
}

/// Reads the number of missing lines of a process, and the gap that they left; `None` if the process has no lines.
fn kept(connection: &Connection, root: i64, process: i64) -> Result<Option<(u64, Option<LogGap>)>> {
    let sql = "SELECT missing, h_time, t_time FROM log_kept WHERE root = ?1 AND process = ?2";
    let read = |row: &Row<'_>| {
        let (last, first): (Option<i64>, Option<i64>) = (row.get(1)?, row.get(2)?);
        let gap = last.zip(first).map(|(last, first)| LogGap { after_us: last as u64, before_us: first as u64 });
        Ok((row.get::<_, i64>(0)? as u64, gap))
    };
    connection.prepare_cached(sql)?.query_row(params![root, process], read).optional()
}

fn missing(connection: &Connection, root: i64) -> Result<u64> {
    let sql = "SELECT coalesce(sum(missing), 0) FROM log_kept WHERE root = ?1";
    connection.prepare_cached(sql)?.query_row([root], |row| Ok(row.get::<_, i64>(0)? as u64))
}

fn read(connection: &Connection, dictionary: &mut Dictionary, row: &Row<'_>, level: String) -> Result<LogEntry> {
    let mut text = |column| -> Result<Option<String>> {
        let Some(key) = row.get(column)? else { return Ok(None) };
        Ok(Some(dictionary.text(connection, key)?.to_string()))
    };
    let (target, stream) = (text(6)?, text(7)?);
    let fields = match row.get_ref(9)?.as_blob_or_null()? {
        Some(json) => ids::from_json(9, json)?,
        None => Fields::new(),
    };
    let worker: i64 = row.get::<_, Option<i64>>(4)?.map_or_else(|| row.get(2), Ok)?;
    Ok(LogEntry {
        process_id: ids::process_id(row.get(1)?)?,
        time_us: row.get::<_, i64>(0)? as u64,
        level,
        message: row.get(8)?,
        target,
        stream,
        fields,
        worker_id: dictionary.worker_id(connection, worker)?,
        number: row.get::<_, i64>(3)? as u64,
    })
}

/// Returns true if an entry contains a text, which is in lower case.
fn contains(entry: &LogEntry, text: &str) -> bool {
    let has = |of: &str| of.to_lowercase().contains(text);
    let is_in = |(key, value): (&String, &serde_json::Value)| has(key) || value.as_str().map_or_else(|| has(&value.to_string()), has);
    has(&entry.message) || entry.target.as_deref().is_some_and(has) || entry.fields.iter().any(is_in)
}
