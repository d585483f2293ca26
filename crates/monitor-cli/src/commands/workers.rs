//! `monitor workers`

use std::io::Write as _;

use monitor_tasks::reading::did_you_mean;
use monitor_wire::{State, Worker, WorkerState};
use serde_json::{Value, json};

use crate::client::{Connection, print_json, read};
use crate::exit;
use crate::text::{Line, fit, glyph, moment, style, terminal_width, thousands, visible, width};

const EXAMPLES: &str = "\
Examples:
  monitor workers
  monitor workers --state online,lost
  monitor workers --q build-7  Search names, hosts, ids, roles and versions
  monitor workers --state lost --json | jq -r '.workers[].id'";

/// Number of workers per request.
const PAGE: usize = 1_000;
/// Maximum width of a name, so that the other columns fit.
const NAME_COLUMNS: usize = 60;

/// List workers with their states and task counts, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::SERVER))]
pub(crate) struct Args {
    /// Only workers in these states, separated by commas: `online`, `offline`, `lost`, `unheard` (reported by a bridge that is silent)
    #[arg(long, value_name = "STATES", value_delimiter = ',', value_parser = read_state)]
    state: Vec<WorkerState>,
    /// Only workers with this text in the name (`program@host:pid`), id, role or version, ignoring case
    #[arg(long, value_name = "TEXT")]
    q: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

fn read_state(text: &str) -> Result<WorkerState, String> {
    let states = [WorkerState::ONLINE, WorkerState::OFFLINE, WorkerState::LOST, WorkerState::UNHEARD];
    let names = states.each_ref().map(WorkerState::as_str);
    let found = states.iter().find(|state| state.as_str() == text.trim()).cloned();
    found.ok_or_else(|| format!("expected {}{}", names.join(", "), did_you_mean(text, names)))
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut pages = args.connection.client()?.workers().limit(PAGE).pages();
    let (mut workers, mut all, mut as_of) = (Vec::new(), Vec::new(), Value::Null);
    while let Some(mut page) = args.connection.wait(pages.next_json())? {
        if as_of.is_null() {
            as_of = page["as_of"].take();
        }
        let Value::Array(found) = page["workers"].take() else { continue };
        for value in found {
            let worker: Worker = read(value.clone())?;
            if args.keeps(&worker) {
                workers.push(worker);
                all.push(value);
            }
        }
    }
    if args.connection.json {
        return print_json(&json!({"workers": all, "next_cursor": null, "as_of": as_of}));
    }
    let mut out = anstream::stdout().lock();
    out.write_all(render(&workers, terminal_width()).as_bytes())?;
    out.flush()?;
    if workers.is_empty() {
        writeln!(anstream::stderr(), "no workers here")?;
    }
    Ok(())
}

impl Args {
    fn keeps(&self, worker: &Worker) -> bool {
        let role = worker.role.as_ref().map_or("", |role| role.as_str());
        let texts = [&name(worker), &worker.id.to_string(), role, worker.version.as_deref().unwrap_or_default()];
        let has_text = |wanted: &String| texts.iter().any(|text| text.to_lowercase().contains(&wanted.to_lowercase()));
        (self.state.is_empty() || self.state.contains(&worker.state)) && self.q.as_ref().is_none_or(has_text)
    }
}

fn name(worker: &Worker) -> String {
    format!("{}@{}:{}", worker.program, worker.hostname, worker.pid)
}

fn render(workers: &[Worker], columns: Option<usize>) -> String {
    let names: Vec<_> = workers.iter().map(|worker| fit(&visible(&name(worker)), NAME_COLUMNS).into_owned()).collect();
    let name_columns = names.iter().map(|name| width(name)).max().unwrap_or(0);
    let state_columns = workers.iter().map(|worker| width(worker.state.as_str())).max().unwrap_or(0);
    let mut text = String::new();
    for (worker, name) in workers.iter().zip(&names) {
        // An online worker is shown like a running process.
        let mark = if worker.state == WorkerState::ONLINE { State::RUNNING } else { State::from(worker.state.as_str()) };
        let style = style(&mark);
        let mut line = Line::default();
        line.styled(style, glyph(&mark)).text(" ").text(name).column(name_columns + 4).styled(style, &visible(worker.state.as_str()));
        line.column(name_columns + state_columns + 6).text(&moment(worker.last_seen_us));
        let tasks = worker.tasks;
        let counts = [("running", worker.running), ("succeeded", tasks.succeeded), ("failed", tasks.failed), ("retried", tasks.retried)];
        for (what, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            line.text(&format!("  {} {what}", thousands(count)));
        }
        text.push_str(&line.finish(columns));
    }
    text
}
