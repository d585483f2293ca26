//! `monitor queue`, `monitor result`, `monitor call`, `monitor purge` and `monitor retry`

mod bindings;
mod call;
mod known;
mod purge;
mod result;
mod retry;

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use clap::Subcommand;
use monitor_api::Call;
use monitor_wire::{CommandLine, CommandStatus, Process, Queue, QueueCounts, QueueOfWorker, QueueTasksPage};
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::call::micros;
pub(crate) use self::call::{CallArgs, call};
pub(crate) use self::known::{completed_ids, full_ids, warn_of_unknown_name};
pub(crate) use self::purge::{PurgeArgs, purge};
pub(crate) use self::result::{ResultArgs, result};
pub(crate) use self::retry::{RetryArgs, retry};
use super::asking::read_timeout;
use super::task::time;
use crate::client::{Connection, print_json, read};
use crate::exit;
use crate::text::{
    DURATION_COLUMNS, Line, elapsed, error_line, fit, glyph, moment, now_us, style, terminal_width, thousands, visible, width,
};

const EXAMPLES: &str = "\
Examples:
  monitor queue list
  monitor queue list --ask  Include the number of waiting tasks
  monitor queue list --bindings
  monitor queue types
  monitor queue tasks --state failed --type video.render
  monitor queue tasks --sort -runtime --limit 10
  monitor queue tasks --worker render@build-7 --received-after '10m ago'
  monitor queue tasks --q 'kwargs:user=7 not error:\"no disk\"'
  monitor queue tasks --limit 1000 --json | jq -r '.tasks[].native_id'

If a list of tasks is not complete, stderr shows the --cursor that continues it.";

/// Maximum width of a name, so that the other columns fit.
const NAME_COLUMNS: usize = 40;

/// List queues and queue tasks
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::SERVER))]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List queues, with the number of tasks in each state
    List {
        /// Also query online workers for the number of waiting tasks, and wait this long for answers [default if the option has no value:
        /// 1s]
        #[arg(long, value_name = "DURATION", value_parser = read_timeout, num_args = 0..=1, default_missing_value = "1s")]
        ask: Option<Duration>,
        /// List the queues that online workers take tasks from, with exchanges and routing keys, and wait this long for answers [default if
        /// the option has no value: 1s]
        #[arg(long, value_name = "DURATION", value_parser = read_timeout, num_args = 0..=1, default_missing_value = "1s")]
        #[arg(conflicts_with = "ask")]
        bindings: Option<Duration>,
        #[command(flatten)]
        connection: Connection,
    },
    /// List task names, with the number of tasks in each state
    Types {
        #[command(flatten)]
        connection: Connection,
    },
    /// List queue tasks, most recently received first
    Tasks(Box<Tasks>),
}

#[derive(Debug, clap::Args)]
struct Tasks {
    /// Order: `name`, `state`, `received`, `started` or `runtime`; a leading `-` sorts in descending order [default: -received]
    #[arg(long, value_name = "ORDER", allow_hyphen_values = true)]
    sort: Option<String>,
    /// Only tasks with exactly this name
    #[arg(long = "type", value_name = "NAME")]
    name: Option<String>,
    /// Only tasks of this worker: its id, its name such as `render@build-7` (with `:pid` if several have this name), its host, or a pattern
    /// such as `render@*`
    #[arg(long)]
    worker: Option<String>,
    /// Only tasks in these states, separated by commas: `pending`, `running`, `succeeded`, `failed`, `cancelled`, `lost`
    #[arg(long, value_name = "STATES")]
    state: Option<String>,
    /// Only tasks in these phases, separated by commas: `sent`, `received`, `started`, `retried`, `requeued`, `rejected`, `revoked`
    #[arg(long, value_name = "PHASES")]
    phase: Option<String>,
    /// Only tasks of this queue
    #[arg(long)]
    queue: Option<String>,
    /// Only tasks received at this time or later: `10m ago`, `2026-11-21`, `2026-11-21T08:00` in this machine's time zone, or Unix
    /// microseconds
    #[arg(long, value_name = "TIME", value_parser = read_time)]
    received_after: Option<u64>,
    /// Only tasks received before this time
    #[arg(long, value_name = "TIME", value_parser = read_time)]
    received_before: Option<u64>,
    /// Only tasks started at this time or later
    #[arg(long, value_name = "TIME", value_parser = read_time)]
    started_after: Option<u64>,
    /// Only tasks started before this time
    #[arg(long, value_name = "TIME", value_parser = read_time)]
    started_before: Option<u64>,
    /// Only tasks that match this search: words, `name:`, `id:`, `state:`, `worker:`, `args:`, `kwargs:key=value`, `result:`, `error:`,
    /// quotes, `and`, `or`, `not` and parentheses
    #[arg(long, value_name = "SEARCH")]
    q: Option<String>,
    /// Maximum number of tasks
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Number of tasks to skip
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    offset: u32,
    /// Continue a list at the `next_cursor` of its last page
    #[arg(long)]
    cursor: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Parses Unix microseconds, or a time in the form that [`time`] accepts.
fn read_time(text: &str) -> Result<u64, String> {
    text.parse().or_else(|_| time(text).map(micros))
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::List { bindings: Some(timeout), connection, .. } => bindings::list(connection, *timeout),
        Command::List { ask, connection, .. } => {
            let client = connection.client()?;
            let call = ask.map_or_else(|| client.queues(), |timeout| client.queues_asked(timeout));
            connection.show(call, |all| print_queues(all.queues))
        }
        Command::Types { connection } => connection.show(connection.client()?.queue_types(), |all| print_counts(&all.types, "task")),
        Command::Tasks(args) => tasks(args),
    }
}

