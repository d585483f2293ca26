//! Examines a cluster without a server.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::broker::Broker;
use crate::error::BrokerError;
use crate::options::Options;
use crate::pidbox::{Reply, Request};
use crate::results::Results;
use crate::transport::{Connection, Events};

/// Beginning of the name of a queue that is created to check the permissions, and deleted afterwards.
const QUEUE: &str = "monitor.celeryev.check";
/// Time in which a heartbeat of each node arrives, if its interval is Celery's default.
const A_HEARTBEAT: Duration = Duration::from_millis(2_500);

/// Result of a check.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The broker, without its password.
    pub broker: String,
    /// The reason why events can't be read, if they can't.
    pub events: Option<String>,
    /// The store of results, if one is known, and the reason why it can't be read.
    pub results: Option<(String, Option<String>)>,
    /// The nodes that have replied.
    pub nodes: Vec<CheckedNode>,
}

/// A node that has replied.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckedNode {
    /// Its name.
    pub name: String,
    /// Version of its Celery, such as `py-celery 5.6.0`, if it reports one.
    pub version: Option<String>,
    /// Implementation of its pool, such as `prefork`, and the number of its processes or threads.
    pub pool: Option<String>,
    /// True if its settings turn on events. A worker that was started with `-E` sends events as well.
    pub sends_events: Option<bool>,
    /// Names of its queues.
    pub queues: Vec<String>,
    /// Time in seconds by which its clock is ahead of this machine's, if a heartbeat arrived. Negative if it is behind.
    pub clock_ahead: Option<f64>,
}

/// Connects to a broker and a store of results as a bridge does, and asks the nodes of its cluster.
///
/// # Errors
/// If the broker can't be reached or refuses the connection.
pub async fn check(broker: &Broker, results: Option<&Broker>, options: &Options, patience: Duration) -> Result<Report, BrokerError> {
    let connection = Connection::open(broker, options).await?;
    let unique = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let queue = format!("{QUEUE}.{unique}");
    let stream = connection.events(&queue).await;
    let results = match results {
        Some(place) => Some((place.to_string(), Results::open(place).await.err().map(|error| error.to_string()))),
        None => None,
    };
    let ask = async |method: &str, arguments: Value| {
        let arguments = if let Value::Object(arguments) = arguments { arguments } else { serde_json::Map::new() };
        let request = Request { arguments, ..Request::to_all(method, patience) };
        connection.request(&request).await
    };
    let (none, conf_of) = (serde_json::json!({}), serde_json::json!({"with_defaults": false}));
    let asked = tokio::join!(
        ask("ping", none.clone()),
        ask("stats", none.clone()),
        ask("conf", conf_of),
        ask("active_queues", none.clone()),
        ask("report", none),
        async {
            match stream {
                Ok(events) => Ok(clocks(events, patience.max(A_HEARTBEAT)).await),
                Err(error) => Err(error),
            }
        }
    );
    let (pings, stats, confs, queues, reports) = (asked.0?, asked.1?, asked.2?, asked.3?, asked.4?);
    let (events, clocks) = match asked.5 {
        Ok(clocks) => (connection.forget_events(&queue).await.err(), clocks),
        Err(error) => (Some(error), HashMap::new()),
    };
    let mut nodes: Vec<CheckedNode> = pings
        .iter()
        .map(|ping| {
            let of = |replies: &[Reply]| replies.iter().find(|reply| reply.node == ping.node).map(|reply| reply.value.clone());
            let (stats, conf) = (of(&stats), of(&confs));
            let queues = of(&queues).and_then(|queues| queues.as_array().cloned()).unwrap_or_default();
            CheckedNode {
                name: ping.node.clone(),
                version: of(&reports).and_then(|report| version(report.get("ok")?.as_str()?)),
                pool: stats.as_ref().and_then(pool),
                sends_events: conf.as_ref().and_then(|conf| conf.get("worker_send_task_events")?.as_bool()),
                queues: queues.iter().filter_map(|queue| queue.get("name")?.as_str().map(str::to_owned)).collect(),
                clock_ahead: clocks.get(&ping.node).copied(),
            }
        })
        .collect();
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Report { broker: broker.to_string(), events: events.map(|error| error.to_string()), results, nodes })
}

/// Listens to heartbeats. Returns by how many seconds the clock of each node is ahead of this machine's.
async fn clocks(mut events: Events, patience: Duration) -> HashMap<String, f64> {
    let (until, mut clocks) = (Instant::now() + patience, HashMap::new());
    while let Ok(Ok(message)) = timeout_at(until, events.next()).await {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        for event in message.and_then(|message| message.events()).unwrap_or_default() {
            let text = |key: &str| event.get(key).and_then(Value::as_str);
            if text("type").is_some_and(|of| of.starts_with("worker-"))
                && let (Some(node), Some(at)) = (text("hostname"), event.get("timestamp").and_then(Value::as_f64))
            {
                clocks.insert(node.to_owned(), at - now);
            }
        }
    }
    clocks
}

/// Reads the version in the text of the command `report`: `software -> celery:5.6.0 (recovery) kombu:5.6.0 …`.
fn version(report: &str) -> Option<String> {
    let (_, behind) = report.split_once("celery:")?;
    behind.split_whitespace().next().map(|version| format!("celery {version}"))
}

/// Reads the pool in the answer of the command `stats`.
fn pool(stats: &Value) -> Option<String> {
    let pool = stats.get("pool")?;
    let implementation = pool.get("implementation")?.as_str()?;
    // `celery.concurrency.prefork:TaskPool`
    let name = implementation.split(':').next()?.rsplit('.').next()?;
    let size = pool.get("max-concurrency").and_then(Value::as_u64);
    Some(size.map_or_else(|| name.to_owned(), |size| format!("{name} {size}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn replies_of_workers_are_read() {
        let report = "\nsoftware -> celery:5.6.0 (recovery) kombu:5.6.1 py:3.11.2\n            billiard:4.2.4\n";
        assert_eq!(version(report).as_deref(), Some("celery 5.6.0"));
        assert_eq!((version(""), version("celery:")), (None, None));
        let stats = json!({"pool": {"implementation": "celery.concurrency.prefork:TaskPool", "max-concurrency": 4}});
        assert_eq!(pool(&stats).as_deref(), Some("prefork 4"));
        assert_eq!((pool(&json!({})), pool(&json!({"pool": {"implementation": "gevent"}})).as_deref()), (None, Some("gevent")));
    }
}
