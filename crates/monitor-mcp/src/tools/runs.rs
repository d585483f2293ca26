//! Runs, processes and logs.

use monitor_text::now_us;
use monitor_wire::{Process, ProcessesPage, Root, RootsPage};
use serde_json::{Value, json};

use super::{Answered, Caller, ROWS, rows};
use crate::answer::Answer;
use crate::arguments::Arguments;
use crate::ask::{Ask, Failure, Request};
use crate::recorded::{marked, picked};

/// Default number of processes in an outline.
const OUTLINE: u64 = 50;
/// Default number of log lines.
const LINES: u64 = 50;
/// Default age of processes that a search finds, in days.
const DAYS: u64 = 7;
/// Failed processes among which the failing path is looked for, the last that ended.
const MOST_FAILED: usize = 1_000;

/// The fields of a run in lists.
const RUN: [&str; 13] = [
    "number",
    "root_id",
    "state",
    "started_us",
    "ended_us",
    "elapsed_ns",
    "counts",
    "overdue",
    "attempt",
    "attempts_of",
    "title",
    "error",
    "progress",
];
/// The fields of a process in lists.
const PROCESS: [&str; 12] =
    ["id", "depth", "state", "kind", "elapsed_ns", "attempt", "exit_code", "signal", "name", "error", "reason", "progress"];

pub(super) async fn list<A: Ask>(arguments: &Arguments, by: &Caller<A>) -> Answered {
    let request = Request::get(&["roots"]).with_texts(arguments, &["state", "name", "q"]).paged(arguments, ROWS);
    let page = by.ask(request).await?;
    let answer = Answer::default().rows("runs", rows(&page, "roots", run_row)).page(by.page_of(&[])).next(&page);
    Ok(answer.more("why_failed explains a failed run, get_run shows one, by its number."))
}

pub(super) async fn get<A: Ask>(arguments: &Arguments, by: &Caller<A>) -> Answered {
    let run = arguments.needed("run");
    let root: Root = by.read(Request::get(&["roots", run])).await?;
    let tree = by.ask(Request::get(&["roots", run, "tree"]).paged(arguments, OUTLINE)).await?;
    let path = failing_path(run, &root, by).await?;
    let mut answer = Answer::default().value("run", shown_run(&root));
    if !path.is_empty() {
        answer = answer.rows("failing_path", path.iter().map(shown_process).collect());
    }
    let answer = answer.rows("outline", rows(&tree, "processes", process_row)).page(by.page_of(&[run])).next(&tree);
    Ok(answer.more("get_process shows all of a process, get_logs its log."))
}

pub(super) async fn process<A: Ask>(arguments: &Arguments, by: &Caller<A>) -> Answered {
    let (run, id) = (arguments.needed("run"), arguments.needed("process"));
    let process = by.ask(Request::get(&["roots", run, "processes", id])).await?;
    let page = format!("{}?process={}", by.page_of(&[run]), process["id"].as_str().unwrap_or_default());
    Ok(Answer::default().value("process", marked(&process)).page(page).more("get_logs returns its log lines."))
}

pub(super) async fn search<A: Ask>(arguments: &Arguments, by: &Caller<A>) -> Answered {
    let (within, limit) = (arguments.text("run"), arguments.count("limit").unwrap_or(ROWS));
    let asked = |list| Request::get(&[list]).with_texts(arguments, &["q", "state"]).with("limit", &limit);
    let runs = if within.is_none() { by.ask(asked("roots")).await? } else { Value::Null };
    let processes = if let Some(run) = within {
        asked("processes").with("root", run)
    } else {
        // Without a run, the API searches only the processes of a period.
        let age_us = arguments.count("days").unwrap_or(DAYS).saturating_mul(86_400_000_000);
        asked("processes").with("started_after", &now_us().saturating_sub(age_us))
    };
    let processes = by.ask(processes).await?;
    let found = |process: &Value| {
        let mut keys = PROCESS.to_vec();
        keys.push("root_id");
        picked(process, &keys)
    };
    let answer = Answer::default().rows("runs", rows(&runs, "roots", run_row)).rows("processes", rows(&processes, "processes", found));
    let is_cut = !(runs["next_cursor"].is_null() && processes["next_cursor"].is_null());
    let answer = if is_cut { answer.more("There are more: call again with a longer q, a state, or a higher limit.") } else { answer };
    Ok(answer.page(by.page_of(&within.map_or(Vec::new(), |run| vec![run]))))
}