fn tasks(args: &Tasks) -> anyhow::Result<()> {
    let mut call = args.connection.client()?.queue_tasks();
    let words = [
        ("sort", &args.sort),
        ("type", &args.name),
        ("worker", &args.worker),
        ("state", &args.state),
        ("phase", &args.phase),
        ("queue", &args.queue),
        ("q", &args.q),
        ("cursor", &args.cursor),
    ];
    for (name, value) in words {
        if let Some(value) = value {
            call = call.parameter(name, value);
        }
    }
    let times = [
        ("received_after", args.received_after),
        ("received_before", args.received_before),
        ("started_after", args.started_after),
        ("started_before", args.started_before),
    ];
    for (name, time) in times {
        if let Some(time) = time {
            call = call.parameter(name, &time);
        }
    }
    if args.offset > 0 {
        call = call.parameter("offset", &args.offset);
    }
    let answer = collect(args, &call)?;
    let page: QueueTasksPage = read(answer.clone())?;
    if args.connection.json {
        print_json(&answer)?;
    } else {
        let mut out = anstream::stdout().lock();
        out.write_all(render_tasks(&page.tasks, terminal_width(), now_us()).as_bytes())?;
        out.flush()?;
    }
    match &page.next_cursor {
        Some(cursor) => writeln!(anstream::stderr(), "to continue the list: --cursor '{}'", visible(cursor))?,
        None if page.tasks.is_empty() && !args.connection.json => writeln!(anstream::stderr(), "no tasks here")?,
        None => {}
    }
    Ok(())
}

/// Requests pages until there are `--limit` tasks or the list ends, because a page is short if its search takes long. Returns all of them
/// as one page.
fn collect(args: &Tasks, call: &Call<QueueTasksPage>) -> anyhow::Result<Value> {
    let limit = usize::from(args.limit);
    let mut progress = Progress::default();
    let mut answer = args.connection.wait(call.clone().limit(limit).json())?;
    loop {
        let page: QueueTasksPage = read(answer.clone())?;
        let Some(cursor) = page.next_cursor.filter(|_| page.tasks.len() < limit) else { break };
        progress.show(page.examined, page.tasks.len());
        // The cursor includes the remaining offset.
        let next = call.clone().parameter("offset", &0).limit(limit - page.tasks.len()).cursor(&cursor);
        let mut next = args.connection.wait(next.json())?;
        if let (Some(Value::Array(tasks)), Some(Value::Array(more))) = (answer.get_mut("tasks"), next.get_mut("tasks")) {
            tasks.append(more);
            next["tasks"] = tasks.drain(..).collect();
        }
        let examined = next["examined"].as_u64().unwrap_or(0);
        next["examined"] = (page.examined + examined).into();
        answer = next;
    }
    Ok(answer)
}

/// A line on a terminal that counts the examined tasks and is erased at the end.
#[derive(Default)]
struct Progress {
    is_shown: bool,
}

