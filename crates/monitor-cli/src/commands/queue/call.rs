//! `monitor call`

use std::io::Write as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use monitor_wire::{CallAnswer, Fields, Order};
use serde_json::Value;

use super::result::{self, LONGEST, read_wait};
use crate::client::print_json;
use crate::commands::asking::{Whom, show_lines};
use crate::commands::task::time;
use crate::exit::{self, Misused};
use crate::text::visible;

const EXAMPLES: &str = "\
Examples:
  monitor call render --args '[\"a.mov\"]' --kwargs '{\"size\": \"4k\"}'
  monitor call render --queue video --countdown 10m --expires 1h
  monitor call render --eta 2026-11-23T22:00
  monitor call add --args '[2, 2]' --wait 30s  Print the result
  monitor call render -d 'worker@build-*'      Choose among these workers
  monitor control --list                       List workers that support `call`

One worker that supports `call` puts the task into its queue. The command prints the id of the task.";

/// Interval of requests for the task, until its worker has reported it.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Start a queue task by its name
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
pub(crate) struct CallArgs {
    /// Name of the queue task
    #[arg(value_name = "NAME")]
    task_name: String,
    /// Positional arguments, as a JSON list
    #[arg(long = "args", value_name = "JSON", value_parser = read_list)]
    args: Option<Value>,
    /// Named arguments, as a JSON object
    #[arg(long, value_name = "JSON", value_parser = read_object)]
    kwargs: Option<Value>,
    /// Queue to put the task into [default: chosen by the worker]
    #[arg(short = 'Q', long)]
    queue: Option<String>,
    /// Earliest start: a time such as 2026-11-21T08:00 in this machine's time zone, or 2026-11-21T08:00Z
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "countdown")]
    eta: Option<jiff::Timestamp>,
    /// Earliest start, as a duration from now
    #[arg(long, value_name = "DURATION", value_parser = monitor_duration::read_positive)]
    countdown: Option<Duration>,
    /// Latest start: a time, or a duration from now
    #[arg(long, value_name = "TIME", value_parser = read_expiry)]
    expires: Option<u64>,
    /// Wait up to this time, at most 60s, for the task to end, and print its result
    #[arg(long, value_name = "DURATION", value_parser = read_wait)]
    wait: Option<Duration>,
    #[command(flatten)]
    whom: Whom,
}

fn read_list(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).ok().filter(Value::is_array).ok_or_else(|| "expected a list as JSON, like [\"a.mov\", 7]".to_owned())
}

fn read_object(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).ok().filter(Value::is_object).ok_or_else(|| "expected an object as JSON, like {\"size\": \"4k\"}".to_owned())
}

fn read_expiry(text: &str) -> Result<u64, String> {
    if let Ok(after) = monitor_duration::read_positive(text) {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + after;
        return Ok(at.as_micros() as u64);
    }
    let at = time(text).map_err(|expected| format!("{expected}, or a duration such as 1h"))?;
    Ok(micros(at))
}

/// Converts to Unix µs. Times before 1970 are 0.
pub(super) fn micros(at: jiff::Timestamp) -> u64 {
    u64::try_from(at.as_microsecond()).unwrap_or(0)
}

pub(crate) fn call(args: &CallArgs) -> anyhow::Result<()> {
    let arguments = arguments(args);
    Order::read("call", &arguments).map_err(|error| Misused(error.to_string()))?;
    let (answer, command) = args.whom.command(&args.whom.request("call", arguments))?;
    if args.whom.dry_run {
        return show_lines(&args.whom, &answer, &command);
    }
    let Some((line, CallAnswer { uuid })) = super::first_answer(&command) else {
        show_lines(&args.whom, &answer, &command)?;
        anyhow::bail!("the worker's answer contains no id of the task: `monitor queue tasks` lists the newest");
    };
    let worker = visible(&line.name);
    let Some(wait) = args.wait else {
        if args.whom.connection.json {
            return print_json(&answer);
        }
        writeln!(anstream::stderr(), "monitor: {worker} has put it into its queue")?;
        return Ok(writeln!(anstream::stdout(), "{}", visible(&uuid))?);
    };
    writeln!(anstream::stderr(), "monitor: {worker} has put {} into its queue", visible(&uuid))?;
    wait_for(args, &uuid, wait)
}

