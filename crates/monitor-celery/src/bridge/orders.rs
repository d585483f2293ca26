//! Commands for the workers of a cluster. Each node has a channel at the server, as any worker. The bridge opens it for the node, and passes the commands
//! on as Celery's remote control commands.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use monitor_api::{Client, Error};
use monitor_wire::{
    Backoff, CallAnswer, CommandOrder, CommandReply, CommandStatus, Order, ProcessId, PurgeAnswer, QueueLength, QueuePurge, QueuesAnswer,
    RootId, WorkerId, mask,
};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::sleep;

use super::again;
use super::depths::names_of;
use super::inquiry::Finding;
use crate::broker::Broker;
use crate::pidbox::Request;
use crate::task_message::{DEFAULT_QUEUE, TaskMessage};
use crate::translate::Translator;
use crate::transport::Connection;

/// Commands that the bridge passes on. `*` stands for those of an application, whose names are not known.
pub(crate) const METHODS: [&str; 36] = [
    "ping",
    "stats",
    "active",
    "registered",
    "scheduled",
    "reserved",
    "revoked",
    "active-queues",
    "queues",
    "query",
    "conf",
    "cancel",
    "pool-grow",
    "pool-shrink",
    "autoscale",
    "rate-limit",
    "time-limit",
    "add-consumer",
    "cancel-consumer",
    "revoke",
    "call",
    "purge",
    "retry",
    "shutdown",
    "pool-restart",
    "enable-events",
    "disable-events",
    "heartbeat",
    "clock",
    "report",
    "memsample",
    "memdump",
    "objgraph",
    "election",
    "revoke-by-stamped-headers",
    "*",
];

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Time that the reply takes from the bridge to the server.
const MARGIN: Duration = Duration::from_millis(200);
/// Wait for the reply to a command that workers usually don't reply to.
const BRIEFLY: Duration = Duration::from_millis(500);

/// Executes the commands for the nodes of a cluster.
#[derive(Debug)]
pub(crate) struct Orders {
    pub(crate) client: Client,
    /// Secret of the bridge's folder.
    pub(crate) secret: String,
    /// The connection to the broker. None while the broker is away.
    pub(crate) connection: Mutex<Option<Arc<Connection>>>,
    pub(crate) translator: Arc<Mutex<Translator>>,
    /// Name of the cluster.
    pub(crate) cluster: String,
    /// The store of results, if one is known.
    pub(crate) results: Option<Broker>,
    /// Events for the server.
    pub(crate) finds: UnboundedSender<Vec<Finding>>,
}

/// A command that was not executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failed {
    /// The worker, or the broker, failed.
    Error(String),
    /// Workers of Celery can't do it.
    Unsupported(String),
}

impl Orders {
    /// Executes the commands for a node, until the task is aborted.
    pub(crate) async fn serve(self: Arc<Self>, node: String, worker: WorkerId) {
        let key = self.key(worker);
        let mut backoff = Backoff::default();
        loop {
            let error = match self.client.channel(worker, &key, &METHODS.join(",")).await {
                Ok(mut channel) => {
                    backoff.reset();
                    loop {
                        match channel.next().await {
                            Ok(order) => drop(tokio::spawn(self.clone().obey(node.clone(), worker, order))),
                            Err(error) => break error,
                        }
                    }
                }
                Err(error) => error,
            };
            self.pause(&node, &error, &mut backoff).await;
        }
    }

    async fn pause(&self, node: &str, error: &Error, backoff: &mut Backoff) {
        // The server answers 404 until it has stored the first event of the node.
        if error.is_temporary() || error.status() == Some(404) {
            tracing::debug!(node, "the server has no commands for the node: {}", error.causes());
        } else {
            tracing::warn!(node, "the server has no commands for the node: {}", error.causes());
        }
        sleep(backoff.next(FIRST_PAUSE, LONGEST_PAUSE).max(error.retry_after().unwrap_or_default())).await;
    }

    /// Key of a worker's channel, which is the same after a restart of the bridge.
    fn key(&self, worker: WorkerId) -> String {
        let bytes: [u8; 32] = Sha256::new().chain_update(&self.secret).chain_update(worker.to_string()).finalize().into();
        let half = |bytes: Option<&[u8; 16]>| u128::from_be_bytes(*bytes.expect("32 bytes"));
        format!("{:032x}{:032x}", half(bytes.first_chunk()), half(bytes.last_chunk()))
    }

    async fn obey(self: Arc<Self>, node: String, worker: WorkerId, order: CommandOrder) {
        let patience = Duration::from_millis(order.timeout_ms).saturating_sub(MARGIN).max(MARGIN);
        let reply = |status, value, error| CommandReply { worker_id: worker, status, value, error };
        let reply = match self.execute(&node, worker, &order, patience).await {
            Ok(value) => reply(CommandStatus::OK, Some(value), None),
            Err(Failed::Error(why)) => reply(CommandStatus::ERROR, None, Some(why)),
            Err(Failed::Unsupported(why)) => reply(CommandStatus::UNSUPPORTED, None, Some(why)),
        };
        if let Err(error) = self.client.reply(order.id, &self.key(worker), &reply).await {
            tracing::warn!(node, command = %order.id, "the server doesn't accept the reply: {}", error.causes());
        }
    }

