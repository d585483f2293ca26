//! Tools that change something. None of them defines a command.

use serde_json::{Value, json};

use super::{Answered, Caller};
use crate::answer::Answer;
use crate::arguments::Arguments;
use crate::ask::{Ask, Request};
use crate::recorded::marked;

/// Sends an order about a batch task.
pub(super) async fn task<A: Ask>(order: &str, body: Value, arguments: &Arguments, by: &Caller<A>) -> Answered {
    let answer = by.ask(Request::post(&["batch-tasks", arguments.needed("task"), order], body)).await?;
    Ok(Answer::default()
        .value("answer", marked(&answer))
        .page(by.page_of(&["batch"]))
        .more("list_batch_tasks shows its status and its runs."))
}

pub(super) async fn cancel<A: Ask>(arguments: &Arguments, by: &Caller<A>) -> Answered {
    let run = arguments.needed("run");
    let body = arguments.text("process").map_or(json!({}), |process| json!({ "process": process }));
    let answer = by.ask(Request::post(&["roots", run, "cancel"], body)).await?;
    Ok(Answer::default().value("answer", marked(&answer)).page(by.page_of(&[run])).more("get_run shows what still runs."))
}

pub(super) async fn acknowledge<A: Ask>(arguments: &Arguments, by: &Caller<A>) -> Answered {
    let alert = arguments.count("alert").expect("checked when the arguments were read").to_string();
    let answer = by.ask(Request::post(&["alerts", &alert, "ack"], Value::Null)).await?;
    Ok(Answer::default().value("alert", marked(&answer)).page(by.page_of(&["alerts"])))
}

pub(super) async fn retry<A: Ask>(arguments: &Arguments, by: &Caller<A>) -> Answered {
    let answer = by.ask(Request::post(&["queue-tasks", "retry"], json!({"ids": [arguments.needed("task")]}))).await?;
    Ok(Answer::default().value("answer", marked(&answer)).page(by.page_of(&["queue"])).more("list_queue_tasks shows its new attempt."))
}
