//! Requests to an agent of this machine, and queries of its database.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use monitor_agent::{Answer, Database, Request, RunRow, TaskRow, is_running};
use monitor_tasks::rule::next_of;
use monitor_tasks::{Definition, Paused, Policy};
use monitor_wire::{AgentOrder, BatchExplained, BatchExplanation};
use serde_json::json;

use super::Missing;
use crate::client::print_json;
use crate::text::{moment, visible};

/// Maximum time to wait for an answer. An agent reads requests every second.
const PATIENCE: Duration = Duration::from_secs(10);
/// Interval of the checks for the answer.
const LOOK: Duration = Duration::from_millis(20);
/// Default period before and after now.
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// Number of runs to read before filtering.
const MOST_RUNS: u32 = 100_000;

/// Sends an order to the agent and waits for its answer. Returns the runs in it.
pub(super) fn ask(data: &Path, order: AgentOrder) -> anyhow::Result<Vec<String>> {
    let mut database = Database::existing(data)?;
    if !is_running(data) {
        bail!("no agent works with {}: start it by `monitor agent`", data.display());
    }
    let until = Timestamp::now().checked_add(SignedDuration::try_from(PATIENCE)?)?;
    let by = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).unwrap_or_else(|_| "somebody".to_owned());
    let number = database.ask(&by, &Request::Order(order), until)?;
    let begun = Instant::now();
    loop {
        match database.answer(number)? {
            Some(Answer::Done { runs }) => return Ok(runs),
            Some(Answer::Refused { why }) => bail!("{why}"),
            None if begun.elapsed() < PATIENCE => std::thread::sleep(LOOK),
            // The agent may have answered between the two checks.
            None if database.take_back(number)? => bail!("the agent of {} doesn't answer: it has stalled", data.display()),
            None => {}
        }
    }
}

/// Returns an error if the agent has no such task.
fn check_task(data: &Path, name: &str) -> anyhow::Result<TaskRow> {
    let tasks = Database::existing(data)?.tasks()?;
    let found = tasks.into_iter().find(|row| row.definition.name == name);
    found.ok_or_else(|| Missing(format!("there is no task {name:?}: `monitor task list` shows those that there are")).into())
}

/// Returns an error if the agent never had such a task.
pub(super) fn check_ever(data: &Path, name: &str) -> anyhow::Result<()> {
    let is_known = !Database::existing(data)?.runs(Some(name), 1)?.is_empty();
    if is_known { Ok(()) } else { check_task(data, name).map(drop) }
}

pub(super) fn run(data: &Path, task: &str, args: &[String], (is_waited_for, is_json): (bool, bool)) -> anyhow::Result<()> {
    check_task(data, task)?;
    let runs = ask(data, AgentOrder::Run { task: task.to_owned(), args: args.to_owned() })?;
    say(&runs, is_json)?;
    if !is_waited_for {
        return Ok(());
    }
    let database = Database::existing(data)?;
    let id = runs.first().context("the agent named no run")?;
    loop {
        let row = database.runs(Some(task), 1_000)?.into_iter().find(|row| row.id == *id);
        if let Some(row) = row.filter(|row| row.ended_us.is_some()) {
            let outcome = ended(&row);
            if matches!(row.outcome.as_deref(), Some("ok" | "warn" | "idle")) {
                return if is_json { Ok(()) } else { Ok(writeln!(anstream::stdout(), "{}", visible(&outcome))?) };
            }
            bail!("{outcome}");
        }
        if let Some(why) = id.parse().ok().map(|id| database.given_up(&id)).transpose()?.flatten() {
            bail!("{id} was not started: {why}");
        }
        if !is_running(data) {
            bail!("the agent has ended; the run goes on, and `monitor task runs` shows it when the agent is back");
        }
        std::thread::sleep(LOOK * 5);
    }
}

pub(super) fn pause(data: &Path, task: Option<&str>, until: Option<Timestamp>) -> anyhow::Result<()> {
    task.map(|task| check_task(data, task)).transpose()?;
    ask(data, AgentOrder::Pause { task: task.map(str::to_owned), until: until.map(|until| until.to_string()) }).map(drop)
}

pub(super) fn resume(data: &Path, task: Option<&str>) -> anyhow::Result<()> {
    let row = task.map(|task| check_task(data, task)).transpose()?;
    if let Some(row) = row.filter(|row| row.definition.paused && row.paused.is_none()) {
        bail!("{} is paused by its definition: take `paused = true` out of {}", row.definition.name, file_of(&row));
    }
    ask(data, AgentOrder::Resume { task: task.map(str::to_owned) }).map(drop)
}

