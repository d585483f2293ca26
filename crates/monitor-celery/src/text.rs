//! Texts of tasks: the Python form of arguments, and their limits.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::Value;

/// Longest text of a task that is sent to the server, in bytes.
const LONGEST: usize = 64 << 10;
/// Part of a longer text that is kept from its end. The end of a traceback is the error.
const TAIL: usize = 16 << 10;
/// Words in the names of secret arguments.
const SECRET: [&str; 6] = ["password", "passwd", "secret", "token", "key", "credential"];

/// Cuts a text in the middle if it is longer than the limit.
pub(crate) fn cut(text: &str) -> Cow<'_, str> {
    if text.len() <= LONGEST {
        return text.into();
    }
    let head = first_bytes(text, LONGEST - TAIL);
    let tail = &text[first_bytes(text, text.len() - TAIL).len()..];
    format!("{head}… [{} bytes cut] …{tail}", text.len() - head.len() - tail.len()).into()
}

/// Returns the beginning of a text: at most this number of bytes, and whole characters.
pub(crate) fn first_bytes(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

/// Replaces values by `***` in the Python form of named arguments, such as `{'user': 7, 'password': 'a'}`, if their names contain a word such as
/// `password`. Celery cuts long forms, so the text may end anywhere.
pub(crate) fn mask_kwargs(repr: &str) -> Cow<'_, str> {
    let lower = repr.to_ascii_lowercase();
    if !SECRET.iter().any(|word| lower.contains(word)) {
        return repr.into();
    }
    let (mut masked, mut rest) = (String::with_capacity(repr.len()), repr);
    while let Some(at) = rest.find(['\'', '"']) {
        let (before, quoted) = rest.split_at(at);
        masked.push_str(before);
        let length = string_length(quoted);
        let (name, after) = quoted.split_at(length);
        masked.push_str(name);
        rest = after;
        let lower = name.to_ascii_lowercase();
        if let Some(value) = after.strip_prefix(": ")
            && SECRET.iter().any(|word| lower.contains(word))
        {
            masked.push_str(": ***");
            rest = &value[value_length(value)..];
        }
    }
    masked.push_str(rest);
    masked.into()
}

/// Length of the Python string that a text begins with, including its quotes.
fn string_length(text: &str) -> usize {
    let quote = text.as_bytes()[0];
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            _ if byte == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Length of the Python value that a text begins with: up to the next comma or bracket that does not belong to it.
fn value_length(text: &str) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(byte) = text.as_bytes().get(at) {
        match byte {
            b'\'' | b'"' => at += string_length(&text[at..]),
            b'(' | b'[' | b'{' => (at, depth) = (at + 1, depth + 1),
            b')' | b']' | b'}' | b',' if depth == 0 => return at,
            b')' | b']' | b'}' => (at, depth) = (at + 1, depth - 1),
            _ => at += 1,
        }
    }
    text.len()
}

/// Writes a JSON value as Python's `repr` does. Workers show it as the arguments of a task.
pub(crate) fn python_repr(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => {
            let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
            let mut repr = String::from(quote);
            for of in text.chars() {
                match of {
                    '\\' => repr.push_str("\\\\"),
                    '\n' => repr.push_str("\\n"),
                    '\r' => repr.push_str("\\r"),
                    '\t' => repr.push_str("\\t"),
                    _ if of == quote => repr.extend(['\\', of]),
                    _ if of.is_control() => {
                        let _ = write!(repr, "\\x{:02x}", u32::from(of));
                    }
                    _ => repr.push(of),
                }
            }
            repr.push(quote);
            repr
        }
        Value::Array(values) => format!("[{}]", values.iter().map(python_repr).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let of = |(name, value): (&String, &Value)| format!("{}: {}", python_repr(&Value::from(name.as_str())), python_repr(value));
            format!("{{{}}}", fields.iter().map(of).collect::<Vec<_>>().join(", "))
        }
    }
}

/// Writes positional arguments as Python's `repr` writes a tuple.
pub(crate) fn python_tuple(values: &[Value]) -> String {
    let comma = if values.len() == 1 { "," } else { "" };
    format!("({}{comma})", values.iter().map(python_repr).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn named_secrets_are_masked_wherever_the_text_ends() {
        for (repr, expected) in [
            ("{}", "{}"),
            ("{'user': 7, 'size': '4k'}", "{'user': 7, 'size': '4k'}"),
            ("{'password': 'a', 'user': 7}", "{'password': ***, 'user': 7}"),
            ("{'user': 7, 'Api_Token': \"a'b\"}", "{'user': 7, 'Api_Token': ***}"),
            ("{'secret': ['a, b', {'c': (1, 2)}], 'd': 1}", "{'secret': ***, 'd': 1}"),
            ("{'password': 'it\\'s', 'user': 'a'}", "{'password': ***, 'user': 'a'}"),
            ("{'db': {'passwd': None, 'port': 1}}", "{'db': {'passwd': ***, 'port': 1}}"),
            ("{'text': 'password', 'user': 7}", "{'text': 'password', 'user': 7}"),
            ("{'password': 'abc...", "{'password': ***"),
            ("{'password': [1, 2, ...", "{'password': ***"),
            ("{'passwor", "{'passwor"),
            ("{'密码token': '秘密', 'a': '视频'}", "{'密码token': ***, 'a': '视频'}"),
        ] {
            assert_eq!(mask_kwargs(repr), expected);
        }
    }

    #[test]
    fn a_long_text_keeps_its_beginning_and_its_end() {
        assert_eq!(cut("short"), "short");
        let long = format!("Traceback{}ValueError: boom", "视".repeat(100_000));
        let cut = cut(&long);
        assert!(cut.starts_with("Traceback") && cut.ends_with("ValueError: boom") && cut.contains("bytes cut]"));
        assert!(cut.len() < LONGEST + 100, "{}", cut.len());
    }

    #[test]
    fn values_are_written_as_python_does() {
        // `repr([...])` of Python 3.11 for the same values.
        let values = json!([1, 2.5, true, null, "a", "it's", "a\"b'c", "\n\u{0}\\", {"k": [false]}, "视频"]);
        assert_eq!(python_repr(&values), r#"[1, 2.5, True, None, 'a', "it's", 'a"b\'c', '\n\x00\\', {'k': [False]}, '视频']"#);
        assert_eq!(
            (python_tuple(&[]), python_tuple(&[json!(1)]), python_tuple(&[json!(1), json!(2)])),
            ("()".into(), "(1,)".into(), "(1, 2)".into())
        );
    }
}
