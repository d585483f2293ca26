//! `GET /api/openapi.json`

use std::sync::Arc;

use axum::{Extension, Json};
use monitor_wire::{Method, Problem, StreamMessage};
use serde_json::{Value, json};
use utoipa::OpenApi;

use super::login::SESSION;
use super::params::{NoParams, Strict};
use super::routes::{Rules, Wants};
use crate::access::Scope;

/// What no route says by itself.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Process Monitor",
        description = "Takes events, and shows the trees that they make. Times are Unix microseconds, durations nanoseconds; \
                       errors are `application/problem+json` with a `detail` that says what to do.",
    ),
    tags(
        (name = "events", description = "What monitored programs send"),
        (name = "OpenTelemetry", description = "What OpenTelemetry's SDKs send, as OTLP/HTTP"),
        (name = "trees", description = "Roots and their processes"),
        (name = "statistics", description = "What became of processes, by name and over time"),
        (name = "queues", description = "Tasks of queues"),
        (name = "workers", description = "Who reports"),
        (name = "batch tasks", description = "Tasks that agents run by rules of time, and their runs"),
        (name = "alerts", description = "Who is told of what, and why"),
        (name = "heartbeats", description = "Jobs that run elsewhere, and tell that they ran by `GET`, `HEAD` or `POST /ping/KEY`"),
        (name = "commands", description = "What is asked of workers, and what they answer"),
        (name = "stream", description = "What happens, while it happens"),
        (name = "access", description = "Who asks, and who changed what"),
        (name = "server", description = "The server itself"),
    ),
    components(schemas(
        Problem,
        StreamMessage,
        super::roots::Sort,
        super::export::ExportFormat, super::logs::Level,
        super::logs::LogOrder,
        monitor_wire::AlertWebhook,
        super::stats::By,
        super::stats::StatsOrder
    )),
)]
pub(super) struct Api;

/// This description.
#[utoipa::path(
    get,
    path = "/api/openapi.json",
    tag = "server",
    responses((status = 200, description = "OpenAPI 3.1", body = Object))
)]
pub(super) async fn get_openapi(Extension(description): Extension<Arc<Value>>, Strict(NoParams {}): Strict<NoParams>) -> Json<Value> {
    Json((*description).clone())
}

/// What the server asks others: the channels of alerts.
fn webhooks() -> Value {
    let header =
        |name: &str, description: &str| json!({"name": name, "in": "header", "description": description, "schema": {"type": "string"}});
    let signature = "`t=SECONDS,v1=HEX`: HMAC-SHA256 by the channel's `secret` over `SECONDS`, a dot and the body";
    json!({"alert": {"post": {
        "description": "A message about an alert, as a channel of the kind `webhook` posts it.",
        "tags": ["alerts"],
        "parameters": [header("Idempotency-Key", "The message's id, the same for each attempt"), header("Monitor-Signature", signature)],
        "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/AlertWebhook"}}}, "required": true},
        "responses": {"2XX": {"description": "It is delivered. Any other answer: it is sent again, not before `Retry-After`"}},
    }}})
}

/// Returns a table of the methods that workers may know.
fn methods() -> String {
    let row = |method: &Method| {
        let argument = |argument: &monitor_wire::Argument| {
            let optional = if argument.is_required { "" } else { "?" };
            let unit = argument.kind.unit().map(|unit| format!(" in {unit}")).unwrap_or_default();
            format!("`{}{optional}` ({}{unit})", argument.name, argument.kind.as_str())
        };
        let arguments: Vec<String> = method.arguments.iter().map(argument).collect();
        let single = if method.is_single { ", by one of the workers" } else { "" };
        format!("\n| `{}` | `{}` | {} | {}{single} |", method.name, method.scope, arguments.join(", "), method.help)
    };
    let rows: String = Method::ALL.iter().map(row).collect();
    format!(
        "Any other method is a program's own and needs the scope `operate`.\n\n| method | scope | arguments | effect |\n|---|---|---|---|{rows}"
    )
}

/// A root's id, or its number.
const ROOT: &str = "^((?!0{32}$)[0-9a-f]{32}|[0-9]{1,18})$";

/// A process's id, or the beginning of one.
const PROCESS: &str = "^(?!0{16}$)[0-9a-f]{6,16}$";

/// The key of a worker's channel.
const CHANNEL_KEY: &str = "^[0-9A-Za-z]{32,128}$";

