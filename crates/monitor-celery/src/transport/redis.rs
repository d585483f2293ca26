//! Redis, in the way that kombu uses it.
//!
//! Events and remote control commands are messages of channels. Replies and tasks are elements of lists. kombu adds a suffix to the list of a queue for
//! each priority after the first one.

pub(crate) mod moving;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt as _;
use redis::aio::{MultiplexedConnection, PubSubSink, PubSubStream};
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, IntoConnectionInfo as _, RedisConnectionInfo, RedisError};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, timeout, timeout_at};

use super::sentinels::Sentinels;
use super::{PATIENCE, PRIORITIES, QueueState};
use crate::broker::{Broker, Place};
use crate::error::BrokerError;
use crate::ids::new_uuid;
use crate::message::{Envelope, Message, Unreadable};
use crate::options::Options;
use crate::pidbox::{Reply, Request};
use crate::task_message::TaskMessage;

/// Separates the parts of a binding, and a queue from its priority.
const SEPARATOR: &str = "\x06\x16";
/// A list, and an element that was taken from it.
type Element = (Vec<u8>, Vec<u8>);

/// Timeout of a blocking read, in seconds. The same as in kombu.
const BLOCK_SECONDS: u64 = 1;
/// Number of messages among which the second delivery of one is found. The same as in kombu.
const RECENT: usize = 1_000;

#[derive(Debug)]
pub(crate) struct Connection {
    client: Client,
    options: Options,
    broker: String,
    db: i64,
    sentinels: Option<Sentinels>,
}

/// The subscription to the channels of events.
pub(crate) struct Events {
    sink: PubSubSink,
    stream: PubSubStream,
    broker: String,
    /// The Sentinels, and the address of the master that they have named.
    master: Option<(Sentinels, ConnectionAddr)>,
    recent: Recent,
}

/// The newest messages. Over Sentinels, kombu can send each message on two channels: its option `sentinel_fanout_compat`.
#[derive(Debug, Default)]
struct Recent {
    hasher: RandomState,
    hashes: VecDeque<u64>,
}

impl Recent {
    /// Adds a message. Returns false if it is a second delivery.
    fn add(&mut self, payload: &[u8]) -> bool {
        let hash = self.hasher.hash_one(payload);
        if self.hashes.contains(&hash) {
            return false;
        }
        if self.hashes.len() == RECENT {
            self.hashes.pop_front();
        }
        self.hashes.push_back(hash);
        true
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").field("broker", &self.broker).finish_non_exhaustive()
    }
}

impl Connection {
    pub(crate) async fn open(broker: &Broker, options: &Options) -> Result<Self, BrokerError> {
        let shown = broker.to_string();
        let (Place::Redis { db, .. } | Place::RedisSocket { db, .. } | Place::Sentinels { db, .. }) = &broker.place else {
            unreachable!("only addresses of Redis are opened here");
        };
        let mut settings = RedisConnectionInfo::default().set_db(*db);
        if let Some(user) = &broker.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &broker.password {
            settings = settings.set_password(password);
        }
        let mut sentinels = None;
        let client = match &broker.place {
            Place::Sentinels { hosts, master, .. } => {
                let mut own_settings = RedisConnectionInfo::default();
                if let Some(password) = &broker.sentinel_password {
                    own_settings = own_settings.set_password(password);
                }
                let of_broker = Sentinels { hosts: hosts.clone(), master: master.clone(), settings, own_settings, broker: shown.clone() };
                sentinels.insert(of_broker).client().await?
            }
            place => {
                let info = address(place).into_connection_info().map(|info| info.set_redis_settings(settings));
                info.and_then(Client::open).map_err(|error| failure(&shown, &error))?
            }
        };
        let connection = Self { client, options: options.clone(), broker: shown, db: *db, sentinels };
        // The first connection shows whether the broker accepts it.
        let mut first = connection.connect().await?;
        let pong: Result<String, RedisError> = redis::cmd("PING").query_async(&mut first).await;
        pong.map(|_| connection).map_err(|error| failure(&broker.to_string(), &error))
    }