pub(super) async fn logs<A: Ask>(arguments: &Arguments, by: &Caller<A>) -> Answered {
    let run = arguments.needed("run");
    let is_newest = arguments.text("order") != Some("oldest");
    let request = Request::get(&log_path(run, arguments.text("process")));
    let request =
        request.with_texts(arguments, &["level", "q"]).paged(arguments, LINES).with("order", if is_newest { "newest" } else { "oldest" });
    let page = by.ask(request).await?;
    let lines = lines(&page, is_newest, arguments.text("process").is_none());
    let answer = Answer::default();
    let answer = if is_newest { answer.last_rows("lines", lines) } else { answer.rows("lines", lines) };
    let answer = if page["missing"] == 0 { answer } else { answer.value("missing_lines", page["missing"].clone()) };
    Ok(answer.page(by.page_of(&[run])).next(&page))
}

/// Returns the path of a log below `/api/v1`.
pub(super) fn log_path<'a>(run: &'a str, process: Option<&'a str>) -> Vec<&'a str> {
    match process {
        Some(process) => vec!["roots", run, "processes", process, "logs"],
        None => vec!["roots", run, "logs"],
    }
}

/// Returns the lines of a page in the order of time.
pub(super) fn lines(page: &Value, is_newest_first: bool, names_process: bool) -> Vec<Value> {
    let keys = ["time_us", "level", "process_id", "message", "target", "fields"];
    let line = |line: &Value| picked(line, &keys.into_iter().filter(|key| names_process || *key != "process_id").collect::<Vec<_>>());
    let mut lines = rows(page, "logs", line);
    if is_newest_first {
        lines.reverse();
    }
    lines
}

/// Returns the numbers of the newest runs.
pub(crate) async fn newest_runs<A: Ask>(by: &Caller<A>) -> Result<Vec<u64>, Failure> {
    let page: RootsPage = by.read(Request::get(&["roots"]).with("limit", &ROWS)).await?;
    Ok(page.roots.into_iter().map(|root| root.number).collect())
}

/// Returns the failing path, as far as its processes are among the last that failed. Empty unless the run failed or is lost.
pub(super) async fn failing_path<A: Ask>(run: &str, root: &Root, by: &Caller<A>) -> Result<Vec<Process>, Failure> {
    if root.counts.failed + root.counts.lost == 0 {
        return Ok(Vec::new());
    }
    let Some(own) = own_process(run, by).await? else { return Ok(Vec::new()) };
    let failed = Request::get(&["processes"]).with("root", run).with("state", "failed,lost").with("limit", &MOST_FAILED);
    let failed: ProcessesPage = by.read(failed).await?;
    let parents = failed.processes.iter().map(|process| (process.parent_id.filter(|_| !process.orphan), process));
    Ok(monitor_state::failing_path(&own, parents).into_iter().cloned().collect())
}

/// Returns the process that the run begins with, if its start was recorded.
pub(super) async fn own_process<A: Ask>(run: &str, by: &Caller<A>) -> Result<Option<Process>, Failure> {
    let first: ProcessesPage = by.read(Request::get(&["roots", run, "tree"]).with("limit", &1)).await?;
    Ok(first.processes.into_iter().next().filter(|own| own.depth == Some(0)))
}

pub(super) fn shown_run(root: &Root) -> Value {
    run_row(&json!(root))
}

pub(super) fn shown_process(process: &Process) -> Value {
    process_row(&json!(process))
}

fn run_row(root: &Value) -> Value {
    picked(root, &RUN)
}

fn process_row(process: &Value) -> Value {
    let mut row = picked(process, &PROCESS);
    if let Some(count) = process["fold"]["count"].as_u64() {
        row["calls"] = json!(count);
        row["failed_calls"] = process["fold"]["failed"].clone();
    }
    row
}
