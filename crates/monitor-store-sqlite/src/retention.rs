//! Looking for what is due to be dropped, and giving back the disk's space.

use std::collections::{BTreeMap, HashMap};

use monitor_store::retention::Retention;
use rusqlite::{Connection, OptionalExtension, Result};

use super::ReadError;
use super::house::{Beyond, Due, DueCursor, Shrunk};
use super::ids::{self, code};
use super::pool::Snapshot;
use super::write::rollups::{LEVELS, MINUTE_US};

/// What has ended and is not pinned. A tree without a process, of which only lines of logs came, waits for nothing.
macro_rules! may_go {
    () => {
        "pinned = 0 AND running = 0 AND pending = 0 AND (state NOT IN (1, 2, 6) OR process IS NULL)"
    };
}

// The codes that stand in it.
const _: () = assert!(code::RUNNING == 1 && code::PENDING == 2 && code::RETRYING == 6);

/// Those that began before ?1, after (?2, ?3), oldest first, and when something of them came last.
pub(super) const OLD: &str = concat!(
    "SELECT number, base + at, name, state, base + heard * 1000000, ",
    may_go!(),
    " FROM root INDEXED BY root_begin WHERE base + at < ?1 AND base + at >= ?2 AND (base + at > ?2 OR number > ?3) ORDER BY base + at, number"
);
/// Those of a name that have ended, newest first by number: no sender's clock decides what is kept.
pub(super) const OF_NAME: &str =
    concat!("SELECT number, state FROM root INDEXED BY root_name WHERE name = ?1 AND ", may_go!(), " ORDER BY number DESC");
/// All that have ended, oldest first, with how many processes they have.
pub(super) const OLDEST: &str =
    concat!("SELECT number, succeeded + failed + cancelled + lost + other FROM root WHERE ", may_go!(), " ORDER BY number LIMIT ?1");

/// When something of the newest tree came last.
pub(super) const NEWEST: &str = "SELECT base + heard * 1000000 FROM root WHERE number = (SELECT max(number) FROM root)";

/// Of the pages that are free so many stay for what is to come: one in so many of all.
const RESERVE: i64 = 100;
/// The file is made smaller when more than one in so many of its pages is free.
const WORTH: i64 = 20;
/// And at least so many.
const LEAST: i64 = 16;
/// So many pages are given back in a step: no batch waits long for that.
const PAGES: i64 = 200;
/// And so many with little room on the disk: each may have to be moved, and then it is in the log first.
const SPARING_PAGES: i64 = 32;
/// How long sums of minutes are kept, and those of hours, in minutes; longer ones are kept for ever.
pub(super) const SUMS_KEPT: [u64; 2] = [8 * LEVELS[2], 400 * LEVELS[2]];
/// Sums of so many minutes or hours are deleted in a step.
const SUMS_AT_ONCE: i64 = 60;

