//! Why a run failed, and what differs from an earlier run.

use monitor_state::{Difference, differences, took_ns};
use monitor_text::now_us;
use monitor_wire::{BatchRunsPage, Process, Root, RootsPage, State, TreePage};
use serde_json::{Value, json};

use super::runs::{failing_path, lines, log_path, own_process, shown_process, shown_run};
use super::{Answered, Caller};
use crate::answer::Answer;
use crate::arguments::Arguments;
use crate::ask::{Ask, Failure, Request};
use crate::recorded::{RECORDED, clean, picked};

/// Log lines of the process that failed first.
const TAIL: u64 = 30;
/// Processes of each run that are compared.
const MOST_COMPARED: usize = 10_000;

pub(super) async fn why_failed<A: Ask>(arguments: &Arguments, by: &Caller<A>) -> Answered {
    let run = arguments.needed("run");
    let root: Root = by.read(Request::get(&["roots", run])).await?;
    let mut run_shown = shown_run(&root);
    let answer = Answer::default().page(by.page_of(&[run]));
    let path = failing_path(run, &root, by).await?;
    let Some(first) = path.last() else {
        return not_failed(run, answer.value("run", run_shown).value("failed", false), by).await;
    };
    // The reason has a field of its own.
    if let Some(recorded) = run_shown[RECORDED].as_object_mut() {
        recorded.remove("error");
    }
    let is_lost = first.state == State::LOST;
    let none = if is_lost { "whether it ended is not known: its worker is lost" } else { "no error was recorded" };
    let reason = root.error.as_ref().map_or(json!(none), |error| json!({ RECORDED: clean(&json!(error)) }));
    let answer = answer.value("run", run_shown).value("failed", true).value("reason", reason);
    let answer = if is_lost { lost_worker(first, answer, by).await } else { answer };
    let answer = batch_result(&path[0], answer, by).await.rows("failing_path", path.iter().map(shown_process).collect());
    let answer = tail(run, first, answer, by).await?;
    let Some(good) = last_good(&root, by).await? else {
        return Ok(answer.value("last_good_run", "there is none of this name").more(MORE));
    };
    Ok(compared(answer, &good, &root, by).await?.more(MORE))
}

const MORE: &str = "get_process shows all of a process by its id, get_logs more of the log, compare_runs all differences.";

/// Explains the end of a run that did not fail.
async fn not_failed<A: Ask>(run: &str, answer: Answer, by: &Caller<A>) -> Answered {
    let Some(own) = own_process(run, by).await?.filter(|own| own.state == State::CANCELLED) else {
        return Ok(answer.more(
            "This run did not fail, so there is nothing to explain. get_run shows its processes, with failures that it has handled.",
        ));
    };
    let answer = batch_result(&own, answer.value("process", shown_process(&own)), by).await;
    Ok(answer.more("This run was cancelled: `process` contains the reason, if one was recorded. get_run shows its processes."))
}

/// Adds the worker of a lost process.
async fn lost_worker<A: Ask>(process: &Process, answer: Answer, by: &Caller<A>) -> Answer {
    let Some(id) = process.worker_id else { return answer };
    match by.ask(Request::get(&["workers", &id.to_string()])).await {
        Ok(worker) => answer.value("worker", picked(&worker, &["id", "state", "lost_us", "last_seen_us", "pid", "hostname", "program"])),
        // The server no longer has it.
        Err(_) => answer,
    }
}

/// Adds the result code and the reason of a run of a batch task, as the list of its runs shows them.
async fn batch_result<A: Ask>(own: &Process, answer: Answer, by: &Caller<A>) -> Answer {
    let task = own.fields.get("task.name").and_then(Value::as_str);
    // Agents write the time as text.
    let due_us = own.fields.get("task.due_us").and_then(|due| due.as_u64().or_else(|| due.as_str()?.parse::<u64>().ok()));
    let Some((task, due_us)) = task.zip(due_us) else { return answer };
    let request = Request::get(&["batch-tasks", "runs"]).with("task", task).with("from", &due_us).with("to", &due_us.saturating_add(1));
    // Fields are recorded text: values that the server refuses are of no run of a batch task.
    let Ok(page) = by.read::<BatchRunsPage>(request).await else { return answer };
    match page.runs.iter().find(|run| (run.root_id, run.process_id) == (own.root_id, own.id)) {
        Some(run) => answer.value("batch_result", picked(&json!(run), &["task", "run", "outcome", "result_code", "reason"])),
        None => answer,
    }
}

