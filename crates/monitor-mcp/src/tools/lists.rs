//! Lists beside those of runs.

use serde_json::Value;

use super::{Answered, Caller, ROWS, rows};
use crate::answer::Answer;
use crate::arguments::Arguments;
use crate::ask::{Ask, Request};
use crate::recorded::{marked, picked};

pub(super) async fn statistics<A: Ask>(arguments: &Arguments, by: &Caller<A>) -> Answered {
    let is_errors = arguments.text("what") == Some("errors");
    let request = if is_errors {
        Request::get(&["stats", "errors"]).with_texts(arguments, &["name"]).with("limit", &arguments.count("limit").unwrap_or(ROWS))
    } else {
        Request::get(&["stats"]).with_texts(arguments, &["name", "q", "sort"]).paged(arguments, ROWS)
    };
    let page = by.ask(request).await?;
    let list = if is_errors { "errors" } else { "stats" };
    let period = picked(&page, &["from_us", "to_us"]);
    Ok(Answer::default().value("period", period).rows(list, rows(&page, list, marked)).page(by.page_of(&["statistics"])).next(&page))
}

pub(super) async fn batch_tasks<A: Ask>(arguments: &Arguments, by: &Caller<A>) -> Answered {
    let page = by.ask(Request::get(&["batch-tasks"]).with_texts(arguments, &["q"]).paged(arguments, ROWS)).await?;
    let answer = Answer::default().rows("tasks", rows(&page, "tasks", batch_task)).page(by.page_of(&["batch"])).next(&page);
    Ok(answer.more("explain_batch_task explains its due times."))
}

/// A task with its last runs only, and with its next due times as times.
fn batch_task(task: &Value) -> Value {
    const RUNS: usize = 3;
    let mut task = task.clone();
    if let Some(runs) = task["runs"].as_array_mut() {
        runs.truncate(RUNS);
    }
    let next: Vec<_> = task["next_us"].as_array().into_iter().flatten().filter_map(Value::as_u64).map(crate::recorded::time).collect();
    let mut row = picked(
        &task,
        &["name", "status", "until_us", "paused_by", "who", "agent", "failed_in_a_row", "last_warning_us", "runs", "version", "definition"],
    );
    row["next"] = next.into();
    row
}

pub(super) async fn explain<A: Ask>(arguments: &Arguments, by: &Caller<A>) -> Answered {
    let page = by.ask(Request::get(&["batch-tasks", arguments.needed("task"), "explain"])).await?;
    let answer = Answer::default().rows("due", rows(&page, "due", marked)).page(by.page_of(&["batch"]));
    Ok(if page["is_cut"] == true {
        answer.more("The list is longer than what the server returns: the page shows any period.")
    } else {
        answer
    })
}

pub(super) async fn alerts<A: Ask>(arguments: &Arguments, by: &Caller<A>) -> Answered {
    let page = by.ask(Request::get(&["alerts"]).with_texts(arguments, &["state", "subject"]).paged(arguments, ROWS)).await?;
    Ok(Answer::default().rows("alerts", rows(&page, "alerts", marked)).page(by.page_of(&["alerts"])).next(&page))
}

pub(super) async fn queue_tasks<A: Ask>(arguments: &Arguments, by: &Caller<A>) -> Answered {
    let request = Request::get(&["queue-tasks"]).with_texts(arguments, &["state", "type", "queue", "q"]).paged(arguments, ROWS);
    let page = by.ask(request).await?;
    let answer = Answer::default().rows("tasks", rows(&page, "tasks", marked)).page(by.page_of(&["queue"])).next(&page);
    Ok(answer.more("get_process shows all of a task, by root_id and id."))
}

pub(super) async fn workers<A: Ask>(arguments: &Arguments, by: &Caller<A>) -> Answered {
    let page = by.ask(Request::get(&["workers"]).paged(arguments, ROWS)).await?;
    Ok(Answer::default().rows("workers", rows(&page, "workers", marked)).page(by.page_of(&["workers"])).next(&page))
}
