//! Messages that are moved from or to RabbitMQ.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lapin::options::{BasicAckOptions, BasicGetOptions, BasicNackOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel};
use serde_json::{Map, Value};

use super::{Connection, NOT_FOUND, code, failure, table};
use crate::error::BrokerError;
use crate::message::{Envelope, Unreadable, short};
use crate::transport::moving::{Handle, Next, Taken};

/// A queue. What is taken from it and not removed comes back when the channel ends.
#[derive(Debug)]
pub(crate) struct Source {
    channel: Channel,
    queue: ShortString,
    broker: String,
    /// Number of messages when it was opened.
    pub(crate) count: u64,
}

/// A channel with confirmations.
#[derive(Debug)]
pub(crate) struct Target {
    channel: Channel,
    broker: String,
}

impl Connection {
    pub(crate) async fn source(&self, queue: &str) -> Result<Option<Source>, BrokerError> {
        let (channel, name) = (self.channel().await?, self.name(queue)?);
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        match channel.queue_declare(name.clone(), passive, FieldTable::default()).await {
            Ok(state) => Ok(Some(Source { channel, queue: name, broker: self.broker.clone(), count: state.message_count().into() })),
            Err(error) if code(&error) == Some(NOT_FOUND) => Ok(None),
            Err(error) => Err(self.failed(&error)),
        }
    }

    pub(crate) async fn target(&self) -> Result<Target, BrokerError> {
        let channel = self.channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(|error| self.failed(&error))?;
        Ok(Target { channel, broker: self.broker.clone() })
    }
}

impl Source {
    pub(crate) async fn next(&mut self, is_meant: impl Fn(&Envelope) -> bool) -> Result<Option<Next>, BrokerError> {
        let got = self.channel.basic_get(self.queue.clone(), BasicGetOptions::default()).await;
        let Some(got) = got.map_err(|error| failure(&self.broker, &error))? else { return Ok(None) };
        let delivery = got.delivery;
        Ok(Some(match envelope(&delivery.data, &delivery.properties) {
            Ok(envelope) if is_meant(&envelope) => {
                let handle = Handle::Tag(delivery.delivery_tag);
                Next::Meant(Box::new(Taken { envelope, is_doubtful: delivery.redelivered, handle }))
            }
            other => Next::Left(other.err()),
        }))
    }

    pub(crate) async fn remove(&mut self, tag: u64) -> Result<(), BrokerError> {
        self.channel.basic_ack(tag, BasicAckOptions::default()).await.map_err(|error| failure(&self.broker, &error))
    }

    pub(crate) async fn put_back(&mut self, tag: u64) -> Result<(), BrokerError> {
        let again = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
        self.channel.basic_nack(tag, again).await.map_err(|error| failure(&self.broker, &error))
    }

    pub(crate) async fn close(self) -> Result<(), BrokerError> {
        self.channel.close(200, "".into()).await.map_err(|error| failure(&self.broker, &error))
    }
}

impl Target {
    pub(crate) async fn put(&mut self, queue: &str, envelope: &Envelope) -> Result<(), BrokerError> {
        let no_place = |why: String| BrokerError::NoQueue { broker: self.broker.clone(), queue: queue.to_owned(), why };
        let wrong = |error: lapin::Error| failure(&self.broker, &error);
        let body = envelope.bytes().map_err(|why| no_place(format!("a message can't be read: {why}")))?;
        let properties = properties(envelope).map_err(|why| no_place(format!("a message can't be written: {why}")))?;
        let name = ShortString::try_new(queue).map_err(|_| no_place("a name has at most 255 bytes".to_owned()))?;
        // A message without a queue comes back.
        let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let confirm = self.channel.basic_publish("".into(), name, mandatory, &body, properties).await.map_err(wrong)?;
        let confirmed = confirm.await.map_err(wrong)?;
        let is_taken = confirmed.is_ack();
        if is_taken && confirmed.take_message().is_none() {
            return Ok(());
        }
        Err(no_place(if is_taken { "there is no such queue".to_owned() } else { "the broker has refused a message".to_owned() }))
    }
}

/// A message of RabbitMQ in the form of Redis.
fn envelope(body: &[u8], from: &BasicProperties) -> Result<Envelope, Unreadable> {
    let headers = match from.headers() {
        Some(headers) => object(headers)?,
        None => Map::new(),
    };
    let text = |text: &Option<ShortString>| text.as_ref().map(|text| Value::from(text.to_string()));
    let properties = [
        ("correlation_id", text(from.correlation_id())),
        ("reply_to", text(from.reply_to())),
        ("expiration", text(from.expiration())),
        ("message_id", text(from.message_id())),
        ("type", text(from.kind())),
        ("app_id", text(from.app_id())),
        ("delivery_mode", from.delivery_mode().map(Value::from)),
        ("priority", from.priority().map(Value::from)),
        ("timestamp", from.timestamp().map(Value::from)),
        ("body_encoding", Some("base64".into())),
    ];
    Ok(Envelope {
        body: STANDARD.encode(body),
        content_encoding: from.content_encoding().as_ref().map(ToString::to_string),
        content_type: from.content_type().as_ref().map(ToString::to_string),
        headers,
        properties: properties.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect(),
    })
}

