//! `monitor run`

mod values;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use monitor_http::with_causes;
use monitor_runs::{Inject, LAUNCH, Link, OnDeath, Outcome, ProcessIds, RunError, Secret, Spec, Verdict};
use url::Url;

pub(crate) use self::values::bytes;
use self::values::{link, pair, secret, verdict};
use super::conclusion::{self, Conclusion, Ending};
use super::report::{Contents, Wanted};
use crate::text::visible;

const HELP: &str = "\
Examples:
  monitor run -- make -j8
  monitor run --name 'nightly import' --batch 2026-11-20 --timeout 2h --retry 3 -- ./import.sh
  monitor run --memory 2G --cpu 10m --log-dir /var/log/runs -- ./report
  monitor run --secret DB_PASSWORD=file:/run/db --clean-env --exit 75=final -- ./migrate
  monitor run --before ./lock --after ./unlock --warn-after 10m -- ./backup
  monitor run --detach -- ./server          then: monitor detached list

The command keeps its input, output, terminal, signals and exit code. Output that is redirected to a file is not recorded unless --capture is given. \
Instrumented programs and nested `monitor run` commands appear below it in the tree.

The command is recorded whether or not `MONITOR_ENABLED` is set. If the server is not reached, the command runs all the same, and its \
records are kept and sent later (`monitor spool`). A server that requires a token gets the one in `MONITOR_TOKEN`. Durations are written \
500ms, 90s or 1h30m.

Exit codes:
  the exit code of the command, or 128 + the number of the signal that ended it
  125  the launcher failed
  126  the command can't be executed
  127  the command was not found
  2    wrong usage";

/// Exit code for a command that was not found.
const NOT_FOUND: u8 = 127;

