//! Answers of workers as text.

use anstyle::{AnsiColor, Style};
use monitor_wire::{CommandLine, CommandStatus};
use serde_json::Value;

use crate::text::{Line, bytes, duration, moment, visible, width};

/// Maximum number of columns of a value that is shown in its worker's line.
const INLINE_COLUMNS: usize = 60;
/// Columns of a table that precede all others.
const FIRST_COLUMNS: [&str; 3] = ["uuid", "id", "name"];

/// Renders a line for each worker, with long answers below it.
pub(crate) fn render(lines: &[CommandLine], columns: Option<usize>) -> String {
    let names: Vec<_> = lines.iter().map(|line| visible(&line.name).into_owned()).collect();
    let name_columns = names.iter().map(|name| width(name)).max().unwrap_or(0);
    let status_columns = lines.iter().map(|line| width(&visible(line.status.as_str()))).max().unwrap_or(0);
    let mut text = String::new();
    for (answer, name) in lines.iter().zip(&names) {
        let mut line = Line::default();
        line.text(name).column(name_columns + 2).styled(style(&answer.status), &visible(answer.status.as_str()));
        let more = beside(answer);
        if !more.is_empty() {
            line.column(name_columns + status_columns + 4).text(&more);
        }
        text.push_str(&line.finish(columns));
        if let Some(value) = answer.value.as_ref().filter(|value| inline(value).is_none()) {
            below(value, columns, &mut text);
        }
    }
    text
}

fn style(status: &CommandStatus) -> Style {
    let color = match status.as_str() {
        "ok" => AnsiColor::Green,
        "error" => AnsiColor::Red,
        "waiting" | "taken" => return Style::new(),
        _ => AnsiColor::Yellow,
    };
    Style::new().fg_color(Some(color.into()))
}

/// Text after a worker's status: the duration and a short value, the reason for a missing answer, or the time of the last heartbeat.
fn beside(line: &CommandLine) -> String {
    let elapsed = line.elapsed_ns.map(duration);
    let value = line.value.as_ref().and_then(inline);
    let error = line.error.as_deref().map(|error| visible(error).into_owned());
    let heard = line.last_seen_us.map(|seen_us| format!("last heard of at {}", moment(seen_us)));
    [elapsed, value, error, heard].into_iter().flatten().collect::<Vec<_>>().join("  ")
}

/// A value that is short enough for its worker's line.
fn inline(value: &Value) -> Option<String> {
    let text = plain(value)?;
    (width(&text) <= INLINE_COLUMNS).then_some(text)
}

/// A value that is neither a list nor an object.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(visible(text).into_owned()),
        Value::Null => Some("-".to_owned()),
        Value::Array(_) | Value::Object(_) => None,
        other => Some(other.to_string()),
    }
}

/// Writes a value below its worker, with the names of its parts.
fn below(value: &Value, columns: Option<usize>, text: &mut String) {
    if let Value::Array(rows) = value
        && rows.iter().any(Value::is_object)
    {
        return table(rows, columns, text);
    }
    let Value::Object(fields) = value else {
        let mut line = Line::default();
        line.text("  ").text(&visible(&value.to_string()));
        return text.push_str(&line.finish(columns));
    };
    let fields: Vec<_> = fields.iter().filter(|(name, value)| !(*name == "more" && **value == 0)).collect();
    let name_columns = fields.iter().map(|(name, _)| width(&label(name))).max().unwrap_or(0);
    for (name, value) in &fields {
        let mut line = Line::default();
        line.text("  ").text(&label(name));
        match value {
            Value::Array(rows) if rows.iter().any(Value::is_object) => {
                text.push_str(&line.finish(columns));
                table(rows, columns, text);
            }
            value => {
                line.column(name_columns + 4).text(&cell(name, value));
                text.push_str(&line.finish(columns));
            }
        }
    }
}

/// Writes objects as rows of a table, with the names above.
fn table(rows: &[Value], columns: Option<usize>, text: &mut String) {
    let mut names: Vec<&str> = Vec::new();
    for name in rows.iter().filter_map(Value::as_object).flat_map(|fields| fields.keys()) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names.sort_by_key(|name| FIRST_COLUMNS.iter().position(|first| first == name).unwrap_or(FIRST_COLUMNS.len()));
    let cells = |row: &Value| -> Vec<String> {
        match row {
            Value::Object(fields) => names.iter().map(|name| fields.get(*name).map_or(String::new(), |value| cell(name, value))).collect(),
            other => vec![cell("", other)],
        }
    };
    let head = names.iter().map(|name| label(name)).collect();
    let rows: Vec<Vec<String>> = [head].into_iter().chain(rows.iter().map(cells)).collect();
    let widths: Vec<usize> =
        (0..names.len()).map(|at| rows.iter().filter_map(|row| row.get(at)).map(|cell| width(cell)).max().unwrap_or(0)).collect();
    for (number, row) in rows.iter().enumerate() {
        let (mut line, mut column) = (Line::default(), 4);
        for (cell, columns) in row.iter().zip(&widths) {
            let style = if number == 0 { Style::new().dimmed() } else { Style::new() };
            line.column(column).styled(style, cell);
            column += columns + 2;
        }
        text.push_str(&line.finish(columns));
    }
}

