//! `monitor control`

use std::time::Duration;

use monitor_tasks::reading::did_you_mean;
use monitor_wire::{CHANGING_METHODS, Fields, Order, ProgramOrder, READING_METHODS, SINGLE_METHODS, check_arguments};
use serde_json::Value;

use super::asking::{self, Whom, ask};
use super::queue;
use crate::exit::{self, Misused};

const EXAMPLES: &str = "\
Examples:
  monitor control rate-limit render 10/s --for 10m     begins no more of them, for ten minutes; 0 takes the limit away
  monitor control time-limit render 10s 30s            may know after 10 s that it is late, and is ended after 30 s; 0 is none
  monitor control revoke 8a1c7f0e5d3b4e6f9a2b1c0d9e8f7a6b
                                                       a task that is not to be run, by workers that come later neither
  monitor control revoke 8a1c7f0e --terminate          nor to go on; six or more of its digits are enough if the task is known
  monitor control pause --for 5m -d 'worker@build-*'
  monitor control resume
  monitor control pool-grow 2                          and pool-shrink 2
  monitor control autoscale 2 8 --for 1h
  monitor control add-consumer video                   and cancel-consumer video
  monitor control shutdown -d worker@build-7:4711      after what runs; --now ends that
  monitor control restart                              begins anew; pool-restart: only what works on tasks
  monitor control disable-events --kind span --for 1h  tells nothing of new ones; or --name 'GET *', or all
  monitor control enable-events roots                  tells roots and failures; without a level everything
  monitor control log-level warn --for 10m             sends no other lines of logs
  monitor control heartbeat                            says now that it is alive
  monitor control cache-clear name=films               a method of the program's own, with its arguments
  monitor control --list                               what there is, and who does it now

A program does what its MONITOR_COMMANDS allows: `all`, or names of methods, as in `read,pause,resume`.";

/// Tells the workers that are online what to do, and waits until each has done it
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
pub(crate) struct Args {
    /// What to do: `rate-limit NAME RATE`, `time-limit NAME SOFT [HARD]`, `revoke ID…`, `pause`, `resume`, `pool-grow N`, `pool-shrink N`,
    /// `autoscale MIN MAX`, `add-consumer QUEUE`, `cancel-consumer QUEUE`, `shutdown`, `restart`, `pool-restart`, `enable-events [LEVEL]`,
    /// `disable-events`, `log-level LEVEL`, `heartbeat`, or a method of the program's own
    #[arg(required_unless_present = "list")]
    method: Option<String>,
    /// Its arguments; those of a program's own method as NAME=VALUE, where a value may be JSON
    #[arg(value_name = "ARGUMENT")]
    words: Vec<String>,
    /// A limit, a pause, a size of the pool or a level returns by itself after so long
    #[arg(long = "for", value_name = "DURATION", value_parser = monitor_duration::read_positive)]
    hold: Option<Duration>,
    /// With `revoke`: ends those of the tasks that run
    #[arg(long)]
    terminate: bool,
    /// With `shutdown`: ends what runs
    #[arg(long)]
    now: bool,
    /// With `enable-events` and `disable-events`: processes of this kind
    #[arg(long)]
    kind: Option<String>,
    /// With these: processes whose names fit this pattern, where `*` is anything and `?` one character
    #[arg(long, value_name = "GLOB")]
    name: Option<String>,
    /// Names what there is, with the workers that do it now
    #[arg(long, conflicts_with = "method")]
    list: bool,
    #[command(flatten)]
    whom: Whom,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let Some(method) = &args.method else { return asking::list(&args.whom.connection, "operate") };
    let mut arguments = read(method, args).map_err(Misused)?;
    let words: Vec<&str> = args.words.iter().map(String::as_str).collect();
    match (&**method, &words[..]) {
        ("revoke", ids) => drop(arguments.insert("ids".to_owned(), queue::full_ids(&args.whom.connection, ids)?.into())),
        ("rate-limit" | "time-limit", [name, ..]) => queue::warn_of_unknown_name(&args.whom.connection, name)?,
        _ => {}
    }
    ask(&args.whom, method, arguments)
}

