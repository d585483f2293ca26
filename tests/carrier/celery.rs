//! A sender of a task of Celery on Redis.

use monitor_client::{root_task, task};
use redis::Commands;
use serde_json::{Map, Value, json};

/// Puts a task without arguments into the queue `celery`.
#[root_task("checkout")]
pub(crate) fn send(url: &str, name: &str, id: &str) {
    let mut connection = redis::Client::open(url).expect("a URL").get_connection().expect("a server");
    let body = json!([[], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]).to_string();
    let headers = json!({"lang": "py", "task": name, "id": id, "retries": 0, "argsrepr": "()", "kwargsrepr": "{}", "origin": "checkout"});
    let mut headers: Map<String, Value> = headers.as_object().expect("an object").clone();
    headers.extend(task::celery_headers().into_iter().map(|(header, value)| (header.to_owned(), value.into())));
    let properties = json!({"correlation_id": id, "reply_to": "", "delivery_mode": 2, "delivery_info": {"exchange": "", "routing_key": "celery"},
        "priority": 0, "delivery_tag": id});
    let message = json!({"body": body, "content-encoding": "utf-8", "content-type": "application/json", "headers": headers, "properties": properties});
    connection.lpush::<_, _, u64>("celery", message.to_string()).expect("added");
}
