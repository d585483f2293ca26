//! Totals of all ended processes by name, from the sums of the longest spans and the minutes that are not yet included.

use std::collections::BTreeMap;

use foldhash::{HashMap, HashSet};
use monitor_store::NameTotals;
use rusqlite::{Result, params};

use super::ids::{self, code};
use super::pool::Snapshot;
use super::write::rollups::{ALL_NAMES, Sums};

/// Sums of a level from a span on.
pub(super) const FROM: &str = "SELECT name, state, sums FROM rollup WHERE level = ?1 AND t >= ?2";
/// Level of the longest spans.
const LONGEST: i64 = 3;

/// Returns the totals of up to `most` names with the most processes, and a total without a name for all other names and the empty name.
/// Names that were `chosen` before stay listed: otherwise the total of the others could decrease, and its readers take a counter that
/// decreases for one that was reset.
pub(super) fn totals(snapshot: &mut Snapshot<'_>, most: usize, chosen: &mut HashSet<i64>) -> Result<Vec<NameTotals>> {
    let mut states = HashMap::<(i64, i64), u64>::default();
    let mut sums = HashMap::<i64, Sums>::default();
    let rolled: i64 = snapshot.prepare_cached("SELECT rolled FROM counter")?.query_row([], |row| row.get(0))?;
    for (level, from) in [(LONGEST, 0), (0, rolled)] {
        let mut statement = snapshot.prepare_cached(FROM)?;
        let mut rows = statement.query(params![level, from])?;
        while let Some(row) = rows.next()? {
            let (name, state): (i64, i64) = (row.get(0)?, row.get(1)?);
            if name == ALL_NAMES {
                continue;
            }
            let found = Sums::read(row.get_ref(2)?.as_blob()?)?;
            *states.entry((name, state)).or_default() += found.count;
            let all = sums.entry(name).or_default();
            // Lost processes are counted, but they have no duration.
            if state != code::LOST {
                all.merge(&found);
            }
        }
    }
    let mut names: Vec<_> = sums.into_iter().collect();
    let empty = snapshot.find_text("")?;
    names.sort_unstable_by_key(|(name, sums)| (Some(*name) == empty, !chosen.contains(name), std::cmp::Reverse(sums.count), *name));
    let with_a_name = names.len() - usize::from(names.last().is_some_and(|(name, _)| Some(*name) == empty));
    let rest = names.split_off(most.min(with_a_name));
    chosen.extend(names.iter().map(|(name, _)| *name));
    let mut totals = Vec::new();
    let (connection, dictionary) = snapshot.parts();
    let listed: HashMap<i64, usize> = names.iter().enumerate().map(|(place, (name, _))| (*name, place)).collect();
    for (name, sums) in names {
        totals.push(NameTotals { name: Some(dictionary.text(connection, name)?.to_string()), ..of(&sums) });
    }
    if !rest.is_empty() {
        let mut all = Sums::default();
        for (_, sums) in &rest {
            all.merge(sums);
        }
        totals.push(of(&all));
    }
    for ((name, state), count) in states {
        let place = listed.get(&name).copied().unwrap_or(totals.len() - 1);
        let state = ids::state(connection, dictionary, state)?.to_string();
        *totals[place].states.entry(state).or_default() += count;
    }
    Ok(totals)
}

fn of(sums: &Sums) -> NameTotals {
    let histogram = sums.histogram.iter().map(|(bucket, count)| (u32::from(*bucket), *count)).collect();
    NameTotals { name: None, states: BTreeMap::new(), total_ns: sums.total, histogram }
}