/// Adds the last lines of a process, or those of the run if it has none.
async fn tail<A: Ask>(run: &str, process: &Process, answer: Answer, by: &Caller<A>) -> Answered {
    let id = process.id.to_string();
    let newest = |process| Request::get(&log_path(run, process)).with("order", "newest").with("limit", &TAIL);
    let page = by.ask(newest(Some(&id))).await?;
    if page["logs"].as_array().is_some_and(|lines| !lines.is_empty()) {
        return Ok(answer.value("log_of", id).last_rows("log_tail", lines(&page, true, false)));
    }
    let page = by.ask(newest(None)).await?;
    Ok(answer.value("log_of", "the whole run, for the process has no log").last_rows("log_tail", lines(&page, true, true)))
}

pub(super) async fn compare_runs<A: Ask>(arguments: &Arguments, by: &Caller<A>) -> Answered {
    let run = arguments.needed("run");
    let later: Root = by.read(Request::get(&["roots", run])).await?;
    let earlier = match arguments.text("with") {
        Some(with) => Some(by.read(Request::get(&["roots", with])).await?),
        None => last_good(&later, by).await?,
    };
    let Some(earlier) = earlier else {
        return Err(Failure {
            status: None,
            detail: "there is no earlier good run of the same name: name another run as `with`".to_owned(),
        });
    };
    let answer = Answer::default().value("run", shown_run(&later)).page(format!("{}?tab=compare", by.page_of(&[run])));
    compared(answer, &earlier, &later, by).await
}

/// Returns the newest run of the same name that succeeded and began before.
async fn last_good<A: Ask>(root: &Root, by: &Caller<A>) -> Result<Option<Root>, Failure> {
    let request = Request::get(&["roots"]).with("name", &root.name).with("state", "succeeded").with("limit", &1);
    let page: RootsPage = by.read(request.with_some("started_before", root.started_us)).await?;
    Ok(page.roots.into_iter().next())
}

/// Adds what differs between two runs.
async fn compared<A: Ask>(answer: Answer, earlier: &Root, later: &Root, by: &Caller<A>) -> Answered {
    let (before, after) = (tree(earlier, by).await?, tree(later, by).await?);
    let is_cut = before.next_cursor.is_some() || after.next_cursor.is_some();
    let now_us = now_us();
    let rows = differences(&before.processes, &after.processes, now_us).iter().map(|found| row(found, now_us)).collect();
    let name = if answer.has("failing_path") { "last_good_run" } else { "compared_with" };
    let answer = answer.value(name, shown_run(earlier)).rows("differences", rows);
    Ok(if is_cut { answer.more(format!("Only the first {MOST_COMPARED} processes of each run were compared.")) } else { answer })
}

async fn tree<A: Ask>(root: &Root, by: &Caller<A>) -> Result<TreePage, Failure> {
    by.read(Request::get(&["roots", &root.root_id.to_string(), "tree"]).with("limit", &MOST_COMPARED)).await
}

fn row(difference: &Difference<'_>, now_us: u64) -> Value {
    let duration = |process: Option<&Process>| process.and_then(|process| took_ns(process, now_us)).map(monitor_text::duration);
    let shown = difference.after.or(difference.before).map(shown_process).unwrap_or_default();
    let row = json!({
        "change": difference.change.as_str(), "id": shown["id"], "state": shown["state"], RECORDED: shown[RECORDED],
        "took_before": duration(difference.before), "took": duration(difference.after),
    });
    let Value::Object(fields) = row else { unreachable!("written as an object") };
    fields.into_iter().filter(|(_, value)| !value.is_null()).collect::<serde_json::Map<_, _>>().into()
}