    pub(crate) async fn events(&self) -> Result<Events, BrokerError> {
        let pubsub = timeout(PATIENCE, self.client.get_async_pubsub()).await.map_err(|_| self.silent())?;
        let (mut sink, stream) = pubsub.map_err(|error| self.failed(&error))?.split();
        let subscribed = timeout(PATIENCE, sink.psubscribe(self.event_patterns())).await.map_err(|_| self.silent())?;
        subscribed.map_err(|error| self.failed(&error))?;
        let master = self.sentinels.clone().map(|sentinels| (sentinels, self.client.get_connection_info().addr().clone()));
        Ok(Events { sink, stream, broker: self.broker.clone(), master, recent: Recent::default() })
    }

    pub(crate) async fn request(&self, request: &Request) -> Result<Vec<Reply>, BrokerError> {
        let published = request.publish(&self.options);
        let wrong = |error: RedisError| self.failed(&error);
        let mut connection = self.connect().await?;
        // Workers find the queues for replies in this set. kombu removes unused bindings, so each request adds its binding.
        let bindings = self.key(&format!("_kombu.binding.{}", self.options.reply_pidbox()));
        let binding = [published.reply_key.as_str(), "", &published.reply_queue].join(SEPARATOR);
        let lists = self.lists(&published.reply_queue);
        redis::cmd("SADD").arg(&bindings).arg(&binding).exec_async(&mut connection).await.map_err(wrong)?;
        let message = envelope(
            &published.body,
            published.headers.clone(),
            &json!({"exchange": self.options.pidbox(), "routing_key": ""}),
            BTreeMap::new(),
        );
        let receivers = self.publish(&mut connection, &self.options.pidbox(), &message).await?;
        let mut replies = Vec::new();
        let mut failed = None;
        if receivers > 0 {
            // A blocking read holds its connection.
            let mut reader = self.connect().await?;
            let until = Instant::now() + request.patience;
            while !request.is_complete(replies.len()) {
                let read = redis::cmd("BRPOP").arg(&lists).arg(BLOCK_SECONDS).to_owned();
                let read = read.query_async::<Option<Element>>(&mut reader);
                match timeout_at(until, read).await {
                    Err(_) => break,
                    Ok(Ok(None)) => {}
                    Ok(Ok(Some((_, payload)))) => match reply(&payload, &published) {
                        Ok(more) => replies.extend(more),
                        Err(error) => tracing::warn!("a reply of a worker can't be read: {error}"),
                    },
                    Ok(Err(error)) => {
                        failed = Some(error);
                        break;
                    }
                }
            }
        }
        let tidied = async {
            redis::cmd("SREM").arg(&bindings).arg(&binding).exec_async(&mut connection).await?;
            redis::cmd("DEL").arg(&lists).exec_async(&mut connection).await
        };
        let tidied: Result<(), RedisError> = tidied.await;
        match failed.or(tidied.err()) {
            Some(error) if replies.is_empty() => Err(self.failed(&error)),
            _ => Ok(replies),
        }
    }

    pub(crate) async fn send(&self, task: &TaskMessage) -> Result<(), BrokerError> {
        let more = [("correlation_id", task.id.as_str()), ("reply_to", &task.reply_to)];
        let more = more.map(|(name, value)| (name.to_owned(), value.into())).into();
        let message = envelope(&task.body, task.headers.clone(), &json!({"exchange": "", "routing_key": task.queue}), more);
        let mut connection = self.connect().await?;
        let sent = redis::cmd("LPUSH").arg(self.key(&task.queue)).arg(message).exec_async(&mut connection).await;
        sent.map_err(|error| self.failed(&error))
    }

    /// Beginnings of the names of channels. Over Sentinels, kombu before 5.4 leaves `{db}` as it is.
    fn prefixes(&self) -> Vec<String> {
        let Options { key_prefix, fanout_prefix, .. } = &self.options;
        let mut prefixes = vec![format!("{key_prefix}{}", fanout_prefix.replace("{db}", &self.db.to_string()))];
        if self.sentinels.is_some() && fanout_prefix.contains("{db}") {
            prefixes.push(format!("{key_prefix}{fanout_prefix}"));
        }
        prefixes
    }

    /// Patterns of the channels of events. A channel has the routing key in its name, unless the application turns off `fanout_patterns`.
    fn event_patterns(&self) -> Vec<String> {
        let channel = |prefix: String| literal(&format!("{prefix}{}", self.options.event_exchange));
        self.prefixes().into_iter().map(channel).flat_map(|channel| [format!("{channel}/*"), channel]).collect()
    }

