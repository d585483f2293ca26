//! Redis, in the way that kombu uses it.
//!
//! Events and remote control commands are messages of channels. Replies and tasks are elements of lists. kombu adds a suffix to the list of a queue for
//! each priority after the first one.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt as _;
use redis::aio::{MultiplexedConnection, PubSubSink, PubSubStream};
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, IntoConnectionInfo as _, RedisConnectionInfo, RedisError};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, timeout, timeout_at};

use super::{PATIENCE, QueueState};
use crate::broker::{Broker, Place};
use crate::error::BrokerError;
use crate::ids::new_uuid;
use crate::message::{Envelope, Message, Unreadable};
use crate::options::Options;
use crate::pidbox::{Reply, Request};
use crate::task_message::TaskMessage;

/// Separates the parts of a binding, and a queue from its priority.
const SEPARATOR: &str = "\x06\x16";
/// Priorities that have a list of their own.
const PRIORITIES: [&str; 4] = ["", "3", "6", "9"];
/// A list, and an element that was taken from it.
type Element = (Vec<u8>, Vec<u8>);

/// Timeout of a blocking read, in seconds. The same as in kombu.
const BLOCK_SECONDS: u64 = 1;

#[derive(Debug)]
pub(crate) struct Connection {
    client: Client,
    options: Options,
    broker: String,
    db: i64,
}

/// The subscription to the channels of events.
pub(crate) struct Events {
    sink: PubSubSink,
    stream: PubSubStream,
    broker: String,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").field("broker", &self.broker).finish_non_exhaustive()
    }
}

impl Connection {
    pub(crate) async fn open(broker: &Broker, options: &Options) -> Result<Self, BrokerError> {
        let (addr, db) = match &broker.place {
            Place::Redis { is_tls: false, host, port, db } => (ConnectionAddr::Tcp(host.trim_matches(['[', ']']).to_owned(), *port), *db),
            Place::Redis { is_tls: true, host, port, db } => {
                let host = host.trim_matches(['[', ']']).to_owned();
                (ConnectionAddr::TcpTls { host, port: *port, insecure: false, tls_params: None }, *db)
            }
            Place::RedisSocket { path, db } => (ConnectionAddr::Unix(path.clone()), *db),
            Place::Amqp { .. } => unreachable!("only addresses of Redis are opened here"),
        };
        let mut settings = RedisConnectionInfo::default().set_db(db);
        if let Some(user) = &broker.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &broker.password {
            settings = settings.set_password(password);
        }
        let shown = broker.to_string();
        let client = addr.into_connection_info().map(|info| info.set_redis_settings(settings)).and_then(Client::open);
        let connection = Self { client: client.map_err(|error| failure(&shown, &error))?, options: options.clone(), broker: shown, db };
        // The first connection shows whether the broker accepts it.
        let mut first = connection.connect().await?;
        let pong: Result<String, RedisError> = redis::cmd("PING").query_async(&mut first).await;
        pong.map(|_| connection).map_err(|error| failure(&broker.to_string(), &error))
    }

    pub(crate) async fn events(&self) -> Result<Events, BrokerError> {
        let pubsub = timeout(PATIENCE, self.client.get_async_pubsub()).await.map_err(|_| self.silent())?;
        let (mut sink, stream) = pubsub.map_err(|error| self.failed(&error))?.split();
        let channels = format!("{}/{}.{}/*", self.options.key_prefix, self.db, self.options.event_exchange);
        let subscribed = timeout(PATIENCE, sink.psubscribe(channels)).await.map_err(|_| self.silent())?;
        subscribed.map_err(|error| self.failed(&error))?;
        Ok(Events { sink, stream, broker: self.broker.clone() })
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
        let channel = format!("{}/{}.{}", self.options.key_prefix, self.db, self.options.pidbox());
        let message = envelope(
            &published.body,
            published.headers.clone(),
            &json!({"exchange": self.options.pidbox(), "routing_key": ""}),
            BTreeMap::new(),
        );
        let receivers: u64 = redis::cmd("PUBLISH").arg(channel).arg(message).query_async(&mut connection).await.map_err(wrong)?;
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

    pub(crate) async fn queue(&self, name: &str) -> Result<Option<QueueState>, BrokerError> {
        let mut connection = self.connect().await?;
        let mut waiting = 0;
        for list in self.lists(name) {
            let length: u64 = redis::cmd("LLEN").arg(list).query_async(&mut connection).await.map_err(|error| self.failed(&error))?;
            waiting += length;
        }
        Ok(Some(QueueState { waiting, consumers: None }))
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
        let list =
            |priority: &&str| if priority.is_empty() { self.key(queue) } else { format!("{}{SEPARATOR}{priority}", self.key(queue)) };
        PRIORITIES.iter().map(list).collect()
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
        match self.stream.next().await {
            Some(message) => Ok(Message::of_envelope(message.get_payload_bytes())),
            None => Err(BrokerError::Unreachable { broker: self.broker.clone(), why: "the connection ended".to_owned() }),
        }
    }

    pub(crate) async fn check(&mut self) -> Result<(), BrokerError> {
        let ping = timeout(PATIENCE, self.sink.ping::<redis::Value>()).await;
        let unreachable = |why: String| BrokerError::Unreachable { broker: self.broker.clone(), why };
        match ping {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(unreachable(error.to_string())),
            Err(_) => Err(unreachable(format!("no answer within {} s", PATIENCE.as_secs()))),
        }
    }
}

fn reply(payload: &[u8], published: &crate::pidbox::Published) -> Result<Vec<Reply>, Unreadable> {
    let envelope: Envelope = serde_json::from_slice(payload).map_err(|error| Unreadable(error.to_string()))?;
    let ticket = envelope.headers.get("ticket").and_then(Value::as_str).map(str::to_owned);
    published.replies(&Message::of_envelope(payload)?, ticket.as_deref())
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

fn failure(broker: &str, error: &RedisError) -> BrokerError {
    let (broker, why) = (broker.to_owned(), error.to_string());
    match (error.kind(), error.code()) {
        (ErrorKind::AuthenticationFailed, _) | (_, Some("NOAUTH" | "WRONGPASS" | "NOPERM")) => BrokerError::Refused { broker, why },
        _ if why.contains("DB index is out of range") => BrokerError::NoPlace { broker, why },
        _ => BrokerError::Unreachable { broker, why },
    }
}
