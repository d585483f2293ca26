//! The common part of similar error messages.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// Maximum number of characters of a message that are compared.
const MAX_CHARS: usize = 200;

/// Parts that vary between similar messages: quoted texts, UUIDs, hexadecimal words and numbers.
static VARYING: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"(?x) "[^"]*" | `[^`]*` | (?<before>^|[\s(\[=:,])'[^']*'
        | \b [0-9a-fA-F]{8} (-[0-9a-fA-F]{4}){3} -[0-9a-fA-F]{12} \b
        | \b 0x[0-9a-fA-F]+ \b | \b (?<word>[0-9a-fA-F]{7,}) \b
        | [0-9]+ ([.,:][0-9]+)*"#,
    )
    .expect("a pattern that is tested")
});

/// Returns a message with its varying parts replaced by `…`. The result is stored in the database. A change of this function therefore
/// separates new failures from equal failures that are already stored.
pub fn shape(message: &str) -> Cow<'_, str> {
    let end = message.char_indices().nth(MAX_CHARS).map_or(message.len(), |(end, _)| end);
    VARYING.replace_all(&message[..end], |found: &Captures<'_>| {
        let text = &found[0];
        if let Some(before) = found.name("before") {
            return format!("{}'…'", before.as_str());
        }
        if found.name("word").is_some_and(|word| !word.as_str().contains(|c: char| c.is_ascii_digit())) {
            return text.to_owned();
        }
        match text.as_bytes()[0] {
            quote @ (b'"' | b'`') => format!("{0}…{0}", char::from(quote)),
            _ => "…".to_owned(),
        }
    })
}

/// Returns true if the shape of a message is only the exit code or signal of a command, as `monitor_runs` writes it for a command without
/// output. Failures of different programs then have nothing in common.
pub fn is_bare_exit(shape: &str) -> bool {
    let signal = shape.strip_prefix("killed by ").and_then(|rest| rest.strip_suffix(" (…)"));
    matches!(shape, "exit code …" | "exit code unknown") || signal.is_some_and(|name| !name.contains(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_and_signals_alone_are_no_reasons() {
        for message in ["exit code 3", "exit code unknown", "killed by SIGKILL (9)"] {
            assert!(is_bare_exit(&shape(message)), "{message}");
        }
        for message in ["exit code 3: no disk", "killed by the kernel (7)", "killed by 9", "job 7: exit code 3", ""] {
            assert!(!is_bare_exit(&shape(message)), "{message}");
        }
    }

    #[test]
    fn numbers_ids_and_quotes_are_left_out() {
        for (message, expected) in [
            ("order 4711 not found", "order … not found"),
            ("no file \"a b.txt\" in `src`", "no file \"…\" in `…`"),
            ("can't open 'x y', it isn't there", "can't open '…', it isn't there"),
            ("at 0x7ffe12ab: bad", "at …: bad"),
            ("request 3f2b8c1e-9d4a-4c1f-8a52-0123456789ab failed", "request … failed"),
            ("commit 87d18d4c is gone, defaced too", "commit … is gone, defaced too"),
            ("took 12:33:01.5, limit 3.14", "took …, limit …"),
            ("订单 8823 超时", "订单 … 超时"),
            ("", ""),
        ] {
            assert_eq!(shape(message), expected, "{message}");
        }
        assert_eq!(shape(&"ä".repeat(300)), "ä".repeat(200));
    }
}
