//! `monitor result`

use std::io::Write as _;
use std::time::Duration;

use monitor_wire::{QueueTaskResult, State};
use serde_json::Value;

use crate::client::{Connection, print_json, read};
use crate::exit;
use crate::text::{one_line, visible};

const EXAMPLES: &str = "\
Examples:
  monitor result 8a1c7f0e5d3b4e6f9a2b1c0d9e8f7a6b
  monitor result 8a1c7f0e --wait 30s   Wait for the end of the task
  monitor result 8a1c7f0e --traceback  Show where an error occurred

The exit code is 1 if the task did not succeed, or did not end in time.";

/// Maximum wait that the server accepts.
pub(super) const LONGEST: Duration = Duration::from_secs(60);

/// Print the result of a queue task
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::SERVER))]
pub(crate) struct ResultArgs {
    /// Id of the queue task, or its first six or more digits
    id: String,
    /// Also print the traceback of an error, to stderr
    #[arg(long)]
    traceback: bool,
    /// Wait up to this time, at most 60s, for the task to end
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = read_wait)]
    wait: Duration,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn read_wait(text: &str) -> Result<Duration, String> {
    let wanted = || format!("expected a duration up to {}s, such as 30s", LONGEST.as_secs());
    let wait = monitor_duration::read(text).map_err(|_| wanted())?;
    (wait <= LONGEST).then_some(wait).ok_or_else(wanted)
}

pub(crate) fn result(args: &ResultArgs) -> anyhow::Result<()> {
    let ids = super::completed_ids(&args.connection, std::slice::from_ref(&args.id))?;
    print(&args.connection, &result_of(&args.connection, &ids[0], args.wait)?, args.traceback)
}

/// Requests the result of a task as JSON. Waits up to `wait` for its end.
pub(super) fn result_of(connection: &Connection, id: &str, wait: Duration) -> anyhow::Result<Value> {
    Ok(connection.wait(connection.client()?.queue_task_result(id, wait).json())?)
}

/// Prints the result of a task. Returns an error if the task did not succeed.
pub(super) fn print(connection: &Connection, answer: &Value, with_traceback: bool) -> anyhow::Result<()> {
    let result: QueueTaskResult = read(answer.clone())?;
    if connection.json {
        print_json(answer)?;
    } else if result.has_result || result.result.is_some() {
        let value = result.result.as_ref().unwrap_or(&Value::Null);
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        writeln!(anstream::stdout(), "{}", visible(&text))?;
    } else if result.state == State::SUCCEEDED {
        writeln!(
            anstream::stderr(),
            "the task has succeeded; its worker does not record what it returns (docs/guides/queues.md: show_result)"
        )?;
    }
    if with_traceback && let Some(traceback) = &result.traceback {
        for line in traceback.lines() {
            writeln!(anstream::stderr(), "{}", visible(line))?;
        }
    }
    match (result.ended, result.state.as_str(), &result.error) {
        (_, "succeeded", _) => Ok(()),
        (true, state, Some(error)) => anyhow::bail!("the task has {state}: {}", one_line(error)),
        (true, "cancelled", None) => anyhow::bail!("the task was {}", result.phase.as_ref().map_or("cancelled", |phase| phase.as_str())),
        (true, state, None) => anyhow::bail!("the task is {state}"),
        (false, state, _) => anyhow::bail!("the task has not ended: it is {state}; --wait waits for it"),
    }
}
