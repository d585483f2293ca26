//! Orders for the source of the program's queue tasks.

use std::sync::Arc;

use monitor_wire::{CommandOrder, CommandStatus, Fields, Order, READING_METHODS, mask};
use serde_json::{Value, json};

use super::methods::{Answered, call, error, ok, on_thread, refused};
use crate::settings::Allowed;
use crate::{commands, report};

/// Returns true if the source answers this method.
pub(super) fn is_asked(method: &str) -> bool {
    commands::source().is_some() && Order::METHODS.contains(&method)
}

/// Passes an order to the source.
pub(super) async fn answer(allowed: &Allowed, order: &CommandOrder) -> Answered {
    let method = order.method.as_str();
    let Some(source) = commands::source().filter(|source| source.methods().contains(&method)) else {
        return (CommandStatus::UNSUPPORTED, None, Some(format!("what answers for tasks here doesn't know {method:?}")));
    };
    if !READING_METHODS.contains(&method) && !allowed.allows(method) {
        return refused(method);
    }
    match Order::read(method, &order.arguments) {
        Err(wrong) => error(&wrong.to_string()),
        // The program may end during the order, so answer first: see `after`.
        Ok(Some(Order::Shutdown { .. })) => ok(json!({ "stopping": true })),
        Ok(Some(Order::Restart)) => ok(json!({ "restarting": true })),
        Ok(Some(read)) => call(Arc::new(move |_| source.handle(read.clone())), Fields::new()).await,
        Ok(None) => error("it is none of a queue's methods"),
    }
}

/// Executes an order that had to wait until its answer was sent.
pub(super) async fn after(order: &CommandOrder, answered: CommandStatus) {
    if answered == CommandStatus::OK
        && is_asked(&order.method)
        && let Some(source) = commands::source()
        && let Ok(Some(read @ (Order::Shutdown { .. } | Order::Restart))) = Order::read(&order.method, &order.arguments)
        && let (_, _, Some(why)) = on_thread(|| source.handle(read)).await
    {
        report::warn(&format!("{} was ordered and could not be done: {why}", order.method));
    }
}

/// Revokes tasks in the source that were revoked before this program started.
pub(super) async fn revoked(allowed: &Allowed, ids: Vec<String>) {
    if let Some(source) = commands::source().filter(|source| allowed.allows("revoke") && source.methods().contains(&"revoke")) {
        let order = Order::Revoke { ids, terminate: false };
        on_thread(|| source.handle(order)).await;
    }
}

/// Returns statistics of the program and its tasks.
pub(super) async fn stats(mut stats: Value) -> Answered {
    if let Some(source) = commands::source()
        && let (_, Some(Value::Object(of_source)), _) = on_thread(|| Ok(json!(source.stats()))).await
        && let Value::Object(stats) = &mut stats
    {
        stats.extend(of_source);
    }
    ok(stats)
}

/// Returns the settings of the client and of the source, without secrets.
pub(super) async fn conf(mut conf: Value) -> Answered {
    if let Some(source) = commands::source() {
        let (_, value, _) = on_thread(|| Ok(source.conf())).await;
        conf["tasks"] = value.unwrap_or_default();
    }
    mask(&mut conf);
    ok(conf)
}
