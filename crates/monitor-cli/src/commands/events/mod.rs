//! `monitor events`

mod camera;
mod line;

use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use monitor_receiver::{Ended, Error, Notice, Received, Receiver, State};
use serde_json::json;

use self::camera::CameraArg;
use crate::client::{Connection, escape_controls};
use crate::exit;
use crate::text::{terminal_width, visible};

const EXAMPLES: &str = "\
Examples:
  monitor events                                     Show new events
  monitor events --types 'task-*' --worker 'render@*'
  monitor events --root 2106 --after 0 --timeout 1s  Show stored events of a run
  monitor events --types task-failed --json | jq -r .data.process.name
  monitor events --position events.at --json >> events.json
  monitor events --camera sqlite:tasks.db --frequency 1m
  monitor events --camera 'command:jq .task_count >> counts'
  monitor events --kind task --camera mail:ops@example.com --maxrate 1/h";

/// Show events as they are stored, or feed them to cameras
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::SERVER))]
pub(crate) struct Args {
    /// Print a line for each event; this is the default without a camera. With --json each line is `{"id", "event", "data"}`, as in the
    /// event stream
    #[arg(long)]
    dump: bool,
    /// Only events of these types, separated by commas; `*` is a wildcard: `task-*`, `process-ended`
    #[arg(long, value_name = "TYPES", value_delimiter = ',')]
    types: Vec<String>,
    /// Only events of processes of these kinds, separated by commas, such as `task`, `run` or `root`
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    kind: Vec<String>,
    /// Only events of this run and of workers: the run's number, such as 2106 in `name <batch001:2106>`, or its id
    #[arg(long)]
    root: Option<String>,
    /// Only events of this worker and of its processes: its id, or its name with wildcards, such as `render@*`
    #[arg(long)]
    worker: Option<String>,
    /// Only events of processes with exactly this name
    #[arg(long)]
    name: Option<String>,
    /// Only events of the queue task with this id
    #[arg(long, value_name = "ID")]
    task: Option<String>,
    /// Start after the event with this number, if the server still has it [default: start with new events]
    #[arg(long, value_name = "NUMBER")]
    after: Option<u64>,
    /// Store the position in this file, and resume there; takes precedence over --after
    #[arg(long, value_name = "FILE")]
    position: Option<PathBuf>,
    /// Send periodic snapshots of tasks and workers to `file:PATH` (lines of JSON), `sqlite:PATH`, `webhook:URL`, `command:COMMAND` (JSON
    /// on its standard input), or `mail:ADDRESS,…` (through the server in `MONITOR_SMTP_URL`); can be repeated
    #[arg(long, value_name = "KIND:TARGET")]
    camera: Vec<CameraArg>,
    /// Interval of snapshots; none is sent if nothing happened
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = monitor_duration::read_positive, requires = "camera")]
    frequency: Duration,
    /// Maximum rate of snapshots: `10/s`, `30/m` or `1/h`
    #[arg(long, value_name = "RATE", value_parser = camera::read_rate, requires = "camera")]
    maxrate: Option<Duration>,
    /// Exit after this number of events
    #[arg(long, value_name = "EVENTS")]
    limit: Option<u64>,
    /// Exit if no event arrives for this time
    #[arg(long, value_name = "DURATION", value_parser = monitor_duration::read_positive)]
    timeout: Option<Duration>,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let client = args.connection.client()?;
    // An unreachable server is reported now, without waiting for it.
    let as_of = args.connection.ask(client.workers().limit(1))?.as_of;
    let failure = Arc::<Mutex<Option<io::Error>>>::default();
    let mut receiver = receiver(args, as_of)?;
    if args.dump || args.camera.is_empty() {
        let (is_json, columns, failure) = (args.connection.json, terminal_width(), failure.clone());
        receiver = receiver.on("*", move |event, _: &State| match print(event, is_json, columns) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                ControlFlow::Break(())
            }
        });
    }
    let ended = args.connection.wait(async {
        tokio::select! {
            ended = receiver.capture(args.limit, args.timeout, !args.camera.is_empty()) => Ok(Some(ended)),
            () = asked_to_end(), if !args.camera.is_empty() => Ok(None),
        }
    })?;
    match ended {
        Some(Err(Error::Server(error))) => Err(error.into()),
        Some(Err(error)) => Err(error.into()),
        Some(Ok(Ended::Handler)) => {
            let failure = failure.lock().unwrap_or_else(PoisonError::into_inner).take();
            failure.map_or(Ok(()), |error| Err(anyhow::Error::new(error).context("could not print the event")))
        }
        Some(Ok(_)) => all_delivered(&receiver),
        None => {
            receiver.last_pictures();
            all_delivered(&receiver)
        }
    }
}

/// Returns an error if a camera could not deliver its last snapshot.
fn all_delivered(receiver: &Receiver) -> anyhow::Result<()> {
    let failing = receiver.failing_cameras();
    anyhow::ensure!(failing.is_empty(), "the last picture was not delivered: {}", failing.join(", "));
    Ok(())
}

fn receiver(args: &Args, as_of: u64) -> anyhow::Result<Receiver> {
    let words = |words: &[String]| words.iter().map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect::<Vec<_>>();
    let mut receiver = Receiver::new(args.connection.client()?.clone())
        .types(words(&args.types))
        .kinds(words(&args.kind))
        .after(args.after.unwrap_or(as_of))
        .notices(tell());
    if let Some(root) = &args.root {
        receiver = receiver.root(root);
    }
    if let Some(worker) = &args.worker {
        receiver = receiver.worker(worker);
    }
    if let Some(name) = &args.name {
        receiver = receiver.name(name);
    }
    if let Some(task) = &args.task {
        receiver = receiver.task(task);
    }
    if let Some(path) = &args.position {
        receiver = receiver.position_file(path);
    }
    let frequency = args.frequency.max(args.maxrate.unwrap_or_default());
    args.camera.iter().try_fold(receiver, |receiver, camera| camera.add_to(receiver, frequency))
}

/// Prints notices to stderr, so that stdout contains only events.
fn tell() -> impl FnMut(&Notice<'_>) + Send + 'static {
    let mut is_away = false;
    move |notice| {
        let words = match notice {
            Notice::Connected { .. } => {
                is_away = false;
                return;
            }
            Notice::Interrupted { error, .. } if !std::mem::replace(&mut is_away, true) => format!("{}; trying again", error.causes()),
            Notice::Interrupted { .. } => return,
            Notice::Gap { after, until } => {
                let from = after.map(|after| format!(" after number {after}")).unwrap_or_default();
                format!("the server has forgotten events{from} up to {until}: they are missing here")
            }
            Notice::Unreadable { error } => format!("an event is missing here: {}", error.causes()),
            Notice::CameraFailed { camera, error } => format!("camera {camera}: {error}; trying again"),
            Notice::CameraRecovered { camera } => format!("camera {camera} takes pictures again"),
            other => format!("{other:?}"),
        };
        // If stderr is closed, the message is lost.
        let _ = writeln!(anstream::stderr(), "monitor: {}", visible(&words));
    }
}

fn print(event: &Received, is_json: bool, columns: Option<usize>) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    if is_json {
        let line = json!({"id": event.number, "event": event.type_name(), "data": &*event.message});
        writeln!(out, "{}", escape_controls(&line.to_string()))?;
    } else {
        out.write_all(line::render(event, columns).as_bytes())?;
    }
    out.flush()
}

/// Waits for a stop signal.
async fn asked_to_end() {
    #[cfg(unix)]
    if let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        return;
    }
    let _ = tokio::signal::ctrl_c().await;
}
