//! Events as lines of text.

use anstyle::{AnsiColor, Style};
use monitor_receiver::Received;
use serde_json::Value;

use crate::text::{Line, exact_moment, fit, one_line, style, visible};

/// Columns of the type, the subject, the tree's number, and the text. The longest known type has 18 columns.
const COLUMNS: [usize; 4] = [25, 45, 83, 93];
/// Maximum width of a subject, so that the other columns fit.
const SUBJECT_COLUMNS: usize = 36;

/// Renders an event: time, type, subject, tree and details.
pub(super) fn render(event: &Received, columns: Option<usize>) -> String {
    let fact = serde_json::to_value(&event.event).unwrap_or_default();
    let mut line = Line::default();
    if let Some(time) = fact["time_us"].as_u64() {
        line.text(&exact_moment(time));
    }
    line.column(COLUMNS[0]).styled(style_of(event), &visible(event.type_name()));
    line.column(COLUMNS[1]).text(&fit(&visible(&subject(event, &fact)), SUBJECT_COLUMNS));
    if let Some(root) = &event.root {
        line.column(COLUMNS[2]).text(&root.number.to_string());
    }
    let words = words(event, &fact);
    if !words.is_empty() {
        line.column(COLUMNS[3]).text(&words);
    }
    line.finish(columns)
}

/// The name of the process, worker or other subject of an event.
fn subject(event: &Received, fact: &Value) -> String {
    let of_process = event.process.as_ref().map(|process| &process.name).filter(|name| !name.is_empty()).cloned();
    let of_worker = || event.worker.as_ref().map(|worker| format!("{}@{}:{}", worker.program, worker.hostname, worker.pid));
    let text = |key: &str| fact[key].as_str().map(str::to_owned);
    of_process.or_else(of_worker).or_else(|| text("name")).or_else(|| text("task")).or_else(|| text("id")).unwrap_or_default()
}

/// Details of an event: an error, a log line, a reason.
fn words(event: &Received, fact: &Value) -> String {
    let text = |value: &Value| value.as_str().map(|text| one_line(text).into_owned());
    match event.type_name() {
        "process-logged" => [&fact["level"], &fact["message"]].into_iter().filter_map(text).collect::<Vec<_>>().join("  "),
        "process-progressed" => {
            let of = fact["total"].as_f64().map(|total| format!(" of {total}")).unwrap_or_default();
            let unit = text(&fact["unit"]).map(|unit| format!(" {unit}")).unwrap_or_default();
            format!("{}{of}{unit}", fact["done"])
        }
        _ => {
            let told = [&fact["exception"], &fact["error"]["message"], &fact["reason"], &fact["queue"]].into_iter().find_map(text);
            told.unwrap_or_default()
        }
    }
}

fn style_of(event: &Received) -> Style {
    match event.type_name() {
        "process-ended" | "task-succeeded" | "task-failed" | "process-started" | "task-started" => {
            event.process.as_ref().map(|process| style(&process.state)).unwrap_or_default()
        }
        "worker-lost" | "process-overdue" | "run-missed" | "task-retried" | "task-revoked" | "task-rejected" => {
            AnsiColor::Yellow.on_default()
        }
        "worker-heartbeat" | "process-logged" | "process-updated" | "process-progressed" => Style::new().dimmed(),
        _ => Style::new(),
    }
}
