//! Messages of kombu, and the events and replies in them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Largest body that is read, in bytes.
const LARGEST: usize = 32 << 20;

/// A message, as both brokers carry it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) body: Vec<u8>,
    pub(crate) content_type: String,
    /// The broker's number of the message, for its acknowledgement. None if the broker expects no acknowledgement.
    pub(crate) tag: Option<u64>,
    /// True if the broker has delivered the message before.
    pub(crate) is_redelivered: bool,
}

/// A message, or a part of it, that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unreadable(pub(crate) String);

/// A message in Redis, in kombu's format.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Envelope {
    pub(crate) body: String,
    #[serde(rename = "content-encoding", default)]
    pub(crate) content_encoding: Option<String>,
    #[serde(rename = "content-type", default)]
    pub(crate) content_type: Option<String>,
    #[serde(default)]
    pub(crate) headers: Map<String, Value>,
    #[serde(default)]
    pub(crate) properties: BTreeMap<String, Value>,
}

impl Envelope {
    /// Decodes the body.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>, Unreadable> {
        if self.properties.get("body_encoding").is_some_and(|encoding| encoding == "base64") {
            return STANDARD.decode(&self.body).map_err(|error| Unreadable(format!("its body is not base64: {error}")));
        }
        Ok(self.body.clone().into_bytes())
    }
}

impl Message {
    /// Reads a message of Redis.
    pub(crate) fn of_envelope(payload: &[u8]) -> Result<Self, Unreadable> {
        let envelope: Envelope =
            serde_json::from_slice(payload).map_err(|error| Unreadable(format!("it is no message of kombu: {error}")))?;
        Ok(Self { body: envelope.bytes()?, content_type: envelope.content_type.unwrap_or_default(), ..Self::default() })
    }

    /// Reads the body. Formats that can run code when they are read are refused.
    pub(crate) fn value(&self) -> Result<Value, Unreadable> {
        if self.body.len() > LARGEST {
            return Err(Unreadable(format!("it has {} bytes, and the limit is {LARGEST}", self.body.len())));
        }
        match self.content_type.as_str() {
            "application/json" | "" => serde_json::from_slice(&self.body).map_err(|error| Unreadable(format!("it is no JSON: {error}"))),
            "application/x-msgpack" => rmp_serde::from_slice(&self.body).map_err(|error| Unreadable(format!("it is no msgpack: {error}"))),
            "application/x-python-serialize" | "application/x-yaml" => Err(Unreadable(format!(
                "{} is never read, because it can run code: set `event_serializer` and `accept_content` of the application to json",
                self.content_type
            ))),
            other => Err(Unreadable(format!("the content type {:?} is not supported: set `event_serializer` to json", short(other)))),
        }
    }

    /// Reads the events: one, or a list.
    pub(crate) fn events(&self) -> Result<Vec<Map<String, Value>>, Unreadable> {
        let event = |value: Value| match value {
            Value::Object(event) => Ok(event),
            _ => Err(Unreadable("an event is no object".to_owned())),
        };
        match self.value()? {
            Value::Array(events) => events.into_iter().map(event).collect(),
            value => Ok(vec![event(value)?]),
        }
    }

    /// Reads the replies of workers: by the name of their node.
    pub(crate) fn replies(&self) -> Result<Map<String, Value>, Unreadable> {
        match self.value()? {
            Value::Object(replies) => Ok(replies),
            _ => Err(Unreadable("a reply is no object".to_owned())),
        }
    }
}

/// The beginning of a foreign text, for messages.
pub(crate) fn short(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(body: &[u8], content_type: &str) -> Message {
        Message { body: body.to_vec(), content_type: content_type.to_owned(), ..Message::default() }
    }

    #[test]
    fn events_arrive_alone_or_in_a_list_in_json_or_msgpack() {
        let (one, two) = (json!({"type": "a", "n": 1}), json!([{"type": "a"}, {"type": "b"}]));
        for (value, count) in [(one, 1), (two, 2), (json!([]), 0)] {
            let json = message(value.to_string().as_bytes(), "application/json");
            let packed = message(&rmp_serde::to_vec(&value).unwrap(), "application/x-msgpack");
            assert_eq!(json.events().unwrap().len(), count);
            assert_eq!(json.events(), packed.events());
        }
    }

    #[test]
    fn formats_that_can_run_code_are_refused_with_the_remedy() {
        for content_type in ["application/x-python-serialize", "application/x-yaml"] {
            let error = message(b"cos\nsystem\n(S'id'\ntR.", content_type).events().unwrap_err().to_string();
            assert!(error.contains("never read") && error.contains("event_serializer"), "{error}");
        }
        let error = message(b"x", &"a/b".repeat(1_000)).events().unwrap_err().to_string();
        assert!(error.contains("not supported") && error.len() < 300, "{error}");
    }

    #[test]
    fn a_hostile_body_is_an_error_and_no_panic() {
        let deep = "[".repeat(100_000);
        for body in [&b""[..], b"{", b"7", b"null", b"[1]", b"[[{}]]", b"\xff\xfe", deep.as_bytes(), b"{\"a\": 1e999}"] {
            assert!(message(body, "application/json").events().is_err(), "{:?}", &body[..body.len().min(20)]);
            let _ = message(body, "application/x-msgpack").events();
        }
        assert!(message(&vec![b' '; LARGEST + 1], "application/json").events().unwrap_err().to_string().contains("limit"));
        for payload in [&b""[..], b"[]", b"{}", br#"{"body": "a", "properties": {"body_encoding": "base64"}}"#, br#"{"body": 7}"#] {
            assert!(Message::of_envelope(payload).and_then(|message| message.events()).is_err(), "{payload:?}");
        }
    }

    #[test]
    fn a_message_of_redis_is_read_as_kombu_writes_it() {
        let payload = json!({
            "body": STANDARD.encode(br#"[{"type": "task-started"}]"#),
            "content-encoding": "utf-8", "content-type": "application/json", "headers": {"hostname": "w1@h2"},
            "properties": {"body_encoding": "base64", "priority": 0, "delivery_info": {"exchange": "celeryev"}},
        });
        let message = Message::of_envelope(payload.to_string().as_bytes()).unwrap();
        assert_eq!(message.events().unwrap()[0]["type"], "task-started");
    }
}