/// Prints the result of the task, after its worker has reported it.
fn wait_for(args: &CallArgs, uuid: &str, wait: Duration) -> anyhow::Result<()> {
    let connection = &args.whom.connection;
    let until = Instant::now() + wait;
    loop {
        let left = until.saturating_duration_since(Instant::now()).min(LONGEST);
        match result::result_of(connection, uuid, left) {
            Err(error) if is_unknown(&error) && !left.is_zero() => std::thread::sleep(LOOK_EVERY.min(left)),
            other => return result::print(connection, &other?, false),
        }
    }
}

/// Returns true if the server doesn't know the task yet.
fn is_unknown(error: &anyhow::Error) -> bool {
    error.downcast_ref::<monitor_api::Error>().is_some_and(|error| error.status() == Some(404))
}

/// The arguments of the method in the form of the API.
fn arguments(args: &CallArgs) -> Fields {
    let given = [
        ("name", Some(args.task_name.as_str().into())),
        ("args", args.args.clone()),
        ("kwargs", args.kwargs.clone()),
        ("queue", args.queue.as_deref().map(Value::from)),
        ("eta_us", args.eta.map(|at| micros(at).into())),
        ("countdown_ms", args.countdown.map(|wait| monitor_duration::milliseconds(wait).into())),
        ("expires_us", args.expires.map(Value::from)),
    ];
    given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: CallArgs,
    }

    fn read(words: &[&str]) -> Result<Value, String> {
        let cli = Cli::try_parse_from(std::iter::once(&"call").chain(words)).map_err(|error| error.to_string())?;
        let arguments = arguments(&cli.args);
        Order::read("call", &arguments).map_err(|error| error.to_string())?;
        Ok(json!(arguments))
    }

    #[test]
    fn arguments_are_converted_to_a_call() {
        for (words, expected) in [
            (&["渲染"][..], json!({"name": "渲染"})),
            (&["a", "--args", "[1, \"b\"]", "--kwargs", "{\"c\": null}"], json!({"name": "a", "args": [1, "b"], "kwargs": {"c": null}})),
            (&["a", "-Q", "video", "--countdown", "10m"], json!({"name": "a", "queue": "video", "countdown_ms": 600_000})),
            (&["a", "--eta", "2026-11-21T08:00Z"], json!({"name": "a", "eta_us": 1_795_248_000_000_000_u64})),
            (&["a", "--expires", "2026-11-21T08:00Z"], json!({"name": "a", "expires_us": 1_795_248_000_000_000_u64})),
        ] {
            assert_eq!(read(words).unwrap(), expected, "{words:?}");
        }
        assert!(read(&["a", "--expires", "1h"]).unwrap()["expires_us"].as_u64().is_some_and(|at| at > 1_000_000));
    }

    #[test]
    fn errors_in_a_call_are_reported() {
        for (words, part) in [
            (&[][..], "NAME"),
            (&["a", "--args", "{}"], "expected a list as JSON"),
            (&["a", "--args", "[1"], "expected a list as JSON"),
            (&["a", "--kwargs", "[]"], "expected an object as JSON"),
            (&["a", "--eta", "soon"], "expected a time"),
            (&["a", "--expires", "soon"], "or a duration"),
            (&["a", "--eta", "2026-11-21", "--countdown", "1m"], "cannot be used with"),
            (&["a", "--eta", "2026-11-21T08:00Z", "--expires", "2026-11-21T07:00Z"], "`expires_us`"),
            (&["a", "--eta", "1960-01-01"], "`eta_us`"),
            (&[""], "`name`"),
        ] {
            let error = read(words).expect_err(part);
            assert!(error.contains(part), "{words:?}: {error}");
        }
    }
}
