//! What is shown of an error, by which it is searched.

use std::collections::HashMap;

use monitor_wire::Error;
use rusqlite::{Connection, Result};

use super::dictionary::Dictionary;

/// The line that lists show of an error: the farthest cause first, then what it led to. Below it what a command wrote last. None if that
/// is its message alone, which is searched anyway.
pub(super) fn line(error: &Error) -> Option<String> {
    if error.chain.is_empty() && error.tail.is_none() {
        return None;
    }
    let causes: Vec<&str> = error.chain.iter().rev().chain([&error.message]).map(String::as_str).collect();
    let lines: Vec<_> = [Some(causes.join(" ← ")), error.tail.clone()].into_iter().flatten().collect();
    Some(lines.join("\n"))
}

/// Gives the roots of a database that knew no such lines theirs.
pub(super) fn fill(connection: &Connection) -> Result<()> {
    let mut dictionary = Dictionary::default();
    let mut statement = connection.prepare("SELECT DISTINCT error, cause FROM root WHERE error IS NOT NULL AND cause IS NOT NULL")?;
    let errors: Vec<(i64, i64)> = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_>>()?;
    let mut lines = HashMap::new();
    for keys in errors {
        let error = dictionary.error(connection, keys)?;
        if let Some(line) = line(&error) {
            lines.insert(keys, dictionary.searched_key(connection, &line)?);
        }
        dictionary.trim(super::dictionary::MAX_BYTES);
    }
    let mut statement = connection.prepare("SELECT number, error, cause FROM root WHERE error IS NOT NULL AND cause IS NOT NULL")?;
    let roots: Vec<(i64, (i64, i64))> =
        statement.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?.collect::<Result<_>>()?;
    let mut update = connection.prepare("UPDATE root SET line = ?2 WHERE number = ?1")?;
    for (number, keys) in roots {
        if let Some(line) = lines.get(&keys) {
            update.execute([number, *line])?;
        }
    }
    Ok(())
}