pub(super) fn kill(data: &Path, what: &str, now: bool, is_json: bool) -> anyhow::Result<()> {
    say(&ask(data, AgentOrder::Kill { what: what.to_owned(), now })?, is_json)
}

/// The next due time of a task, or the reason why it has none.
fn next_due(row: &TaskRow, now: Timestamp) -> anyhow::Result<Option<Timestamp>> {
    let name = &row.definition.name;
    let policy = Policy::new(&row.definition, &TimeZone::system()).map_err(|error| anyhow::anyhow!("{name}: {error}"))?;
    Ok(next_of(&policy.rules, now, &policy.zone))
}

/// Prints the mistakes in an agent's task files to stderr.
pub(super) fn tell_mistakes(database: &Database) -> anyhow::Result<()> {
    for mistake in database.mistakes()? {
        writeln!(anstream::stderr(), "{}", visible(&mistake))?;
    }
    Ok(())
}

pub(super) fn list(data: &Path, containing: Option<&str>, limit: usize, is_json: bool) -> anyhow::Result<()> {
    let database = Database::existing(data)?;
    let now = Timestamp::now();
    let wanted = containing.unwrap_or_default().to_lowercase();
    let mut lines = Vec::new();
    for row in database.tasks()?.into_iter().filter(|row| row.definition.name.to_lowercase().contains(&wanted)).take(limit) {
        let next = next_due(&row, now)?;
        let last = database.runs(Some(&row.definition.name), 1)?.pop();
        lines.push((row, next, last));
    }
    let whole = database.paused()?.filter(|paused| paused.is_at(now));
    if is_json {
        let tasks = lines.iter().map(|(row, next, last)| {
            let is_paused = row.paused.is_some_and(|paused| paused.is_at(now));
            json!({ "task": row.definition, "version": row.version, "file": row.file, "next_us": next.map(Timestamp::as_microsecond), "paused": is_paused, "last_run": last })
        });
        let tasks: Vec<_> = tasks.collect();
        return print_json(&json!({ "tasks": tasks, "paused": whole.is_some(), "mistakes": database.mistakes()? }));
    }
    let width = lines.iter().map(|(row, ..)| row.definition.name.len()).max().unwrap_or(0);
    let mut out = anstream::stdout().lock();
    for (row, next, last) in &lines {
        let next = match (row.paused.filter(|paused| paused.is_at(now)), next) {
            (Some(Paused { until: None, .. }), _) => "paused".to_owned(),
            (Some(Paused { until: Some(until), .. }), _) => format!("paused until {}", moment(until.as_microsecond() as u64)),
            (None, _) if row.definition.paused => "paused by its definition".to_owned(),
            (None, Some(next)) => format!("next {}", moment(next.as_microsecond() as u64)),
            (None, None) => "never due".to_owned(),
        };
        let last = last.as_ref().map(|last| format!("   last {} {}", moment(last.due_us as u64), ended(last))).unwrap_or_default();
        writeln!(out, "{}", visible(&format!("{:width$}   {next:<32}{last}", row.definition.name)).trim_end())?;
    }
    out.flush()?;
    if let Some(paused) = whole {
        let until = paused.until.map(|until| format!(" until {}", moment(until.as_microsecond() as u64))).unwrap_or_default();
        writeln!(anstream::stderr(), "the agent is paused{until}: nothing starts by time")?;
    }
    tell_mistakes(&database)
}

pub(super) fn show(data: &Path, name: &str, is_json: bool) -> anyhow::Result<()> {
    let row = check_task(data, name)?;
    let (database, now) = (Database::existing(data)?, Timestamp::now());
    let next = next_due(&row, now)?;
    let runs = database.runs(Some(name), 10)?;
    let is_paused = row.paused.is_some_and(|paused| paused.is_at(now));
    if is_json {
        return print_json(
            &json!({ "task": row.definition, "version": row.version, "file": row.file, "next_us": next.map(Timestamp::as_microsecond), "paused": is_paused, "runs": runs }),
        );
    }
    let mut out = anstream::stdout().lock();
    let (status, since) = (if is_paused { "paused" } else { "active" }, moment(row.since.as_microsecond() as u64));
    writeln!(out, "{}", visible(&format!("# version {}, {status}, since {since}, from {}", row.version, file_of(&row))))?;
    for line in row.definition.to_toml().lines() {
        writeln!(out, "{}", visible(line))?;
    }
    if let Some(next) = next {
        writeln!(out, "# due {}", moment(next.as_microsecond() as u64))?;
    }
    for run in &runs {
        writeln!(out, "{}", visible(&format!("# {}  {}", run.id, ended(run))))?;
    }
    Ok(out.flush()?)
}