    /// Publishes a message on a channel, and returns the number of its receivers.
    async fn publish(&self, connection: &mut MultiplexedConnection, channel: &str, message: &str) -> Result<u64, BrokerError> {
        let mut publications = redis::pipe();
        for prefix in self.prefixes() {
            publications.cmd("PUBLISH").arg(prefix + channel).arg(message);
        }
        let receivers: Vec<u64> = publications.query_async(connection).await.map_err(|error| self.failed(&error))?;
        Ok(receivers.iter().sum())
    }

    pub(crate) async fn publish_event(&self, key: &str, event: &Value) -> Result<(), BrokerError> {
        let delivery_info = json!({"exchange": self.options.event_exchange, "routing_key": key});
        let message = envelope(event, Map::new(), &delivery_info, BTreeMap::new());
        let channel = format!("{}/{key}", self.options.event_exchange);
        self.publish(&mut self.connect().await?, &channel, &message).await.map(drop)
    }

    pub(crate) async fn queue(&self, name: &str) -> Result<Option<QueueState>, BrokerError> {
        Ok(self.queues(&BTreeSet::from([name.to_owned()])).await?.pop().flatten())
    }

    pub(crate) async fn queues(&self, names: &BTreeSet<String>) -> Result<Vec<Option<QueueState>>, BrokerError> {
        let mut lengths = redis::pipe();
        for list in names.iter().flat_map(|name| self.lists(name)) {
            lengths.cmd("LLEN").arg(list);
        }
        let mut connection = self.connect().await?;
        let lengths: Vec<u64> = lengths.query_async(&mut connection).await.map_err(|error| self.failed(&error))?;
        let (of_queue, _) = lengths.as_chunks();
        Ok(of_queue
            .iter()
            .map(|lengths| Some(QueueState { waiting: lengths.iter().sum(), consumers: None, by_priority: *lengths }))
            .collect())
    }

    pub(crate) async fn unacknowledged(&self) -> Result<u64, BrokerError> {
        let mut connection = self.connect().await?;
        redis::cmd("HLEN").arg(self.key("unacked")).query_async(&mut connection).await.map_err(|error| self.failed(&error))
    }

    pub(crate) async fn values(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, BrokerError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut connection = self.connect().await?;
        redis::cmd("MGET").arg(keys).query_async(&mut connection).await.map_err(|error| self.failed(&error))
    }

    pub(crate) async fn purge(&self, queue: &str) -> Result<u64, BrokerError> {
        let mut connection = self.connect().await?;
        let (mut transaction, lists) = (redis::pipe(), self.lists(queue));
        transaction.atomic();
        for list in &lists {
            transaction.cmd("LLEN").arg(list);
        }
        transaction.cmd("DEL").arg(&lists).ignore();
        let lengths: Vec<u64> = transaction.query_async(&mut connection).await.map_err(|error| self.failed(&error))?;
        Ok(lengths.iter().sum())
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.options.key_prefix)
    }

    /// The lists of a queue, by priority.
    fn lists(&self, queue: &str) -> Vec<String> {
        let others = PRIORITIES.iter().skip(1).map(|priority| format!("{}{SEPARATOR}{priority}", self.key(queue)));
        std::iter::once(self.key(queue)).chain(others).collect()
    }

    async fn connect(&self) -> Result<MultiplexedConnection, BrokerError> {
        // A blocking read takes longer than the library waits by default.
        let response = PATIENCE + Duration::from_secs(BLOCK_SECONDS);
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(PATIENCE)).set_response_timeout(Some(response));
        let connected = self.client.get_multiplexed_async_connection_with_config(&config).await;
        connected.map_err(|error| self.failed(&error))
    }

    fn silent(&self) -> BrokerError {
        BrokerError::Unreachable { broker: self.broker.clone(), why: format!("no answer within {} s", PATIENCE.as_secs()) }
    }

    fn failed(&self, error: &RedisError) -> BrokerError {
        failure(&self.broker, error)
    }
}

impl Events {
    pub(crate) async fn next(&mut self) -> Result<Result<Message, Unreadable>, BrokerError> {
        while let Some(message) = self.stream.next().await {
            if self.master.is_none() || self.recent.add(message.get_payload_bytes()) {
                return Ok(Message::of_envelope(message.get_payload_bytes()));
            }
        }
        Err(BrokerError::Unreachable { broker: self.broker.clone(), why: "the connection ended".to_owned() })
    }

