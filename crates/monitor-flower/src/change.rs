//! Requests that start tasks or change workers.

use jiff::Timestamp;
use monitor_wire::{Command, CommandStatus, QueueCalled};
use serde_json::{Map, Value, json};

use crate::read::{TIMEOUT_MS, node, nodes, outcome, task, typed};
use crate::{Answer, Ask, Request, encoded};

/// Maximum time that a request waits for the end of a task, in milliseconds. It is repeated until the task has ended.
const WAIT_MS: u64 = 60_000;

pub(crate) async fn answer(api: &impl Ask, request: &Request, path: &[&str]) -> Result<Answer, Answer> {
    match path {
        ["task", "apply", name] => {
            let id = call(api, request, name, true).await?;
            while !api.ask(format!("/queue-tasks/{}/result?timeout={WAIT_MS}", encoded(&id)), None).await?["ended"]
                .as_bool()
                .unwrap_or(true)
            {}
            let process = task(api, &id).await?.ok_or_else(|| Answer::text(404, format!("Unknown task '{id}'")))?;
            Ok(Answer::json(outcome(&id, &process)))
        }
        ["task", how @ ("async-apply" | "send-task"), name] => {
            let id = call(api, request, name, *how == "async-apply").await?;
            Ok(Answer::json(json!({"task-id": id, "state": "PENDING"})))
        }
        ["task", "revoke", id] => {
            let body = json!({"ids": [id], "terminate": request.flag("terminate"), "timeout_ms": TIMEOUT_MS});
            api.ask("/queue-tasks/revoke".to_owned(), Some(body)).await?;
            Ok(Answer::message(format!("Revoked '{id}'")))
        }
        // Flower answers so if the result backend can't be used.
        ["task", "abort", _] => Err(Answer::html(503, "503: Service Unavailable")),
        ["task", what @ ("rate-limit" | "timeout"), name] => limit(api, request, what, name).await,
        ["worker", rest @ .., name] => worker(api, request, rest, name).await,
        _ => Err(Answer::html(404, "404: Not Found")),
    }
}

/// Sends a command to a node. Returns its message, or its error.
async fn command(api: &impl Ask, name: &str, method: &str, arguments: Value) -> Result<Result<String, String>, Answer> {
    let worker = node(api, name).await?;
    let body = json!({"method": method, "arguments": arguments, "to": {"workers": [worker.id]}, "timeout_ms": TIMEOUT_MS});
    let command: Command = match api.ask("/commands".to_owned(), Some(body)).await {
        Ok(answer) => typed(answer)?,
        // An argument that workers would refuse, too.
        Err(failure) if failure.status == 400 => return Ok(Err(failure.detail)),
        Err(failure) => return Err(failure.into()),
    };
    let Some(line) = command.lines.into_iter().next() else { return Ok(Err(format!("{name} was not asked"))) };
    if line.status != CommandStatus::OK {
        return Ok(Err(line.error.unwrap_or_else(|| line.status.to_string())));
    }
    let value = line.value.unwrap_or_default();
    let message = value.get("ok").unwrap_or(&value).as_str().map(str::to_owned);
    Ok(Ok(message.unwrap_or_default()))
}

async fn limit(api: &impl Ask, request: &Request, what: &str, task: &str) -> Result<Answer, Answer> {
    let name = request.text("workername").unwrap_or_default();
    let (method, title, arguments) = if what == "rate-limit" {
        ("rate-limit", "rate limit", json!({"name": task, "rate": request.text("ratelimit").unwrap_or_default()}))
    } else {
        let mut arguments = Map::from_iter([("name".to_owned(), task.into())]);
        for (theirs, ours) in [("soft", "soft_ms"), ("hard", "hard_ms")] {
            if let Some(seconds) = request.number::<f64>(theirs, "float")? {
                arguments.insert(ours.to_owned(), ((seconds * 1e3) as u64).into());
            }
        }
        ("time-limit", "timeouts", arguments.into())
    };
    match command(api, name, method, arguments).await? {
        Ok(message) => Ok(Answer::message(message)),
        Err(why) if why.contains("unknown task") => Err(Answer::text(404, format!("Unknown task '{task}'"))),
        Err(why) => Err(Answer::html(403, &format!("Failed to set {title}: '{why}'"))),
    }
}

