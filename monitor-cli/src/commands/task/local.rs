//! The subcommands of `monitor task` that an agent of this machine is asked by: over the database in its folder.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use jiff::{SignedDuration, Timestamp};
use monitor_agent::{Answer, Database, Request, RunRow, is_running};
use monitor_tasks::rule::next_of;
use monitor_tasks::{Paused, Policy};
use serde_json::json;

use crate::client::print_json;
use crate::commands::agent::data;
use crate::commands::run::duration;
use crate::text::{moment, visible};

/// An agent looks for requests every second.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks for the answer.
const LOOK: Duration = Duration::from_millis(20);

/// The agent that is meant.
#[derive(Debug, clap::Args)]
pub(super) struct Agent {
    /// Folder of the agent [default: monitor/agent in the user's folder for state]
    #[arg(long, value_name = "DIR", env = "MONITOR_AGENT_DATA")]
    data: Option<PathBuf>,
}

/// Starts a run of a task now, whatever its rules say, also in a pause
#[derive(Debug, clap::Args)]
pub(super) struct Run {
    /// Name of the task
    task: String,
    #[command(flatten)]
    agent: Agent,
    /// Waits for the end of the run: the exit code is 0 if it went well, else 1
    #[arg(long)]
    wait: bool,
    /// Arguments that follow the command's own
    #[arg(last = true)]
    args: Vec<String>,
}

/// Starts nothing of a task, or nothing at all: due times are skipped, and said to be
#[derive(Debug, clap::Args)]
pub(super) struct Pause {
    /// Name of the task
    #[arg(required_unless_present = "all")]
    task: Option<String>,
    /// The whole agent
    #[arg(long, conflicts_with = "task")]
    all: bool,
    /// For so long, as 2h, or until a time such as 2026-12-24T18:00:00Z [default: until `monitor task resume`]
    #[arg(long, value_name = "WHEN", value_parser = when)]
    until: Option<Timestamp>,
    #[command(flatten)]
    agent: Agent,
}

/// Starts again what is due
#[derive(Debug, clap::Args)]
pub(super) struct Resume {
    /// Name of the task
    #[arg(required_unless_present = "all")]
    task: Option<String>,
    /// The whole agent
    #[arg(long, conflicts_with = "task")]
    all: bool,
    #[command(flatten)]
    agent: Agent,
}

/// Ends a run, or all runs of a task: SIGTERM, and SIGKILL 5 s later
#[derive(Debug, clap::Args)]
pub(super) struct Kill {
    /// Id of the run, or name of the task
    what: String,
    /// SIGKILL at once
    #[arg(long)]
    now: bool,
    #[command(flatten)]
    agent: Agent,
}

/// Lists the tasks of an agent, and when each is due next
#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    agent: Agent,
    /// Prints JSON instead of text for people
    #[arg(long)]
    json: bool,
}

/// Lists runs of tasks, newest first
#[derive(Debug, clap::Args)]
pub(super) struct Runs {
    /// Only those of this task
    task: Option<String>,
    /// How many
    #[arg(short = 'n', long, default_value_t = 20)]
    limit: u32,
    #[command(flatten)]
    agent: Agent,
    /// Prints JSON instead of text for people
    #[arg(long)]
    json: bool,
}

impl Agent {
    fn open(&self) -> anyhow::Result<(Database, PathBuf)> {
        let data = data(self.data.clone())?;
        Ok((Database::existing(&data)?, data))
    }

    /// Asks the agent, and waits for its answer: the runs that it names.
    fn ask(&self, request: &Request) -> anyhow::Result<Vec<String>> {
        let (mut database, data) = self.open()?;
        if !is_running(&data) {
            bail!("no agent works with {}: start it by `monitor agent`", data.display());
        }
        let until = Timestamp::now().checked_add(SignedDuration::try_from(PATIENCE)?)?;
        let by = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).unwrap_or_else(|_| "somebody".to_owned());
        let number = database.ask(&by, request, until)?;
        let begun = Instant::now();
        loop {
            match database.answer(number)? {
                Some(Answer::Done { runs }) => return Ok(runs),
                Some(Answer::Refused { why }) => bail!("{why}"),
                None if begun.elapsed() < PATIENCE => std::thread::sleep(LOOK),
                // It may have answered between both looks.
                None if database.take_back(number)? => bail!("the agent of {} doesn't answer: it has stalled", data.display()),
                None => {}
            }
        }
    }
}

pub(super) fn run(args: &Run) -> anyhow::Result<()> {
    let runs = args.agent.ask(&Request::Run { task: args.task.clone(), args: args.args.clone() })?;
    say(&runs)?;
    if !args.wait {
        return Ok(());
    }
    let (database, data) = args.agent.open()?;
    let id = runs.first().context("the agent named no run")?;
    loop {
        let row = database.runs(Some(&args.task), 1_000)?.into_iter().find(|row| row.id == *id);
        if let Some(row) = row.filter(|row| row.ended_us.is_some()) {
            let outcome = ended(&row);
            if matches!(row.outcome.as_deref(), Some("ok" | "warn" | "idle")) {
                return Ok(writeln!(anstream::stdout(), "{}", visible(&outcome))?);
            }
            bail!("{outcome}");
        }
        if !is_running(&data) {
            bail!("the agent has ended; the run goes on, and `monitor task runs` shows it when the agent is back");
        }
        std::thread::sleep(LOOK * 5);
    }
}

