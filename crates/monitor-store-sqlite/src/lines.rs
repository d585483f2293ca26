//! What is shown of an error, by which it is searched.

use monitor_wire::Error;

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
