//! `monitor task run` and `kill`

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::bail;
use monitor_api::Call;
use monitor_wire::{BatchKillRequest, BatchRunRequest, Command, CommandStatus, State};
use serde_json::Value;

use super::EXIT_CODES;
use super::whom::{Meant, Whom};
use crate::client::{Connection, print_json, read};
use crate::text::{one_line, visible};

/// Interval of the requests for a run to end.
const LOOK: Duration = Duration::from_millis(300);

const EXAMPLES: &str = "\
Examples:
  monitor task run gold
  monitor task run gold --wait -- --all  Pass an argument, and wait for the end";

/// Start a run of a task now, even if the task is paused
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(super) struct Run {
    /// Name of the task
    task: String,
    /// Wait for the run to end; the exit code is 0 if it succeeded, else 1
    #[arg(long)]
    wait: bool,
    /// Arguments to append to the task's command
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<String>,
    #[command(flatten)]
    whom: Whom,
}

pub(super) fn run(args: &Run) -> anyhow::Result<()> {
    let connection = &args.whom.connection;
    match args.whom.meant()? {
        #[cfg(target_os = "linux")]
        Meant::Agent(data) => super::local::run(&data, &args.task, &args.args, (args.wait, connection.json)),
        Meant::Server => {
            let request = BatchRunRequest { args: args.args.clone() };
            let call = connection.client()?.run_batch_task(&args.task, &request);
            if !args.wait {
                return order(connection, call);
            }
            let command = connection.ask(call)?;
            tell(&command)?;
            wait(connection, &args.task, &command)
        }
    }
}

/// Waits until all runs that a command has started are over.
fn wait(connection: &Connection, task: &str, command: &Command) -> anyhow::Result<()> {
    let refused = command.lines.iter().filter(|line| line.error.is_some() || line.status == CommandStatus::WAITING).count();
    if refused > 0 {
        bail!("{refused} of {} agents have not started it", command.lines.len());
    }
    let runs: Vec<&str> = command.lines.iter().flat_map(|line| started(line.value.as_ref())).collect();
    if runs.is_empty() {
        bail!("no agent named a run: `monitor task runs {task}` shows what became of it");
    }
    let mut failed = 0;
    for run in &runs {
        let begun = Instant::now();
        let ended = loop {
            let page = connection.ask(connection.client()?.batch_runs().task(task).limit(200))?;
            let found = page.runs.into_iter().find(|of| of.run == **run);
            if let Some(found) = found.filter(|found| found.ended_us.is_some()) {
                break found;
            }
            std::thread::sleep(if begun.elapsed() < LOOK * 10 { LOOK } else { LOOK * 5 });
        };
        failed += usize::from(ended.outcome != State::SUCCEEDED);
        let error = ended.error.map(|error| format!(": {}", one_line(&error))).unwrap_or_default();
        writeln!(anstream::stdout(), "{}", visible(&format!("{run}  {}{error}", ended.outcome)))?;
    }
    if failed > 0 {
        bail!("{failed} of {} runs failed", runs.len());
    }
    Ok(())
}

/// Ids of runs in the answer of an agent.
fn started(value: Option<&Value>) -> Vec<&str> {
    let runs = value.map(|value| value.get("runs").unwrap_or(value));
    match runs {
        Some(Value::Array(runs)) => runs.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(run)) => vec![run],
        _ => Vec::new(),
    }
}

/// End a run, or all runs of a task
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Kill {
    /// Id of a run, such as gold@20261121T023000Z.1, or name of a task
    what: String,
    /// Send SIGKILL immediately [default: send SIGTERM, then SIGKILL after 5 s]
    #[arg(long)]
    now: bool,
    #[command(flatten)]
    whom: Whom,
}

pub(super) fn kill(args: &Kill) -> anyhow::Result<()> {
    let connection = &args.whom.connection;
    match args.whom.meant()? {
        #[cfg(target_os = "linux")]
        Meant::Agent(data) => super::local::kill(&data, &args.what, args.now, connection.json),
        Meant::Server => {
            let (name, run) = match args.what.rsplit_once('@') {
                Some((name, _)) => (name, Some(args.what.clone())),
                None => (args.what.as_str(), None),
            };
            let request = BatchKillRequest { run, now: args.now };
            order(connection, connection.client()?.kill_batch_task(name, &request))
        }
    }
}

/// Sends an order to agents. Returns an error if an agent refuses it.
pub(super) fn order(connection: &Connection, call: Call<Command>) -> anyhow::Result<()> {
    let answer: Value = connection.wait(call.json())?;
    let command: Command = read(answer.clone())?;
    if connection.json {
        print_json(&answer)?;
    } else {
        tell(&command)?;
    }
    match command.lines.iter().filter(|line| line.error.is_some()).count() {
        0 => Ok(()),
        refused => bail!("{refused} of {} agents have not done it", command.lines.len()),
    }
}

/// Prints each agent's answer.
pub(super) fn tell(command: &Command) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    for line in &command.lines {
        let runs = started(line.value.as_ref()).join(" ");
        let said = match (&line.error, &line.value) {
            (Some(error), _) => error.clone(),
            (None, Some(value)) if runs.is_empty() && !value.is_null() && value.get("runs").is_none() => value.to_string(),
            (None, None) if line.status == CommandStatus::WAITING => waits().to_owned(),
            _ => runs,
        };
        writeln!(out, "{}", visible(format!("{}  {}  {}", line.name, line.status, one_line(&said)).trim_end()))?;
    }
    Ok(out.flush()?)
}

/// The text for an order that an agent has not received yet.
pub(super) fn waits() -> &'static str {
    "it waits for the agent, ten minutes at most"
}