async fn worker(api: &impl Ask, request: &Request, path: &[&str], name: &str) -> Result<Answer, Answer> {
    let n = request.number::<u64>("n", "int")?.unwrap_or(1);
    let queue = request.text("queue").unwrap_or_default();
    let number = |name| request.number::<u64>(name, "int").map(Option::unwrap_or_default);
    let autoscaled = || format!("Autoscaling '{name}' worker (min={}, max={})", number("min").unwrap_or(0), number("max").unwrap_or(0));
    let (method, arguments, failed, done) = match path {
        ["shutdown"] => ("shutdown", json!({}), format!("shut down '{name}' worker"), Some("Shutting down!".to_owned())),
        ["pool", "restart"] => {
            ("pool-restart", json!({}), format!("restart the '{name}' pool"), Some(format!("Restarting '{name}' worker's pool")))
        }
        ["pool", "grow"] => {
            ("pool-grow", json!({"n": n}), format!("grow '{name}' worker's pool"), Some(format!("Growing '{name}' worker's pool by {n}")))
        }
        ["pool", "shrink"] => {
            let done = Some(format!("Shrinking '{name}' worker's pool by {n}"));
            ("pool-shrink", json!({"n": n}), format!("shrink '{name}' worker's pool"), done)
        }
        ["pool", "autoscale"] => {
            let arguments = json!({"min": number("min")?, "max": number("max")?});
            ("autoscale", arguments, format!("autoscale '{name}' worker"), Some(autoscaled()))
        }
        ["queue", what @ ("add-consumer" | "cancel-consumer")] => {
            let of = if *what == "add-consumer" { format!("add '{queue}' consumer to") } else { format!("cancel '{queue}' consumer from") };
            (*what, json!({"queue": queue}), format!("{of} '{name}' worker"), None)
        }
        _ => return Err(Answer::html(404, "404: Not Found")),
    };
    match command(api, name, method, arguments).await? {
        Ok(message) => Ok(Answer::message(done.unwrap_or(message))),
        Err(why) => Err(Answer::html(403, &format!("Failed to {failed}: {why}"))),
    }
}

/// Starts a task, and returns its id.
async fn call(api: &impl Ask, request: &Request, name: &str, must_be_known: bool) -> Result<String, Answer> {
    let bad = |why: String| Answer::text(400, why);
    let body: Value = match &request.body[..] {
        [] => json!({}),
        body => serde_json::from_slice(body).map_err(|error| {
            let is_start = error.line() == 1 && error.column() <= 1;
            bad(if is_start { "Expecting value: line 1 column 1 (char 0)".to_owned() } else { error.to_string() })
        })?,
    };
    let options = body.as_object().ok_or_else(|| bad("invalid options".to_owned()))?;
    let args = options.get("args").cloned().unwrap_or_else(|| json!([]));
    if !args.is_array() {
        return Err(bad("args must be an array".to_owned()));
    }
    let kwargs = options.get("kwargs").cloned().unwrap_or_else(|| json!({}));
    if !kwargs.is_object() {
        return Err(bad("kwargs must be an object".to_owned()));
    }
    let mut call = json!({"name": name, "args": args, "kwargs": kwargs, "timeout_ms": TIMEOUT_MS});
    if let Some(queue) = options.get("queue").filter(|queue| queue.is_string()) {
        call["queue"] = queue.clone();
    }
    if let Some(seconds) = options.get("countdown").and_then(Value::as_f64) {
        call["countdown_ms"] = ((seconds * 1e3).max(0.0) as u64).into();
    }
    let now = Timestamp::now().as_microsecond();
    for (theirs, ours) in [("eta", "eta_us"), ("expires", "expires_us")] {
        let time = match options.get(theirs) {
            None | Some(Value::Null) => continue,
            Some(Value::Number(seconds)) => Some(now + (seconds.as_f64().unwrap_or_default() * 1e6) as i64),
            Some(text) => text
                .as_str()
                .and_then(|text| format!("{}Z", text.trim_end_matches('Z').replace(' ', "T")).parse::<Timestamp>().ok())
                .map(Timestamp::as_microsecond),
        };
        call[ours] = time.ok_or_else(|| bad(format!("`{theirs}` is no time such as 2026-01-31 08:00:00.000000")))?.max(0).into();
    }
    if must_be_known {
        check_known(api, name).await?;
    }
    let called: QueueCalled = typed(api.ask("/queue-tasks".to_owned(), Some(call)).await?)?;
    Ok(called.uuid)
}

/// Refuses a task that no node has registered.
async fn check_known(api: &impl Ask, name: &str) -> Result<(), Answer> {
    let to: Vec<_> = nodes(api).await?.into_iter().map(|(_, worker)| worker.id).collect();
    let body = json!({"method": "registered", "to": {"workers": to}, "timeout_ms": TIMEOUT_MS});
    let unknown = || Answer::text(404, format!("Unknown task '{name}'"));
    if to.is_empty() {
        return Err(unknown());
    }
    let command: Command = typed(api.ask("/commands".to_owned(), Some(body)).await?)?;
    let tasks = command.lines.iter().filter_map(|line| line.value.as_ref()?.as_array()).flatten().filter_map(Value::as_str);
    // A task with a rate limit is shown as `name [rate_limit=10/m]`.
    tasks.map(|task| task.split(' ').next().unwrap_or_default()).any(|task| task == name).then_some(()).ok_or_else(unknown)
}
