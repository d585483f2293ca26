//! Connections to brokers. Both kinds offer the same: a stream of events, remote control commands, and the queues of tasks.

mod amqp;
pub(crate) mod moving;
mod redis;
mod sentinels;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::broker::{Broker, Place};
use crate::error::BrokerError;
use crate::message::{Message, Unreadable};
use crate::options::Options;
use crate::pidbox::{Reply, Request};
use crate::task_message::TaskMessage;

/// Priorities with separate lists in Redis. A list also contains the priorities up to the next one.
pub(crate) const PRIORITIES: [&str; 4] = ["0", "3", "6", "9"];
/// Maximum time for a connection, and for an answer of the broker.
const PATIENCE: Duration = Duration::from_secs(10);
/// Interval of the checks that the broker still answers.
pub(crate) const CHECK: Duration = Duration::from_secs(15);

/// A connection to a broker.
#[derive(Debug)]
pub(crate) enum Connection {
    Amqp(Box<amqp::Connection>),
    Redis(Box<redis::Connection>),
}

/// Events of a cluster, as they arrive. Redis sends them only while the stream is open. RabbitMQ keeps them in a queue until they are acknowledged.
#[derive(Debug)]
pub(crate) enum Events {
    Amqp(Box<amqp::Events>),
    Redis(Box<redis::Events>),
}

/// Messages in a queue of tasks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct QueueState {
    /// Number of messages that no worker has taken.
    pub(crate) waiting: u64,
    /// Number of workers that take messages. None if the broker doesn't know it.
    pub(crate) consumers: Option<u64>,
    /// Number of waiting messages of each of Celery's [`PRIORITIES`]. RabbitMQ reports only their sum, and the others are 0 there.
    pub(crate) by_priority: [u64; 4],
}

impl Connection {
    pub(crate) async fn open(broker: &Broker, options: &Options) -> Result<Self, BrokerError> {
        Ok(match &broker.place {
            Place::Amqp { .. } => Self::Amqp(Box::new(amqp::Connection::open(broker, options).await?)),
            Place::Redis { .. } | Place::RedisSocket { .. } | Place::Sentinels { .. } => {
                Self::Redis(Box::new(redis::Connection::open(broker, options).await?))
            }
        })
    }

    /// Opens the stream of events. `queue` is the name of the durable queue in RabbitMQ that keeps them.
    pub(crate) async fn events(&self, queue: &str) -> Result<Events, BrokerError> {
        Ok(match self {
            Self::Amqp(connection) => Events::Amqp(Box::new(connection.events(queue).await?)),
            Self::Redis(connection) => Events::Redis(Box::new(connection.events().await?)),
        })
    }

    /// Sends a remote control command, and returns the replies that arrive in time.
    pub(crate) async fn request(&self, request: &Request) -> Result<Vec<Reply>, BrokerError> {
        match self {
            Self::Amqp(connection) => connection.request(request).await,
            Self::Redis(connection) => connection.request(request).await,
        }
    }

    /// Puts a task into its queue.
    pub(crate) async fn send(&self, task: &TaskMessage) -> Result<(), BrokerError> {
        match self {
            Self::Amqp(connection) => connection.send(task).await,
            Self::Redis(connection) => connection.send(task).await,
        }
    }

    /// Publishes an event, as a client of Celery does.
    pub(crate) async fn publish_event(&self, event: &Value) -> Result<(), BrokerError> {
        let key = event["type"].as_str().unwrap_or_default().replace('-', ".");
        match self {
            Self::Amqp(connection) => connection.publish_event(&key, event).await,
            Self::Redis(connection) => connection.publish_event(&key, event).await,
        }
    }

    /// Returns the state of a queue. None if there is no such queue.
    pub(crate) async fn queue(&self, name: &str) -> Result<Option<QueueState>, BrokerError> {
        match self {
            Self::Amqp(connection) => connection.queue(name).await,
            Self::Redis(connection) => connection.queue(name).await,
        }
    }

    /// Returns the states of queues, in this order. None for a queue that does not exist, or that another connection has for
    /// itself.
    pub(crate) async fn queues(&self, names: &BTreeSet<String>) -> Result<Vec<Option<QueueState>>, BrokerError> {
        match self {
            Self::Amqp(connection) => {
                let mut states = Vec::new();
                for name in names {
                    states.push(match connection.queue(name).await {
                        // A queue of another program does not hide the others.
                        Err(BrokerError::Refused { .. } | BrokerError::NoPlace { .. }) => None,
                        state => state?,
                    });
                }
                Ok(states)
            }
            Self::Redis(connection) => connection.queues(names).await,
        }
    }

    /// Returns the number of messages that workers have taken and not acknowledged, in all queues. RabbitMQ reports it only to administrators.
    pub(crate) async fn unacknowledged(&self) -> Result<Option<u64>, BrokerError> {
        match self {
            Self::Amqp(_) => Ok(None),
            Self::Redis(connection) => connection.unacknowledged().await.map(Some),
        }
    }

    /// Returns the values of these keys. None for a key without a value.
    pub(crate) async fn values(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, BrokerError> {
        match self {
            Self::Amqp(_) => Ok(vec![None; keys.len()]),
            Self::Redis(connection) => connection.values(keys).await,
        }
    }

    /// Deletes the queue that keeps events, if the broker has one.
    pub(crate) async fn forget_events(&self, queue: &str) -> Result<(), BrokerError> {
        match self {
            Self::Amqp(connection) => connection.forget_events(queue).await,
            Self::Redis(_) => Ok(()),
        }
    }

    /// Deletes the messages of a queue that no worker has taken, and returns their number.
    pub(crate) async fn purge(&self, queue: &str) -> Result<u64, BrokerError> {
        match self {
            Self::Amqp(connection) => connection.purge(queue).await,
            Self::Redis(connection) => connection.purge(queue).await,
        }
    }
}

impl Events {
    /// Waits for the next message. Dropping the future loses no message.
    pub(crate) async fn next(&mut self) -> Result<Result<Message, Unreadable>, BrokerError> {
        match self {
            Self::Amqp(events) => events.next().await.map(Ok),
            Self::Redis(events) => events.next().await,
        }
    }

    /// Acknowledges all messages up to this tag, so that the broker forgets them.
    pub(crate) async fn acknowledge(&self, tag: u64) -> Result<(), BrokerError> {
        match self {
            Self::Amqp(events) => events.acknowledge(tag).await,
            Self::Redis(_) => Ok(()),
        }
    }

    /// Returns an error if the broker no longer answers.
    pub(crate) async fn check(&mut self) -> Result<(), BrokerError> {
        match self {
            // The connection has heartbeats.
            Self::Amqp(_) => Ok(()),
            Self::Redis(events) => events.check().await,
        }
    }

    /// True if the broker keeps events until they are acknowledged.
    pub(crate) fn are_kept(&self) -> bool {
        matches!(self, Self::Amqp(_))
    }
}