/// The arguments of a method, as the API has them.
fn read(method: &str, args: &Args) -> Result<Fields, String> {
    let words: Vec<&str> = args.words.iter().map(String::as_str).collect();
    let mut fields = Fields::new();
    let mut put = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    match (method, &words[..]) {
        ("cancel", _) => return Err("say `monitor cancel ID`, which tells each worker what it runs of it".to_owned()),
        (method, _) if READING_METHODS.contains(&method) => return Err(format!("say `monitor inspect {method}`")),
        (single, _) if SINGLE_METHODS.contains(&single) => return Err(format!("say `monitor {single}`: one worker does it")),
        ("rate-limit", [name, rate]) => {
            put("name", (*name).into());
            put("rate", (*rate).into());
        }
        ("time-limit", [name, soft, hard @ ..]) if hard.len() < 2 => {
            put("name", (*name).into());
            for (key, text) in [("soft_ms", Some(soft)), ("hard_ms", hard.first())] {
                if let Some(ms) = text.map(|text| milliseconds(text)).transpose()?.flatten() {
                    put(key, ms.into());
                }
            }
        }
        ("revoke", [_, ..]) => put("ids", words.clone().into()),
        ("pool-grow" | "pool-shrink", [count]) => put("n", number(count)?),
        ("autoscale", [min, max]) => {
            put("min", number(min)?);
            put("max", number(max)?);
        }
        ("add-consumer" | "cancel-consumer", [queue]) => put("queue", (*queue).into()),
        ("enable-events" | "log-level", [level]) => put("level", (*level).into()),
        ("pause" | "resume" | "shutdown" | "restart" | "pool-restart" | "enable-events" | "disable-events" | "heartbeat", []) => {}
        (known, _) if Order::METHODS.contains(&known) || ProgramOrder::METHODS.contains(&known) => {
            return Err(format!("{known} is said as `monitor control {}`", usage(known)));
        }
        (_, own) => {
            for word in own {
                let Some((name, value)) = word.split_once('=') else {
                    let near = did_you_mean(method, CHANGING_METHODS);
                    return Err(format!("{word:?}: expected NAME=VALUE, as {method:?} is a method of the program's own{near}"));
                };
                put(name, serde_json::from_str(value).unwrap_or_else(|_| value.into()));
            }
        }
    }
    for (is_given, option, takers) in [
        (
            args.hold.is_some(),
            "--for",
            &["rate-limit", "time-limit", "pause", "autoscale", "enable-events", "disable-events", "log-level"][..],
        ),
        (args.kind.is_some(), "--kind", &["enable-events", "disable-events"]),
        (args.name.is_some(), "--name", &["enable-events", "disable-events"]),
        (args.terminate, "--terminate", &["revoke"]),
        (args.now, "--now", &["shutdown"]),
    ] {
        if is_given && !takers.contains(&method) {
            return Err(format!("{option} is for {}", takers.join(", ")));
        }
    }
    if let Some(hold) = args.hold {
        put("for_ms", monitor_duration::milliseconds(hold).into());
    }
    for (name, text) in [("kind", &args.kind), ("name", &args.name)] {
        if let Some(text) = text {
            put(name, text.as_str().into());
        }
    }
    if args.terminate {
        put("terminate", true.into());
    }
    if args.now {
        put("now", true.into());
    }
    check_arguments(method, &fields).map_err(|error| error.to_string())?;
    Ok(fields)
}

/// How a method and its arguments are written.
fn usage(method: &str) -> String {
    let arguments = match method {
        "rate-limit" => " NAME 10/s",
        "time-limit" => " NAME SOFT [HARD]",
        "revoke" => " ID…",
        "pool-grow" | "pool-shrink" => " N",
        "autoscale" => " MIN MAX",
        "add-consumer" | "cancel-consumer" => " QUEUE",
        "enable-events" => " [LEVEL]",
        "log-level" => " LEVEL",
        _ => "",
    };
    format!("{method}{arguments}")
}

