//! Completes ids and checks names of queue tasks, using the tasks that the server knows.

use std::io::Write as _;

use monitor_wire::Process;

use crate::client::Connection;
use crate::exit::NotThere;
use crate::text::visible;

/// Fewest digits of an id that are enough, as for `monitor cancel`.
const LEAST_DIGITS: usize = 6;
/// Number of hex digits of a UUID.
const UUID_DIGITS: usize = 32;

/// Completes ids of queue tasks to full ids.
///
/// An unknown full id is kept, with a warning, because the program that sent the task may not be monitored.
///
/// # Errors
/// If no task or several tasks have an id with these first digits.
pub(crate) fn full_ids(connection: &Connection, ids: &[&str]) -> anyhow::Result<Vec<String>> {
    ids.iter().map(|id| full_id(connection, id)).collect()
}

/// Like [`full_ids`], for commands whose answer shows that a task is unknown: full ids are kept without a request to the server.
///
/// # Errors
/// If no task or several tasks have an id with these first digits.
pub(crate) fn completed_ids(connection: &Connection, ids: &[String]) -> anyhow::Result<Vec<String>> {
    ids.iter().map(|id| if is_prefix(id) { full_id(connection, id) } else { Ok(id.clone()) }).collect()
}

fn full_id(connection: &Connection, id: &str) -> anyhow::Result<String> {
    match connection.ask(connection.client()?.queue_task(id)) {
        Ok(_) => return Ok(id.to_owned()),
        Err(error) if error.status() == Some(404) => {}
        Err(error) => return Err(error.into()),
    }
    if !is_prefix(id) {
        warn(&format!("no task with the id {id:?} is known: it is sent nevertheless, as the task's sender may not be monitored"));
        return Ok(id.to_owned());
    }
    let found = if id.len() < LEAST_DIGITS { Vec::new() } else { ids_that_begin_with(connection, id)? };
    match &found[..] {
        [] => Err(NotThere(format!("no task with this id is known: {id}")).into()),
        [found] => Ok(found.clone()),
        several => {
            let named: Vec<_> = several.iter().take(5).map(|id| visible(id)).collect();
            Err(NotThere(format!("{} tasks have ids that begin with {id}: {}; give more digits", several.len(), named.join(", "))).into())
        }
    }
}

/// True if this is an incomplete UUID.
fn is_prefix(id: &str) -> bool {
    let is_hex = id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    is_hex && id.bytes().filter(u8::is_ascii_hexdigit).count() < UUID_DIGITS
}

fn ids_that_begin_with(connection: &Connection, id: &str) -> anyhow::Result<Vec<String>> {
    let mut pages = connection.client()?.queue_tasks().parameter("q", &format!("id:{id}")).limit(1_000).pages();
    let mut found: Vec<String> = Vec::new();
    while let Some(page) = connection.wait(pages.next())? {
        found.extend(page.tasks.into_iter().filter_map(|task: Process| task.native_id));
    }
    // The search also finds ids of processes.
    found.retain(|found| found.get(..id.len()).is_some_and(|digits| digits.eq_ignore_ascii_case(id)));
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Warns if no task with this name is known, and suggests the most similar name.
pub(crate) fn warn_of_unknown_name(connection: &Connection, name: &str) -> anyhow::Result<()> {
    let types = connection.ask(connection.client()?.queue_types())?.types;
    if types.iter().all(|known| known.name != name) {
        let near = monitor_tasks::reading::did_you_mean(name, types.iter().map(|known| &*known.name));
        warn(&format!("no task named {name:?} is known{near}"));
    }
    Ok(())
}

fn warn(text: &str) {
    let _ = writeln!(anstream::stderr(), "monitor: warning: {}", visible(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fewer_digits_than_a_uuid_has_are_a_prefix() {
        for (id, expected) in [
            ("8a1c7f0e", true),
            ("8A1C", true),
            ("8a1c7f0e-5d3b", true),
            ("8a1c7f0e5d3b4e6f9a2b1c0d9e8f7a6b", false),
            ("8a1c7f0e-5d3b-4e6f-9a2b-1c0d9e8f7a6b", false),
            ("order-8", false),
            ("01J8ZQ4K7M0000000000000000", false),
        ] {
            assert_eq!(is_prefix(id), expected, "{id}");
        }
    }
}