pub(super) fn pause(args: &Pause) -> anyhow::Result<()> {
    args.agent.ask(&Request::Pause { task: args.task.clone(), until: args.until }).map(drop)
}

pub(super) fn resume(args: &Resume) -> anyhow::Result<()> {
    args.agent.ask(&Request::Resume { task: args.task.clone() }).map(drop)
}

pub(super) fn kill(args: &Kill) -> anyhow::Result<()> {
    say(&args.agent.ask(&Request::Kill { what: args.what.clone(), now: args.now })?)
}

pub(super) fn list(args: &List) -> anyhow::Result<()> {
    let (database, _) = args.agent.open()?;
    let now = Timestamp::now();
    let zone = jiff::tz::TimeZone::system();
    let mut lines = Vec::new();
    for row in database.tasks()? {
        let name = &row.definition.name;
        let policy = Policy::new(&row.definition, &zone).map_err(|error| anyhow::anyhow!("{name}: {error}"))?;
        let next = next_of(&policy.rules, now, &policy.zone);
        let last = database.runs(Some(name), 1)?.pop();
        lines.push((row, next, last));
    }
    if args.json {
        let tasks = lines.iter().map(|(row, next, last)| {
            let is_paused = row.paused.is_some_and(|paused| paused.is_at(now));
            json!({ "task": row.definition, "version": row.version, "file": row.file, "next_us": next.map(Timestamp::as_microsecond), "paused": is_paused, "last_run": last })
        });
        return print_json(&json!({ "tasks": tasks.collect::<Vec<_>>() }));
    }
    let width = lines.iter().map(|(row, ..)| row.definition.name.len()).max().unwrap_or(0);
    let mut out = anstream::stdout().lock();
    for (row, next, last) in &lines {
        let next = match (row.paused.filter(|paused| paused.is_at(now)), next) {
            (Some(Paused { until: None, .. }), _) => "paused".to_owned(),
            (Some(Paused { until: Some(until), .. }), _) => format!("paused until {}", moment(until.as_microsecond() as u64)),
            (None, Some(next)) => format!("next {}", moment(next.as_microsecond() as u64)),
            (None, None) => "never due".to_owned(),
        };
        let last = last.as_ref().map(|last| format!("   last {} {}", moment(last.due_us as u64), ended(last))).unwrap_or_default();
        writeln!(out, "{}", visible(&format!("{:width$}   {next:<26}{last}", row.definition.name)).trim_end())?;
    }
    Ok(out.flush()?)
}

pub(super) fn runs(args: &Runs) -> anyhow::Result<()> {
    let (database, _) = args.agent.open()?;
    let runs = database.runs(args.task.as_deref(), args.limit)?;
    if args.json {
        return print_json(&json!({ "runs": runs }));
    }
    let width = runs.iter().map(|run| run.id.len()).max().unwrap_or(0);
    let mut out = anstream::stdout().lock();
    for run in &runs {
        let started = run.started_us.map_or_else(|| "-".to_owned(), |at| moment(at as u64));
        writeln!(out, "{}", visible(&format!("{:width$}   {started:<19}   {:<7}   {}", run.id, run.trigger, ended(run))))?;
    }
    Ok(out.flush()?)
}

fn say(runs: &[String]) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    runs.iter().try_for_each(|run| writeln!(out, "{}", visible(run)))?;
    Ok(out.flush()?)
}

/// How a run ended, in words.
fn ended(run: &RunRow) -> String {
    let Some(outcome) = &run.outcome else {
        return if run.started_us.is_some() { "running" } else { "starting" }.to_owned();
    };
    let code = run.result_code.filter(|code| *code != 0).map(|code| format!(" {code}")).unwrap_or_default();
    let reason = run.reason.as_ref().map(|reason| format!(" {reason}")).unwrap_or_default();
    let words = run.words.as_ref().map(|words| format!(": {words}")).unwrap_or_default();
    // A failure that is tried again is told as one.
    let outcome = if outcome == "retry" { "fail" } else { outcome };
    format!("{outcome}{code}{reason}{words}")
}

/// `2h` from now, or a time.
fn when(text: &str) -> Result<Timestamp, String> {
    let until = duration(text).ok().and_then(|after| Timestamp::now().checked_add(SignedDuration::try_from(after).ok()?).ok());
    until.or_else(|| text.parse().ok()).ok_or_else(|| "expected a duration such as 2h, or a time such as 2026-12-24T18:00:00Z".to_owned())
}

/// Exits with 0 if an agent of this machine works and the loop in which it decides goes round, and else with 1
#[derive(Debug, clap::Args)]
pub(crate) struct CheckAlive {
    /// Folder of the agent [default: monitor/agent in the user's folder for state]
    #[arg(value_name = "DIR", env = "MONITOR_AGENT_DATA")]
    data: Option<PathBuf>,
}

pub(crate) fn check_alive(args: &CheckAlive) -> anyhow::Result<()> {
    Agent { data: args.data.clone() }.ask(&Request::Ping).map(drop)
}