impl Progress {
    fn show(&mut self, examined: u64, found: usize) {
        if std::io::stderr().is_terminal() {
            self.is_shown = true;
            // If stderr is closed, the search continues without the line.
            let _ = write!(std::io::stderr(), "\r{} tasks examined, {found} found\x1b[K", thousands(examined));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn render_tasks(tasks: &[Process], columns: Option<usize>, now_us: u64) -> String {
    let names: Vec<_> = tasks.iter().map(|task| fit(&visible(&task.name), NAME_COLUMNS).into_owned()).collect();
    let name_columns = names.iter().map(|name| width(name)).max().unwrap_or(0);
    let phase = |task: &Process| visible(task.task.as_ref().map_or(task.state.as_str(), |of| of.phase.as_str())).into_owned();
    let phase_columns = tasks.iter().map(|task| width(&phase(task))).max().unwrap_or(0);
    let mut text = String::new();
    for (task, name) in tasks.iter().zip(&names) {
        let of = task.task.as_deref();
        let style = style(&task.state);
        let mut line = Line::default();
        line.styled(style, glyph(&task.state)).text(" ").text(name).column(name_columns + 4).styled(style, &phase(task));
        let at = name_columns + phase_columns + 6;
        line.column(at).text(&of.and_then(|of| of.received_us.or(of.sent_us)).map(moment).unwrap_or_default());
        line.column(at + 21).right(&elapsed(&task.state, task.elapsed_ns, task.started_us, now_us), DURATION_COLUMNS);
        line.text("  ").text(&visible(task.native_id.as_deref().unwrap_or_default()));
        if let Some(queue) = of.and_then(|of| of.queue.as_ref()) {
            line.text("  ").text(&visible(queue));
        }
        if let Some(error) = &task.error {
            line.text("  ").styled(style, &error_line(error));
        }
        text.push_str(&line.finish(columns));
    }
    text
}

fn print_queues(queues: Vec<Queue>) -> anyhow::Result<()> {
    let (counts, workers): (Vec<_>, Vec<_>) =
        queues.into_iter().map(|Queue { name, states, workers }| (QueueCounts { name, states }, workers)).unzip();
    let lines = render_counts(&counts, terminal_width());
    let mut out = anstream::stdout().lock();
    for (line, workers) in lines.lines().zip(&workers) {
        writeln!(out, "{line}")?;
        out.write_all(workers.iter().map(|worker| render_worker(worker, terminal_width())).collect::<String>().as_bytes())?;
    }
    out.flush()?;
    if counts.is_empty() {
        writeln!(anstream::stderr(), "no queues here")?;
    }
    Ok(())
}

/// Renders a queue as a worker reported it.
fn render_worker(queue: &QueueOfWorker, columns: Option<usize>) -> String {
    let mut line = Line::default();
    line.text("  ").text(&visible(&queue.worker));
    let counts = [("waiting", queue.waiting), ("reserved", queue.reserved), ("active", queue.active), ("consumers", queue.consumers)];
    for (what, count) in counts {
        if let Some(count) = count {
            line.text(&format!("  {} {what}", thousands(count)));
        }
    }
    line.finish(columns)
}

/// The first worker's answer, if the worker succeeded and the answer is valid.
fn first_answer<T: DeserializeOwned>(command: &monitor_wire::Command) -> Option<(&CommandLine, T)> {
    let line = command.lines.first()?;
    Some((line, answer_of(line)?))
}

/// A worker's answer, if the worker succeeded and the answer is valid.
fn answer_of<T: DeserializeOwned>(line: &CommandLine) -> Option<T> {
    let value = line.value.clone().filter(|_| line.status == CommandStatus::OK)?;
    serde_json::from_value(value).ok()
}

fn print_counts(all: &[QueueCounts], what: &str) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    out.write_all(render_counts(all, terminal_width()).as_bytes())?;
    out.flush()?;
    if all.is_empty() {
        writeln!(anstream::stderr(), "no {what}s here")?;
    }
    Ok(())
}

fn render_counts(all: &[QueueCounts], columns: Option<usize>) -> String {
    let name = |of: &QueueCounts| if of.name.is_empty() { "(unknown)".to_owned() } else { visible(&of.name).into_owned() };
    let name_columns = all.iter().map(|of| width(&name(of))).max().unwrap_or(0);
    let mut text = String::new();
    for of in all {
        let mut line = Line::default();
        line.text(&name(of)).column(name_columns + 2).right(&thousands(of.states.values().sum()), 9);
        for (state, count) in sorted(&of.states) {
            line.text("  ").text(&format!("{} {}", thousands(*count), visible(state)));
        }
        text.push_str(&line.finish(columns));
    }
    text
}

/// The states, sorted by the number of tasks in descending order.
fn sorted(states: &BTreeMap<String, u64>) -> Vec<(&String, &u64)> {
    let mut states: Vec<_> = states.iter().collect();
    states.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    states
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_aligned_in_columns_and_names_are_escaped() {
        let of = |name: &str, states: &[(&str, u64)]| QueueCounts {
            name: name.to_owned(),
            states: states.iter().map(|(state, count)| ((*state).to_owned(), *count)).collect(),
        };
        let all = [of("", &[("running", 1)]), of("a\u{1b}[31m", &[("failed", 2), ("succeeded", 1_234)])];
        let text = render_counts(&all, None);
        assert!(!text.contains('\u{1b}'), "{text:?}");
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].contains("(unknown)") && lines[0].ends_with("1 running"), "{text}");
        assert!(lines[1].contains("1,236") && lines[1].ends_with("1,234 succeeded  2 failed"), "{text}");
    }
}
