//! The line that lists show of an error, which is also searched.

use monitor_wire::Error;

/// Returns the line that lists show of an error: the farthest cause first, and then the errors that it led to. Below it is the last output
/// of a command. `None` if that is only the message, which is searched anyway.
pub(super) fn line(error: &Error) -> Option<String> {
    if error.chain.is_empty() && error.tail.is_none() {
        return None;
    }
    let causes: Vec<&str> = error.chain.iter().rev().chain([&error.message]).map(String::as_str).collect();
    let lines: Vec<_> = [Some(causes.join(" ← ")), error.tail.clone()].into_iter().flatten().collect();
    Some(lines.join("\n"))
}
