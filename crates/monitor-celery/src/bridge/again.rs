//! Sends ended tasks again, under new ids, with their recorded arguments.

use std::time::Duration;

use monitor_wire::{Event, Fields, Link, Process, ProcessUpdated, RetryAnswer, RetryLine, State, TaskCall};
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::inquiry::Finding;
use super::orders::{Orders, queues_of};
use crate::ids::{process_id, root_id, worker_id};
use crate::literal;
use crate::results::Results;
use crate::task_message::TaskMessage;
use crate::transport::Connection;

/// Sends each of these tasks again. `node` is one that executes such tasks.
pub(super) async fn retry(orders: &Orders, connection: &Connection, node: &str, patience: Duration, ids: Vec<String>) -> RetryAnswer {
    let until = Instant::now() + patience;
    let results = match &orders.results {
        Some(place) => Results::open(place).await.ok(),
        None => None,
    };
    let mut tasks = Vec::with_capacity(ids.len());
    for id in ids {
        let sent = if Instant::now() < until {
            send_again(orders, connection, results.as_ref(), (node, patience), &id).await
        } else {
            // The server no longer waits, so a task that is sent now would probably be sent once more.
            Err("it was not sent, because the time of the command was over: retry fewer tasks at once, or use a longer --timeout"
                .to_owned())
        };
        let (uuid, error) = sent.map_or_else(|why| (None, Some(why)), |uuid| (Some(uuid), None));
        tasks.push(RetryLine { id, uuid, error });
    }
    RetryAnswer { tasks }
}

/// Sends a task again, and returns its new id.
async fn send_again(
    orders: &Orders,
    connection: &Connection,
    results: Option<&Results>,
    (node, patience): (&str, Duration),
    id: &str,
) -> Result<String, String> {
    let task = orders.client.queue_task(id).await.map_err(|error| match error.status() {
        Some(403) => "the token of the bridge lacks the scope `read`, so it can't read the arguments".to_owned(),
        Some(404) => "the server doesn't know the task".to_owned(),
        _ => error.causes(),
    })?;
    if [State::PENDING, State::RUNNING, State::RETRYING].contains(&task.state) {
        return Err(format!("the task has not ended: it is {}", task.state));
    }
    is_of_cluster(orders, &task).await?;
    // Only an application with `result_extended` keeps the arguments.
    let stored = match results {
        Some(results) => results.arguments(id).await.ok().flatten(),
        None => None,
    };
    let mut call = call_of(&task, stored)?;
    if call.queue.is_none() {
        // Only the event of a sent task has its queue.
        let queues = queues_of(connection, node, patience).await.unwrap_or_default();
        let [queue] = &queues[..] else {
            return Err("its queue is not known: set task_send_sent_event = True in the application".to_owned());
        };
        call.queue = Some(queue.clone());
    }
    let message = TaskMessage::new(&call);
    connection.send(&message).await.map_err(|error| error.to_string())?;
    if let Err(error) = connection.publish_event(&message.sent_event()).await {
        tracing::warn!(task = message.id, %error, "a task was sent, and the event about it was not");
    }
    let link = Link { root_id: task.root_id, id: task.id, relation: "retry_of".to_owned() };
    let update = ProcessUpdated::new(root_id(&message.id), process_id(&message.id), monitor_spool::now_us(), Fields::new());
    let _ = orders.finds.send(vec![Finding::Own(Box::new(Event::ProcessUpdated(ProcessUpdated { links: vec![link], ..update })))]);
    Ok(message.id)
}

/// Returns an error if the task was executed in another cluster.
async fn is_of_cluster(orders: &Orders, task: &Process) -> Result<(), String> {
    let other = || Err(format!("it is not known as a task of the cluster {}", orders.cluster));
    let worker = task.worker_id.or_else(|| task.task.as_ref()?.received_by);
    let Some(worker) = worker else { return other() };
    let known = orders.client.worker(worker).await.map_err(|error| error.causes())?;
    let names = [format!("{}@{}", known.program, known.hostname), known.hostname.clone()];
    if names.iter().any(|name| worker_id(&orders.cluster, name, known.pid) == worker) { Ok(()) } else { other() }
}

/// The call of a task: with its stored arguments, or else with those of its events.
fn call_of(task: &Process, stored: Option<(Value, Value)>) -> Result<TaskCall, String> {
    let details = task.task.as_ref().ok_or("it is no task of a queue")?;
    let recorded = |value: &Option<Value>| value.as_ref().and_then(Value::as_str).and_then(literal::read);
    let (args, kwargs) = match stored {
        Some((args, kwargs)) => (Some(args), Some(kwargs)),
        None => (recorded(&details.args), recorded(&details.kwargs)),
    };
    let (Some(Value::Array(args)), Some(Value::Object(kwargs))) = (args, kwargs) else {
        let why = "its arguments are not known as plain values: they were cut, masked or not recorded; with result_extended = True in the application, \
                   they are read from its result";
        return Err(why.to_owned());
    };
    let kwargs: Map<String, Value> = kwargs;
    Ok(TaskCall {
        name: task.name.clone(),
        args,
        kwargs: kwargs.into_iter().collect(),
        queue: details.queue.clone(),
        ..TaskCall::default()
    })
}
