//! Results of tasks, which Celery keeps in Redis. The bridge reads them if the events of a task are missing.

use serde_json::{Map, Value, json};

use crate::broker::Broker;
use crate::error::BrokerError;
use crate::options::Options;
use crate::text::python_repr;
use crate::transport::Connection;

/// Beginning of the keys of results, as in Celery.
const PREFIX: &str = "celery-task-meta-";

/// A connection to the results.
#[derive(Debug)]
pub(crate) struct Results(Connection);

impl Results {
    pub(crate) async fn open(place: &Broker) -> Result<Self, BrokerError> {
        Ok(Self(Connection::open(place, &Options::default()).await?))
    }

    /// Returns the ends of these tasks, in their order, as events of Celery. None for a task that has not ended, or whose result is not kept or can't
    /// be read.
    pub(crate) async fn ends(&self, tasks: &[&str]) -> Result<Vec<Option<Map<String, Value>>>, BrokerError> {
        let keys: Vec<String> = tasks.iter().map(|task| format!("{PREFIX}{task}")).collect();
        let stored = self.0.values(&keys).await?;
        Ok(tasks.iter().zip(stored).map(|(task, stored)| end(task, &stored?)).collect())
    }

    /// Returns the arguments of a task. None if the application does not keep them: its setting `result_extended`.
    pub(crate) async fn arguments(&self, task: &str) -> Result<Option<(Value, Value)>, BrokerError> {
        let stored = self.0.values(&[format!("{PREFIX}{task}")]).await?;
        Ok(stored.into_iter().flatten().next().and_then(|stored| arguments(&stored)))
    }
}

/// Reads the arguments that are stored with a result: those by position, and those by name.
fn arguments(stored: &[u8]) -> Option<(Value, Value)> {
    let mut stored: Map<String, Value> = serde_json::from_slice(stored).ok()?;
    Some((stored.remove("args").filter(Value::is_array)?, stored.remove("kwargs").filter(Value::is_object)?))
}

/// Reads a stored result.
fn end(task: &str, stored: &[u8]) -> Option<Map<String, Value>> {
    let stored: Map<String, Value> = serde_json::from_slice(stored).ok()?;
    let text = |key: &str| stored.get(key).and_then(Value::as_str);
    let result = stored.get("result").unwrap_or(&Value::Null);
    let mut event = match text("status")? {
        "SUCCESS" => json!({"type": "task-succeeded", "result": python_repr(result)}),
        "FAILURE" => json!({"type": "task-failed", "exception": exception(result), "traceback": text("traceback")}),
        "REVOKED" => {
            let is = |word: &str| result.get("exc_message").is_some_and(|of| of == word || *of == json!([word]));
            json!({"type": "task-revoked", "terminated": is("terminated"), "expired": is("expired")})
        }
        "REJECTED" | "IGNORED" => json!({"type": "task-rejected", "requeue": false}),
        _ => return None,
    };
    event["uuid"] = task.into();
    event["timestamp"] = text("date_done").and_then(seconds).map_or(Value::Null, Value::from);
    if let Value::Object(event) = event { Some(event) } else { None }
}

/// Reads a time. Without an offset, it is in UTC.
fn seconds(text: &str) -> Option<f64> {
    let at = text.parse::<jiff::Timestamp>().or_else(|_| format!("{text}Z").parse()).ok()?;
    Some(at.as_microsecond() as f64 / 1e6)
}

/// Writes an exception as Python's `repr` does, from `{"exc_type": "ValueError", "exc_message": ["no disk"]}`.
fn exception(of: &Value) -> String {
    let Some(name) = of.get("exc_type").and_then(Value::as_str) else { return python_repr(of) };
    let arguments = match of.get("exc_message") {
        Some(Value::Array(arguments)) => arguments.iter().map(python_repr).collect::<Vec<_>>().join(", "),
        Some(argument) => python_repr(argument),
        None => String::new(),
    };
    format!("{name}({arguments})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(stored: &Value) -> Option<Value> {
        end("u1", stored.to_string().as_bytes()).map(Value::Object)
    }

    #[test]
    fn stored_results_become_events() {
        // From real results, shortened.
        let done = "2026-11-21T11:26:43.717330+00:00";
        for (stored, expected) in [
            (
                json!({"status": "SUCCESS", "result": [3, "a"], "traceback": null, "date_done": done}),
                json!({"type": "task-succeeded", "result": "[3, 'a']", "uuid": "u1", "timestamp": 1_795_260_403.717_33}),
            ),
            (
                json!({"status": "FAILURE", "result": {"exc_type": "ValueError", "exc_message": ["boom"], "exc_module": "builtins"},
                    "traceback": "Traceback…", "date_done": &done[..26]}),
                json!({"type": "task-failed", "exception": "ValueError('boom')", "traceback": "Traceback…", "uuid": "u1",
                    "timestamp": 1_795_260_403.717_33}),
            ),
            (
                json!({"status": "REVOKED", "result": {"exc_type": "TaskRevokedError", "exc_message": ["terminated"]}, "date_done": null}),
                json!({"type": "task-revoked", "terminated": true, "expired": false, "uuid": "u1", "timestamp": null}),
            ),
            (
                json!({"status": "IGNORED", "date_done": "yesterday"}),
                json!({"type": "task-rejected", "requeue": false, "uuid": "u1", "timestamp": null}),
            ),
        ] {
            assert_eq!(read(&stored), Some(expected));
        }
        assert_eq!(exception(&json!({"exc_type": "KeyError", "exc_message": "it's"})), "KeyError(\"it's\")");
        assert_eq!((exception(&json!({"exc_type": "Stop"})), exception(&json!("odd"))), ("Stop()".to_owned(), "'odd'".to_owned()));
    }

    #[test]
    fn arguments_are_those_of_an_extended_result() {
        let read = |stored: Value| arguments(stored.to_string().as_bytes());
        let extended = json!({"status": "FAILURE", "args": [1, "a"], "kwargs": {"password": "b"}, "name": "shop.add"});
        assert_eq!(read(extended), Some((json!([1, "a"]), json!({"password": "b"}))));
        for other in
            [json!({"status": "SUCCESS"}), json!({"args": null, "kwargs": null}), json!({"args": "(1,)", "kwargs": "{}"}), json!([])]
        {
            assert_eq!(read(other.clone()), None, "{other}");
        }
    }

    #[test]
    fn results_of_running_or_retried_tasks_are_skipped() {
        for stored in
            [json!({"status": "STARTED", "result": {"pid": 7}}), json!({"status": "RETRY"}), json!({"status": 7}), json!([]), json!({})]
        {
            assert_eq!(read(&stored), None, "{stored}");
        }
        assert!(end("u1", b"\x80\x05}").is_none(), "pickle");
    }
}