    pub(crate) async fn check(&mut self) -> Result<(), BrokerError> {
        let ping = timeout(PATIENCE, self.sink.ping::<redis::Value>()).await;
        let unreachable = |why: String| BrokerError::Unreachable { broker: self.broker.clone(), why };
        match ping {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(unreachable(error.to_string())),
            Err(_) => return Err(unreachable(format!("no answer within {} s", PATIENCE.as_secs()))),
        }
        // A former master passes events on, but takes no commands.
        if let Some((sentinels, address)) = &self.master
            && let Ok(master) = sentinels.client().await
            && master.get_connection_info().addr() != address
        {
            return Err(unreachable("the Sentinels have chosen another master".to_owned()));
        }
        Ok(())
    }
}

fn reply(payload: &[u8], published: &crate::pidbox::Published) -> Result<Vec<Reply>, Unreadable> {
    let envelope: Envelope = serde_json::from_slice(payload).map_err(|error| Unreadable(error.to_string()))?;
    let ticket = envelope.headers.get("ticket").and_then(Value::as_str).map(str::to_owned);
    published.replies(&Message::of_envelope(payload)?, ticket.as_deref())
}

/// A pattern of channels that means only this name.
fn literal(name: &str) -> String {
    name.chars().flat_map(|char| matches!(char, '*' | '?' | '[' | ']' | '\\').then_some('\\').into_iter().chain([char])).collect()
}

/// A message in kombu's format.
fn envelope(body: &Value, headers: Map<String, Value>, delivery_info: &Value, more: BTreeMap<String, Value>) -> String {
    let mut properties = more;
    properties.extend(
        [
            ("delivery_mode", json!(2)),
            ("delivery_info", delivery_info.clone()),
            ("priority", json!(0)),
            ("body_encoding", json!("base64")),
            ("delivery_tag", json!(new_uuid())),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    let envelope = Envelope {
        body: STANDARD.encode(body.to_string()),
        content_encoding: Some("utf-8".to_owned()),
        content_type: Some("application/json".to_owned()),
        headers,
        properties,
    };
    serde_json::to_string(&envelope).expect("plain data with text keys is JSON")
}

fn address(place: &Place) -> ConnectionAddr {
    match place {
        Place::Redis { is_tls, host, port, .. } => {
            let (host, port) = (host.trim_matches(['[', ']']).to_owned(), *port);
            if *is_tls { ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None } } else { ConnectionAddr::Tcp(host, port) }
        }
        Place::RedisSocket { path, .. } => ConnectionAddr::Unix(path.clone()),
        Place::Amqp { .. } | Place::Sentinels { .. } => unreachable!("this is no address of a Redis server"),
    }
}

pub(super) fn failure(broker: &str, error: &RedisError) -> BrokerError {
    let (broker, why) = (broker.to_owned(), error.to_string());
    match (error.kind(), error.code()) {
        // Also while they choose another master.
        (ErrorKind::MasterNameNotFoundBySentinel, _) => {
            BrokerError::Unreachable { broker, why: "its Sentinels know no working master of this name".to_owned() }
        }
        (ErrorKind::AuthenticationFailed, _) | (_, Some("NOAUTH" | "WRONGPASS" | "NOPERM")) => BrokerError::Refused { broker, why },
        _ if why.contains("DB index is out of range") => BrokerError::NoPlace { broker, why },
        _ => BrokerError::Unreachable { broker, why },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_delivery_is_found_among_the_newest_messages() {
        let mut recent = Recent::default();
        let payload = |number: usize| number.to_string().into_bytes();
        assert!((0..RECENT).all(|number| recent.add(&payload(number))));
        assert!((0..RECENT).all(|number| !recent.add(&payload(number))));
        assert!(recent.add(&payload(RECENT)) && recent.add(&payload(0)), "the oldest one was forgotten");
        assert_eq!(recent.hashes.len(), RECENT);
    }

    #[test]
    fn a_pattern_means_only_the_channel_of_this_name() {
        assert_eq!(literal("k*?[a]\\é/0.celeryev"), r"k\*\?\[a\]\\é/0.celeryev");
    }
}