/// What is due now, at most `limit` trees of each reason, from a place on.
pub(super) fn due(
    snapshot: &mut Snapshot<'_>,
    retention: &Retention,
    now_us: u64,
    from: DueCursor,
    limit: usize,
) -> Result<Due, ReadError> {
    let mut due = Due::default();
    let rules = rules(snapshot, retention)?;
    let age = |name, state| rules.get(&(name, state)).and_then(|(rule, _)| retention.rules[*rule].age);
    let now = now_us as i64;
    let soonest = retention.rules.iter().filter_map(|rule| rule.age).min();
    if let Some(soonest) = soonest.filter(|_| !from.is_past_old) {
        let cut = now.saturating_sub(soonest.as_micros() as i64);
        // What seems to begin in the future may have come long ago.
        for (begin, end) in [((from.begin, from.number), cut), ((from.begin, from.number).max((now, i64::MAX)), i64::MAX)] {
            let mut statement = snapshot.prepare_cached(OLD)?;
            let mut rows = statement.query([end, begin.0, begin.1])?;
            while let Some(row) = rows.next()? {
                let (number, begin_us, heard): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(4)?);
                let is_old = |age: std::time::Duration| heard <= now.saturating_sub(age.as_micros() as i64);
                if row.get(5)? && age(row.get(2)?, row.get(3)?).is_some_and(is_old) {
                    due.old.push(number as u64);
                    if due.old.len() == limit {
                        due.next = Some(DueCursor { begin: begin_us, number, is_past_old: false });
                        return Ok(due);
                    }
                }
            }
        }
    }
    if !due.old.is_empty() {
        // What is too many is counted without them.
        due.next = Some(DueCursor { is_past_old: true, ..from });
        return Ok(due);
    }
    for (rule, wanted) in retention.rules.iter().enumerate().filter_map(|(place, rule)| Some((place, rule.count?))) {
        let mut names = BTreeMap::<i64, u64>::new();
        for ((name, _), (_, count)) in rules.iter().filter(|(_, (of, _))| *of == rule) {
            *names.entry(*name).or_default() += count;
        }
        for (name, _) in names.into_iter().filter(|(_, count)| *count > wanted) {
            let mut statement = snapshot.prepare_cached(OF_NAME)?;
            let mut rows = statement.query([name])?;
            let mut kept = 0;
            while let Some(row) = rows.next()? {
                if rules.get(&(name, row.get(1)?)).is_none_or(|(of, _)| *of != rule) {
                    continue;
                }
                kept += 1;
                if kept > wanted {
                    due.surplus.push(row.get::<_, i64>(0)? as u64);
                    if due.surplus.len() == limit {
                        due.next = Some(DueCursor { is_past_old: true, ..from });
                        return Ok(due);
                    }
                }
            }
        }
    }
    Ok(due)
}

/// Names and states of roots, and how many have them.
pub(super) const NAMES: &str = "SELECT name, state, count FROM root_count";

/// The rule for each name and state that roots have, by their keys, and how many have them.
fn rules(snapshot: &mut Snapshot<'_>, retention: &Retention) -> Result<HashMap<(i64, i64), (usize, u64)>> {
    let (connection, dictionary) = snapshot.parts();
    let mut rules = HashMap::new();
    let mut statement = connection.prepare_cached(NAMES)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (name, state, count) = (row.get(0)?, row.get(1)?, row.get::<_, i64>(2)? as u64);
        let (text, word) = (dictionary.text(connection, name)?, ids::state(connection, dictionary, state)?);
        rules.extend(retention.rule_of(&text, &word).map(|rule| ((name, state), (rule, count))));
    }
    Ok(rules)
}

/// The oldest trees that have ended, about as many as have to go for the database to hold no more than `limit` bytes.
pub(super) fn oldest_beyond(snapshot: &Snapshot<'_>, limit: u64, most: usize) -> Result<Beyond> {
    let (page, pages, free) = pages(snapshot)?;
    let used = ((pages - free) * page) as u64;
    if used <= limit {
        return Ok(Beyond { used_bytes: used, ..Beyond::default() });
    }
    let processes: i64 = snapshot.query_row("SELECT coalesce(sum(count), 0) FROM tally WHERE what = 1", [], |row| row.get(0))?;
    // A little more, so that not every minute's new ones are one too many.
    let excess = (used - limit + limit / 50) as f64;
    // The log of events has its own bound, and becomes no smaller by that.
    let (logged, _) = super::event_log::figures(snapshot)?;
    let bytes_each = used.saturating_sub(logged) as f64 / processes.max(1) as f64;
    let (mut numbers, mut sum) = (Vec::new(), 0.0);
    let mut statement = snapshot.prepare_cached(OLDEST)?;
    let mut rows = statement.query([most as i64])?;
    while let Some(row) = rows.next()?
        && sum < excess
    {
        numbers.push(row.get::<_, i64>(0)? as u64);
        sum += row.get::<_, i64>(1)? as f64 * bytes_each;
    }
    Ok(Beyond { numbers, bytes: sum as u64, used_bytes: used })
}

/// The next worker of whom there are events of unknown types.
pub(super) const NEXT_UNKNOWN: &str = "SELECT worker FROM unknown WHERE worker > ?1 ORDER BY worker LIMIT 1";
/// So many workers are looked at in a step.
const WORKERS_AT_ONCE: usize = 250;
/// And so many events deleted.
const UNKNOWN_AT_ONCE: i64 = 4_000;

