//! The answer of a tool: JSON of bounded length, which ends with how to get more.

use std::fmt::Write as _;

use serde_json::Value;

/// Default length of an answer, in characters.
pub(crate) const DEFAULT_CHARACTERS: usize = 8_000;
/// Least and greatest length that a caller can set.
pub(crate) const LEAST_CHARACTERS: usize = 2_000;
/// See [`LEAST_CHARACTERS`].
pub(crate) const MOST_CHARACTERS: usize = 100_000;

/// Longest texts that are tried, in characters, until an answer fits.
const LONGEST_TEXTS: [usize; 6] = [4_000, 2_000, 1_000, 400, 150, 50];
/// Rows of a list that are kept until texts have been shortened.
const LEAST_ROWS: usize = 3;

/// Fields of an answer in their order.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    fields: Vec<(&'static str, Field)>,
    /// Address of the page that shows the same.
    page: Option<String>,
    /// How to get more.
    more: Vec<String>,
}

#[derive(Debug)]
enum Field {
    Value(Value),
    /// A list. If it is too long, rows are left out at its end, or at its start.
    Rows {
        rows: Vec<Value>,
        drops_first: bool,
    },
}

impl Answer {
    /// Adds a field.
    pub(crate) fn value(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.fields.push((name, Field::Value(value.into())));
        self
    }

    /// Adds a list whose first rows matter most.
    pub(crate) fn rows(mut self, name: &'static str, rows: Vec<Value>) -> Self {
        self.fields.push((name, Field::Rows { rows, drops_first: false }));
        self
    }

    /// Adds a list whose last rows matter most.
    pub(crate) fn last_rows(mut self, name: &'static str, rows: Vec<Value>) -> Self {
        self.fields.push((name, Field::Rows { rows, drops_first: true }));
        self
    }

    /// Returns true if there is a field of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(known, _)| *known == name)
    }

    /// Sets the address of the page.
    pub(crate) fn page(mut self, url: String) -> Self {
        self.page = Some(url);
        self
    }

    /// Adds a sentence on how to get more.
    pub(crate) fn more(mut self, how: impl Into<String>) -> Self {
        self.more.push(how.into());
        self
    }

    /// Adds how to get the next page of a list, if there is one.
    pub(crate) fn next(self, page: &Value) -> Self {
        match page["next_cursor"].as_str() {
            Some(cursor) => self.more(format!("The list goes on: call again with the same arguments and cursor {cursor:?}.")),
            None => self,
        }
    }

    /// Returns the answer as JSON of at most `limit` characters.
    pub(crate) fn text(mut self, limit: usize) -> String {
        for longest in LONGEST_TEXTS {
            for (_, field) in &mut self.fields {
                match field {
                    Field::Value(value) => cut(value, longest),
                    Field::Rows { rows, .. } => rows.iter_mut().for_each(|row| cut(row, longest)),
                }
            }
            let least = if longest == LONGEST_TEXTS[LONGEST_TEXTS.len() - 1] { 0 } else { LEAST_ROWS };
            if let Some(text) = self.fitted(limit, least) {
                return text;
            }
        }
        // Only fields that are no lists can be left: they have few short texts.
        self.written(&vec![0; self.fields.len()], limit)
    }

    /// Leaves out rows, of the list with the most text first, and keeps `least` rows of each. Returns `None` if that is not enough.
    fn fitted(&self, limit: usize, least: usize) -> Option<String> {
        let sizes: Vec<Vec<usize>> = self
            .fields
            .iter()
            .map(|(_, field)| match field {
                Field::Value(_) => Vec::new(),
                Field::Rows { rows, drops_first } => {
                    let sizes = rows.iter().map(|row| row.to_string().chars().count() + 3);
                    if *drops_first { sizes.rev().collect() } else { sizes.collect() }
                }
            })
            .collect();
        let mut kept: Vec<usize> = sizes.iter().map(Vec::len).collect();
        let mut totals: Vec<usize> = sizes.iter().map(|sizes| sizes.iter().sum()).collect();
        loop {
            let text = self.written(&kept, limit);
            let Some(mut over) = text.chars().count().checked_sub(limit).filter(|over| *over > 0) else { return Some(text) };
            let before = kept.clone();
            while over > 0 {
                let Some(largest) = (0..kept.len()).filter(|at| kept[*at] > least).max_by_key(|at| totals[*at]) else { break };
                kept[largest] -= 1;
                let size = sizes[largest][kept[largest]];
                totals[largest] -= size;
                over = over.saturating_sub(size);
            }
            if kept == before {
                return None;
            }
        }
    }

    /// Writes the answer with `kept` rows of each list.
    fn written(&self, kept: &[usize], limit: usize) -> String {
        let mut text = "{\n".to_owned();
        let mut more = Vec::new();
        for ((name, field), kept) in self.fields.iter().zip(kept) {
            match field {
                Field::Value(value) => {
                    let _ = writeln!(text, "\"{name}\": {value},");
                }
                Field::Rows { rows, drops_first } => {
                    let (start, end) = if *drops_first { (rows.len() - kept, rows.len()) } else { (0, *kept) };
                    let shown: Vec<_> = rows[start..end].iter().map(|row| format!("  {row}")).collect();
                    let _ = writeln!(text, "\"{name}\": [\n{}\n],", shown.join(",\n"));
                    if *kept < rows.len() {
                        let place = if *drops_first { "first" } else { "last" };
                        more.push(format!("The {place} {} of {} rows of {name} are left out.", rows.len() - kept, rows.len()));
                    }
                }
            }
        }
        if let Some(page) = &self.page {
            let _ = writeln!(text, "\"page\": {},", Value::from(page.as_str()));
        }
        if !more.is_empty() {
            let raise = if limit < MOST_CHARACTERS {
                format!("max_characters (now {limit}, at most {MOST_CHARACTERS}) or ")
            } else {
                String::new()
            };
            more.push(format!("Call again with another {raise}limit to see them."));
        }
        // A cursor begins behind rows that are left out, so the sentence on those is the last one.
        let how = self.more.iter().chain(&more).map(String::as_str).collect::<Vec<_>>().join(" ");
        let how = if how.is_empty() { "This is all." } else { &how };
        let _ = write!(text, "\"more\": {}\n}}", Value::from(how));
        text
    }
}

