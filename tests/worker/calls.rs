//! Calls of other programs, in the form that users write.

use monitor_client::{cross_process, normal_task, root_task};
use serde_json::{Value, json};

/// Sends messages to itself like to another program: with the root's id as both ids, and with the root's id alone.
#[root_task(batch = "batch")]
pub(crate) fn sends_the_root(batch: &str) {
    asks();
    let _ = batch;
}

#[normal_task]
fn asks() {
    let root_id = monitor_client::root_id().expect("monitored").to_string();
    judges(&root_id);
    judge(root_id, None);
}

/// Handles a message in the format of the first source document.
pub(crate) fn judges(root_id: &str) {
    let message = json!({"root_id": root_id, "parent_id": "ignored"});
    let text = |key| message.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (root_id, parent_id) = (text("root_id"), text("root_id"));
    judge(root_id, Some(parent_id));
}

#[cross_process("judge")]
fn judge(root_id: String, parent_id: Option<String>) {
    judged();
}

#[normal_task]
fn judged() {}

/// Roots within a running tree, each with another mark.
#[root_task(batch = "batch")]
pub(crate) fn joins(batch: &str) {
    let _ = batch;
    part("part-7");
}

#[root_task(batch = "part")]
fn part(part: &str) {
    let _ = part;
    judged();
}
