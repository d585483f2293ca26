//! Checks a database with SQLite's integrity check and with conditions between the tables.

use std::collections::BTreeMap;

use rusqlite::{Connection, Result, params};

use super::write::rollups::{ALL_NAMES, LEVELS, Sums};

/// Maximum number of rows listed for each problem.
const MOST: usize = 10;

/// Problems, each with a query for the affected rows. The columns of a row identify it.
const NEVER: [(&str, &str); 27] = [
    (
        "a process belongs to no tree",
        "SELECT DISTINCT root FROM process WHERE root NOT IN (SELECT number FROM root) AND root NOT IN (SELECT root FROM leaving)",
    ),
    ("a tree that is to go is still listed", "SELECT root FROM leaving JOIN root ON number = root"),
    ("a process has a site that is not there", "SELECT root, id FROM process WHERE site NOT NULL AND site NOT IN (SELECT id FROM site)"),
    (
        "a process has an origin that is not there",
        "SELECT root, id FROM process WHERE origin NOT NULL AND origin NOT IN (SELECT id FROM origin)",
    ),
    (
        "a process has an error that is not there",
        "SELECT root, id FROM process WHERE error NOT NULL AND error NOT IN (SELECT id FROM text)",
    ),
    ("a process has a cause that is not there", "SELECT root, id FROM process WHERE cause NOT NULL AND cause NOT IN (SELECT id FROM text)"),
    (
        "a process has a batch mark that is not there",
        "SELECT root, id FROM process WHERE batch NOT NULL AND batch NOT IN (SELECT id FROM text)",
    ),
    (
        "a site has words that are not there",
        "SELECT id FROM site WHERE name NOT IN (SELECT id FROM text) OR kind NOT IN (SELECT id FROM text) OR (file <> 0 AND file NOT IN (SELECT id FROM text))",
    ),
    (
        "an origin has a worker that is not there",
        "SELECT id FROM origin WHERE worker NOT IN (SELECT key FROM worker) OR relay NOT IN (SELECT 0 UNION ALL SELECT key FROM worker)",
    ),
    (
        "a task of a queue has a worker or a name that is not there",
        "SELECT key FROM queue_task WHERE worker NOT IN (SELECT 0 UNION ALL SELECT key FROM worker) OR name NOT IN (SELECT 0 UNION ALL SELECT id FROM text)",
    ),
    ("an origin has a thread that is not there", "SELECT id FROM origin WHERE thread <> 0 AND thread NOT IN (SELECT id FROM text)"),
    (
        "a root has words that are not there",
        "SELECT number FROM root WHERE name NOT IN (SELECT id FROM text) OR (batch NOT NULL AND batch NOT IN (SELECT id FROM text)) OR (error NOT NULL AND error NOT IN (SELECT id FROM text)) OR (cause NOT NULL AND cause NOT IN (SELECT id FROM text)) OR (line NOT NULL AND line NOT IN (SELECT id FROM text))",
    ),
    ("a root has a worker that is not there", "SELECT number FROM root WHERE worker NOT NULL AND worker NOT IN (SELECT key FROM worker)"),
    (
        "a root's own process is not there",
        "SELECT number FROM root WHERE process NOT NULL AND NOT EXISTS (SELECT 1 FROM process AS p WHERE p.root = number AND p.id = root.process)",
    ),
    ("a root has a number that was never given", "SELECT number FROM root WHERE number > (SELECT root FROM counter)"),
    (
        "a failed process is missing from the list of those",
        "SELECT root, id FROM process AS p WHERE state = 3 AND error NOT NULL AND NOT EXISTS (SELECT 1 FROM failed AS f WHERE f.root = p.root AND f.id = p.id AND f.ended = p.at + coalesce(p.elapsed, 0) / 1000 + coalesce(p.skew, 0))",
    ),
    (
        "the list of failed processes has one that did not fail",
        "SELECT f.root, f.id FROM failed AS f LEFT JOIN process AS p ON p.root = f.root AND p.id = f.id WHERE p.state IS NOT 3 AND f.root NOT IN (SELECT root FROM leaving)",
    ),
    (
        "the list of rare kinds has a process of another",
        "SELECT r.root, r.id FROM rare AS r LEFT JOIN process AS p ON p.root = r.root AND p.id = r.id LEFT JOIN site ON site.id = p.site WHERE site.kind IS NOT r.kind",
    ),
    (
        "a process of a rare kind is missing from the list of those",
        "SELECT p.root, p.id FROM process AS p JOIN site ON site.id = p.site WHERE site.kind NOT IN (SELECT id FROM text WHERE value IN ('normal', 'cross_thread', 'span')) AND NOT EXISTS (SELECT 1 FROM rare AS r WHERE r.kind = site.kind AND r.root = p.root AND r.id = p.id) AND NOT EXISTS (SELECT 1 FROM queue_task AS q WHERE q.root = p.root AND q.id = p.id)",
    ),
    (
        "the list of other systems' ids has a process that is not there",
        "SELECT n.root, n.id FROM native AS n LEFT JOIN process AS p ON p.root = n.root AND p.id = n.id WHERE p.more IS NULL",
    ),
    (
        "the list of processes with links has one that is not there",
        "SELECT l.root, l.id FROM linked AS l LEFT JOIN process AS p ON p.root = l.root AND p.id = l.id WHERE p.more IS NULL",
    ),
    (
        "a task of a queue has no process",
        "SELECT q.root, q.id FROM queue_task AS q LEFT JOIN process AS p ON p.root = q.root AND p.id = q.id WHERE p.more IS NULL AND q.root NOT IN (SELECT root FROM leaving)",
    ),
    (
        "an open process is not there",
        "SELECT o.worker, o.root, o.id FROM open AS o LEFT JOIN process AS p ON p.root = o.root AND p.id = o.id WHERE p.id IS NULL",
    ),
    (
        "a piece of the log of events has numbers that no event has",
        "SELECT first FROM event_log WHERE first < 1 OR last < first OR last > (SELECT seq FROM counter)",
    ),
    (
        "two pieces of the log of events have the same numbers",
        "SELECT first FROM (SELECT first, last, lead(first) OVER (ORDER BY first) AS next FROM event_log) WHERE next <= last",
    ),
    ("sums have a name that is not there", "SELECT DISTINCT name FROM rollup WHERE name <> 0 AND name NOT IN (SELECT id FROM text)"),
    (
        "failures have words that are not there",
        "SELECT DISTINCT shape, name, message FROM failure WHERE shape NOT IN (SELECT id FROM text) OR name NOT IN (SELECT id FROM text) OR message NOT IN (SELECT id FROM text)",
    ),
];

