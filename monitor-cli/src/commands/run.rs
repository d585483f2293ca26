//! `monitor run`

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use monitor_runner::{Inject, OnDeath, RunError, Spec, detached};
use url::Url;

use crate::text::visible;

const HELP: &str = "\
Examples:
  monitor run -- make -j8
  monitor run --name 'nightly import' --batch 2026-11-20 --timeout 2h --retry 3 -- ./import.sh
  monitor run --memory 2G --cpu 10m --log-dir /var/log/runs -- ./report
  monitor run --detach -- ./server          then: monitor runs list

The command runs as it would without: input, output, terminal, signals and exit code are its own.
Output that goes to a file isn't looked at, but for --capture. An instrumented program, a nested
`monitor run` or a script that calls it appear below it.

Exit codes:
  the command's own; 128 and the number of the signal that ended it
  125  the launcher failed
  126  the command can't be executed
  127  the command was not found
  2    the command line is wrong";

/// The exit code of a command that was not found.
const NOT_FOUND: u8 = 127;

/// Runs a command and shows it as a process, with no line of it changed
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// Name of the process [default: the program's name]
    #[arg(long)]
    name: Option<String>,
    /// The batch that it works on
    #[arg(long)]
    batch: Option<String>,
    /// Hides arguments: the value of those whose name contains WORD, others that contain it; `*` hides all. Passwords and tokens
    /// are hidden anyway
    #[arg(long, value_name = "WORD")]
    mask: Vec<String>,
    /// The folder that it runs in [default: the current one]
    #[arg(long, value_name = "DIR")]
    cwd: Option<PathBuf>,
    /// Ends an attempt that takes longer, and all that it has started: SIGTERM, and after --grace SIGKILL
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
    /// Between SIGTERM and SIGKILL
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "5s")]
    grace: Duration,
    /// CPU time that it may use
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    cpu: Option<Duration>,
    /// Memory that it may have, as 500M or 2G: by a cgroup for all that it starts together, where that is allowed, else for each
    /// process; the process's field `memory_limit` says which
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    memory: Option<u64>,
    /// Added to its niceness
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-40..=40))]
    nice: Option<i32>,
    /// Tries it again so often when it fails
    #[arg(long, value_name = "N", default_value_t = 0)]
    retry: u32,
    /// Before the second attempt; twice as long before each further one
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "1s")]
    backoff: Duration,
    /// Takes output that goes to a file as well
    #[arg(long)]
    capture: bool,
    /// Writes the output to NAME/logs/YYYYMM/DD/HHmmss-ID.log below DIR as well
    #[arg(long, value_name = "DIR")]
    log_dir: Option<PathBuf>,
    /// How long that file may become
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "100M")]
    log_bytes: u64,
    /// What becomes of the command when the launcher is killed
    #[arg(long, value_name = "WHAT", default_value = "continue")]
    on_launcher_death: Death,
    /// Makes what runs within tell of itself: `shell` each command of bash scripts, `python` the functions that --inject-config
    /// names
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    inject: Vec<Inside>,
    /// Names Python functions [default: monitor-python.toml where the command runs]
    #[arg(long, value_name = "FILE")]
    inject_config: Option<PathBuf>,
    /// Goes on when this terminal is closed and whoever asked is gone: prints the run's id as soon as the command runs. It has no
    /// input; `monitor runs` shows it, its output and how it ended
    #[arg(long)]
    detach: bool,
    /// The folder of a detached run, for its launcher
    #[arg(long, value_name = "DIR", hide = true)]
    from: Option<PathBuf>,
    /// The server's address
    #[arg(long, value_name = "URL", env = "MONITOR_SERVER_URL", value_parser = crate::client::read_url)]
    server: Option<Url>,
    /// The command and its arguments
    #[arg(last = true, required_unless_present = "from", value_name = "COMMAND")]
    command: Vec<OsString>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Death {
    /// It goes on, without being watched
    Continue,
    /// It is killed, and all that it has started
    Kill,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Inside {
    /// The commands of bash scripts
    Shell,
    /// Functions of Python programs
    Python,
}

/// Ends the program: its exit code is the command's.
pub(crate) fn run(args: Args) -> ExitCode {
    // What stands on stderr is the command's: the recorder's warnings are heard here and go no further, unless MONITOR_LOG asks for them.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
    let server = args.server.as_ref().map(ToString::to_string);
    let (from, is_detached) = (args.from.clone(), args.detach);
    let spec = spec(args);
    let hint = unquoted(&spec.command);
    let outcome = match from {
        Some(folder) => detached::launch(&folder),
        None if is_detached => return detach(&spec, server.as_deref()),
        None => monitor_runner::prepare(spec, server.as_deref()).and_then(monitor_runner::Launcher::run),
    };
    match outcome {
        Ok(outcome) => {
            if let Some(error) = &outcome.error {
                say(error);
                hint_at(hint.filter(|_| outcome.code == Some(NOT_FOUND.into())));
            }
            outcome.note.iter().for_each(|note| say(note));
            ExitCode::from(outcome.exit_code())
        }
        Err(error) => failed(&error),
    }
}

/// Tells how a command that stands where options do is to be written.
pub(crate) fn hint_at_misread(error: &clap::Error) {
    let args: Vec<String> = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    if error.kind() == ErrorKind::UnknownArgument
        && args.first().is_some_and(|command| command == "run")
        && let Some(ContextValue::String(unknown)) = error.get(ContextKind::InvalidArg)
        && let Some(at) = args.iter().position(|arg| arg == unknown).filter(|_| !unknown.starts_with('-'))
    {
        let words = |args: &[String]| args.iter().map(|arg| quoted(arg)).collect::<Vec<_>>().join(" ");
        let command = match &args[at..] {
            [command] if command.contains(char::is_whitespace) => in_shell(command),
            command => words(command),
        };
        hint_at(Some(format!("the command stands behind `--`: monitor {} -- {command}", words(&args[..at]))));
    }
}

/// What a command of one word with spaces in it was probably meant to be.
fn unquoted(command: &[OsString]) -> Option<String> {
    let [command] = command else { return None };
    let command = command.to_string_lossy();
    let is_line = command.trim().contains(char::is_whitespace);
    is_line.then(|| {
        format!("this is one word, with spaces in it: leave out its quotes, or let a shell read it: monitor run -- {}", in_shell(&command))
    })
}

fn in_shell(line: &str) -> String {
    format!("sh -c {}", quoted(line))
}

/// As a shell reads it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

fn hint_at(hint: Option<String>) {
    if let Some(hint) = hint {
        let _ = writeln!(anstream::stderr(), "hint: {}", visible(&hint));
    }
}

/// Says the run's id when the command runs.
fn detach(spec: &Spec, server: Option<&str>) -> ExitCode {
    let system = |action| move |source| RunError::System { action, source };
    let no_home =
        || RunError::System { action: "find a folder for the run (MONITOR_RUNS_DIR)", source: std::io::ErrorKind::NotFound.into() };
    let started = std::env::current_exe().map_err(system("find this program")).and_then(|monitor| {
        let runs = detached::default_dir().ok_or_else(no_home)?;
        detached::start(&monitor, &runs, spec, server)
    });
    match started {
        Ok(run) => {
            // It runs, whether somebody reads this or not.
            let _ = writeln!(std::io::stdout(), "{}", run.id());
            ExitCode::SUCCESS
        }
        Err(error) => {
            let code = failed(&error);
            hint_at(unquoted(&spec.command).filter(|_| matches!(error, RunError::NotStarted { code: NOT_FOUND, .. })));
            code
        }
    }
}

pub(crate) fn failed(error: &RunError) -> ExitCode {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    say(&text);
    ExitCode::from(if let RunError::NotStarted { code, .. } = error { *code } else { 125 })
}

fn say(text: &str) {
    // Nobody is left to tell that it could not be written.
    let _ = writeln!(anstream::stderr(), "monitor run: {}", visible(text));
}

fn spec(args: Args) -> Spec {
    Spec {
        name: args.name,
        batch: args.batch,
        mask: args.mask,
        cwd: args.cwd,
        timeout: args.timeout,
        grace: args.grace,
        cpu: args.cpu,
        memory: args.memory,
        nice: args.nice,
        retry: args.retry,
        backoff: args.backoff,
        capture: args.capture,
        log_dir: args.log_dir,
        log_bytes: args.log_bytes,
        on_launcher_death: match args.on_launcher_death {
            Death::Continue => OnDeath::Continue,
            Death::Kill => OnDeath::Kill,
        },
        inject: args
            .inject
            .iter()
            .map(|what| match what {
                Inside::Shell => Inject::Shell,
                Inside::Python => Inject::Python,
            })
            .collect(),
        inject_config: args.inject_config.map(|file| std::path::absolute(&file).unwrap_or(file)),
        ..Spec::new(args.command)
    }
}

/// `500ms`, `2s`, `1.5m`, `1h`, `2d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let unit = match &text[unit_at..] {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => f64::NAN,
    };
    let number: f64 = text[..unit_at].parse().unwrap_or(f64::NAN);
    Duration::try_from_secs_f64(number * unit)
        .ok()
        .filter(|duration| *duration < Duration::from_secs(100 * 365 * 86_400))
        .ok_or_else(|| "expected a duration such as 500ms, 30s, 10m, 2h or 1d".to_owned())
}

/// `500000`, `64K`, `500M`, `2GiB`, `1T`.
fn bytes(text: &str) -> Result<u64, String> {
    let bytes = monitor_spool::bytes(text).filter(|bytes| *bytes > 0);
    bytes.ok_or_else(|| "expected a number of bytes such as 500M or 2G".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_bytes_are_read_as_people_write_them() {
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(bytes("2G"), Ok(2 << 30));
        assert_eq!(bytes("64KiB"), Ok(64 << 10));
        for bad in ["", "5", "s", "-1s", "1 s", "1e9s", "nans", "infs", "99999999999d", "1w"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        for bad in ["", "0", "-1", "1.5G", "2X", "99999999999999999T", "99999999999999999999"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }
}
