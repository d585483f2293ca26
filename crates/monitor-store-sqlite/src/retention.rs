//! Finds data that the retention rules no longer keep, and returns free space to the disk.

use std::collections::{BTreeMap, HashMap};

use monitor_store::retention::Retention;
use rusqlite::{Connection, OptionalExtension, Result};

use super::ReadError;
use super::dictionary::Dictionary;
use super::house::{Beyond, Due, DueCursor, Shrunk};
use super::ids::{self, code};
use super::pool::Snapshot;
use super::write::rollups::{LEVELS, MINUTE_US};

/// Condition for trees that can be dropped: they have ended and are not pinned. A tree that has only log lines and no process can also be
/// dropped.
macro_rules! may_go {
    () => {
        "pinned = 0 AND running = 0 AND pending = 0 AND (state NOT IN (1, 2, 6) OR process IS NULL)"
    };
}

// The condition contains these state codes.
const _: () = assert!(code::RUNNING == 1 && code::PENDING == 2 && code::RETRYING == 6);

/// Trees that began before ?1, after the position (?2, ?3), oldest first, with the time of their last event.
pub(super) const OLD: &str = concat!(
    "SELECT number, base + at, name, state, batch, base + heard * 1000000, ",
    may_go!(),
    " FROM root INDEXED BY root_begin WHERE base + at < ?1 AND base + at >= ?2 AND (base + at > ?2 OR number > ?3) ORDER BY base + at, number"
);
/// Trees of a name that can be dropped, by descending number, so that the clocks of senders do not affect which trees are kept.
pub(super) const OF_NAME: &str =
    concat!("SELECT number, state, batch FROM root INDEXED BY root_name WHERE name = ?1 AND ", may_go!(), " ORDER BY number DESC");
/// All trees that can be dropped, oldest first, with the number of their processes.
pub(super) const OLDEST: &str =
    concat!("SELECT number, succeeded + failed + cancelled + lost + other FROM root WHERE ", may_go!(), " ORDER BY number LIMIT ?1");

/// Time of the last event of the newest tree.
pub(super) const NEWEST: &str = "SELECT base + heard * 1000000 FROM root WHERE number = (SELECT max(number) FROM root)";

/// One page in `RESERVE` stays free for new data.
const RESERVE: i64 = 100;
/// Shrinking starts if at least one page in `WORTH` is free.
const WORTH: i64 = 20;
/// Shrinking starts if at least this number of pages is free.
const LEAST: i64 = 16;
/// Number of pages returned in a step, so that no batch waits long.
const PAGES: i64 = 200;
/// Number of pages returned in a step while the disk is nearly full. Each may have to be moved, which first writes it to the log.
const SPARING_PAGES: i64 = 32;
/// Retention of the sums of minutes and of hours, in minutes. The sums of longer spans are kept permanently.
pub(super) const SUMS_KEPT: [u64; 2] = [8 * LEVELS[2], 400 * LEVELS[2]];
/// Number of minutes or hours whose sums are deleted in a step.
const SUMS_AT_ONCE: i64 = 60;

