//! RabbitMQ, by AMQP 0-9-1.

pub(crate) mod moving;

use futures_util::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{BasicProperties, Channel, ConnectionProperties, Consumer, ErrorKind, ExchangeKind};
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout, timeout_at};

use super::{PATIENCE, QueueState};
use crate::broker::{Broker, Place};
use crate::error::BrokerError;
use crate::message::Message;
use crate::options::Options;
use crate::pidbox::{Reply, Request};
use crate::task_message::TaskMessage;

/// Number of events that the broker sends before they are acknowledged.
const PREFETCH: u16 = 20_000;
/// Time after which a queue of events that no bridge reads is deleted, in milliseconds.
const UNUSED_MS: i64 = 86_400_000;
/// Size of the queue of events, in bytes. If it is full, the broker drops the oldest events.
const LARGEST_QUEUE: i64 = 256 << 20;
/// Interval of the connection's heartbeats, in seconds.
const HEARTBEAT: u16 = 20;
/// Time after which an unused queue for replies is deleted, in milliseconds, as in kombu.
const REPLY_UNUSED_MS: i64 = 10_000;
/// Codes of AMQP 0-9-1.
const ACCESS_REFUSED: u16 = 403;
const NOT_FOUND: u16 = 404;
const RESOURCE_LOCKED: u16 = 405;
const NOT_ALLOWED: u16 = 530;
const PERSISTENT: u8 = 2;

#[derive(Debug)]
pub(crate) struct Connection {
    inner: lapin::Connection,
    options: Options,
    broker: String,
}

/// The queue of events of a bridge.
#[derive(Debug)]
pub(crate) struct Events {
    channel: Channel,
    consumer: Consumer,
    broker: String,
}

impl Connection {
    pub(crate) async fn open(broker: &Broker, options: &Options) -> Result<Self, BrokerError> {
        let Place::Amqp { is_tls, host, port, vhost } = &broker.place else {
            unreachable!("only addresses of RabbitMQ are opened here");
        };
        let userinfo = AMQPUserInfo { username: broker.amqp_user().to_owned(), password: broker.amqp_password().to_owned() };
        let uri = AMQPUri {
            scheme: if *is_tls { AMQPScheme::AMQPS } else { AMQPScheme::AMQP },
            authority: AMQPAuthority { userinfo, host: host.trim_matches(['[', ']']).to_owned(), port: *port },
            vhost: vhost.clone(),
            query: AMQPQueryString { heartbeat: Some(HEARTBEAT), ..AMQPQueryString::default() },
        };
        let properties = ConnectionProperties::default().with_connection_name("Process Monitor".into());
        let shown = broker.to_string();
        let silent = || BrokerError::Unreachable { broker: shown.clone(), why: format!("no answer within {} s", PATIENCE.as_secs()) };
        let connection = timeout(PATIENCE, lapin::Connection::connect_uri(uri, properties)).await.map_err(|_| silent())?;
        let connection = connection.map_err(|error| failure(&shown, &error))?;
        Ok(Self { inner: connection, options: options.clone(), broker: shown })
    }

    pub(crate) async fn events(&self, queue: &str) -> Result<Events, BrokerError> {
        self.exchange(&self.options.event_exchange, ExchangeKind::Topic, true).await?;
        let channel = self.channel().await?;
        let mut arguments = FieldTable::default();
        arguments.insert("x-expires".into(), AMQPValue::LongLongInt(UNUSED_MS));
        arguments.insert("x-max-length-bytes".into(), AMQPValue::LongLongInt(LARGEST_QUEUE));
        let wrong = |error: lapin::Error| self.failed(&error);
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await.map_err(wrong)?;
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        let name = self.name(queue)?;
        channel.queue_declare(name.clone(), durable, arguments).await.map_err(wrong)?;
        let exchange = self.name(&self.options.event_exchange)?;
        channel.queue_bind(name.clone(), exchange, "#".into(), QueueBindOptions::default(), FieldTable::default()).await.map_err(wrong)?;
        let alone = BasicConsumeOptions { exclusive: true, ..BasicConsumeOptions::default() };
        let consumer = channel.basic_consume(name, "monitor".into(), alone, FieldTable::default()).await;
        let consumer = consumer.map_err(|error| match code(&error) {
            Some(ACCESS_REFUSED) if error.to_string().contains("exclusive") => {
                BrokerError::Taken { broker: self.broker.clone(), queue: queue.to_owned() }
            }
            _ => self.failed(&error),
        })?;
        Ok(Events { channel, consumer, broker: self.broker.clone() })
    }

    pub(crate) async fn forget_events(&self, queue: &str) -> Result<(), BrokerError> {
        let channel = self.channel().await?;
        let deleted = channel.queue_delete(self.name(queue)?, QueueDeleteOptions::default()).await;
        deleted.map(drop).map_err(|error| self.failed(&error))
    }

