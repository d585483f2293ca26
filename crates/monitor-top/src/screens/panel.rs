//! Panels with details of the selected row: all known facts, the traceback, or the result.

use monitor_text::{attempt, duration, ended_by, error_line, exact_moment, thousands, visible, width};
use monitor_wire::{Error, Process, Root, Worker};
use serde_json::Value;

use crate::app::Panel;
use crate::data::Model;

/// Maximum length and number of lines.
const LONGEST_LINE: usize = 2_000;
const MOST_LINES: usize = 2_000;

/// Returns the text of a panel, broken to `columns` columns. Control characters are made visible.
pub(super) fn lines(panel: Panel, model: &Model, columns: usize, now_us: u64) -> Vec<String> {
    let texts = match (panel, model) {
        (Panel::Info, Model::Root(root)) => of_root(root, now_us),
        (Panel::Info, Model::Process(process)) => of_process(process, now_us),
        (Panel::Info, Model::Worker(worker)) => of_worker(worker),
        (_, Model::Error(error)) => {
            vec![
                line("process", &error.name),
                line("failed", format!("{} times", thousands(error.count))),
                String::new(),
                error.message.clone(),
            ]
        }
        (Panel::Info, Model::Counts(counts)) => counts.states.iter().map(|(state, count)| line(state, thousands(*count))).collect(),
        (_, Model::Line(entry)) => {
            let fields = entry.fields.iter().map(|(name, value)| line(name, words(value)));
            [line("at", exact_moment(entry.time_us)), String::new(), entry.message.clone(), String::new()]
                .into_iter()
                .chain(fields)
                .collect()
        }
        (Panel::Traceback, Model::Root(root)) => of_error(root.error.as_ref(), None),
        (Panel::Traceback, Model::Process(process)) => {
            of_error(process.error.as_ref(), process.task.as_ref().and_then(|task| task.traceback.as_deref()))
        }
        (Panel::Result, Model::Process(process)) => of_result(process),
        (Panel::Result, Model::Root(_)) => vec!["the tree has it: Enter".to_owned()],
        (_, Model::Worker(_) | Model::Counts(_)) => vec!["it has none".to_owned()],
    };
    let lines = texts.iter().flat_map(|text| text.lines().chain(text.is_empty().then_some("")));
    lines.take(MOST_LINES).flat_map(|text| broken(text, columns)).collect()
}

fn line(name: &str, value: impl AsRef<str>) -> String {
    format!("{name:<12}  {}", value.as_ref())
}

