//! What `monitor inspect` and its like have in common: whom they ask, what the answers look like, and how they end.

use std::io::Write as _;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use monitor_wire::{Command, CommandLine, CommandRequest, CommandStatus, CommandTo, Fields};
use serde_json::Value;

use crate::client::{Connection, print_json, read};
use crate::exit::Unanswered;
use crate::text::{Line, duration, moment, terminal_width, visible, width};

/// The longest time-out that a server takes is 60 s, and its answer must come before the connection is given up.
const LONGEST: Duration = Duration::from_secs(50);
/// A value that takes no more columns stands beside its worker.
const INLINE_COLUMNS: usize = 60;

/// Which workers are asked, and how long for.
#[derive(Debug, clap::Args)]
pub(crate) struct Whom {
    /// Only these workers, between commas: ids, names like `worker@host` (with `:pid` where several share it), or patterns like
    /// `worker@build-*` [default: all]
    #[arg(short, long, value_name = "WORKERS", value_delimiter = ',')]
    destination: Vec<String>,
    /// How long answers are waited for
    #[arg(short, long, default_value = "1s", value_parser = read_timeout)]
    timeout: Duration,
    /// Says whom it would ask, and asks nobody
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

pub(crate) fn read_timeout(text: &str) -> Result<Duration, String> {
    let wanted = || format!("expected a duration from 10ms to {}s, such as 500ms or 3s", LONGEST.as_secs());
    let timeout = monitor_server::read_duration(text).map_err(|_| wanted())?;
    (Duration::from_millis(10)..=LONGEST).contains(&timeout).then_some(timeout).ok_or_else(wanted)
}

/// Asks, and shows what the workers answer.
pub(crate) fn ask(whom: &Whom, method: &str, arguments: Fields) -> anyhow::Result<()> {
    let request = CommandRequest {
        method: method.to_owned(),
        arguments,
        to: destination(&whom.destination),
        timeout_ms: Some(whom.timeout.as_millis() as u64),
        dry_run: whom.dry_run,
        ..CommandRequest::default()
    };
    // Once: an answer that is lost must not make it two commands.
    let answer = whom.connection.wait(whom.connection.client()?.command(&request).json())?;
    let command: Command = read(answer.clone())?;
    if whom.connection.json {
        print_json(&answer)?;
    } else {
        let mut out = anstream::stdout().lock();
        out.write_all(render(&command.lines, terminal_width()).as_bytes())?;
        out.flush()?;
    }
    if whom.dry_run { Ok(()) } else { judge(&command) }
}

/// Names the methods of a scope, `read` or `operate`, with the workers that do them now.
pub(crate) fn list(connection: &Connection, scope: &str) -> anyhow::Result<()> {
    connection.show(connection.client()?.command_methods(), |methods| {
        let methods: Vec<_> = methods.methods.iter().filter(|method| method.scope == scope).collect();
        let columns = methods.iter().map(|method| width(&method.method)).max().unwrap_or(0);
        let mut text = String::new();
        for method in methods {
            let names: Vec<_> = method.workers.iter().map(|name| visible(name)).collect();
            let more = method.count.saturating_sub(names.len() as u64);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let who = if names.is_empty() { "nobody now".to_owned() } else { format!("{}{more}", names.join(", ")) };
            let mut line = Line::default();
            line.text(&visible(&method.method)).column(columns + 2).text(&who);
            text.push_str(&line.finish(terminal_width()));
        }
        let mut out = anstream::stdout().lock();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    })
}

/// What stands behind `-d`: patterns, and ids or names.
fn destination(words: &[String]) -> CommandTo {
    let (globs, workers): (Vec<&String>, Vec<&String>) =
        words.iter().filter(|word| !word.is_empty()).partition(|word| word.contains(['*', '?', '[', '{']));
    let glob = match globs[..] {
        [] => None,
        [one] => Some(one.clone()),
        _ => Some(format!("{{{}}}", globs.into_iter().cloned().collect::<Vec<_>>().join(","))),
    };
    CommandTo { workers: workers.into_iter().cloned().collect(), glob }
}

/// Success if every worker that is meant did it.
fn judge(command: &Command) -> anyhow::Result<()> {
    let asked = command.lines.len();
    let count = |status: &CommandStatus| command.lines.iter().filter(|line| line.status == *status).count();
    let silent = [CommandStatus::UNANSWERED, CommandStatus::GONE, CommandStatus::EXPIRED, CommandStatus::WAITING];
    match count(&CommandStatus::OK) {
        0 if asked == 0 => Err(Unanswered::NobodyMeant.into()),
        0 if silent.iter().map(count).sum::<usize>() == asked => Err(Unanswered::Nobody { asked }.into()),
        done if done == asked => Ok(()),
        done => Err(Unanswered::NotAll { done, asked }.into()),
    }
}

/// A line for each worker, and long answers below it.
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

/// What stands beside a worker's status: how long it took, a short value, why there is none, or when it was last heard of.
fn beside(line: &CommandLine) -> String {
    let elapsed = line.elapsed_ns.map(duration);
    let value = line.value.as_ref().and_then(inline);
    let error = line.error.as_deref().map(|error| visible(error).into_owned());
    let heard = line.last_seen_us.map(|seen_us| format!("last heard of at {}", moment(seen_us)));
    [elapsed, value, error, heard].into_iter().flatten().collect::<Vec<_>>().join("  ")
}

/// A value that is short enough to stand in its worker's line.
fn inline(value: &Value) -> Option<String> {
    let text = plain(value)?;
    (width(&text) <= INLINE_COLUMNS).then_some(text)
}

/// A value that is no list and no object.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(visible(text).into_owned()),
        Value::Null => Some("-".to_owned()),
        Value::Array(_) | Value::Object(_) => None,
        other => Some(other.to_string()),
    }
}