/// Counts that must be equal: a description, and two statements whose rows are a key and a count.
const TWICE: [(&str, &str, &str); 8] = [
    (
        "tasks of queues by queue, name and state",
        "SELECT hex(queue) || '/' || name || '/' || state, count FROM queue_count",
        "SELECT hex(queue) || '/' || name || '/' || state, count(*) FROM queue_task GROUP BY queue, name, state",
    ),
    ("roots by state", "SELECT of, count FROM tally WHERE what = 0 AND count <> 0", "SELECT state, count(*) FROM root GROUP BY state"),
    (
        "roots by name and state",
        "SELECT name || '/' || state, count FROM root_count",
        "SELECT name || '/' || state, count(*) FROM root GROUP BY name, state",
    ),
    (
        "processes by state",
        "SELECT of, count FROM tally WHERE what = 1 AND count <> 0",
        "SELECT state, count(*) FROM process WHERE state >= 6 OR root NOT IN (SELECT root FROM leaving) GROUP BY state",
    ),
    (
        "events that wait for a tree",
        "SELECT of, count FROM tally WHERE what = 4 AND count <> 0",
        "SELECT 0, count(*) FROM waiting HAVING count(*) > 0",
    ),
    ("workers by state", "SELECT of, count FROM tally WHERE what = 2 AND count <> 0", "SELECT state, count(*) FROM worker GROUP BY state"),
    (
        "bytes of the log of events",
        "SELECT 0, logged FROM counter WHERE logged <> 0",
        "SELECT 0, sum(length(piece) + 32) FROM event_log HAVING count(*) > 0",
    ),
    ("open processes by worker", "SELECT key, open FROM worker WHERE open <> 0", "SELECT worker, count(*) FROM open GROUP BY worker"),
];

/// Trees whose counts by state differ from those of their processes.
const IN_TREES: &str = "WITH counted AS (SELECT root AS number, sum(state = 0) AS succeeded, sum(state = 1) AS running, sum(state = 2) AS pending, \
    sum(state = 3) AS failed, sum(state = 4) AS cancelled, sum(state = 5) AS lost, sum(state > 5) AS other FROM process GROUP BY root) \
    SELECT root.number FROM root LEFT JOIN counted USING(number) WHERE (root.succeeded, root.running, root.pending, root.failed, \
    root.cancelled, root.lost, root.other) IS NOT (coalesce(counted.succeeded, 0), coalesce(counted.running, 0), \
    coalesce(counted.pending, 0), coalesce(counted.failed, 0), coalesce(counted.cancelled, 0), coalesce(counted.lost, 0), \
    coalesce(counted.other, 0))";

/// Number of finished processes by name and state, if all their facts are in columns.
const FINISHED: &str = "SELECT name, state, count(*) FROM process JOIN site ON site.id = process.site \
    WHERE more IS NULL AND start_no NOT NULL AND end_no NOT NULL GROUP BY name, state";