/// Run a command and record it as a process, without a change to it
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Args {
    /// Name of the process [default: the program's name]
    #[arg(long)]
    name: Option<String>,
    /// Kind of the process [default: script]
    #[arg(long, value_name = "WORD")]
    kind: Option<String>,
    /// Field of the process
    #[arg(long = "field", value_name = "NAME=VALUE", value_parser = pair)]
    fields: Vec<(String, String)>,
    /// Link to another process: the id of its run, its own id, and the relation, such as `triggered_by`
    #[arg(long = "link", value_name = "ROOT:PROCESS:RELATION", value_parser = link)]
    links: Vec<Link>,
    /// Batch that the run belongs to
    #[arg(long)]
    batch: Option<String>,
    /// Mask arguments: the value of an argument whose name contains WORD, or the argument itself if it contains WORD; `*` masks all. Passwords
    /// and tokens are always masked
    #[arg(long, value_name = "WORD")]
    mask: Vec<String>,
    /// Folder to run in [default: the current one]
    #[arg(long, value_name = "DIR")]
    cwd: Option<PathBuf>,
    /// User to run as, by name or number; usually only root may do this. HOME, USER, LOGNAME and SHELL are set to those of the user
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Group to run in, by name or number [default: the first group of --user]
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Environment variable
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = pair)]
    env: Vec<(String, String)>,
    /// Environment variable with a secret value, which is masked in everything recorded: NAME=file:PATH reads a file, NAME=env:VARIABLE a
    /// variable of the launcher
    #[arg(long = "secret", value_name = "NAME=WHERE", value_parser = secret)]
    secrets: Vec<(String, Secret)>,
    /// Clear the environment, except HOME, LANG, `LC_ALL`, LOGNAME, PATH, SHELL, TERM, TZ, USER and variables that begin with `MONITOR_`
    #[arg(long)]
    clean_env: bool,
    /// Line for `sh` to run before the first attempt; if it fails, the command is not started
    #[arg(long, value_name = "LINE")]
    before: Option<String>,
    /// Line for `sh` to run after the last attempt, with the outcome in `MONITOR_RUN_EXIT_CODE`, `_SIGNAL`, `_REASON` and `_ATTEMPTS`
    #[arg(long, value_name = "LINE")]
    after: Option<String>,
    /// Meaning of an exit code: `ok`, `failed`, `final` (failed, without a further attempt) or `cancelled`
    #[arg(long = "exit", value_name = "CODE=MEANING", value_parser = verdict, value_delimiter = ',')]
    exits: Vec<(u8, Verdict)>,
    /// Log a warning if an attempt takes longer
    #[arg(long, value_name = "DURATION", value_parser = monitor_duration::read)]
    warn_after: Option<Duration>,
    /// End an attempt that takes longer, and all processes that it has started: by SIGTERM, and after --grace by SIGKILL
    #[arg(long, value_name = "DURATION", value_parser = monitor_duration::read)]
    timeout: Option<Duration>,
    /// Time between SIGTERM and SIGKILL
    #[arg(long, value_name = "DURATION", value_parser = monitor_duration::read, default_value = "5s")]
    grace: Duration,
    /// Maximum CPU time
    #[arg(long, value_name = "DURATION", value_parser = monitor_duration::read)]
    cpu: Option<Duration>,
    /// Maximum memory, such as 500M or 2G: for all processes together by a cgroup, where that is allowed, otherwise for each process. The field
    /// `memory_limit` of the process shows which
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    memory: Option<u64>,
    /// Number to add to the niceness
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-40..=40))]
    nice: Option<i32>,
    /// Number of further attempts after a failure
    #[arg(long, value_name = "N", default_value_t = 0)]
    retry: u32,
    /// Wait before the second attempt, doubled before each further one
    #[arg(long, value_name = "DURATION", value_parser = monitor_duration::read, default_value = "1s")]
    backoff: Duration,
    /// Record output that is redirected to a file, too
    #[arg(long)]
    capture: bool,
    /// Also write the output to NAME/logs/YYYYMM/DD/HHmmss-ID.log below DIR
    #[arg(long, value_name = "DIR")]
    log_dir: Option<PathBuf>,
    /// Maximum size of the output in --log-dir and in the folder of a detached run: the first and the last half are kept; at least 8 KiB
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "100M")]
    log_bytes: u64,
    /// Action on the command when the launcher is killed
    #[arg(long, value_name = "WHAT", default_value = "continue")]
    on_launcher_death: Death,
    /// Record what happens inside the command: `shell` each command of bash scripts, `python` the functions that --inject-config
    /// names, `celery` connections of tasks with programs, for a worker or a sender of Celery
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    inject: Vec<Inside>,
    /// File with the names of Python functions [default: monitor-python.toml in the folder of the command]
    #[arg(long, value_name = "FILE")]
    inject_config: Option<PathBuf>,
    /// Run in the background, also after this terminal is closed: print the id of the run as soon as the command runs. The command has no
    /// input; `monitor detached` shows its state and its output
    #[arg(long)]
    detach: bool,
    /// Id of the detached run, which can be used only once [default: a random id]
    #[arg(long, value_name = "ID", requires = "detach")]
    id: Option<String>,
    /// Id of the run that the process is recorded in, 32 hexadecimal digits
    #[arg(long, value_name = "HEX", requires = "process_id")]
    root_id: Option<String>,
    /// Id of the process, 16 hexadecimal digits
    #[arg(long, value_name = "HEX", requires = "root_id")]
    process_id: Option<String>,
    /// Write the run as one HTML file when it has ended. The file opens in any browser, and no server is needed: if none is reached, the run is
    /// recorded in a temporary folder
    #[arg(long, value_name = "FILE", conflicts_with = "detach")]
    report: Option<PathBuf>,
    #[command(flatten)]
    contents: Contents,
    /// Append a summary in Markdown to FILE; `off` writes none [default: the file of `GITHUB_STEP_SUMMARY`, unless this run is part of another]
    #[arg(long, value_name = "FILE", conflicts_with = "detach")]
    summary: Option<OsString>,
    /// URL of the server
    #[arg(long, value_name = "URL", env = "MONITOR_SERVER_URL", value_parser = crate::client::read_url)]
    server: Option<Url>,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Death {
    /// The command keeps running, unwatched
    Continue,
    /// The command and all processes that it has started are killed
    Kill,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Inside {
    /// Commands of bash scripts
    Shell,
    /// Functions of Python programs
    Python,
    /// Tasks of Celery
    Celery,
}

/// Runs the command. The exit code of this program is that of the command.
pub(crate) fn run(args: Args) -> ExitCode {
    keep_warnings();
    let (server, report, contents) = (args.server.clone(), args.report.clone(), args.contents.clone());
    let is_detached = args.detach;
    let summary = args.summary.clone();
    let spec = spec(args);
    if is_detached {
        return detach(&spec, server.as_ref().map(Url::as_str));
    }
    let hint = unquoted(&spec.command);
    let name = spec.shown_name();
    let wanted = match report.map(|file| Wanted::begin(&file, contents, server.clone())).transpose() {
        Ok(wanted) => wanted,
        Err(error) => {
            say(&format!("{error:#}"));
            return ExitCode::from(125);
        }
    };
    let address = wanted.as_ref().map(Wanted::server).or(server.as_ref().map(Url::as_str));
    let spool = wanted.as_ref().and_then(Wanted::spool);
    let (reports_server, reports_spool) = (wanted.is_some() && spool.is_none(), spool.is_some());
    let outcome = monitor_runner::prepare(spec, address, spool.as_deref()).and_then(|launcher| {
        let (name, summary) = (name.clone(), summary.clone());
        let conclude = move |outcome: &Outcome| {
            if reports_server {
                monitor_runner::flush(conclusion::PATIENCE);
            }
            // Without a server, the one that writes the report has the records.
            if !reports_spool {
                conclude(summary, server.as_ref(), &ending(name, Ok(outcome)), outcome.process.as_ref());
            }
        };
        launcher.at_end(conclude).run()
    });
    let code = ended(&outcome, hint);
    let ending = ending(name, outcome.as_ref());
    match (wanted, outcome) {
        (Some(wanted), Ok(Outcome { process, .. })) => {
            if let Err(error) = wanted.write(process.map(|ids| ids.root_id), code, &ending, summary.clone()) {
                say(&format!("the report was not written: {error:#}"));
                if reports_spool {
                    conclude(summary, None, &ending, None);
                }
            }
        }
        (wanted, Err(_)) => {
            conclude(summary, None, &ending, None);
            if let Some(wanted) = wanted {
                wanted.give_up();
            }
        }
        (None, Ok(_)) => {}
    }
    code.into()
}

fn ending(name: String, outcome: Result<&Outcome, &RunError>) -> Ending {
    match outcome {
        Ok(outcome) => Ending { name, is_success: outcome.is_success(), outcome: outcome.words(), reason: outcome.why.clone() },
        Err(error) => Ending { name, is_success: false, outcome: with_causes(error), reason: None },
    }
}

/// Writes summary and annotations, with the server's data about the process if it is recorded.
fn conclude(summary: Option<OsString>, server: Option<&Url>, ending: &Ending, process: Option<&ProcessIds>) {
    let Some(conclusion) = Conclusion::new(summary).filter(|conclusion| conclusion.is_due(ending)) else { return };
    if process.and_then(|ids| conclusion.write_recorded(server, &ids.root_id, &ids.process_id)).is_none() {
        conclusion.write_bare(ending);
    }
}

/// The folder of the run that this program is to launch, if it was started for that.
pub(crate) fn launched(args: impl Iterator<Item = OsString>) -> Option<PathBuf> {
    let args: Vec<OsString> = args.skip(1).take(LAUNCH.len() + 2).collect();
    match &args[..] {
        [words @ .., folder] if words == LAUNCH => Some(folder.into()),
        _ => None,
    }
}

/// Launches the run of a folder, in a session of its own, and ends the program.
pub(crate) fn launch(folder: &Path) -> ExitCode {
    keep_warnings();
    ended(&monitor_runner::launch(folder), None).into()
}

/// Keeps the recorder's warnings off stderr, which belongs to the command, unless `MONITOR_LOG` enables them.
fn keep_warnings() {
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
}

/// Prints errors and notes about the end of a run, and returns the exit code. `hint` is printed if the command was not found.
fn ended(outcome: &Result<Outcome, RunError>, hint: Option<String>) -> u8 {
    match outcome {
        Ok(outcome) => {
            if let Some(error) = &outcome.error {
                say(error);
                hint_at(hint.filter(|_| outcome.code == Some(NOT_FOUND.into())));
            }
            outcome.note.iter().for_each(|note| say(note));
            outcome.exit_code()
        }
        Err(error) => failed(error),
    }
}

/// Prints the correct form of a command line whose command was given without `--`.
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

/// Returns a hint for a command that was given as one word with spaces, such as `"make -j8"`.
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

/// Quotes a word for a shell.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

fn hint_at(hint: Option<String>) {
    if let Some(hint) = hint {
        let _ = writeln!(anstream::stderr(), "hint: {}", visible(&hint));
    }
}

/// Starts a detached run, and prints its id when the command runs.
fn detach(spec: &Spec, server: Option<&str>) -> ExitCode {
    let system = |action| move |source| RunError::System { action, source };
    let no_home =
        || RunError::System { action: "find a folder for the run (MONITOR_RUNS_DIR)", source: std::io::ErrorKind::NotFound.into() };
    let started = std::env::current_exe().map_err(system("find this program")).and_then(|monitor| {
        let runs = monitor_runs::default_dir().ok_or_else(no_home)?;
        monitor_runs::start(&monitor, &runs, spec, server)
    });
    match started {
        Ok(run) => {
            // The run has started, even if its id can't be printed.
            let _ = writeln!(std::io::stdout(), "{}", run.id());
            ExitCode::SUCCESS
        }
        Err(error) => {
            let code = failed(&error);
            hint_at(unquoted(&spec.command).filter(|_| matches!(error, RunError::NotStarted { code: NOT_FOUND, .. })));
            code.into()
        }
    }
}

fn failed(error: &RunError) -> u8 {
    say(&with_causes(error));
    if let RunError::NotStarted { code, .. } = error { *code } else { 125 }
}

fn say(text: &str) {
    // A failed write to stderr can't be reported anywhere.
    let _ = writeln!(anstream::stderr(), "monitor run: {}", visible(text));
}

fn spec(args: Args) -> Spec {
    let shell = |line: Option<String>| line.map(|line| vec!["sh".into(), "-c".into(), line.into()]).unwrap_or_default();
    Spec {
        id: args.id,
        process: args.root_id.zip(args.process_id).map(|(root_id, process_id)| ProcessIds { root_id, process_id }),
        kind: args.kind,
        fields: args.fields.into_iter().collect(),
        links: args.links,
        user: args.user,
        group: args.group,
        env: args.env.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
        secrets: args.secrets.into_iter().collect(),
        clean_env: args.clean_env,
        before: shell(args.before),
        after: shell(args.after),
        exits: args.exits.into_iter().collect(),
        warn_after: args.warn_after,
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
                Inside::Celery => Inject::Celery,
            })
            .collect(),
        inject_config: args.inject_config.map(|file| std::path::absolute(&file).unwrap_or(file)),
        ..Spec::new(args.command)
    }
}
