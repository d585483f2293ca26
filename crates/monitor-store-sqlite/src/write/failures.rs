//! Sums of failures by hour, day and 32 days, each with an example. The list of the most frequent errors is read from them.

use foldhash::HashMap;
use rusqlite::{Connection, Result, params};

use super::rollups::{Finished, LEVELS, MINUTE_US};

/// A failed process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failure {
    pub finished: Finished,
    /// Keys of the error's message and of the message's shape.
    pub message: i64,
    pub shape: i64,
    /// Root number and process key.
    pub place: (i64, i64),
}

/// Changes by a transaction.
#[derive(Default)]
pub(super) struct Failures {
    /// By hour, shape and name key.
    changed: HashMap<(u64, i64, i64), Change>,
}

#[derive(Default)]
struct Change {
    count: i64,
    newest: Option<Failure>,
    /// End of the earliest added failure; 0 if none was added.
    first_us: u64,
    /// Processes whose failure was corrected: root number and process key.
    gone: Vec<(i64, i64)>,
}

impl Failures {
    /// Records that a process has failed, that its failure has changed, or that it did not fail after all.
    pub(super) fn change(&mut self, before: Option<Failure>, after: Option<Failure>) {
        if before == after {
            return;
        }
        for (failure, count) in before.map(|failure| (failure, -1)).into_iter().chain(after.map(|failure| (failure, 1))) {
            let Finished { ended_us, name, .. } = failure.finished;
            let change = self.changed.entry((ended_us / (LEVELS[1] * MINUTE_US), failure.shape, name)).or_default();
            change.count += count;
            if count > 0 && change.newest.is_none_or(|newest| newest.finished.ended_us <= ended_us) {
                change.newest = Some(failure);
            }
            if count > 0 {
                change.first_us = if change.first_us == 0 { ended_us } else { change.first_us.min(ended_us) };
            }
            if count < 0 {
                change.gone.push(failure.place);
            }
        }
    }

    pub(super) fn write(&self, connection: &Connection) -> Result<()> {
        let mut add = connection.prepare_cached(
            "INSERT INTO failure(level, t, shape, name, count, last, root, id, message, first) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) \
             ON CONFLICT DO UPDATE SET count = count + ?5, \
             root = iif(?6 >= last, ?7, root), id = iif(?6 >= last, ?8, id), message = iif(?6 >= last, ?9, message), last = max(last, ?6), first = min(first, ?10)",
        )?;
        let mut subtract =
            connection.prepare_cached("UPDATE failure SET count = count + ?5 WHERE level = ?1 AND t = ?2 AND shape = ?3 AND name = ?4")?;
        // Removes the process as the example, so that any added failure replaces it.
        let mut forget = connection.prepare_cached(
            "UPDATE failure SET root = 0, last = ?5 WHERE level = ?1 AND t = ?2 AND shape = ?3 AND name = ?4 AND root = ?6 AND id = ?7",
        )?;
        let mut clear =
            connection.prepare_cached("DELETE FROM failure WHERE level = ?1 AND t = ?2 AND shape = ?3 AND name = ?4 AND count <= 0")?;
        for ((hour, shape, name), Change { count, newest, first_us, gone }) in &self.changed {
            for (level, length) in LEVELS.iter().enumerate().skip(1) {
                let (level, t) = (level as i64, (hour * LEVELS[1] / length) as i64);
                let begin_us = t * (length * MINUTE_US) as i64;
                for (root, id) in gone {
                    forget.execute(params![level, t, shape, name, begin_us, root, id])?;
                }
                match newest {
                    Some(Failure { finished, message, place: (root, id), .. }) => {
                        add.execute(params![level, t, shape, name, count, finished.ended_us as i64, root, id, message, *first_us as i64])?;
                    }
                    None => {
                        subtract.execute(params![level, t, shape, name, count])?;
                    }
                }
                if *count < 0 {
                    clear.execute(params![level, t, shape, name])?;
                }
            }
        }
        Ok(())
    }
}
