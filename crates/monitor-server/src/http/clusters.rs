//! Clusters of Celery, as the runs of their bridges describe them.

use std::collections::BTreeMap;

use monitor_store::{ProcessesQuery, Queries, StoreError};
use monitor_wire::{Kind, Process, State, Worker, WorkerRole};
use serde_json::Value;

/// Maximum number of runs of a bridge that are examined.
const MOST_RUNS: usize = 20;

/// A cluster whose bridge is online.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    pub(super) is_connected: bool,
    /// Messages that workers have taken and not acknowledged, if there is a connection and the broker reports it.
    pub(super) unacknowledged: Option<u64>,
    /// Empty while there is no connection, because the last numbers are old.
    pub(super) queues: Vec<QueueDepth>,
}

/// A queue of a cluster.
#[derive(Debug)]
pub(super) struct QueueDepth {
    pub(super) name: String,
    /// Number of tasks that no worker has taken.
    pub(super) waiting: u64,
    /// Number of workers that read the queue, if it is known.
    pub(super) consumers: Option<u64>,
    /// Numbers of the last minute, if they are known: tasks that were sent, and attempts that have ended.
    pub(super) sent_per_minute: Option<u64>,
    pub(super) ended_per_minute: Option<u64>,
    /// Time at which the oldest waiting task was sent, in Unix microseconds.
    pub(super) oldest_us: Option<u64>,
}

/// Returns the clusters of these workers, by their names. A bridge that was killed is online for some time: the newest one counts.
pub(super) fn clusters(store: &dyn Queries, online: &[Worker]) -> Result<BTreeMap<String, Cluster>, StoreError> {
    let mut newest = BTreeMap::<String, Process>::new();
    for bridge in online.iter().filter(|worker| worker.role == Some(WorkerRole::BRIDGE)) {
        let query = ProcessesQuery {
            kind: Some(Kind::ROOT),
            worker: Some(bridge.id),
            states: vec![State::RUNNING],
            limit: MOST_RUNS,
            ..ProcessesQuery::default()
        };
        for run in store.processes(&query)?.processes {
            if let Some(name) = run.fields.get("celery.cluster").and_then(Value::as_str)
                && newest.get(name).is_none_or(|known| known.started_us < run.started_us)
            {
                newest.insert(name.to_owned(), run);
            }
        }
    }
    Ok(newest.into_iter().map(|(name, run)| (name, cluster(&run))).collect())
}

fn cluster(run: &Process) -> Cluster {
    let of = |name: &str| run.fields.get(name);
    let is_connected = of("celery.state").is_some_and(|state| state == "connected");
    let queues = of("celery.queues").filter(|_| is_connected).and_then(Value::as_object);
    let queue = |(name, queue): (&String, &Value)| {
        let number = |key: &str| queue.get(key).and_then(Value::as_u64);
        Some(QueueDepth {
            name: name.clone(),
            waiting: number("waiting")?,
            consumers: number("consumers"),
            sent_per_minute: number("sent_per_minute"),
            ended_per_minute: number("ended_per_minute"),
            oldest_us: number("oldest_us"),
        })
    };
    Cluster {
        is_connected,
        unacknowledged: of("celery.unacknowledged").filter(|_| is_connected).and_then(Value::as_u64),
        queues: queues.into_iter().flatten().filter_map(queue).collect(),
    }
}
