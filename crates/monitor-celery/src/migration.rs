//! Moves the messages of tasks that wait in queues from one broker to another.
//!
//! A message leaves its queue after the other broker has confirmed it. So a migration that is killed loses no message, and at most one is then in both
//! brokers. The next migration counts it as doubtful.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;

use crate::broker::Broker;
use crate::error::BrokerError;
use crate::message::Envelope;
use crate::options::Options;
use crate::pidbox::Request;
use crate::task_message::DEFAULT_QUEUE;
use crate::transport::Connection;
use crate::transport::moving::{Next, Source, Target};

/// Wait for the answers of the nodes.
const BRIEFLY: Duration = Duration::from_secs(2);
/// Maximum number of reasons that are kept of a queue.
const MOST_REASONS: usize = 5;

/// A migration of messages.
#[derive(Debug, Clone)]
pub struct Migration {
    /// Broker that the messages leave.
    pub from: Broker,
    /// Names that the application at `from` has changed.
    pub from_options: Options,
    /// Broker that the messages are put into.
    pub to: Broker,
    /// Names that the application at `to` has changed.
    pub to_options: Options,
    /// Queues. Without any, those that the nodes at `from` read, and Celery's default queue.
    pub queues: BTreeSet<String>,
    /// Names of the tasks whose messages are moved. Without any, all.
    pub tasks: BTreeSet<String>,
    /// Maximum number of messages.
    pub limit: Option<u64>,
    /// True to count the messages only.
    pub is_trial: bool,
}

/// The result for a queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// Number of messages that were moved, or would be.
    pub moved: u64,
    /// How many of these were taken before: by a worker that ended, or by a migration that was interrupted. In the second case, they may be twice at the
    /// other broker.
    pub doubtful: u64,
    /// Number of messages that were read, and left at their place.
    pub left: u64,
    /// Reasons for some of these.
    pub unreadable: Vec<String>,
    /// True if there is no such queue.
    pub is_missing: bool,
}

/// Moves messages. `show` is called with the results by queue after each message.
///
/// # Errors
/// If a broker fails. The messages that `show` has counted are moved. All others are where they were, except that one whose confirmation is missing may be
/// at both brokers; the next migration continues with it.
pub async fn migrate(migration: &Migration, mut show: impl FnMut(&BTreeMap<String, Moved>)) -> Result<(), BrokerError> {
    let from = Connection::open(&migration.from, &migration.from_options).await?;
    let to = Connection::open(&migration.to, &migration.to_options).await?;
    let queues = if migration.queues.is_empty() { queues_of_nodes(&from).await? } else { migration.queues.clone() };
    let mut target = to.target().await?;
    let (mut all, mut count) = (BTreeMap::new(), 0);
    for queue in queues {
        let moved: &mut Moved = all.entry(queue.clone()).or_default();
        let Some(mut source) = from.source(&queue, migration.is_trial).await? else {
            moved.is_missing = true;
            continue;
        };
        // Later messages stay for the next migration, so that this one ends.
        for _ in 0..source.count() {
            let is_full = migration.limit.is_some_and(|limit| count >= limit);
            if is_full || !step(migration, &queue, &mut source, &mut target, all.entry(queue.clone()).or_default()).await? {
                break;
            }
            count = all.values().map(|moved| moved.moved).sum();
            show(&all);
        }
        source.close().await?;
    }
    show(&all);
    Ok(())
}

/// Moves the next message, or leaves it. Returns false at the end of the queue.
async fn step(
    migration: &Migration,
    queue: &str,
    source: &mut Source,
    target: &mut Target,
    moved: &mut Moved,
) -> Result<bool, BrokerError> {
    let is_meant = |envelope: &Envelope| {
        let name = envelope.headers.get("task").and_then(|name| name.as_str());
        migration.tasks.is_empty() || name.is_some_and(|name| migration.tasks.contains(name))
    };
    let taken = match source.next(is_meant).await? {
        None => return Ok(false),
        Some(Next::Meant(taken)) => taken,
        Some(Next::Left(why)) => {
            moved.left += 1;
            moved.unreadable.extend(why.map(|why| why.to_string()).filter(|_| moved.unreadable.len() < MOST_REASONS));
            return Ok(true);
        }
    };
    if !migration.is_trial {
        if let Err(error) = target.put(queue, &taken.envelope).await {
            // If the connection broke, the other broker may have the message. Then it stays taken, and the next migration counts it as doubtful.
            if !error.is_temporary() {
                source.put_back(&taken).await?;
            }
            return Err(error);
        }
        source.remove(&taken).await?;
    }
    moved.moved += 1;
    moved.doubtful += u64::from(taken.is_doubtful);
    Ok(true)
}

/// The queues that the nodes of a cluster read, and Celery's default queue.
async fn queues_of_nodes(connection: &Connection) -> Result<BTreeSet<String>, BrokerError> {
    let replies = connection.request(&Request::to_all("active_queues", BRIEFLY)).await?;
    let names = replies.iter().flat_map(|reply| crate::bridge::names_of(&reply.value));
    Ok(names.chain([DEFAULT_QUEUE.to_owned()]).collect())
}