/// A duration as milliseconds; none for `0`.
fn milliseconds(text: &str) -> Result<Option<u64>, String> {
    if text == "0" {
        return Ok(None);
    }
    let duration = monitor_duration::read_positive(text).map_err(|error| format!("{text:?}: {error}, or 0 for none"))?;
    Ok(Some(monitor_duration::milliseconds(duration)))
}

fn number(text: &str) -> Result<Value, String> {
    text.parse::<u64>().map(Value::from).map_err(|_| format!("{text:?}: expected a number"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn arguments(line: &str) -> Result<Value, String> {
        let cli = Cli::try_parse_from(std::iter::once("control").chain(line.split(' '))).map_err(|error| error.to_string())?;
        read(&cli.args.method.clone().unwrap(), &cli.args).map(|fields| json!(fields))
    }

    #[test]
    fn plain_words_are_the_arguments_of_a_method() {
        for (line, expected) in [
            ("rate-limit render 10/m --for 10m", json!({"name": "render", "rate": "10/m", "for_ms": 600_000})),
            ("rate-limit render 0", json!({"name": "render", "rate": "0"})),
            ("time-limit render 10s 30s", json!({"name": "render", "soft_ms": 10_000, "hard_ms": 30_000})),
            ("time-limit render 0 30s", json!({"name": "render", "hard_ms": 30_000})),
            ("time-limit render 500ms", json!({"name": "render", "soft_ms": 500})),
            ("revoke a b --terminate", json!({"ids": ["a", "b"], "terminate": true})),
            ("pause --for 5m -d a@h", json!({"for_ms": 300_000})),
            ("resume", json!({})),
            ("pool-grow 2", json!({"n": 2})),
            ("autoscale 2 8", json!({"min": 2, "max": 8})),
            ("add-consumer 视频", json!({"queue": "视频"})),
            ("shutdown --now", json!({"now": true})),
            ("restart", json!({})),
            ("heartbeat", json!({})),
            ("enable-events", json!({})),
            (
                "enable-events roots --kind span --name GET* --for 1m",
                json!({"level": "roots", "kind": "span", "name": "GET*", "for_ms": 60_000}),
            ),
            ("disable-events --kind job", json!({"kind": "job"})),
            ("log-level warn", json!({"level": "warn"})),
            ("cache-clear name=films n=7 deep=true", json!({"name": "films", "n": 7, "deep": true})),
        ] {
            assert_eq!(arguments(line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_command_is_said_before_anybody_is_asked() {
        for (line, words) in [
            ("rate-limit render", "monitor control rate-limit NAME 10/s"),
            ("rate-limit render ten", "\"ten\" is no rate"),
            ("rate-limt render 10/s", "did you mean rate-limit?"),
            ("time-limit render soon", "\"soon\""),
            ("time-limit render 30s 10s", "`soft_ms`"),
            ("revoke", "revoke ID…"),
            ("pool-grow two", "expected a number"),
            ("pool-grow 0", "`n`"),
            ("autoscale 8 2", "`min`"),
            ("resume --for 1m", "--for is for"),
            ("pause --now", "--now is for shutdown"),
            ("pause now", "monitor control pause"),
            ("cancel 2106", "monitor cancel"),
            ("enable-events loud", "expected one of all"),
            ("disable-events roots", "monitor control disable-events"),
            ("log-level", "monitor control log-level LEVEL"),
            ("log-level loud", "expected one of off"),
            ("pause --kind span", "--kind is for"),
            ("heartbeat --for 1m", "--for is for"),
            ("ping", "monitor inspect ping"),
            ("call render", "monitor call"),
        ] {
            let error = arguments(line).expect_err(line);
            assert!(error.contains(words), "{line}: {error}");
        }
    }
}