/// Deletes some events of unknown types of workers that were last heard of before a time; after which worker to go on.
pub(super) fn trim_unknown(connection: &Connection, heard_before_us: u64, mut after: i64) -> Result<Option<i64>> {
    let mut rest = UNKNOWN_AT_ONCE;
    let transaction = connection.unchecked_transaction()?;
    for _ in 0..WORKERS_AT_ONCE {
        let next = transaction.prepare_cached(NEXT_UNKNOWN)?.query_row([after], |row| row.get::<_, i64>(0)).optional()?;
        let Some(worker) = next else {
            transaction.commit()?;
            return Ok(None);
        };
        let sql = "DELETE FROM unknown WHERE worker = ?1 AND (SELECT last_seen FROM worker WHERE key = ?1) < ?2 \
                   AND number IN (SELECT number FROM unknown WHERE worker = ?1 ORDER BY number LIMIT ?3)";
        rest -= transaction.prepare_cached(sql)?.execute([worker, heard_before_us as i64, rest])? as i64;
        if rest == 0 {
            break;
        }
        after = worker;
    }
    transaction.commit()?;
    Ok(Some(after))
}

/// Bytes of a page, how many there are, and how many of them are free.
pub(super) fn pages(connection: &Connection) -> Result<(i64, i64, i64)> {
    let pragma = |name| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    Ok((pragma("page_size")?, pragma("page_count")?, pragma("freelist_count")?))
}

/// Writes the log back into the file and cuts it; false if a reader holds that up.
pub(super) fn cut_log(connection: &Connection) -> Result<bool> {
    connection.execute_batch("PRAGMA busy_timeout=0")?;
    let checkpoint = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    connection.execute_batch("PRAGMA busy_timeout=10000")?;
    Ok(checkpoint? == 0)
}

/// Gives some free pages back to the disk, all of them if the disk has little room.
pub(super) fn shrink(connection: &Connection, is_begun: &mut bool, is_sparing: bool) -> Result<Shrunk> {
    let (_, pages, free) = pages(connection)?;
    let spare = if is_sparing { free } else { free - pages / RESERVE };
    if spare <= 0 || (!*is_begun && free < if is_sparing { 1 } else { (pages / WORTH).max(LEAST) }) {
        if *is_begun {
            // The file is cut when its log is written back. Where a reader holds that up it is cut at the next time.
            *is_begun = !cut_log(connection)?;
        }
        return Ok(Shrunk::Done);
    }
    *is_begun = true;
    let at_once = if is_sparing { SPARING_PAGES } else { PAGES };
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({})", spare.min(at_once)))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(Shrunk::More)
}

/// Deletes some sums of minutes and hours that are too old; whether there are more.
pub(super) fn trim_sums(connection: &Connection, now_us: u64) -> Result<bool> {
    for (level, kept) in SUMS_KEPT.into_iter().enumerate() {
        // What is not in the sums of longer times yet must get there first.
        let rolled: i64 = connection.prepare_cached("SELECT rolled FROM counter")?.query_row([], |row| row.get(0))?;
        let keep_from = (now_us / MINUTE_US).saturating_sub(kept).min(rolled as u64) / LEVELS[level];
        for (table, sql) in [("rollup", super::stats::FIRST), ("failure", super::stats::FIRST_FAILURE)] {
            let first: Option<i64> = connection.prepare_cached(sql)?.query_map([level as i64], |row| row.get(0))?.next().transpose()?;
            let Some(first) = first.filter(|first| *first < keep_from as i64) else { continue };
            let until = (first + SUMS_AT_ONCE).min(keep_from as i64);
            let transaction = connection.unchecked_transaction()?;
            transaction.prepare_cached(&format!("DELETE FROM {table} WHERE level = ?1 AND t < ?2"))?.execute([level as i64, until])?;
            let sql = "INSERT INTO sums_from(level, t) VALUES(?1, ?2) ON CONFLICT DO UPDATE SET t = max(t, ?2)";
            transaction.prepare_cached(sql)?.execute([level as i64, until])?;
            transaction.commit()?;
            return Ok(true);
        }
    }
    Ok(false)
}