    async fn execute(&self, node: &str, worker: WorkerId, order: &CommandOrder, patience: Duration) -> Result<Value, Failed> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let connection = connection.ok_or_else(|| Failed::Error("the broker can't be reached".to_owned()))?;
        let ask = async |method: &str, arguments: Value| ask(&connection, node, method, arguments, patience).await;
        if let Some(read) = Order::read(&order.method, &order.arguments).map_err(|error| Failed::Error(error.to_string()))? {
            return match read {
                Order::Queues => queues(&connection, node, patience).await,
                Order::Call(call) => {
                    let message = TaskMessage::new(&call);
                    connection.send(&message).await.map_err(|error| Failed::Error(error.to_string()))?;
                    // Without it, the task is known from its receipt on, and its queue is not.
                    if let Err(error) = connection.publish_event(&message.sent_event()).await {
                        tracing::warn!(task = message.id, %error, "a task was sent, and the event about it was not");
                    }
                    Ok(json!(CallAnswer { uuid: message.id }))
                }
                Order::Retry { ids } => Ok(json!(again::retry(self, &connection, node, patience, ids).await)),
                Order::Purge(purge) => purged(&connection, node, &purge, patience).await,
                Order::Shutdown { now: false } => {
                    // The worker ends before it replies.
                    let request = Request::to_node(node, "shutdown", json!({}), BRIEFLY.min(patience));
                    connection.request(&request).await.map_err(|error| Failed::Error(error.to_string()))?;
                    Ok(Value::Null)
                }
                order => {
                    let (method, arguments) = control(&order)?;
                    ask(method, arguments).await
                }
            };
        }
        match order.method.as_str() {
            "ping" | "stats" | "active" | "registered" => ask(&order.method, json!({})).await,
            "conf" => ask("conf", json!({"with_defaults": false})).await,
            "enable-events" | "disable-events" if order.arguments.is_empty() => ask(&order.method.replace('-', "_"), json!({})).await,
            "enable-events" | "disable-events" => Err(Failed::Unsupported(
                "workers of Celery turn events on or off for all tasks, and until they are told otherwise".to_owned(),
            )),
            "cancel" => {
                let ids = self.to_cancel(worker, &order.arguments.clone().into_iter().collect());
                if ids.is_empty() {
                    return Err(Failed::Error("the worker has no open task of this run".to_owned()));
                }
                ask("revoke", json!({"task_id": ids, "terminate": true, "signal": "SIGTERM"})).await
            }
            known @ ("pause" | "resume" | "restart" | "log-level") => {
                Err(Failed::Unsupported(format!("workers of Celery don't know {known}")))
            }
            // One of Celery's that other workers don't have, or one of the application.
            own => {
                let mut value = ask(&own.replace('-', "_"), json!(order.arguments)).await?;
                mask(&mut value);
                Ok(value)
            }
        }
    }

    /// Returns the open tasks that the command `cancel` is about.
    fn to_cancel(&self, worker: WorkerId, arguments: &Map<String, Value>) -> Vec<String> {
        let Some(root) = arguments.get("root_id").and_then(|root| root.as_str()?.parse::<RootId>().ok()) else { return Vec::new() };
        let listed = arguments.get("processes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let processes: Vec<ProcessId> = listed.iter().chain(arguments.get("process")).filter_map(|id| id.as_str()?.parse().ok()).collect();
        self.translator.lock().unwrap_or_else(PoisonError::into_inner).open_tasks(worker, root, &processes)
    }
}

/// Returns Celery's method and arguments for an order that it knows.
fn control(order: &Order) -> Result<(&'static str, Value), Failed> {
    let unsupported = |why: &str| Err(Failed::Unsupported(why.to_owned()));
    let for_ever = "workers of Celery keep a change until the next one, so --for can't be used";
    let seconds = |of: &Option<Duration>| of.map(|of| of.as_secs_f64());
    Ok(match order {
        Order::Scheduled => ("scheduled", json!({})),
        Order::Reserved => ("reserved", json!({})),
        Order::Revoked => ("revoked", json!({})),
        Order::ActiveQueues => ("active_queues", json!({})),
        Order::Query { ids } => ("query_task", json!({"ids": ids})),
        Order::RateLimit { hold: Some(_), .. } | Order::TimeLimit { hold: Some(_), .. } | Order::Autoscale { hold: Some(_), .. } => {
            return unsupported(for_ever);
        }
        Order::RateLimit { name, rate, hold: None } => {
            let rate = rate.map_or_else(|| "0".to_owned(), |rate| rate.to_string());
            ("rate_limit", json!({"task_name": name, "rate_limit": rate}))
        }
        Order::TimeLimit { name, soft, hard, hold: None } => {
            ("time_limit", json!({"task_name": name, "soft": seconds(soft), "hard": seconds(hard)}))
        }
        Order::Revoke { ids, terminate } => ("revoke", json!({"task_id": ids, "terminate": terminate, "signal": "SIGTERM"})),
        Order::PoolGrow { by } => ("pool_grow", json!({"n": by})),
        Order::PoolShrink { by } => ("pool_shrink", json!({"n": by})),
        Order::Autoscale { min, max, hold: None } => ("autoscale", json!({"min": min, "max": max})),
        Order::AddConsumer { queue } => ("add_consumer", json!({"queue": queue})),
        Order::CancelConsumer { queue } => ("cancel_consumer", json!({"queue": queue})),
        Order::Shutdown { now: true } => return unsupported("workers of Celery end their running tasks first, so --now can't be used"),
        Order::PoolRestart => ("pool_restart", json!({})),
        _ => return unsupported("workers of Celery don't know this command"),
    })
}

