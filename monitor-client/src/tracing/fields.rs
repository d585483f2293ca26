//! Fields of spans and events.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use ::tracing::field::{Field, Visit};
use monitor_core::Value;
use monitor_core::record::{Failure, Fields};

/// Maximum length of a recorded value, in bytes.
const LONGEST: usize = 16 << 10;

/// Fields of a span or event. Special fields are stored separately.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) message: String,
    pub(super) fields: Fields,
    /// `otel.name`
    pub(super) name: Option<String>,
    /// `otel.status_code`: true for ERROR, false for OK.
    pub(super) is_failed: Option<bool>,
    /// `otel.status_description`, or `otel.status_message`.
    status: Option<String>,
    /// `log.target`, for events from the crate `log`.
    pub(super) target: Option<String>,
    /// The first error among the fields: its message and the messages of its sources.
    error: Option<(String, Vec<String>)>,
}

impl Said {
    /// Collects the fields that `record` passes to a visitor. If a value panics, the panic is caught and the remaining fields are lost.
    pub(super) fn of(record: impl FnOnce(&mut Said)) -> Self {
        let mut said = Said::default();
        // Dropping the payload of a panic may panic again.
        let _ = catch_unwind(AssertUnwindSafe(|| record(&mut said))).map_err(std::mem::forget);
        said
    }

    /// Returns the failure described by an event of level ERROR.
    pub(super) fn failure(&mut self, place: Option<(Cow<'static, str>, u32)>) -> Failure {
        let failure = Failure { kind: "error", place, ..Failure::default() };
        let (message, chain) = match self.error.take() {
            Some((words, chain)) if self.message.is_empty() => (words, chain),
            Some((words, mut chain)) => {
                chain.insert(0, words);
                (self.message.clone(), chain)
            }
            None if self.message.is_empty() => {
                let words =
                    |(key, value): &(Cow<'static, str>, Value)| if key == "error" { text(value) } else { format!("{key}={}", text(value)) };
                let error = self.fields.iter().find(|(key, _)| key == "error").or(self.fields.first());
                (error.map_or_else(|| "an event of level ERROR".to_owned(), words), Vec::new())
            }
            None => (self.message.clone(), Vec::new()),
        };
        Failure { message, chain, ..failure }
    }

    /// Returns the failure described by the fields of a span.
    pub(super) fn status(&mut self) -> Failure {
        let message = self.status.take().unwrap_or_else(|| "otel.status_code is ERROR".to_owned());
        Failure { kind: "error", message, ..Failure::default() }
    }

    fn add(&mut self, field: &Field, value: Value) {
        match field.name() {
            "message" => self.message = text(&value),
            "otel.name" => self.name = Some(text(&value)),
            "otel.status_code" => match text(&value).to_ascii_uppercase().as_str() {
                "ERROR" => self.is_failed = Some(true),
                "OK" => self.is_failed = Some(false),
                _ => {}
            },
            "otel.status_description" | "otel.status_message" => self.status = Some(text(&value)),
            "log.target" => self.target = Some(text(&value)),
            "log.module_path" | "log.file" | "log.line" => {}
            name => self.fields.push((Cow::Borrowed(name), value)),
        }
    }
}

impl Visit for Said {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, Value::Text(cut(format_args!("{value}"))));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let words = cut(format_args!("{value}"));
        self.error.get_or_insert_with(|| (words.clone(), monitor_core::span::chain(value)));
        self.add(field, Value::Text(words));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, Value::Text(cut(format_args!("{value:?}"))));
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Signed(value) => value.to_string(),
        Value::Unsigned(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Text(value) => value.clone(),
    }
}

/// Formats a text, cut after `LONGEST` bytes, with the number of bytes cut.
fn cut(text: fmt::Arguments<'_>) -> String {
    let mut cut = Cut { kept: String::new(), more: 0 };
    // If formatting fails, the text before the error is kept.
    let _ = cut.write_fmt(text);
    if cut.more > 0 {
        let more = cut.more;
        let _ = write!(cut.kept, "… [{more} bytes cut]");
    }
    cut.kept
}

struct Cut {
    kept: String,
    more: usize,
}

impl Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = if self.more > 0 { 0 } else { LONGEST.saturating_sub(self.kept.len()) };
        let end = if text.len() <= room { text.len() } else { (0..=room).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0) };
        self.kept.push_str(&text[..end]);
        self.more += text.len() - end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(cut(format_args!("{}{}", "a", 1)), "a1");
        let text = cut(format_args!("a{}", "ä".repeat(LONGEST)));
        assert!(text.ends_with(&format!("ä… [{} bytes cut]", LONGEST + 2)), "{}", &text[text.len() - 30..]);
    }
}