/// The properties of a message for RabbitMQ.
fn properties(envelope: &Envelope) -> Result<BasicProperties, Unreadable> {
    let text = |name: &str, value: Option<&str>| {
        let long = |_| Unreadable(format!("its {name} is longer than 255 bytes"));
        value.map(|value| ShortString::try_new(value).map_err(long)).transpose()
    };
    let property = |name: &str| text(name, envelope.properties.get(name).and_then(Value::as_str));
    let number = |name: &str| envelope.properties.get(name).and_then(Value::as_u64);
    let mut properties = BasicProperties::default().with_headers(table(&envelope.headers));
    macro_rules! set {
        ($($with:ident = $value:expr;)*) => {
            $(if let Some(value) = $value { properties = properties.$with(value); })*
        };
    }
    set! {
        with_content_type = text("content type", envelope.content_type.as_deref())?;
        with_content_encoding = text("content encoding", envelope.content_encoding.as_deref())?;
        with_correlation_id = property("correlation_id")?;
        with_reply_to = property("reply_to")?;
        with_expiration = property("expiration")?;
        with_message_id = property("message_id")?;
        with_type = property("type")?;
        with_app_id = property("app_id")?;
        with_delivery_mode = number("delivery_mode").and_then(|mode| u8::try_from(mode).ok());
        with_priority = number("priority").and_then(|priority| u8::try_from(priority).ok());
        with_timestamp = number("timestamp");
    }
    Ok(properties)
}

fn object(table: &FieldTable) -> Result<Map<String, Value>, Unreadable> {
    let entry = |(name, value): (&ShortString, &AMQPValue)| {
        let value = json(value).ok_or_else(|| Unreadable(format!("its header {:?} is neither text nor a number", short(name.as_str()))))?;
        Ok((name.to_string(), value))
    };
    table.inner().iter().map(entry).collect()
}

/// A value as JSON. None if it has no such form.
fn json(value: &AMQPValue) -> Option<Value> {
    Some(match value {
        AMQPValue::Void => Value::Null,
        AMQPValue::Boolean(value) => (*value).into(),
        AMQPValue::ShortShortInt(value) => (*value).into(),
        AMQPValue::ShortShortUInt(value) => (*value).into(),
        AMQPValue::ShortInt(value) => (*value).into(),
        AMQPValue::ShortUInt(value) => (*value).into(),
        AMQPValue::LongInt(value) => (*value).into(),
        AMQPValue::LongUInt(value) => (*value).into(),
        AMQPValue::LongLongInt(value) => (*value).into(),
        AMQPValue::Timestamp(value) => (*value).into(),
        AMQPValue::Float(value) => serde_json::Number::from_f64((*value).into())?.into(),
        AMQPValue::Double(value) => serde_json::Number::from_f64(*value)?.into(),
        AMQPValue::ShortString(text) => text.to_string().into(),
        AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok()?.into(),
        AMQPValue::FieldArray(values) => values.as_slice().iter().map(json).collect::<Option<Vec<_>>>()?.into(),
        AMQPValue::FieldTable(table) => object(table).ok()?.into(),
        AMQPValue::DecimalValue(_) | AMQPValue::ByteArray(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_is_the_same_after_both_conversions() {
        let headers = json!({"task": "shop.add", "retries": 2, "eta": null, "timelimit": [null, 1.5], "stamps": {"a": true}, "é": "日"});
        let from = BasicProperties::default()
            .with_headers(table(headers.as_object().unwrap()))
            .with_content_type("application/json".into())
            .with_content_encoding("utf-8".into())
            .with_correlation_id("c".into())
            .with_reply_to("r".into())
            .with_expiration("60000".into())
            .with_priority(7)
            .with_delivery_mode(2);
        let body = b"\x00\xff{}";
        let envelope = envelope(body, &from).unwrap();
        assert_eq!((Value::Object(envelope.headers.clone()), &envelope.properties["priority"]), (headers, &json!(7)));
        assert_eq!((properties(&envelope).unwrap(), envelope.bytes().unwrap()), (from, body.to_vec()));
        // Through Redis.
        let text = serde_json::to_string(&envelope).unwrap();
        assert_eq!(serde_json::from_str::<Envelope>(&text).unwrap(), envelope);
    }

    #[test]
    fn headers_and_properties_without_a_json_form_are_named() {
        let mut headers = FieldTable::default();
        headers.insert("raw".into(), AMQPValue::LongString(vec![0xff].into()));
        let error = envelope(b"", &BasicProperties::default().with_headers(headers)).unwrap_err();
        assert!(error.to_string().contains("\"raw\""), "{error}");
        let long = Envelope { properties: [("reply_to".to_owned(), "x".repeat(256).into())].into(), ..Envelope::default() };
        assert!(properties(&long).unwrap_err().to_string().contains("reply_to is longer"));
        let odd = Envelope { properties: [("priority".to_owned(), json!(-1)), ("timestamp".to_owned(), json!("x"))].into(), ..long };
        assert_eq!(properties(&odd).unwrap(), BasicProperties::default().with_headers(FieldTable::default()));
    }
}
