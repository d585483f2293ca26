//! `monitor top`

use std::path::PathBuf;
use std::process::ExitCode;

use monitor_top::{Options, Replay};

use crate::client::Connection;
use crate::exit;

const EXAMPLES: &str = "\
Examples:
  monitor top                                 Show runs live; ? lists the keys
  monitor top 2106                            Show one run
  monitor top --readonly                      Disable keys that change something
  monitor events --dump --json > night.json
  monitor top --replay night.json --speed 60  Replay recorded events

With `NO_COLOR` set, no colours are used. docs/guides/top.md describes all screens.";

/// Show runs, errors, workers, queues and logs live in the terminal
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::SERVER))]
pub(crate) struct Args {
    /// Run to open first: its number, such as 2106 in `name <batch001:2106>`, or its id
    root: Option<String>,
    /// Disable all keys that change something
    #[arg(long)]
    readonly: bool,
    /// Replay a file written by `monitor events --dump --json` instead of connecting to a server
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// Speed of a replay, such as 0.5 or 60, or `max` to show the end at once
    #[arg(long, default_value = "1", value_parser = read_speed, requires = "replay")]
    speed: f64,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    match show(args) {
        Ok(code) => ExitCode::from(code),
        Err(error) => exit::report(Err(error)),
    }
}

fn show(args: &Args) -> anyhow::Result<u8> {
    // `--json` requests an output that is no screen.
    if args.connection.json {
        return Err(monitor_top::Error::NoTerminal.into());
    }
    let options = Options { root: args.root.clone(), is_readonly: args.readonly };
    if let Some(path) = &args.replay {
        let replay = Replay { path: path.clone(), speed: args.speed };
        return Ok(args.connection.wait(async { Ok(monitor_top::replay(replay, options).await) })??);
    }
    let client = args.connection.client()?.clone();
    Ok(args.connection.wait(async { Ok(monitor_top::show(client, options).await) })??)
}

fn read_speed(text: &str) -> Result<f64, String> {
    if text == "max" {
        return Ok(f64::INFINITY);
    }
    let speed = text.parse::<f64>().ok().filter(|speed| speed.is_finite() && *speed > 0.0);
    speed.ok_or_else(|| "expected a number greater than 0, such as 0.5 or 60, or `max`".to_owned())
}
