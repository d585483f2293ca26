//! Celery's remote control commands, which kombu calls a pidbox: a request to all workers, and their replies.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::ids::new_uuid;
use crate::message::{Message, Unreadable};
use crate::options::Options;

/// A remote control command.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    /// Name of the method, as Celery has it, such as `rate_limit`.
    pub(crate) method: String,
    pub(crate) arguments: Map<String, Value>,
    /// Names of the nodes that execute it. If empty, all do.
    pub(crate) nodes: Vec<String>,
    /// Number of replies after which the wait ends. None waits for the whole time, because the number is not known.
    pub(crate) expected: Option<usize>,
    /// Maximum wait for replies.
    pub(crate) patience: Duration,
}

/// A request as it is published, with its reply queue.
#[derive(Debug)]
pub(crate) struct Published {
    /// Routing key of the replies.
    pub(crate) reply_key: String,
    /// Queue for the replies.
    pub(crate) reply_queue: String,
    pub(crate) body: Value,
    pub(crate) headers: Map<String, Value>,
    ticket: String,
}

/// The reply of a node.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) node: String,
    pub(crate) value: Value,
}

impl Request {
    /// Returns a request for all nodes.
    pub(crate) fn to_all(method: &str, patience: Duration) -> Self {
        Self { method: method.to_owned(), patience, ..Self::default() }
    }

    /// Returns a request for a node.
    pub(crate) fn to_node(node: &str, method: &str, arguments: Value, patience: Duration) -> Self {
        let arguments = if let Value::Object(arguments) = arguments { arguments } else { Map::new() };
        Self { method: method.to_owned(), arguments, nodes: vec![node.to_owned()], expected: Some(1), patience }
    }

    pub(crate) fn publish(&self, options: &Options) -> Published {
        let (reply_key, ticket) = (new_uuid(), new_uuid());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let headers = json!({"clock": 1, "expires": (now + self.patience).as_secs_f64()});
        let destination = if self.nodes.is_empty() { Value::Null } else { json!(self.nodes) };
        let body = json!({
            "method": self.method,
            "arguments": self.arguments,
            "destination": destination,
            "pattern": null,
            "matcher": null,
            "ticket": ticket,
            "reply_to": {"exchange": options.reply_pidbox(), "routing_key": reply_key},
        });
        let reply_queue = format!("{reply_key}.{}", options.reply_pidbox());
        let headers = if let Value::Object(headers) = headers { headers } else { Map::new() };
        Published { reply_key, reply_queue, body, headers, ticket }
    }

    /// Returns true if no further reply is expected.
    pub(crate) fn is_complete(&self, replies: usize) -> bool {
        self.expected.is_some_and(|expected| replies >= expected)
    }
}

impl Published {
    /// Reads a message of the reply queue. `ticket` is its header: replies to other requests are ignored.
    pub(crate) fn replies(&self, message: &Message, ticket: Option<&str>) -> Result<Vec<Reply>, Unreadable> {
        if ticket != Some(&self.ticket) {
            return Ok(Vec::new());
        }
        Ok(message.replies()?.into_iter().map(|(node, value)| Reply { node, value }).collect())
    }
}

impl Reply {
    /// Returns the value of a reply, or the error that the worker replied. Methods that change something reply `{"ok": …}` or `{"error": …}`.
    pub(crate) fn result(self) -> Result<Value, String> {
        match self.value {
            Value::Object(mut fields) if fields.len() == 1 => {
                if let Some(error) = fields.get("error") {
                    return Err(error.as_str().map_or_else(|| error.to_string(), str::to_owned));
                }
                Ok(fields.remove("ok").unwrap_or(Value::Object(fields)))
            }
            value => Ok(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_the_form_that_workers_accept() {
        let request = Request::to_node("w1@h2", "rate_limit", json!({"task_name": "a", "rate_limit": "10/m"}), Duration::from_secs(2));
        let published = request.publish(&Options::default());
        let body = &published.body;
        assert_eq!((&body["method"], &body["destination"]), (&json!("rate_limit"), &json!(["w1@h2"])));
        assert_eq!(body["reply_to"], json!({"exchange": "reply.celery.pidbox", "routing_key": published.reply_key}));
        assert_eq!(published.reply_queue, format!("{}.reply.celery.pidbox", published.reply_key));
        assert!(body["pattern"].is_null() && body["matcher"].is_null() && published.headers["expires"].is_f64());
        assert!(Request::to_all("ping", Duration::ZERO).publish(&Options::default()).body["destination"].is_null());
        assert!(request.is_complete(1) && !request.is_complete(0) && !Request::to_all("ping", Duration::ZERO).is_complete(9));
    }

    #[test]
    fn a_reply_counts_for_its_request_only() {
        let published = Request::to_all("ping", Duration::ZERO).publish(&Options::default());
        let message = Message { body: br#"{"w1@h2": {"ok": "pong"}}"#.to_vec(), ..Message::default() };
        let ticket = published.ticket.clone();
        assert_eq!(published.replies(&message, Some(&ticket)).unwrap(), [Reply { node: "w1@h2".to_owned(), value: json!({"ok": "pong"}) }]);
        assert_eq!((published.replies(&message, Some("other")).unwrap(), published.replies(&message, None).unwrap()), (vec![], vec![]));
    }

    #[test]
    fn replies_are_values_or_errors() {
        for (value, expected) in [
            (json!({"ok": "pong"}), Ok(json!("pong"))),
            (json!({"ok": null}), Ok(Value::Null)),
            (json!({"error": "KeyError('nosuch')"}), Err("KeyError('nosuch')".to_owned())),
            (json!({"error": [1]}), Err("[1]".to_owned())),
            (json!([{"id": "a"}]), Ok(json!([{"id": "a"}]))),
            (json!({"ok": 1, "error": 2}), Ok(json!({"ok": 1, "error": 2}))),
            (json!({}), Ok(json!({}))),
        ] {
            assert_eq!(Reply { node: String::new(), value: value.clone() }.result(), expected, "{value}");
        }
    }
}
