//! Examines a cluster without a server.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::broker::Broker;
use crate::error::BrokerError;
use crate::options::Options;
use crate::pidbox::{Reply, Request};
use crate::results::Results;
use crate::transport::Connection;

/// Beginning of the name of a queue that is created to check the permissions, and deleted afterwards.
const QUEUE: &str = "monitor.celeryev.check";

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
}

/// Connects to a broker and a store of results as a bridge does, and asks the nodes of its cluster.
///
/// # Errors
/// If the broker can't be reached or refuses the connection.
pub async fn check(broker: &Broker, results: Option<&Broker>, options: &Options, patience: Duration) -> Result<Report, BrokerError> {
    let connection = Connection::open(broker, options).await?;
    let unique = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let queue = format!("{QUEUE}.{unique}");
    let events = match connection.events(&queue).await {
        Ok(_) => connection.forget_events(&queue).await.err(),
        Err(error) => Some(error),
    };
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
        ask("report", none)
    );
    let (pings, stats, confs, queues, reports) = (asked.0?, asked.1?, asked.2?, asked.3?, asked.4?);
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
            }
        })
        .collect();
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Report { broker: broker.to_string(), events: events.map(|error| error.to_string()), results, nodes })
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