/// Returns all problems in the caller's snapshot; empty if the database is intact.
pub(super) fn problems(connection: &Connection) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let mut statement = connection.prepare("PRAGMA integrity_check(100)")?;
    let found: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_>>()?;
    wrong.extend(found.into_iter().filter(|line| line != "ok"));
    if !wrong.is_empty() {
        // The other checks mean nothing for a damaged file.
        return Ok(wrong);
    }
    for (what, sql) in NEVER.into_iter().chain([("a tree's counts are not those of its processes", IN_TREES)]) {
        let mut statement = connection.prepare(sql)?;
        let columns = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| {
            (0..columns).map(|column| row.get::<_, i64>(column).map(|number| number.to_string())).collect::<Result<Vec<_>>>()
        };
        let rows: Vec<Vec<String>> = statement.query_map([], row)?.take(MOST + 1).collect::<Result<_>>()?;
        if !rows.is_empty() {
            let more = if rows.len() > MOST { " …" } else { "" };
            let rows: Vec<_> = rows.iter().take(MOST).map(|row| row.join("/")).collect();
            wrong.push(format!("{what}: {}{more}", rows.join(", ")));
        }
    }
    for (what, first, second) in TWICE {
        let read = |sql: &str| -> Result<BTreeMap<String, i64>> {
            let mut statement = connection.prepare(sql)?;
            let row = |row: &rusqlite::Row<'_>| {
                let key = match row.get_ref(0)? {
                    rusqlite::types::ValueRef::Integer(key) => key.to_string(),
                    other => other.as_str()?.to_owned(),
                };
                Ok((key, row.get(1)?))
            };
            statement.query_map([], row)?.collect()
        };
        let (said, counted) = (read(first)?, read(second)?);
        if said != counted {
            wrong.push(format!("{what}: kept as {said:?}, counted as {counted:?}"));
        }
    }
    sums(connection, &mut wrong)?;
    Ok(wrong)
}

/// Checks that the sums of longer spans equal those of shorter spans, that the sums of all names equal those of the single names, and that
/// no sum is less than the number of processes in the database.
fn sums(connection: &Connection, wrong: &mut Vec<String>) -> Result<()> {
    let rolled: i64 = connection.query_row("SELECT rolled FROM counter", [], |row| row.get(0))?;
    for level in 1..LEVELS.len() {
        // The first span whose shorter spans are all kept.
        let sql = "SELECT coalesce(max(t), 0) FROM sums_from WHERE level = ?1";
        let kept: i64 = connection.query_row(sql, [level as i64 - 1], |row| row.get(0))?;
        let ratio = (LEVELS[level] / LEVELS[level - 1]) as i64;
        let from = (kept + ratio - 1) / ratio;
        let short = read(connection, level - 1, from * ratio, if level == 1 { rolled } else { i64::MAX }, ratio)?;
        let long = read(connection, level, from, i64::MAX, 1)?;
        if short != long {
            let key = short.iter().find(|(key, sums)| long.get(key) != Some(sums)).map(|(key, _)| key);
            let key = key.or_else(|| long.keys().find(|key| !short.contains_key(key)));
            wrong.push(format!("sums of level {level} are not those of level {}, for example at {key:?}", level - 1));
        }
        let (mut all, mut each) = (BTreeMap::new(), BTreeMap::<_, (u64, u128)>::new());
        for ((t, name, state), (count, total)) in long {
            if name == ALL_NAMES {
                all.insert((t, state), (count, total));
            } else {
                let sum = each.entry((t, state)).or_default();
                *sum = (sum.0 + count, sum.1 + total);
            }
        }
        if all != each {
            wrong.push(format!("sums of all names at level {level} are not those of each"));
        }
    }
    let mut known = BTreeMap::<(i64, i64), u64>::new();
    let minutes = read(connection, 0, rolled, i64::MAX, 1)?;
    for ((_, name, state), (count, _)) in read(connection, 3, 0, i64::MAX, 1)?.into_iter().chain(minutes) {
        *known.entry((name, state)).or_default() += count;
    }
    let mut statement = connection.prepare(FINISHED)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (key, count) = ((row.get(0)?, row.get(1)?), row.get::<_, i64>(2)? as u64);
        let summed = known.get(&key).copied().unwrap_or(0);
        if summed < count {
            wrong.push(format!("sums know of {summed} finished processes of name {} in state {}, and there are {count}", key.0, key.1));
        }
    }
    Ok(())
}

type Key = (i64, i64, i64);

/// Reads counts and durations of a level by (t / ratio, name, state).
fn read(connection: &Connection, level: usize, from: i64, to: i64, ratio: i64) -> Result<BTreeMap<Key, (u64, u128)>> {
    let mut found = BTreeMap::<Key, (u64, u128)>::new();
    let mut statement = connection.prepare_cached("SELECT t, name, state, sums FROM rollup WHERE level = ?1 AND t >= ?2 AND t < ?3")?;
    let mut rows = statement.query(params![level as i64, from, to])?;
    while let Some(row) = rows.next()? {
        let sums = Sums::read(row.get_ref(3)?.as_blob()?)?;
        let sum = found.entry((row.get::<_, i64>(0)? / ratio, row.get(1)?, row.get(2)?)).or_default();
        *sum = (sum.0 + sums.count, sum.1 + sums.total);
    }
    Ok(found)
}