/// The name of a value, without the unit that [`cell`] writes beside it.
fn label(name: &str) -> String {
    let units = ["_us", "_ns", "_ms", "_bytes"];
    let plain = units.iter().find_map(|unit| name.strip_suffix(unit)).filter(|plain| !plain.is_empty());
    visible(plain.unwrap_or(name)).into_owned()
}

/// A value in one line. Times, durations and sizes are formatted; elements of a list or object follow one another.
fn cell(name: &str, value: &Value) -> String {
    match (value.as_u64(), value) {
        (Some(number), _) if name.ends_with("_us") => moment(number),
        (Some(number), _) if name.ends_with("_ns") => duration(number),
        (Some(number), _) if name.ends_with("_ms") => duration(number.saturating_mul(1_000_000)),
        (Some(number), _) if name.ends_with("_bytes") => bytes(number),
        (_, Value::Object(fields)) if fields.contains_key("file") && fields.contains_key("line") => {
            visible(&format!("{}:{}", fields["file"].as_str().unwrap_or_default(), fields["line"])).into_owned()
        }
        (_, Value::Object(fields)) if fields.values().all(|value| plain(value).is_some()) => {
            let pairs = fields.iter().map(|(name, value)| format!("{} {}", label(name), cell(name, value)));
            or_none(pairs.collect::<Vec<_>>().join(", "))
        }
        (_, Value::Array(values)) if values.iter().all(|value| plain(value).is_some()) => {
            or_none(values.iter().map(|value| cell(name, value)).collect::<Vec<_>>().join(", "))
        }
        _ => plain(value).unwrap_or_else(|| visible(&value.to_string()).into_owned()),
    }
}

fn or_none(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(name: &str, status: &str, value: Value) -> CommandLine {
        CommandLine {
            worker_id: None,
            name: name.to_owned(),
            status: status.into(),
            value: Some(value).filter(|value| !value.is_null()),
            error: None,
            elapsed_ns: (status == "ok").then_some(1_234_567),
            last_seen_us: None,
        }
    }

    #[test]
    fn answers_are_aligned_in_columns_and_long_answers_follow_below() {
        let answers = [
            line("a@h", "ok", json!("pong")),
            line("根\u{1b}@host:17", "unanswered", Value::Null),
            line("b@h", "ok", json!({"processes": [{"id": "a3", "name": "x"}, {"id": "a3ce", "name": "y"}], "more": 0})),
            line("c@h", "ok", json!({"pid": 7, "threads": null})),
        ];
        let text = render(&answers, None);
        assert_eq!(
            anstream::adapter::strip_str(&text).to_string(),
            "a@h          ok          1.2 ms  pong\n\
             根␛@host:17  unanswered\n\
             b@h          ok          1.2 ms\n  processes\n    id    name\n    a3    x\n    a3ce  y\n\
             c@h          ok          1.2 ms\n  pid      7\n  threads  -\n"
        );
        assert!(render(&answers, Some(20)).lines().all(|line| width(&anstream::adapter::strip_str(line).to_string()) <= 20));
    }

    #[test]
    fn nested_lists_and_objects_are_shown_with_their_names() {
        let stats = json!({
            "pid": 7, "memory_bytes": 12_345_678, "cpu_user_ns": 1_500_000_000_u64, "dropped": {}, "more": 0,
            "pool": {"size": 8, "busy": 3, "paused": false},
            "limits": [{"name": "video.cut\u{1b}", "rate": "10/m", "hard_ms": null}, {"name": "mail", "hard_ms": 300_000}],
            "queues": ["video", "根"], "none": [],
        });
        let text = render(&[line("a@h", "ok", stats)], None);
        let text = anstream::adapter::strip_str(&text).to_string();
        assert_eq!(
            text,
            "\
a@h  ok  1.2 ms
  cpu_user  1.5 s
  dropped   -
  limits
    name        hard      rate
    video.cut␛  -         10/m
    mail        5 m 00 s
  memory    11.8 MiB
  none      -
  pid       7
  pool      busy 3, paused false, size 8
  queues    video, 根
"
        );
    }
}