/// Shortens all texts to `longest` characters.
fn cut(value: &mut Value, longest: usize) {
    match value {
        Value::String(text) => {
            let count = text.chars().count();
            if count > longest {
                // Errors often contain their cause at the start or at the end.
                let (head, tail) = (longest / 2, longest / 2);
                let start: String = text.chars().take(head).collect();
                let end: String = text.chars().skip(count - tail).collect();
                *text = format!("{start} … [{} characters left out] … {end}", count - head - tail);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| cut(value, longest)),
        Value::Object(fields) => fields.values_mut().for_each(|value| cut(value, longest)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer() -> Answer {
        let row = |at: usize| json!({"at": at, "recorded": {"message": "é".repeat(at)}});
        Answer::default()
            .value("run", json!({"number": 1}))
            .rows("path", (0..200).map(row).collect())
            .last_rows("log", (0..200).map(row).collect())
    }

    #[test]
    fn an_answer_is_json_and_within_its_length() {
        for limit in [LEAST_CHARACTERS, 3_000, DEFAULT_CHARACTERS, MOST_CHARACTERS] {
            let text = answer().text(limit);
            assert!(text.chars().count() <= limit, "{limit}: {}", text.chars().count());
            let json: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{limit}: {error}: {text}"));
            let (path, log) = (json["path"].as_array().unwrap(), json["log"].as_array().unwrap());
            assert_eq!(path[0]["at"], 0, "{limit}");
            assert_eq!(log[log.len() - 1]["at"], 199, "{limit}");
            assert_eq!(json["more"] == "This is all.", limit == MOST_CHARACTERS, "{limit}: {}", json["more"]);
        }
    }

    #[test]
    fn one_long_text_is_shortened_in_its_middle() {
        let text = Answer::default().value("reason", format!("begin{}end", "x".repeat(1_000_000))).text(1_000);
        assert!(text.chars().count() <= 1_000 && text.contains("\"begin") && text.contains("end\""), "{text}");
    }
}
