//! Messages that are moved from or to Redis.
//!
//! While a message is moved, it is in a list of its own, so that no worker takes it. After a kill, the next migration finds it there.

use std::collections::VecDeque;

use redis::RedisError;
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};

use super::{Connection, SEPARATOR, failure};
use crate::error::BrokerError;
use crate::ids::new_uuid;
use crate::message::{Envelope, Unreadable};
use crate::transport::PRIORITIES;
use crate::transport::moving::{Handle, Next, Taken};

/// Moves an element from one list to another, unless it was taken meanwhile.
const TAKE: &str = "if redis.call('LREM', KEYS[1], -1, ARGV[1]) == 1 then return redis.call('LPUSH', KEYS[2], ARGV[1]) end return 0";

#[derive(Debug)]
pub(crate) struct Source {
    connection: MultiplexedConnection,
    broker: String,
    /// The lists of the queue that were not read to their ends. Workers take elements from the end.
    lists: VecDeque<String>,
    /// Number of elements at the end of the first list that are left.
    left: isize,
    /// The list of messages that are being moved.
    moving: String,
    /// Messages that a former migration has taken.
    former: Vec<Vec<u8>>,
    is_trial: bool,
    /// Number of messages when it was opened.
    pub(crate) count: u64,
}

#[derive(Debug)]
pub(crate) struct Target {
    connection: MultiplexedConnection,
    broker: String,
    key_prefix: String,
}

impl Connection {
    pub(crate) async fn source(&self, queue: &str, is_trial: bool) -> Result<Source, BrokerError> {
        let mut connection = self.connect().await?;
        let moving = self.key(&format!("monitor.migrate.{queue}"));
        let former = redis::cmd("LRANGE").arg(&moving).arg(0).arg(-1).query_async(&mut connection).await;
        let former: Vec<Vec<u8>> = former.map_err(|error| self.failed(&error))?;
        let waiting = self.queue(queue).await?.map_or(0, |state| state.waiting);
        let count = waiting + former.len() as u64;
        Ok(Source { connection, broker: self.broker.clone(), lists: self.lists(queue).into(), left: 0, moving, former, is_trial, count })
    }

    pub(crate) async fn target(&self) -> Result<Target, BrokerError> {
        let key_prefix = self.options.key_prefix.clone();
        Ok(Target { connection: self.connect().await?, broker: self.broker.clone(), key_prefix })
    }
}

impl Source {
    pub(crate) async fn next(&mut self, is_meant: impl Fn(&Envelope) -> bool) -> Result<Option<Next>, BrokerError> {
        if let Some(payload) = self.former.pop() {
            return Ok(Some(match read(&payload) {
                Ok(envelope) => {
                    // Its former list is not known.
                    let list = self.lists.front().cloned().unwrap_or_default();
                    Next::Meant(Box::new(Taken { envelope, is_doubtful: true, handle: Handle::Element { list, payload } }))
                }
                Err(why) => Next::Left(Some(why)),
            }));
        }
        while let Some(list) = self.lists.front().cloned() {
            let place = -1 - self.left;
            let element = redis::cmd("LINDEX").arg(&list).arg(place).query_async::<Option<Vec<u8>>>(&mut self.connection).await;
            let Some(payload) = element.map_err(|error| failure(&self.broker, &error))? else {
                self.lists.pop_front();
                self.left = 0;
                continue;
            };
            let envelope = match read(&payload) {
                Ok(envelope) if is_meant(&envelope) => envelope,
                other => {
                    self.left += 1;
                    return Ok(Some(Next::Left(other.err())));
                }
            };
            if self.is_trial {
                self.left += 1;
            } else {
                let mut take = redis::cmd("EVAL");
                let taken = take.arg(TAKE).arg(2).arg(&list).arg(&self.moving).arg(&payload).query_async::<i64>(&mut self.connection).await;
                if taken.map_err(|error| failure(&self.broker, &error))? == 0 {
                    // A worker was faster.
                    continue;
                }
            }
            return Ok(Some(Next::Meant(Box::new(Taken { envelope, is_doubtful: false, handle: Handle::Element { list, payload } }))));
        }
        Ok(None)
    }

    pub(crate) async fn remove(&mut self, payload: &[u8]) -> Result<(), BrokerError> {
        let removed = redis::cmd("LREM").arg(&self.moving).arg(1).arg(payload).exec_async(&mut self.connection).await;
        removed.map_err(|error| failure(&self.broker, &error))
    }

    pub(crate) async fn put_back(&mut self, list: &str, payload: &[u8]) -> Result<(), BrokerError> {
        let mut both = redis::pipe();
        both.atomic().cmd("RPUSH").arg(list).arg(payload).ignore().cmd("LREM").arg(&self.moving).arg(1).arg(payload).ignore();
        let put: Result<(), RedisError> = both.query_async(&mut self.connection).await;
        put.map_err(|error| failure(&self.broker, &error))
    }
}

impl Target {
    pub(crate) async fn put(&mut self, queue: &str, envelope: &Envelope) -> Result<(), BrokerError> {
        let list = list_of(&self.key_prefix, queue, envelope.properties.get("priority"));
        let message = addressed(envelope, queue);
        let put = redis::cmd("LPUSH").arg(list).arg(message).exec_async(&mut self.connection).await;
        put.map_err(|error| failure(&self.broker, &error))
    }
}

fn read(payload: &[u8]) -> Result<Envelope, Unreadable> {
    serde_json::from_slice(payload).map_err(|error| Unreadable(format!("it is no message of kombu: {error}")))
}

/// The list of a queue for a priority: that of the highest step which is not above it, as in kombu.
fn list_of(key_prefix: &str, queue: &str, priority: Option<&Value>) -> String {
    let priority = priority.and_then(Value::as_u64).unwrap_or_default();
    let steps = PRIORITIES.iter().skip(1).rev();
    let step = steps.copied().find(|step| step.parse::<u64>().is_ok_and(|step| step <= priority));
    step.map_or_else(|| format!("{key_prefix}{queue}"), |step| format!("{key_prefix}{queue}{SEPARATOR}{step}"))
}

/// A message with the properties that kombu needs in Redis.
fn addressed(envelope: &Envelope, queue: &str) -> String {
    let mut envelope = envelope.clone();
    let properties = &mut envelope.properties;
    properties.insert("delivery_info".to_owned(), json!({"exchange": "", "routing_key": queue}));
    for (name, usual) in [("priority", json!(0)), ("delivery_mode", json!(2)), ("delivery_tag", json!(new_uuid()))] {
        properties.entry(name.to_owned()).or_insert(usual);
    }
    serde_json::to_string(&envelope).expect("plain data with text keys is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_belongs_to_the_list_of_its_priority() {
        for (priority, list) in [(0, "k:mail"), (2, "k:mail"), (3, "k:mail\x06\x163"), (8, "k:mail\x06\x166"), (255, "k:mail\x06\x169")] {
            assert_eq!(list_of("k:", "mail", Some(&json!(priority))), list);
        }
        for wrong in [json!(null), json!("9"), json!(-1), json!(3.5)] {
            assert_eq!(list_of("", "mail", Some(&wrong)), "mail", "{wrong}");
        }
        assert_eq!(list_of("", "mail", None), "mail");
    }
}
