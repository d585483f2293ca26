//! The line of an error that searches in lists compare.

use monitor_wire::Error;

/// Returns the error on one line, `context: cause`, and below it the last output of a command. `None` if that is only the message, which is
/// searched anyway.
pub(super) fn line(error: &Error) -> Option<String> {
    if error.chain.is_empty() && error.tail.is_none() {
        return None;
    }
    let lines: Vec<_> = [Some(error.links().join(": ")), error.tail.clone()].into_iter().flatten().collect();
    Some(lines.join("\n"))
}