fn words(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn times(started_us: Option<u64>, ended_us: Option<u64>, elapsed_ns: Option<u64>, now_us: u64) -> impl Iterator<Item = String> {
    let took = elapsed_ns.map(duration).or_else(|| {
        let runs_since = started_us.filter(|_| ended_us.is_none())?;
        Some(format!("{} so far", duration(now_us.saturating_sub(runs_since).saturating_mul(1_000))))
    });
    [("started", started_us.map(exact_moment)), ("ended", ended_us.map(exact_moment)), ("took", took)]
        .into_iter()
        .filter_map(|(name, value)| Some(line(name, value?)))
}

fn of_root(root: &Root, now_us: u64) -> Vec<String> {
    let mut lines = vec![line("root", &root.title), line("id", root.root_id.to_string()), line("state", root.state.as_str())];
    lines.extend(times(root.started_us, root.ended_us, root.elapsed_ns, now_us));
    lines.extend(root.attempt.map(|number| line("attempt", attempt(number, root.attempts_of, root.next_attempt_us, now_us))));
    lines.extend(root.worker_id.map(|id| line("worker", id.to_string())));
    let mut counts = root.counts;
    lines.push(line("processes", thousands(counts.total())));
    for state in ["pending", "running", "succeeded", "failed", "cancelled", "lost"] {
        let count = *counts.of(&state.into());
        if count > 0 {
            lines.push(line("", format!("{} {state}", thousands(count))));
        }
    }
    lines.extend(root.error.as_ref().map(|error| line("error", error_line(error))));
    lines
}

fn of_process(process: &Process, now_us: u64) -> Vec<String> {
    let mut lines = vec![line("process", &process.name), line("id", process.id.to_string()), line("root", process.root_id.to_string())];
    lines.extend(process.native_id.as_ref().map(|id| line("native id", id)));
    lines.push(line("kind", process.kind.as_str()));
    lines.push(line("state", process.state.as_str()));
    lines.extend(process.reason.as_ref().map(|reason| line("reason", reason)));
    lines.extend(times(process.started_us, process.ended_us, process.elapsed_ns, now_us));
    if process.attempt > 1 || process.next_attempt_us.is_some() {
        lines.push(line("attempt", attempt(process.attempt, process.attempts_of, process.next_attempt_us, now_us)));
    }
    for earlier in process.attempts.iter().filter(|earlier| earlier.attempt != process.attempt) {
        let outcome = earlier.outcome.as_ref().map_or("its end is unknown", |outcome| outcome.as_str());
        let why = earlier.error.as_ref().map(|error| format!("  {}", error_line(error))).unwrap_or_default();
        lines.push(line("", format!("attempt {}: {outcome}{why}", earlier.attempt)));
    }
    lines.extend(process.expected_ns.map(|ns| line("usually", duration(ns))));
    lines.extend(process.worker_id.map(|id| line("worker", id.to_string())));
    lines.extend(process.thread.as_ref().map(|thread| line("thread", thread)));
    lines.extend(process.source.as_ref().map(|source| line("source", format!("{}:{}", source.file, source.line))));
    lines.extend(process.exit_code.map(|code| line("exit code", code.to_string())));
    lines.extend(process.signal.map(|signal| line("signal", signal.to_string())));
    if let Some(task) = &process.task {
        lines.push(line("phase", task.phase.as_str()));
        let texts = [("queue", &task.queue), ("exchange", &task.exchange), ("routing key", &task.routing_key)];
        lines.extend(texts.into_iter().filter_map(|(name, text)| Some(line(name, text.as_ref()?))));
        let values = [("args", &task.args), ("kwargs", &task.kwargs)];
        lines.extend(values.into_iter().filter_map(|(name, value)| Some(line(name, words(value.as_ref()?)))));
        let moments = [("sent", task.sent_us), ("received", task.received_us), ("not before", task.eta_us), ("not after", task.expires_us)];
        lines.extend(moments.into_iter().filter_map(|(name, time)| Some(line(name, exact_moment(time?)))));
    }
    if let Some(fold) = &process.fold {
        lines.push(line("calls", format!("{}, {} failed, {} run", thousands(fold.count), thousands(fold.failed), thousands(fold.running))));
        lines.push(line("together", duration(fold.total_ns)));
        lines.extend(fold.quantile_ns(0.95).map(|ns| line("95 % within", duration(ns))));
    }
    lines.extend(process.error.as_ref().map(|error| line("error", error_line(error))));
    lines.extend(process.fields.iter().map(|(name, value)| line(name, words(value))));
    lines
}

fn of_worker(worker: &Worker) -> Vec<String> {
    let mut lines = vec![
        line("worker", format!("{}@{}:{}", worker.program, worker.hostname, worker.pid)),
        line("id", worker.id.to_string()),
        line("state", worker.state.as_str()),
    ];
    lines.extend(worker.version.as_ref().map(|version| line("version", version)));
    let moments = [
        ("started", worker.started_us),
        ("heard of", Some(worker.last_seen_us)),
        ("said goodbye", worker.offline_us),
        ("lost", worker.lost_us),
    ];
    lines.extend(moments.into_iter().filter_map(|(name, time)| Some(line(name, exact_moment(time?)))));
    lines.push(line("running", thousands(worker.running)));
    lines.extend(worker.active.map(|count| line("active", thousands(count))));
    lines.extend(worker.processed.map(|count| line("done", thousands(count))));
    lines.extend(worker.loadavg.map(|[one, five, fifteen]| line("load", format!("{one:.2} {five:.2} {fifteen:.2}"))));
    lines.extend((!worker.capabilities.is_empty()).then(|| line("can", worker.capabilities.join(", "))));
    let dropped = worker.dropped.iter();
    lines.extend(
        dropped.map(|dropped| line("dropped", format!("{} × {} ({})", thousands(dropped.count), dropped.event_type, dropped.reason))),
    );
    lines
}

fn of_error(error: Option<&Error>, traceback: Option<&str>) -> Vec<String> {
    let Some(error) = error else { return vec!["it has not failed".to_owned()] };
    let mut lines = vec![format!("{}{}", error.message, ended_by(error))];
    lines.extend(error.type_name.as_ref().map(|name| line("type", name)));
    lines.extend(error.source.as_ref().map(|source| line("at", format!("{}:{}", source.file, source.line))));
    lines.extend(error.chain.iter().map(|cause| format!("caused by: {cause}")));
    for text in error.tail.as_deref().into_iter().chain(traceback) {
        lines.extend([String::new(), text.to_owned()]);
    }
    lines
}

fn of_result(process: &Process) -> Vec<String> {
    let task = process.task.as_deref();
    let returned = task.and_then(|task| task.result.as_ref()).or_else(|| process.fields.get("return"));
    let pretty = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => serde_json::to_string_pretty(other).unwrap_or_default(),
    };
    let mut lines = vec![returned.map_or_else(|| "it has returned nothing, or nobody was told".to_owned(), pretty)];
    let arguments = process.fields.iter().filter(|(name, _)| *name == "arguments" || name.starts_with("args."));
    let of_task = task.map(|task| [("args", &task.args), ("kwargs", &task.kwargs)]).into_iter().flatten();
    let of_task = of_task.filter_map(|(name, value)| Some((name.to_owned(), value.as_ref()?)));
    let told: Vec<_> = of_task.chain(arguments.map(|(name, value)| (name.clone(), value))).collect();
    if !told.is_empty() {
        lines.push(String::new());
        lines.extend(told.into_iter().map(|(name, value)| line(&name, words(value))));
    }
    lines
}

/// Breaks a line into lines that fit.
fn broken(text: &str, columns: usize) -> Vec<String> {
    let text: String = text.replace('\t', "    ").chars().take(LONGEST_LINE).collect();
    let text = visible(&text);
    let (mut lines, mut line, mut taken) = (Vec::new(), String::new(), 0);
    for c in text.chars() {
        let more = width(c.encode_utf8(&mut [0; 4]));
        if taken + more > columns.max(2) {
            lines.push(std::mem::take(&mut line));
            taken = 0;
        }
        line.push(c);
        taken += more;
    }
    lines.push(line);
    lines
}
