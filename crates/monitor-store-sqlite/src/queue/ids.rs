//! Tasks whose ids begin with a text.
//!
//! The index `queue_task_ids` has the first characters of each id in a queue: [`UUID_CHARACTERS`] of a UUID, because few UUIDs begin alike,
//! and [`INDEXED_CHARACTERS`] of another id. A text of up to 16 hex digits may begin a process's own id as well: then the own ids of all
//! tasks are compared.

use monitor_wire::Process;
use rusqlite::types::Value;
use rusqlite::{Connection, Result, params_from_iter};

use super::super::ids;

/// Number of characters of an id that the index has, unless it is a UUID.
const INDEXED_CHARACTERS: usize = 16;
/// Number of characters of a UUID that the index has.
const UUID_CHARACTERS: usize = 8;
/// Number of hex digits of a process's own id.
const OWN_DIGITS: usize = 16;

/// Returns the characters of a task's id in its queue that the index has, in lower case.
pub(crate) fn indexed(process: &Process) -> String {
    process.native_id.as_deref().map(first_characters).unwrap_or_default()
}

fn first_characters(id: &str) -> String {
    let first: String = id.to_lowercase().chars().take(INDEXED_CHARACTERS).collect();
    match uuid_characters(&first) {
        Some(uuid) if first.len() == INDEXED_CHARACTERS => uuid.to_owned(),
        _ => first,
    }
}

/// Returns the characters that the index has of a UUID with this beginning; `None` if no UUID begins like it, or if the index has more.
fn uuid_characters(beginning: &str) -> Option<&str> {
    let is_of_uuid = |(at, byte): (usize, &u8)| if [8, 13].contains(&at) { *byte == b'-' } else { byte.is_ascii_hexdigit() };
    let is_uuid = beginning.len() > UUID_CHARACTERS && beginning.as_bytes().iter().enumerate().all(is_of_uuid);
    is_uuid.then(|| &beginning[..UUID_CHARACTERS])
}

/// Returns the condition for tasks whose id begins with a text in lower case. If the text is longer than the texts in the index, only its
/// beginning is compared.
pub(crate) fn condition(prefix: &str, values: &mut Vec<Value>) -> String {
    format!("({})", conditions(prefix, values).join(" OR "))
}

/// Returns the parts of the condition, each for one search.
fn conditions(prefix: &str, values: &mut Vec<Value>) -> Vec<String> {
    let mut value = |value| {
        values.push(value);
        values.len()
    };
    let native: String = prefix.chars().take(INDEXED_CHARACTERS).collect();
    let mut any: Vec<_> =
        uuid_characters(&native).map(|uuid| format!("native = ?{}", value(Value::Text(uuid.to_owned())))).into_iter().collect();
    any.push(match successor(&native) {
        _ if native.chars().count() == INDEXED_CHARACTERS => format!("native = ?{}", value(Value::Text(native))),
        Some(successor) => format!("native >= ?{} AND native < ?{}", value(Value::Text(native)), value(Value::Text(successor))),
        None => format!("native >= ?{}", value(Value::Text(native))),
    });
    any.extend(
        own_keys(prefix).map(|(first, last)| format!("id BETWEEN ?{} AND ?{}", value(Value::Integer(first)), value(Value::Integer(last)))),
    );
    any
}

/// Returns the keys of the rows that meet the [`condition`]; `None` if there are more than `most`.
pub(crate) fn keys(connection: &Connection, prefix: &str, most: u64) -> Result<Option<Vec<i64>>> {
    let (sql, values) = find(prefix, most);
    let mut statement = connection.prepare_cached(&sql)?;
    let keys = statement.query_map(params_from_iter(values), |row| row.get(0))?.collect::<Result<Vec<_>>>()?;
    Ok(Some(keys).filter(|keys| keys.len() as u64 <= most))
}

/// Returns the statement for up to `most` + 1 of these rows.
pub(crate) fn find(prefix: &str, most: u64) -> super::access::Statement {
    let mut values = Vec::new();
    let select = |condition: &String| format!("SELECT key FROM queue_task WHERE {condition}");
    let selects: Vec<_> = conditions(prefix, &mut values).iter().map(select).collect();
    (format!("{} LIMIT {}", selects.join(" UNION ALL "), most + 1), values)
}

/// Returns the smallest text that is greater than all texts that begin with `text`; `None` if there is none.
fn successor(text: &str) -> Option<String> {
    let mut letters: Vec<char> = text.chars().collect();
    while let Some(last) = letters.pop() {
        // A range of characters leaves out the numbers that are no characters.
        if let Some(next) = (last..=char::MAX).nth(1) {
            letters.push(next);
            return Some(letters.into_iter().collect());
        }
    }
    None
}

/// Returns the keys of the first and of the last process whose own id begins with these hex digits.
fn own_keys(digits: &str) -> Option<(i64, i64)> {
    let is_hex = (1..=OWN_DIGITS).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let bound = |fill: &str| u64::from_str_radix(&format!("{digits}{}", fill.repeat(OWN_DIGITS - digits.len())), 16).ok();
    let (first, last) = Some(()).filter(|()| is_hex).and_then(|()| bound("0").zip(bound("f")))?;
    Some((ids::process_key_of(first), ids::process_key_of(last)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_successor_follows_all_texts_with_its_prefix() {
        for (text, expected) in
            [("ab", Some("ac")), ("a\u{d7ff}", Some("a\u{e000}")), ("a\u{10ffff}", Some("b")), ("\u{10ffff}\u{10ffff}", None), ("", None)]
        {
            assert_eq!(successor(text).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn only_up_to_sixteen_hex_digits_begin_an_own_id() {
        for text in ["", "g", "0x1", "+1", "é", "12345678901234567"] {
            assert_eq!(own_keys(text), None, "{text}");
        }
        assert_eq!(own_keys("8"), Some((0, (1 << 60) - 1)));
        assert_eq!(own_keys("0000000000000001"), Some((i64::MIN + 1, i64::MIN + 1)));
    }
}
