//! Old runs: their folders are removed, and later their rows.

use rusqlite::Transaction;

use super::Database;
use crate::error::AgentError;

/// Number of the newest runs whose folders are kept. Folders of older runs are removed. Their rows stay in the database, and their output stays
/// in the logs of their tasks.
const KEPT_FOLDERS: i64 = 1_000;
/// Maximum number of stored runs. Older runs are deleted.
const MOST_RUNS: i64 = 1_000_000;

impl Database {
    /// Returns up to 1,000 ended runs that are older than the newest [`KEPT_FOLDERS`] and still have folders, oldest first.
    pub(crate) fn runs_to_forget(&self) -> Result<Vec<String>, AgentError> {
        let sql = "SELECT id FROM run
                   WHERE has_folder = 1 AND ended_us IS NOT NULL AND told_us < (SELECT told_us FROM run ORDER BY told_us DESC LIMIT 1 OFFSET ?)
                   ORDER BY told_us LIMIT 1000";
        self.read(|connection| connection.prepare_cached(sql)?.query_map([KEPT_FOLDERS], |row| row.get(0))?.collect())
    }
}

/// Stores that these runs have no folders any more. Also deletes the oldest runs beyond [`MOST_RUNS`] if they have none.
pub(crate) fn write_forgotten(transaction: &Transaction<'_>, runs: &[String]) -> rusqlite::Result<()> {
    let mut forget = transaction.prepare_cached("UPDATE run SET has_folder = 0 WHERE id = ?")?;
    for run in runs {
        forget.execute([run])?;
    }
    let sql = "DELETE FROM run WHERE rowid <= (SELECT max(rowid) FROM run) - ? AND has_folder = 0";
    transaction.execute(sql, [MOST_RUNS]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_ends_long_after_later_runs_is_deleted_too() {
        let data = tempfile::tempdir().unwrap();
        let mut database = Database::open(data.path()).unwrap();
        database
            .write(|to| {
                for number in 0..KEPT_FOLDERS + 4 {
                    let sql = "INSERT INTO run(id, task, due_us, version, cause, attempt, told_us, ended_us) VALUES(?, 'gold', 1, 1, '', 1, ?, ?)";
                    // The first one still runs.
                    to.execute(sql, (number.to_string(), number, (number > 0).then_some(9)))?;
                }
                Ok(())
            })
            .unwrap();
        let found = database.runs_to_forget().unwrap();
        assert_eq!(found, ["1", "2"]);
        database.write(|to| write_forgotten(to, &found)).unwrap();
        assert!(database.runs_to_forget().unwrap().is_empty());
        database.write(|to| to.execute("UPDATE run SET ended_us = 9 WHERE id = '0'", []).map(drop)).unwrap();
        assert_eq!(database.runs_to_forget().unwrap(), ["0"]);
    }
}
