//! `monitor detached`

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Subcommand, ValueEnum};
use monitor_runs::{Follower, Identity, Life, Origin, Outcome, Run, RunError, Step, Waiting, find, list};
use serde_json::json;

use crate::client::print_json;
use crate::exit;
use crate::text::{attempt, duration, fit, moment, now_us, visible};

const EXAMPLES: &str = "\
Examples:
  monitor run --detach -- ./server   Start a detached run and print its id
  monitor detached list
  monitor detached logs -f 3fa2      Follow the output of a run
  monitor detached attach 3fa2       Follow it, and exit with its exit code
  monitor detached kill 3fa2         End a run
  monitor detached clear --older 7d  Delete records of ended runs

`monitor detached attach` exits with the exit code of the run. Ctrl-C ends `attach`, and the run continues.";

/// List, follow and end detached runs
///
/// A detached run keeps its state in a folder below `monitor/runs` in the user's state folder, or below `MONITOR_RUNS_DIR`. Its state is
/// `asked` until a launcher takes it; `running`, or `retrying` while it waits for the next attempt; `unwatched` if its launcher was killed,
/// with a helper that records the end if it survived; `ended`; or `lost` if the run has disappeared and its end is unknown, for example
/// after a reboot.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::codes!("4  run not found")))]
pub(crate) struct Args {
    /// Folder of the detached runs [default: monitor/runs in the user's state folder, usually ~/.local/state]
    #[arg(long, value_name = "DIR", env = "MONITOR_RUNS_DIR", global = true)]
    dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List all detached runs, oldest first
    List {
        /// Print JSON instead of text
        #[arg(long)]
        json: bool,
    },
    /// Show the output of a run until it ends, and exit with its exit code
    Attach {
        /// Id of the run, or its first digits
        id: String,
    },
    /// Show the output of a run
    Logs {
        /// Id of the run, or its first digits
        id: String,
        /// Show new output until the run ends
        #[arg(short, long)]
        follow: bool,
        /// Only the output of this stream
        #[arg(long, value_name = "STREAM")]
        stream: Option<Stream>,
    },
    /// End a run and everything it has started
    Kill {
        /// Id of the run, or its first digits
        id: String,
        /// Send SIGKILL immediately [default: send SIGTERM, then SIGKILL after the grace period of the run]
        #[arg(long)]
        now: bool,
    },
    /// Delete the state and output of ended runs
    Clear {
        /// Only runs that began at least this long ago
        #[arg(long, value_name = "DURATION", value_parser = monitor_duration::read, default_value = "0s")]
        older: Duration,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Stream {
    Stdout,
    Stderr,
}

/// Runs the command and returns its exit code.
pub(crate) fn run(args: &Args) -> ExitCode {
    match answer(args) {
        Ok(code) => code,
        Err(error) => match error.downcast_ref::<RunError>() {
            Some(RunError::NoRun { .. }) => {
                exit::report(Err(error));
                ExitCode::from(4)
            }
            Some(RunError::Ambiguous { .. }) => {
                exit::report(Err(error));
                ExitCode::from(2)
            }
            _ => exit::report(Err(error)),
        },
    }
}

fn answer(args: &Args) -> anyhow::Result<ExitCode> {
    let dir =
        args.dir.clone().or_else(monitor_runs::default_dir).context("there is no home folder: name the folder of the runs with --dir")?;
    let find = |id: &str| find(&dir, id);
    let all = || list(&dir).with_context(|| format!("{} can't be read", dir.display()));
    match &args.command {
        Command::List { json } => print_list(&all()?, *json)?,
        Command::Logs { id, follow, stream } => {
            let origin = stream.map(|stream| match stream {
                Stream::Stdout => Origin::Stdout,
                Stream::Stderr => Origin::Stderr,
            });
            show(&find(id)?, origin, *follow)?;
        }
        Command::Attach { id } => {
            let run = find(id)?;
            show(&run, None, true)?;
            return Ok(match run.life() {
                Life::Ended(outcome) => ExitCode::from(outcome.exit_code()),
                _ => anyhow::bail!("how it ended is unknown: its launcher was killed, or the machine was restarted"),
            });
        }
        Command::Kill { id, now } => {
            let run = find(id)?;
            let before = run.life();
            if !matches!(before, Life::Running | Life::Unwatched) {
                anyhow::bail!("{} has ended before: {}", run.id(), words(&run, &before));
            }
            let life = run.kill(*now)?;
            writeln!(anstream::stdout(), "{}", visible(&words(&run, &life)))?;
        }
        Command::Clear { older } => {
            let before = now_us().saturating_sub(older.as_micros() as u64);
            let mut count = 0;
            for run in all()?.iter().filter(|run| run.state.started_us <= before && matches!(run.life(), Life::Ended(_) | Life::Lost)) {
                run.remove().with_context(|| format!("{} can't be removed", run.folder.display()))?;
                count += 1;
            }
            writeln!(std::io::stdout(), "{count} forgotten")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print_list(runs: &[Run], is_json: bool) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    if is_json {
        let runs: Vec<_> = runs.iter().map(as_json).collect();
        return print_json(&json!({"runs": runs}));
    }
    if runs.is_empty() {
        writeln!(out, "there are no detached runs: `monitor run --detach` makes one")?;
    }
    for run in runs {
        let name = visible(&run.state.name).into_owned();
        let name = fit(&name, 20);
        writeln!(out, "{}  {name:<20}  {}  {}", run.id(), moment(run.state.started_us), visible(&words(run, &run.life())))?;
    }
    Ok(out.flush()?)
}

fn as_json(run: &Run) -> serde_json::Value {
    let life = run.life();
    let outcome = if let Life::Ended(outcome) = &life { Some(&**outcome) } else { None };
    json!({
        "id": run.id(), "name": run.state.name, "command": run.state.command, "started_us": run.state.started_us,
        "state": if life == Life::Running && run.state.waiting.is_some() { "retrying" } else { word(&life) }, "waiting": run.state.waiting, "root_id": run.state.root_id, "process_id": run.state.process_id,
        "pid": run.state.running.as_ref().map(|running| running.pid),
        "exit_code": outcome.and_then(|outcome| outcome.code), "signal": outcome.and_then(|outcome| outcome.signal),
        "reason": outcome.and_then(|outcome| outcome.reason.clone()), "ended_us": outcome.map(|outcome| outcome.ended_us).filter(|ended| *ended > 0),
        "note": outcome.and_then(|outcome| outcome.note.clone()), "attempts": run.attempts().iter().map(|(number, outcome)| json!({
            "attempt": number, "exit_code": outcome.code, "signal": outcome.signal, "reason": outcome.reason, "why": outcome.why,
            "started_us": outcome.started_us, "ended_us": outcome.ended_us,
        })).collect::<Vec<_>>(), "folder": run.folder,
    })
}

fn word(life: &Life) -> &'static str {
    match life {
        Life::Asked => "asked",
        Life::Running => "running",
        Life::Unwatched => "unwatched",
        Life::Ended(_) => "ended",
        Life::Lost => "lost",
    }
}

fn words(run: &Run, life: &Life) -> String {
    match life {
        Life::Running => match run.state.waiting {
            Some(Waiting { attempt: number, of, next_us }) => format!("retrying: {}", attempt(number, Some(of), Some(next_us), now_us())),
            None => "running".to_owned(),
        },
        Life::Asked => "asked for, and taken by no launcher".to_owned(),
        Life::Unwatched if run.state.helper.as_ref().is_some_and(Identity::is_alive) => {
            "running, but its launcher was killed: its helper waits for its end".to_owned()
        }
        Life::Unwatched => "running, but unwatched: its launcher and its helper were killed, so its exit code will not be known".to_owned(),
        Life::Ended(outcome) => ended(outcome),
        Life::Lost => match run.step() {
            Step::Asked | Step::Claimed => "lost: its command was never started".to_owned(),
            Step::Executing(_) => "lost while its command was being started: whether it ran is unknown".to_owned(),
            Step::Running(_) | Step::AttemptEnded(_) | Step::Ended => "lost: how it ended is unknown".to_owned(),
        },
    }
}

fn ended(outcome: &Outcome) -> String {
    let why = outcome.why.as_ref().map(|why| format!(": {}", visible(why))).unwrap_or_default();
    format!("{} (CPU {}){why}", outcome.words(), duration(outcome.cpu.as_nanos() as u64))
}

/// Prints the output of a run. With `follow`, continues until the run ends.
fn show(run: &Run, origin: Option<Origin>, follow: bool) -> anyhow::Result<()> {
    let mut follower = Follower::of_output(run);
    // Unchanged, so that the terminal shows the output as it would have shown the command's own.
    let mut out = std::io::stdout().lock();
    let mut position = 0;
    while let Some(text) = run.output(&mut position, origin).with_context(|| format!("the output of {} can't be read", run.id()))? {
        out.write_all(&text)?;
        out.flush()?;
        if text.is_empty() {
            if !follow {
                break;
            }
            follower.wait(None);
        }
    }
    Ok(())
}