    pub(crate) async fn request(&self, request: &Request) -> Result<Vec<Reply>, BrokerError> {
        let published = request.publish(&self.options);
        let wrong = |error: lapin::Error| self.failed(&error);
        self.exchange(&self.options.reply_pidbox(), ExchangeKind::Direct, false).await?;
        let pidbox = self.options.pidbox();
        if !self.has_exchange(&pidbox).await? {
            // The first worker creates it.
            return Ok(Vec::new());
        }
        let channel = self.channel().await?;
        let mut arguments = FieldTable::default();
        arguments.insert("x-expires".into(), AMQPValue::LongLongInt(REPLY_UNUSED_MS));
        let own = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
        let queue = self.name(&published.reply_queue)?;
        channel.queue_declare(queue.clone(), own, arguments).await.map_err(wrong)?;
        let (exchange, key) = (self.name(&self.options.reply_pidbox())?, self.name(&published.reply_key)?);
        channel.queue_bind(queue.clone(), exchange, key, QueueBindOptions::default(), FieldTable::default()).await.map_err(wrong)?;
        let unacknowledged = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let mut consumer = channel.basic_consume(queue, "replies".into(), unacknowledged, FieldTable::default()).await.map_err(wrong)?;
        let body = published.body.to_string();
        let properties = json_properties().with_headers(table(&published.headers)).with_delivery_mode(1);
        channel
            .basic_publish(self.name(&pidbox)?, "".into(), BasicPublishOptions::default(), body.as_bytes(), properties)
            .await
            .map_err(wrong)?;
        let (until, mut replies) = (Instant::now() + request.patience, Vec::new());
        while !request.is_complete(replies.len()) {
            let Ok(Some(delivery)) = timeout_at(until, consumer.next()).await else { break };
            let delivery = delivery.map_err(wrong)?;
            let ticket = delivery.properties.headers().as_ref().and_then(|headers| match headers.inner().get("ticket") {
                Some(AMQPValue::LongString(ticket)) => Some(ticket.to_string()),
                _ => None,
            });
            match published.replies(&message(delivery), ticket.as_deref()) {
                Ok(more) => replies.extend(more),
                Err(error) => tracing::warn!("a reply of a worker can't be read: {error}"),
            }
        }
        // The queue ends with its channel.
        let _ = channel.close(200, "".into()).await;
        Ok(replies)
    }

    pub(crate) async fn send(&self, task: &TaskMessage) -> Result<(), BrokerError> {
        let wrong = |error: lapin::Error| self.failed(&error);
        let channel = self.channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(wrong)?;
        let properties = json_properties()
            .with_headers(table(&task.headers))
            .with_delivery_mode(PERSISTENT)
            .with_priority(0)
            .with_correlation_id(task.id.as_str().into())
            .with_reply_to(task.reply_to.as_str().into());
        // A message without a queue comes back.
        let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let body = task.body.to_string();
        let confirm =
            channel.basic_publish("".into(), self.name(&task.queue)?, mandatory, body.as_bytes(), properties).await.map_err(wrong)?;
        let confirmed = confirm.await.map_err(wrong)?;
        let _ = channel.close(200, "".into()).await;
        let is_taken = confirmed.is_ack();
        if is_taken && confirmed.take_message().is_none() {
            return Ok(());
        }
        Err(BrokerError::NoPlace { broker: self.broker.clone(), why: format!("there is no queue {}", task.queue) })
    }

    pub(crate) async fn publish_event(&self, key: &str, event: &Value) -> Result<(), BrokerError> {
        let wrong = |error: lapin::Error| self.failed(&error);
        let channel = self.channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(wrong)?;
        let (exchange, body) = (self.name(&self.options.event_exchange)?, event.to_string());
        let options = BasicPublishOptions::default();
        let confirm = channel.basic_publish(exchange, self.name(key)?, options, body.as_bytes(), json_properties()).await.map_err(wrong)?;
        confirm.await.map_err(wrong)?;
        let _ = channel.close(200, "".into()).await;
        Ok(())
    }

    pub(crate) async fn queue(&self, name: &str) -> Result<Option<QueueState>, BrokerError> {
        // A passive declaration of a missing queue closes its channel.
        let channel = self.channel().await?;
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        match channel.queue_declare(self.name(name)?, passive, FieldTable::default()).await {
            Ok(queue) => {
                let _ = channel.close(200, "".into()).await;
                let (waiting, consumers) = (queue.message_count().into(), Some(queue.consumer_count().into()));
                Ok(Some(QueueState { waiting, consumers, ..QueueState::default() }))
            }
            Err(error) if code(&error) == Some(NOT_FOUND) => Ok(None),
            Err(error) => Err(self.failed(&error)),
        }
    }