/// Returns the trees that are due, starting at `from`, at most `limit` for each reason.
pub(super) fn due(
    snapshot: &mut Snapshot<'_>,
    retention: &Retention,
    now_us: u64,
    from: DueCursor,
    limit: usize,
) -> Result<Due, ReadError> {
    let mut due = Due::default();
    let mut chosen = ChosenRules::read(snapshot, retention)?;
    let now = now_us as i64;
    let soonest = retention.rules.iter().filter_map(|rule| rule.age).min();
    if let Some(soonest) = soonest.filter(|_| !from.is_past_old) {
        let cut = now.saturating_sub(soonest.as_micros() as i64);
        // Trees that begin in the future by a wrong clock are included, because their age is computed from their last event by the server's
        // clock.
        for (begin, end) in [((from.begin, from.number), cut), ((from.begin, from.number).max((now, i64::MAX)), i64::MAX)] {
            let mut statement = chosen.connection.prepare_cached(OLD)?;
            let mut rows = statement.query([end, begin.0, begin.1])?;
            while let Some(row) = rows.next()? {
                let (number, begin_us, heard): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(5)?);
                let is_old = |age: std::time::Duration| heard <= now.saturating_sub(age.as_micros() as i64);
                if !row.get(6)? {
                    continue;
                }
                let rule = chosen.rule_of((row.get(2)?, row.get(3)?), row.get(4)?)?;
                if rule.and_then(|rule| retention.rules[rule].age).is_some_and(is_old) {
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
        // Trees beyond the maximum number are searched after the old trees were dropped, because dropped trees do not count.
        due.next = Some(DueCursor { is_past_old: true, ..from });
        return Ok(due);
    }
    for (rule, wanted) in retention.rules.iter().enumerate().filter_map(|(place, rule)| Some((place, rule.count?))) {
        let mut names = BTreeMap::<i64, u64>::new();
        // Trees with a batch mark can have another rule, which is known only from their rows.
        for ((name, _), (_, count)) in chosen.by_name.iter().filter(|(_, (of, _))| of.contains(&rule)) {
            *names.entry(*name).or_default() += count;
        }
        for (name, _) in names.into_iter().filter(|(_, count)| *count > wanted) {
            let mut statement = chosen.connection.prepare_cached(OF_NAME)?;
            let mut rows = statement.query([name])?;
            let mut kept = 0;
            while let Some(row) = rows.next()? {
                if chosen.rule_of((name, row.get(1)?), row.get(2)?)? != Some(rule) {
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

/// Names and states of roots, with the number of roots.
pub(super) const NAMES: &str = "SELECT name, state, count FROM root_count";

/// Chooses the rule for each tree.
struct ChosenRules<'a> {
    retention: &'a Retention,
    connection: &'a Connection,
    dictionary: &'a mut Dictionary,
    /// Rules that can apply to the roots of a name and state, and the number of these roots, by their keys. Roots without a rule are absent.
    by_name: HashMap<(i64, i64), (Vec<usize>, u64)>,
}

impl<'a> ChosenRules<'a> {
    fn read(snapshot: &'a mut Snapshot<'_>, retention: &'a Retention) -> Result<Self> {
        let (connection, dictionary) = snapshot.parts();
        let mut by_name = HashMap::new();
        let mut statement = connection.prepare_cached(NAMES)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (name, state, count) = (row.get(0)?, row.get(1)?, row.get::<_, i64>(2)? as u64);
            let (text, word) = (dictionary.text(connection, name)?, ids::state(connection, dictionary, state)?);
            let rules = retention.rules_of(&text, &word);
            if !rules.is_empty() {
                by_name.insert((name, state), (rules, count));
            }
        }
        Ok(Self { retention, connection, dictionary, by_name })
    }

    /// Returns the rule for a root with this name and state and this batch mark.
    fn rule_of(&mut self, of: (i64, i64), batch: Option<i64>) -> Result<Option<usize>> {
        let Some((rules, _)) = self.by_name.get(&of) else { return Ok(None) };
        // Most rules are for every mark, and then its text does not matter.
        let batch = batch.filter(|_| self.retention.rules[rules[0]].batch.is_some());
        let batch = batch.map(|key| self.dictionary.text(self.connection, key)).transpose()?;
        Ok(self.retention.first_for(rules, batch.as_deref()))
    }
}

/// Returns the oldest trees that can be dropped, with an estimated total size of the excess over `limit` bytes.
pub(super) fn oldest_beyond(snapshot: &Snapshot<'_>, limit: u64, most: usize) -> Result<Beyond> {
    let (page, pages, free) = pages(snapshot)?;
    let used = ((pages - free) * page) as u64;
    if used <= limit {
        return Ok(Beyond { used_bytes: used, ..Beyond::default() });
    }
    let processes: i64 = snapshot.query_row("SELECT coalesce(sum(count), 0) FROM tally WHERE what = 1", [], |row| row.get(0))?;
    // Plus 2 % of the limit, so that new trees do not exceed it again within a minute.
    let excess = (used - limit + limit / 50) as f64;
    // The log of events has its own limit, and dropping trees does not make it smaller.
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

/// Next worker with events of unknown types.
pub(super) const NEXT_UNKNOWN: &str = "SELECT worker FROM unknown WHERE worker > ?1 ORDER BY worker LIMIT 1";
/// Maximum number of workers examined in a step.
const WORKERS_AT_ONCE: usize = 250;
/// Maximum number of events deleted in a step.
const UNKNOWN_AT_ONCE: i64 = 4_000;

/// Deletes events of unknown types from workers last seen before `heard_before_us`. Returns the key of the worker after which to continue;
/// `None` at the end.
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

/// Returns the page size in bytes, the number of pages, and the number of free pages.
pub(super) fn pages(connection: &Connection) -> Result<(i64, i64, i64)> {
    let pragma = |name| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    Ok((pragma("page_size")?, pragma("page_count")?, pragma("freelist_count")?))
}

/// Runs a checkpoint and truncates the write-ahead log. Returns false if a reader prevents it.
pub(super) fn cut_log(connection: &Connection) -> Result<bool> {
    connection.execute_batch("PRAGMA busy_timeout=0")?;
    let checkpoint = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    connection.execute_batch("PRAGMA busy_timeout=10000")?;
    Ok(checkpoint? == 0)
}

/// Returns some free pages to the disk. Leaves no reserve while the disk is nearly full.
pub(super) fn shrink(connection: &Connection, is_begun: &mut bool, is_sparing: bool) -> Result<Shrunk> {
    let (_, pages, free) = pages(connection)?;
    let spare = if is_sparing { free } else { free - pages / RESERVE };
    if spare <= 0 || (!*is_begun && free < if is_sparing { 1 } else { (pages / WORTH).max(LEAST) }) {
        if *is_begun {
            // The file is truncated by a checkpoint. If a reader prevents it, the next call tries again.
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

/// Deletes old sums of minutes and hours, up to a limit. Returns true if more may remain.
pub(super) fn trim_sums(connection: &Connection, now_us: u64) -> Result<bool> {
    for (level, kept) in SUMS_KEPT.into_iter().enumerate() {
        // Sums are kept until the sums of longer spans include them.
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