/// A filter of runs.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) task: Option<&'a str>,
    pub(super) from: Option<Timestamp>,
    pub(super) to: Option<Timestamp>,
    pub(super) exit_code: Option<i32>,
    pub(super) outcome: Option<&'a str>,
    pub(super) limit: usize,
}

impl Wanted<'_> {
    fn is(&self, run: &RunRow) -> bool {
        self.from.is_none_or(|from| run.due_us >= from.as_microsecond())
            && self.to.is_none_or(|to| run.due_us < to.as_microsecond())
            && self.exit_code.is_none_or(|code| run.result_code.or(run.exit_code) == Some(code))
            && self.outcome.is_none_or(|outcome| outcome == state(run) || Some(outcome) == word(run))
    }
}

/// The state of a run, in the words of the API.
fn state(run: &RunRow) -> &'static str {
    match (run.outcome.as_deref(), run.reason.as_deref()) {
        (None, _) if run.started_us.is_some() => "running",
        (None, _) => "pending",
        (Some("ok" | "warn" | "idle"), _) => "succeeded",
        (Some(_), Some("lost")) => "lost",
        (Some(_), Some("killed")) => "cancelled",
        (Some(_), _) => "failed",
    }
}

/// The outcome of a run, in one word.
fn word(run: &RunRow) -> Option<&str> {
    run.outcome.as_deref().map(|outcome| if outcome == "retry" { "fail" } else { outcome })
}

pub(super) fn runs(data: &Path, wanted: &Wanted<'_>, is_json: bool) -> anyhow::Result<()> {
    let database = Database::existing(data)?;
    let is_any = wanted.from.is_none() && wanted.to.is_none() && wanted.exit_code.is_none() && wanted.outcome.is_none();
    let most = if is_any { wanted.limit as u32 } else { MOST_RUNS };
    let runs: Vec<_> = database.runs(wanted.task, most)?.into_iter().filter(|run| wanted.is(run)).take(wanted.limit).collect();
    if let Some(task) = wanted.task.filter(|_| runs.is_empty()) {
        check_ever(data, task)?;
    }
    if is_json {
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

/// The file or server that defines a task.
fn file_of(row: &TaskRow) -> &str {
    row.file.as_deref().unwrap_or("the server")
}

pub(super) fn explain(data: &Path, name: &str, (from, to): (Option<Timestamp>, Option<Timestamp>)) -> anyhow::Result<BatchExplanation> {
    let now = Timestamp::now();
    let (from, to) = (from.unwrap_or(now - DAY), to.unwrap_or(now + DAY));
    let explained = Database::existing(data)?.explain(name, (from, to), now, &TimeZone::system())?;
    let explained = explained.ok_or_else(|| Missing(format!("there never was a task {name:?}")))?;
    let is_cut = explained.len() >= monitor_tasks::explain::MOST_EXPLAINED;
    let due = explained.into_iter().map(|of| BatchExplained {
        due_us: of.due.as_microsecond().max(0) as u64,
        count: 1,
        decision: of.decision.word().to_owned(),
        reason: of.reason,
        agent: None,
        version: Some(of.version),
        run: of.run.map(|run| run.to_string()),
    });
    Ok(BatchExplanation { due: due.collect(), is_cut })
}

pub(super) fn rehearse(data: &Path, definition: &Definition, days: u16) -> anyhow::Result<serde_json::Value> {
    let now = Timestamp::now();
    let from = now - SignedDuration::from_hours(24 * i64::from(days));
    let (rehearsal, durations) = Database::existing(data)?.rehearse(definition, (from, now), &TimeZone::system())?;
    Ok(super::rehearse::answer(&rehearsal, durations, (from, now)))
}

fn say(runs: &[String], is_json: bool) -> anyhow::Result<()> {
    if is_json {
        return print_json(&json!({ "runs": runs }));
    }
    let mut out = anstream::stdout().lock();
    runs.iter().try_for_each(|run| writeln!(out, "{}", visible(run)))?;
    Ok(out.flush()?)
}

/// The outcome of a run, in words.
fn ended(run: &RunRow) -> String {
    let Some(outcome) = &run.outcome else {
        return if run.started_us.is_some() { "running" } else { "starting" }.to_owned();
    };
    let code = run.result_code.filter(|code| *code != 0).map(|code| format!(" {code}")).unwrap_or_default();
    let reason = run.reason.as_ref().map(|reason| format!(" {reason}")).unwrap_or_default();
    let words = run.words.as_ref().map(|words| format!(": {words}")).unwrap_or_default();
    // An attempt that is retried counts as a failure.
    let outcome = if outcome == "retry" { "fail" } else { outcome };
    format!("{outcome}{code}{reason}{words}")
}
