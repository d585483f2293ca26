//! Values in the form of Python, as the events of Celery contain arguments.

use serde_json::{Map, Value};

/// Deepest nesting that is read.
const DEEPEST: usize = 100;

/// Reads a value of Python: None, a truth value, a number, a text, a list, a tuple, or a dictionary with texts as keys. A tuple becomes a list, as in
/// Celery's messages. Returns None for all else, and for a text that Celery has cut.
pub(crate) fn read(text: &str) -> Option<Value> {
    let mut reader = Reader { rest: text, depth: 0 };
    let value = reader.value()?;
    reader.skip();
    reader.rest.is_empty().then_some(value)
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl Reader<'_> {
    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Skips a text if it comes next.
    fn takes(&mut self, text: &str) -> bool {
        self.skip();
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn value(&mut self) -> Option<Value> {
        self.skip();
        match self.rest.chars().next()? {
            '\'' | '"' => self.text().map(Value::String),
            '[' => self.nested(|reader| reader.list("[", "]").map(|(values, _)| values.into())),
            '(' => self.nested(|reader| {
                let (mut values, has_comma) = reader.list("(", ")")?;
                // Brackets around a single value are no tuple.
                if values.len() == 1 && !has_comma { values.pop() } else { Some(values.into()) }
            }),
            '{' => self.nested(Self::dictionary),
            _ => self.word(),
        }
    }

    fn nested(&mut self, read: impl FnOnce(&mut Self) -> Option<Value>) -> Option<Value> {
        if self.depth == DEEPEST {
            return None;
        }
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    /// Reads the values between brackets, and whether a comma follows the last one.
    fn list(&mut self, open: &str, close: &str) -> Option<(Vec<Value>, bool)> {
        let (mut values, mut has_comma) = (Vec::new(), false);
        self.takes(open);
        while !self.takes(close) {
            if !values.is_empty() && !has_comma {
                return None;
            }
            values.push(self.value()?);
            has_comma = self.takes(",");
        }
        Some((values, has_comma))
    }

    fn dictionary(&mut self) -> Option<Value> {
        let (mut entries, mut is_separated) = (Map::new(), true);
        self.takes("{");
        while !self.takes("}") {
            if !is_separated {
                return None;
            }
            let Value::String(key) = self.value()? else { return None };
            if !self.takes(":") {
                return None;
            }
            entries.insert(key, self.value()?);
            is_separated = self.takes(",");
        }
        Some(Value::Object(entries))
    }

    fn text(&mut self) -> Option<String> {
        let mut chars = self.rest.chars();
        let quote = chars.next()?;
        let mut text = String::new();
        loop {
            match chars.next()? {
                '\\' => text.push(match chars.next()? {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'x' => code(&mut chars, 2)?,
                    'u' => code(&mut chars, 4)?,
                    'U' => code(&mut chars, 8)?,
                    same @ ('\\' | '\'' | '"') => same,
                    _ => return None,
                }),
                end if end == quote => break,
                other => text.push(other),
            }
        }
        self.rest = chars.as_str();
        // Celery and the bridge end a text so that they have cut.
        (!text.ends_with("...") && !text.contains("bytes cut] …")).then_some(text)
    }

    /// Reads a number or a name.
    fn word(&mut self) -> Option<Value> {
        let end = self.rest.find(|char: char| !(char.is_ascii_alphanumeric() || "+-._".contains(char))).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        match word {
            "None" => Some(Value::Null),
            "True" => Some(true.into()),
            "False" => Some(false.into()),
            number if number.contains(['.', 'e']) => number.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from),
            number => number.parse::<i64>().map(Value::from).or_else(|_| number.parse::<u64>().map(Value::from)).ok(),
        }
    }
}

/// Reads a character by its number of hexadecimal digits.
fn code(chars: &mut std::str::Chars<'_>, digits: usize) -> Option<char> {
    let text: String = chars.by_ref().take(digits).collect();
    let is_whole = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    char::from_u32(u32::from_str_radix(&text, 16).ok().filter(|_| is_whole)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::text::python_repr;

    #[test]
    fn values_of_python_are_read() {
        for (text, value) in [
            ("()", json!([])),
            ("(1,)", json!([1])),
            ("(1)", json!(1)),
            ("(20, -22, 1.5, 1e-07, 18446744073709551615)", json!([20, -22, 1.5, 1e-7, u64::MAX])),
            (r#"['a', "it's", 'say "x"', '\n\\\'\x00\u65e5\U0001f600', 'é日']"#, json!(["a", "it's", "say \"x\"", "\n\\'\0日😀", "é日"])),
            ("{}", json!({})),
            (" {'a': None, 'b': {'c': (True, False)},} ", json!({"a": null, "b": {"c": [true, false]}})),
        ] {
            assert_eq!(read(text), Some(value), "{text}");
        }
        for value in [json!([1, "a'b\n", null, {"k": [true, 0.5]}]), json!({"x": "日\u{7}"})] {
            assert_eq!(read(&python_repr(&value)), Some(value));
        }
    }

    #[test]
    fn cut_values_and_other_forms_are_refused() {
        for text in [
            "",
            "(",
            "(1",
            "(1 2)",
            "(,)",
            "[1,,2]",
            "{1: 2}",
            "{'a'}",
            "{'a': 1 'b': 2}",
            "'a",
            "'a...'",
            "(1, ...)",
            "b'x'",
            "1 2",
            "nan",
            "-inf",
            "1e999",
            "99999999999999999999999",
            "<object at 0x7f>",
            "datetime.date(2026, 1, 2)",
            "Decimal('1')",
            r"'\q'",
            r"'\x1'",
            r"'\ud800'",
            "***",
            "{'password': ***}",
            "1_000",
            "0x10",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read(&"(".repeat(100_000)), None);
        assert!(read(&format!("{}{}", "[".repeat(DEEPEST), "]".repeat(DEEPEST))).is_some());
        assert_eq!(read(&crate::text::cut(&format!("('{}',)", "x".repeat(100_000)))), None);
    }
}
