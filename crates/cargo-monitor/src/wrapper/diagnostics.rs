//! Diagnostics that rustc prints as JSON. They are withheld until it is known if the user's code causes them, and printed without the woven
//! attributes.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::source::absolute;

#[derive(Debug, Clone)]
pub(super) struct Diagnostic(Value);

impl Diagnostic {
    /// Parses a line; `None` if it is not a diagnostic.
    pub(super) fn read(line: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(line).ok()?;
        (value["$message_type"] == "diagnostic").then_some(Self(value))
    }

    /// Creates a warning of our own.
    pub(super) fn warning(message: &str) -> Self {
        let rendered = format!("warning: {message}\n\n");
        let level = "warning";
        let (spans, children) = (Vec::<Value>::new(), Vec::<Value>::new());
        Self(
            json!({"$message_type": "diagnostic", "message": message, "code": null, "level": level, "spans": spans, "children": children, "rendered": rendered}),
        )
    }

    pub(super) fn is_error(&self) -> bool {
        self.0["level"].as_str().is_some_and(|level| level.starts_with("error"))
    }

    pub(super) fn message(&self) -> String {
        let message = self.0["message"].as_str().unwrap_or_default();
        self.0["code"]["code"].as_str().map_or_else(|| message.to_owned(), |code| format!("{message} ({code})"))
    }

    /// Returns the files and lines that the diagnostic refers to, primary spans first.
    pub(super) fn places(&self) -> Vec<(PathBuf, usize)> {
        let mut places = Vec::new();
        for wanted in [true, false] {
            for span in self.0["spans"].as_array().into_iter().flatten().filter(|span| span["is_primary"] == wanted) {
                add_places(span, &mut places);
            }
        }
        for child in self.0["children"].as_array().into_iter().flatten() {
            for span in child["spans"].as_array().into_iter().flatten() {
                add_places(span, &mut places);
            }
        }
        places
    }

    /// Removes the inserted attributes from all texts.
    pub(super) fn without(self, inserted: &[String]) -> Self {
        fn clean(value: &mut Value, inserted: &[String]) {
            match value {
                Value::String(text) if text.contains("monitor_woven") || text.contains("_task(") || text.contains("cross_") => {
                    for insertion in inserted.iter().filter(|insertion| text.contains(insertion.as_str())).collect::<Vec<_>>() {
                        *text = text.replace(insertion.as_str(), "");
                    }
                }
                Value::Array(items) => items.iter_mut().for_each(|item| clean(item, inserted)),
                Value::Object(fields) => fields.values_mut().for_each(|field| clean(field, inserted)),
                _ => {}
            }
        }
        let mut value = self.0;
        clean(&mut value, inserted);
        Self(value)
    }

    pub(super) fn print(&self) {
        let _ = writeln!(io::stderr(), "{}", self.0);
    }
}

fn add_places(span: &Value, places: &mut Vec<(PathBuf, usize)>) {
    if let (Some(file), Some(line)) = (span["file_name"].as_str(), span["line_start"].as_u64()) {
        places.push((absolute(Path::new(file)), line as usize));
    }
    if span["expansion"]["span"].is_object() {
        add_places(&span["expansion"]["span"], places);
    }
}