/// Writes a value below its worker: an object as lines of names and values, the objects of a list as a table.
fn below(value: &Value, columns: Option<usize>, text: &mut String) {
    let Value::Object(fields) = value else {
        let mut line = Line::default();
        line.text("  ").text(&visible(&value.to_string()));
        return text.push_str(&line.finish(columns));
    };
    let name_columns = fields.keys().map(|name| width(&visible(name))).max().unwrap_or(0);
    for (name, value) in fields {
        if let Value::Array(rows) = value {
            table(rows, columns, text);
        } else if !(name == "more" && *value == 0) {
            let mut line = Line::default();
            line.text("  ").text(&visible(name)).column(name_columns + 4);
            line.text(&plain(value).unwrap_or_else(|| visible(&value.to_string()).into_owned()));
            text.push_str(&line.finish(columns));
        }
    }
}

/// Writes objects as rows, their values in columns.
fn table(rows: &[Value], columns: Option<usize>, text: &mut String) {
    let cells = |row: &Value| -> Vec<String> {
        match row {
            Value::Object(fields) => fields.iter().map(|(name, value)| cell(name, value)).collect(),
            other => vec![cell("", other)],
        }
    };
    let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> =
        (0..count).map(|at| rows.iter().filter_map(|row| row.get(at)).map(|cell| width(cell)).max().unwrap_or(0)).collect();
    for row in &rows {
        let (mut line, mut column) = (Line::default(), 2);
        for (at, (cell, columns)) in row.iter().zip(&widths).enumerate() {
            if at == 0 {
                line.text("  ").text(cell);
            } else {
                line.column(column).text(cell);
            }
            column += columns + 2;
        }
        text.push_str(&line.finish(columns));
    }
}

/// A value as a table shows it: times and durations for people.
fn cell(name: &str, value: &Value) -> String {
    match (value.as_u64(), value) {
        (Some(number), _) if name.ends_with("_us") => moment(number),
        (Some(number), _) if name.ends_with("_ns") => duration(number),
        (_, Value::Object(fields)) if fields.contains_key("file") && fields.contains_key("line") => {
            visible(&format!("{}:{}", fields["file"].as_str().unwrap_or_default(), fields["line"])).into_owned()
        }
        _ => plain(value).unwrap_or_else(|| visible(&value.to_string()).into_owned()),
    }
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

    fn command(lines: Vec<CommandLine>) -> Command {
        let fields = json!({"id": null, "method": "ping", "arguments": {}, "created_us": 1, "by": "loopback", "timeout_ms": 1, "done": true, "counts": {}});
        Command { lines, ..serde_json::from_value(fields).unwrap() }
    }

    #[test]
    fn answers_stand_in_columns_and_long_ones_below() {
        let answers = command(vec![
            line("a@h", "ok", json!("pong")),
            line("根\u{1b}@host:17", "unanswered", Value::Null),
            line("b@h", "ok", json!({"processes": [{"id": "a3", "name": "x"}, {"id": "a3ce", "name": "y"}], "more": 0})),
            line("c@h", "ok", json!({"pid": 7, "threads": null})),
        ]);
        let text = render(&answers.lines, None);
        assert_eq!(
            anstream::adapter::strip_str(&text).to_string(),
            "a@h          ok          1.23 ms  pong\n\
             根␛@host:17  unanswered\n\
             b@h          ok          1.23 ms\n  a3    x\n  a3ce  y\n\
             c@h          ok          1.23 ms\n  pid      7\n  threads  -\n"
        );
        assert!(render(&answers.lines, Some(20)).lines().all(|line| width(&anstream::adapter::strip_str(line).to_string()) <= 20));
    }

    #[test]
    fn the_exit_code_says_whether_all_did_it() {
        for (statuses, expected) in [
            (&["ok", "ok"][..], None),
            (&[], Some("nobody")),
            (&["unanswered", "gone"], Some("nobody answered: 2")),
            (&["ok", "unanswered"], Some("1 of 2")),
            (&["refused"], Some("0 of 1")),
            (&["ok", "unsupported"], Some("1 of 2")),
        ] {
            let lines = statuses.iter().map(|status| line("a@h", status, Value::Null)).collect();
            let judged = judge(&command(lines)).map_err(|error| error.to_string());
            match expected {
                None => assert_eq!(judged, Ok(())),
                Some(words) => assert!(judged.as_ref().is_err_and(|error| error.contains(words)), "{statuses:?}: {judged:?}"),
            }
        }
    }

    #[test]
    fn a_destination_is_names_and_patterns() {
        let to = |words: &[&str]| destination(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>());
        assert_eq!(to(&["a@h", "", "b@*", "c@?"]), CommandTo { workers: vec!["a@h".to_owned()], glob: Some("{b@*,c@?}".to_owned()) });
        assert_eq!(to(&["x*"]).glob.as_deref(), Some("x*"));
        assert!(read_timeout("3s").is_ok() && read_timeout("2m").is_err() && read_timeout("soon").is_err());
    }
}
