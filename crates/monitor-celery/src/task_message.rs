//! Messages of tasks in queues, in version 2 of Celery's task protocol.

use std::time::SystemTime;

use monitor_wire::TaskCall;
use serde_json::{Map, Value, json};

use crate::ids::new_uuid;
use crate::text::{python_repr, python_tuple};

/// Queue of tasks that name none.
pub(crate) const DEFAULT_QUEUE: &str = "celery";

/// A message that starts a task.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TaskMessage {
    pub(crate) id: String,
    pub(crate) queue: String,
    pub(crate) headers: Map<String, Value>,
    pub(crate) body: Value,
    /// Address for replies, which are not read.
    pub(crate) reply_to: String,
}

impl TaskMessage {
    /// Creates a message with a new id.
    pub(crate) fn new(call: &TaskCall) -> Self {
        let id = new_uuid();
        let time = |at: SystemTime| jiff::Timestamp::try_from(at).ok().map(|at| at.to_string());
        let (eta, expires) = (call.not_before(SystemTime::now()).and_then(time), call.expires().and_then(time));
        let kwargs: Map<String, Value> = call.kwargs.clone().into_iter().collect();
        let headers = json!({
            "lang": "py", "task": call.name, "id": id, "shadow": null, "eta": eta, "expires": expires, "group": null, "group_index": null,
            "retries": 0, "timelimit": [null, null], "root_id": id, "parent_id": null, "argsrepr": python_tuple(&call.args),
            "kwargsrepr": python_repr(&Value::Object(kwargs.clone())), "origin": "monitor", "ignore_result": false, "replaced_task_nesting": 0,
            "stamped_headers": null, "stamps": {},
        });
        let headers = if let Value::Object(headers) = headers { headers } else { Map::new() };
        let body = json!([call.args, kwargs, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]);
        let queue = call.queue.clone().unwrap_or_else(|| DEFAULT_QUEUE.to_owned());
        Self { id, queue, headers, body, reply_to: new_uuid() }
    }

    /// Returns the event `task-sent`, which a client of Celery sends after the message. Only this event contains the queue.
    pub(crate) fn sent_event(&self) -> Value {
        let header = |name: &str| self.headers.get(name).cloned().unwrap_or_default();
        json!({
            "type": "task-sent", "uuid": self.id, "root_id": self.id, "parent_id": null, "name": header("task"), "args": header("argsrepr"),
            "kwargs": header("kwargsrepr"), "retries": 0, "eta": header("eta"), "expires": header("expires"), "queue": self.queue,
            "exchange": "", "routing_key": self.queue, "hostname": "monitor", "pid": std::process::id(), "clock": 0, "utcoffset": 0,
            "timestamp": jiff::Timestamp::now().as_microsecond() as f64 / 1e6,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_the_form_of_celery_s_own() {
        let call = TaskCall {
            name: "h2.add".to_owned(),
            args: vec![json!(1)],
            kwargs: [("y".to_owned(), json!("a"))].into(),
            expires_us: Some(1_795_000_000_000_000),
            ..TaskCall::default()
        };
        let message = TaskMessage::new(&call);
        let headers = &message.headers;
        assert_eq!((&headers["id"], &headers["root_id"], &*message.queue), (&json!(message.id), &json!(message.id), "celery"));
        assert_eq!((&headers["argsrepr"], &headers["kwargsrepr"]), (&json!("(1,)"), &json!("{'y': 'a'}")));
        let (event, queue) = (message.sent_event(), json!("celery"));
        assert_eq!((&event["uuid"], &event["name"], &event["queue"]), (&headers["id"], &headers["task"], &queue));
        assert!(headers["eta"].is_null() && headers["expires"].as_str().unwrap().starts_with("2026-11-18T"), "{headers:?}");
        assert_eq!(message.body, json!([[1], {"y": "a"}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]));
    }
}