/// Sends a command to a node, and returns the value of its reply, without secrets.
async fn ask(connection: &Connection, node: &str, method: &str, arguments: Value, patience: Duration) -> Result<Value, Failed> {
    let request = Request::to_node(node, method, arguments, patience);
    let replies = connection.request(&request).await.map_err(|error| Failed::Error(error.to_string()))?;
    let Some(reply) = replies.into_iter().find(|reply| reply.node == node) else {
        return Err(Failed::Error(format!("{node} has not replied within {} ms", patience.as_millis())));
    };
    let mut value = reply.result().map_err(Failed::Error)?;
    if matches!(method, "conf" | "stats") {
        mask(&mut value);
    }
    Ok(value)
}

/// Names of the queues that a node takes tasks from.
pub(super) async fn queues_of(connection: &Connection, node: &str, patience: Duration) -> Result<Vec<String>, Failed> {
    let queues = ask(connection, node, "active_queues", json!({}), patience).await?;
    Ok(names_of(&queues))
}

async fn queues(connection: &Connection, node: &str, patience: Duration) -> Result<Value, Failed> {
    let mut queues = Vec::new();
    for name in queues_of(connection, node, patience).await? {
        let state = connection.queue(&name).await.map_err(|error| Failed::Error(error.to_string()))?;
        let consumers = state.and_then(|state| state.consumers);
        queues.push(QueueLength { name, waiting: state.map(|state| state.waiting), consumers, ..QueueLength::default() });
    }
    Ok(json!(QueuesAnswer { queues }))
}

async fn purged(connection: &Connection, node: &str, purge: &QueuePurge, patience: Duration) -> Result<Value, Failed> {
    let failed = |error: crate::error::BrokerError| Failed::Error(error.to_string());
    let mut names = if purge.queues.is_empty() { queues_of(connection, node, patience).await? } else { purge.queues.clone() };
    if names.is_empty() {
        names.push(DEFAULT_QUEUE.to_owned());
    }
    let mut counts = BTreeMap::new();
    for name in names.into_iter().filter(|name| purge.is_meant(name)) {
        let waiting = connection.queue(&name).await.map_err(failed)?;
        let count = match waiting {
            None => return Err(Failed::Error(format!("there is no queue {name}"))),
            Some(state) if purge.count_only => state.waiting,
            Some(_) => connection.purge(&name).await.map_err(failed)?,
        };
        counts.insert(name, count);
    }
    Ok(json!(PurgeAnswer::of(counts)))
}

#[cfg(test)]
mod tests {
    use monitor_wire::Rate;

    use super::*;

    #[test]
    fn orders_have_celery_s_names_and_units() {
        let (minute, name) = (Some(Duration::from_secs(60)), || "shop.pay".to_owned());
        let rate = Rate::read("10/m").unwrap();
        for (order, method, arguments) in [
            (Order::RateLimit { name: name(), rate, hold: None }, "rate_limit", json!({"task_name": "shop.pay", "rate_limit": "10/m"})),
            (Order::RateLimit { name: name(), rate: None, hold: None }, "rate_limit", json!({"task_name": "shop.pay", "rate_limit": "0"})),
            (
                Order::TimeLimit { name: name(), soft: None, hard: minute, hold: None },
                "time_limit",
                json!({"task_name": "shop.pay", "soft": null, "hard": 60.0}),
            ),
            (
                Order::Revoke { ids: vec!["a".to_owned()], terminate: false },
                "revoke",
                json!({"task_id": ["a"], "terminate": false, "signal": "SIGTERM"}),
            ),
            (Order::Autoscale { min: 1, max: 4, hold: None }, "autoscale", json!({"min": 1, "max": 4})),
            (Order::PoolShrink { by: 2 }, "pool_shrink", json!({"n": 2})),
        ] {
            assert_eq!(control(&order), Ok((method, arguments)));
        }
        for order in [
            Order::RateLimit { name: name(), rate, hold: minute },
            Order::Shutdown { now: true },
            Order::Pause { hold: None },
            Order::Restart,
        ] {
            assert!(matches!(control(&order), Err(Failed::Unsupported(_))), "{order:?}");
        }
    }

    #[test]
    fn methods_before_those_of_celery_alone_are_known_to_the_server() {
        let own = METHODS.iter().position(|method| *method == "clock").unwrap();
        for (at, method) in METHODS.iter().enumerate() {
            assert_eq!(monitor_wire::Method::of(method).is_some(), at < own, "{method}");
        }
    }
}