    pub(crate) async fn purge(&self, queue: &str) -> Result<u64, BrokerError> {
        let channel = self.channel().await?;
        let purged = channel.queue_purge(self.name(queue)?, QueuePurgeOptions::default()).await.map_err(|error| self.failed(&error))?;
        let _ = channel.close(200, "".into()).await;
        Ok(purged.into())
    }

    async fn channel(&self) -> Result<Channel, BrokerError> {
        self.inner.create_channel().await.map_err(|error| self.failed(&error))
    }

    /// Returns true if an exchange exists.
    async fn has_exchange(&self, name: &str) -> Result<bool, BrokerError> {
        let channel = self.channel().await?;
        let passive = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
        // Only the name counts.
        match channel.exchange_declare(self.name(name)?, ExchangeKind::Fanout, passive, FieldTable::default()).await {
            Ok(()) => {
                let _ = channel.close(200, "".into()).await;
                Ok(true)
            }
            Err(error) if code(&error) == Some(NOT_FOUND) => Ok(false),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Creates an exchange as kombu does, if it doesn't exist. An existing one may have other properties.
    async fn exchange(&self, name: &str, kind: ExchangeKind, durable: bool) -> Result<(), BrokerError> {
        if self.has_exchange(name).await? {
            return Ok(());
        }
        let channel = self.channel().await?;
        let options = ExchangeDeclareOptions { durable, ..ExchangeDeclareOptions::default() };
        let declared = channel.exchange_declare(self.name(name)?, kind, options, FieldTable::default()).await;
        declared.map_err(|error| self.failed(&error))?;
        let _ = channel.close(200, "".into()).await;
        Ok(())
    }

    /// Checks the name of a queue or an exchange.
    fn name(&self, name: &str) -> Result<ShortString, BrokerError> {
        ShortString::try_new(name).map_err(|_| {
            let why = format!("a name has at most 255 bytes, and this one has {}", name.len());
            BrokerError::NoPlace { broker: self.broker.clone(), why }
        })
    }

    fn failed(&self, error: &lapin::Error) -> BrokerError {
        failure(&self.broker, error)
    }
}

impl Events {
    pub(crate) async fn next(&mut self) -> Result<Message, BrokerError> {
        match self.consumer.next().await {
            Some(Ok(delivery)) => Ok(message(delivery)),
            Some(Err(error)) => Err(failure(&self.broker, &error)),
            None => Err(BrokerError::Unreachable { broker: self.broker.clone(), why: "the connection ended".to_owned() }),
        }
    }

    pub(crate) async fn acknowledge(&self, tag: u64) -> Result<(), BrokerError> {
        self.channel.basic_ack(tag, BasicAckOptions { multiple: true }).await.map_err(|error| failure(&self.broker, &error))
    }
}

fn message(delivery: Delivery) -> Message {
    let content_type = delivery.properties.content_type().as_ref().map(ToString::to_string).unwrap_or_default();
    Message { content_type, tag: Some(delivery.delivery_tag), is_redelivered: delivery.redelivered, body: delivery.data }
}

fn json_properties() -> BasicProperties {
    BasicProperties::default().with_content_type("application/json".into()).with_content_encoding("utf-8".into())
}

/// Converts headers, as Python's AMQP client writes them.
fn table(headers: &Map<String, Value>) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in headers {
        table.insert(name.as_str().into(), amqp_value(value));
    }
    table
}

fn amqp_value(value: &Value) -> AMQPValue {
    match value {
        Value::Null => AMQPValue::Void,
        Value::Bool(value) => AMQPValue::Boolean(*value),
        Value::Number(number) => {
            number.as_i64().map_or_else(|| AMQPValue::Double(number.as_f64().unwrap_or_default()), AMQPValue::LongLongInt)
        }
        Value::String(text) => AMQPValue::LongString(text.as_str().into()),
        Value::Array(values) => AMQPValue::FieldArray(values.iter().map(amqp_value).collect::<Vec<_>>().into()),
        Value::Object(fields) => AMQPValue::FieldTable(table(fields)),
    }
}

/// Returns the AMQP code of an error of the broker.
fn code(error: &lapin::Error) -> Option<u16> {
    match error.kind() {
        ErrorKind::ProtocolError(error) => Some(error.get_id()),
        _ => None,
    }
}

fn failure(broker: &str, error: &lapin::Error) -> BrokerError {
    let (broker, why) = (broker.to_owned(), error.to_string());
    match code(error) {
        Some(ACCESS_REFUSED) => BrokerError::Refused { broker, why },
        Some(NOT_ALLOWED | NOT_FOUND | RESOURCE_LOCKED) => BrokerError::NoPlace { broker, why },
        _ => BrokerError::Unreachable { broker, why },
    }
}
