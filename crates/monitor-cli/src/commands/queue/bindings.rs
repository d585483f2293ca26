//! `monitor queue list --bindings`

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use anstyle::Style;
use monitor_wire::{CommandLine, CommandRequest, CommandStatus};
use serde::Serialize;
use serde_json::{Value, json};

use super::super::asking::judge;
use crate::client::{Connection, print_json};
use crate::text::{Line, terminal_width, visible, width};

/// How messages reach a queue, and the workers that take tasks from it. Only workers of Celery name the exchange and the routing key.
#[derive(Debug, Serialize)]
struct Binding {
    queue: String,
    exchange: Option<String>,
    /// Type of the exchange, such as `direct`.
    #[serde(rename = "type")]
    exchange_type: Option<String>,
    routing_key: Option<String>,
    workers: Vec<String>,
}

/// Queries online workers for their queues, and lists these with their bindings.
pub(super) fn list(connection: &Connection, timeout: Duration) -> anyhow::Result<()> {
    let request = CommandRequest {
        method: "active-queues".to_owned(),
        timeout_ms: Some(monitor_duration::milliseconds(timeout)),
        ..CommandRequest::default()
    };
    let command = connection.ask(connection.client()?.command(&request))?;
    let bindings = bindings(&command.lines);
    if connection.json {
        print_json(&json!({"bindings": bindings}))?;
    } else {
        let mut out = anstream::stdout().lock();
        out.write_all(render(&bindings, terminal_width()).as_bytes())?;
        out.flush()?;
    }
    judge(&command)
}

fn bindings(lines: &[CommandLine]) -> Vec<Binding> {
    let mut all: BTreeMap<[Option<&str>; 4], Vec<String>> = BTreeMap::new();
    for line in lines.iter().filter(|line| line.status == CommandStatus::OK) {
        for (queue, binding) in bindings_of(line) {
            let exchange = &binding["exchange"];
            let name = exchange["name"].as_str().or(exchange.as_str());
            let of = [queue["name"].as_str(), name, exchange["type"].as_str(), binding["routing_key"].as_str()];
            all.entry(of).or_default().push(line.name.clone());
        }
    }
    let text = |text: Option<&str>| text.map(str::to_owned);
    let binding = |([queue, exchange, exchange_type, routing_key], workers): ([Option<&str>; 4], _)| Binding {
        queue: text(queue).unwrap_or_default(),
        exchange: text(exchange),
        exchange_type: text(exchange_type),
        routing_key: text(routing_key),
        workers,
    };
    all.into_iter().map(binding).collect()
}

/// The queues of a worker, each with each of its bindings. A worker of Celery answers with a list of queues, another one has it in `queues`.
fn bindings_of(line: &CommandLine) -> Vec<(&Value, &Value)> {
    let answer = line.value.as_ref();
    let queues = answer.and_then(|answer| answer.as_array().or(answer["queues"].as_array())).map(Vec::as_slice).unwrap_or_default();
    let of_queue = |queue| {
        let more = queue_bindings(queue);
        [queue].into_iter().chain(more).map(move |binding| (queue, binding))
    };
    queues.iter().flat_map(of_queue).collect()
}

fn queue_bindings(queue: &Value) -> &[Value] {
    queue["bindings"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn render(bindings: &[Binding], columns: Option<usize>) -> String {
    let cell = |text: Option<&str>| text.map_or_else(|| "-".to_owned(), |text| visible(text).into_owned());
    let row = |of: &Binding| {
        // The default exchange has no name.
        let exchange = of.exchange.as_deref().map(|name| if name.is_empty() { "(default)" } else { name });
        let texts = [Some(of.queue.as_str()), exchange, of.exchange_type.as_deref(), of.routing_key.as_deref()];
        [texts.map(cell).as_slice(), &[visible(&of.workers.join(", ")).into_owned()]].concat()
    };
    let head = ["queue", "exchange", "type", "routing key", "workers"].map(str::to_owned).to_vec();
    let rows: Vec<Vec<String>> = [head].into_iter().chain(bindings.iter().map(row)).collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let style = if number == 0 { Style::new().dimmed() } else { Style::new() };
        let (mut line, mut at) = (Line::default(), 0);
        for (column, cell) in row.iter().enumerate() {
            if column > 0 {
                line.column(at);
            }
            line.styled(style, cell);
            at += rows.iter().map(|row| width(&row[column])).max().unwrap_or(0) + 2;
        }
        text.push_str(&line.finish(columns));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(name: &str, status: &str, value: &Value) -> CommandLine {
        let line = json!({"worker_id": "5b0c00000000000000000000000000a1", "name": name, "status": status, "value": value});
        serde_json::from_value(line).unwrap()
    }

    #[test]
    fn bindings_of_all_workers_are_listed_once() {
        let celery = json!([
            {"name": "mail", "exchange": {"name": "post", "type": "topic"}, "routing_key": "mail.#",
                "bindings": [{"exchange": {"name": "news", "type": "fanout"}, "routing_key": ""}]},
            {"name": "celery", "exchange": {"name": "", "type": "direct"}, "routing_key": "celery", "bindings": []},
        ]);
        let lines = [
            answered("w1@a", "ok", &celery),
            answered("w2@a", "ok", &celery),
            answered("build-7", "ok", &json!({"queues": [{"name": "films"}]})),
            answered("w3@a", "error", &Value::Null),
            answered("odd", "ok", &json!("nothing")),
        ];
        let expected = "\
queue   exchange   type    routing key  workers
celery  (default)  direct  celery       w1@a, w2@a
films   -          -       -            build-7
mail    news       fanout               w1@a, w2@a
mail    post       topic   mail.#       w1@a, w2@a
";
        let shown = anstream::adapter::strip_str(&render(&bindings(&lines), None)).to_string();
        assert_eq!(shown, expected);
    }
}