/// The description as it is served: what holds for every route is added to what the routes say themselves.
pub(super) fn whole(description: &utoipa::openapi::OpenApi, rules: &Rules) -> Value {
    let mut whole = serde_json::to_value(description).expect("plain data with text keys is JSON");
    whole["components"]["securitySchemes"] = json!({
        "token": {"type": "http", "scheme": "bearer", "description": "One of `monitor token create NAME --scope SCOPE`"},
        "login": {"type": "apiKey", "in": "cookie", "name": SESSION, "description": "From `POST /login`; by https its name begins with `__Host-`"},
    });
    whole["webhooks"] = webhooks();
    whole["paths"]["/api/v1/commands"]["post"]["description"] = methods().into();
    widen(&mut whole["components"]);
    open_parts(&mut whole["components"]["schemas"]);
    let paths = whole["paths"].as_object_mut().expect("paths");
    for (path, item) in paths {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            complete(rules, path, &method.to_uppercase(), operation);
        }
    }
    whole
}

/// Copies schemas without additional properties into the `allOf` that refers to them, and permits additional properties there: every part
/// of an `allOf` is checked against the properties of all parts.
fn open_parts(schemas: &mut Value) {
    let named = schemas.clone();
    for schema in schemas.as_object_mut().into_iter().flat_map(|schemas| schemas.values_mut()) {
        for part in schema.get_mut("allOf").and_then(Value::as_array_mut).into_iter().flatten() {
            let name = part["$ref"].as_str().and_then(|path| path.strip_prefix("#/components/schemas/"));
            if let Some(closed) = name.map(|name| &named[name]).filter(|named| named["additionalProperties"] == false) {
                *part = closed.clone();
                part.as_object_mut().map(|part| part.remove("additionalProperties"));
            }
        }
    }
}

/// Lets whole numbers without a sign have all of their bits, for which OpenAPI has no format.
fn widen(schema: &mut Value) {
    if schema["minimum"] == 0 && schema.get("maximum").is_none() {
        match schema["format"].as_str() {
            Some("int32") => schema["maximum"] = u32::MAX.into(),
            Some("int64") => schema["maximum"] = u64::MAX.into(),
            _ => return,
        }
        schema.as_object_mut().map(|schema| schema.remove("format"));
    }
    match schema {
        Value::Object(parts) => parts.values_mut().for_each(widen),
        Value::Array(parts) => parts.iter_mut().for_each(widen),
        _ => {}
    }
}

fn complete(rules: &Rules, path: &str, method: &str, operation: &mut Value) {
    let method = method.parse().expect("a method");
    let scope = match rules.of(&method, Some(path)).wants {
        Wants::Scope(scope) => Some(scope),
        Wants::Nothing | Wants::Page => None,
    };
    operation["security"] = match scope {
        None => json!([]),
        // From this machine, or with `--insecure`, without anything.
        Some(Scope::Ingest | Scope::Read) => json!([{"token": []}, {"login": []}, {}]),
        Some(Scope::Agent | Scope::Operate | Scope::Admin) => json!([{"token": []}, {"login": []}]),
    };
    let scope = scope.map_or_else(String::new, |scope| format!(" of scope `{}`", scope.as_str()));
    for (status, description) in [
        ("400", "A parameter is not known, or can't be read".to_owned()),
        ("401", format!("It takes a token{scope} or a login, or the token is none")),
        ("403", "Whoever asks may not, or a page of another site asks".to_owned()),
        ("421", "`Host` is no name that this server answers to".to_owned()),
        ("429", "Too many requests or failures of this address: again after `Retry-After`".to_owned()),
        ("500", "The server failed; its log says more".to_owned()),
        ("503", "Busy or stopping, or its disk has no room: again after `Retry-After`".to_owned()),
    ] {
        let problem = json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}});
        let answer = &mut operation["responses"][status];
        if answer.is_null() {
            *answer = json!({"description": description, "content": problem});
        }
        // OTLP's errors have its own form, but for those of who doesn't get as far.
        answer["content"].as_object_mut().into_iter().for_each(|content| {
            let (kind, schema) = problem.as_object().into_iter().flatten().next().expect("one");
            content.entry(kind).or_insert_with(|| schema.clone());
        });
    }
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        if parameter["in"] == "query" && parameter["required"] != true {
            // Forms send their empty fields, too: they are as if they weren't given.
            parameter["allowEmptyValue"] = true.into();
        }
        if parameter["name"] == "root" {
            parameter["schema"]["pattern"] = ROOT.into();
            parameter["example"] = "0199a3ce929d0e0e47360199a3ce929d".into();
        } else if parameter["name"] == "Monitor-Channel-Key" {
            parameter["schema"]["pattern"] = CHANNEL_KEY.into();
        } else if parameter["name"] == "name" && parameter["in"] == "path" {
            parameter["example"] = if path.contains("/agents/") { "db-1" } else { "gold" }.into();
        } else if parameter["name"] == "id" {
            let is_worker = path.contains("/workers/");
            parameter["example"] = if is_worker { "5b0c00000000000000000000000000ff" } else { "a3ce929d0e0e4736" }.into();
            if path == "/api/v1/processes/{id}" {
                parameter["schema"]["pattern"] = PROCESS.into();
            }
        }
    }
}
