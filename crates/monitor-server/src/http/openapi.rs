//! `GET /api/openapi.json`: the description of the API.

use axum::Extension;
use axum::body::Bytes;
use axum::response::IntoResponse;
use http::header::CONTENT_TYPE;
use monitor_wire::{Method, Problem, StreamMessage};
use serde_json::{Value, json};
use utoipa::OpenApi;

use super::login::SESSION;
use super::params::{NoParams, Strict};
use super::routes::{Rules, Wants};
use crate::access::Scope;

/// Parts of the description that don't belong to a single route.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Process Monitor",
        description = "The server accepts events from monitored programs and agents, and returns the runs, processes and logs that result from \
                       them. Times are in Unix microseconds, durations in nanoseconds and sizes in bytes. Errors are \
                       `application/problem+json`; `detail` describes the mistake and the remedy. A list has a `limit` and returns a \
                       `next_cursor` if there are more entries.",
    ),
    tags(
        (name = "events", description = "Events from monitored programs"),
        (name = "OpenTelemetry", description = "Spans and logs from OpenTelemetry SDKs, as OTLP over HTTP"),
        (name = "runs", description = "Runs and their processes"),
        (name = "statistics", description = "Outcomes and durations of processes, by name and over time"),
        (name = "queues", description = "Tasks of queues"),
        (name = "workers", description = "Programs and agents that report events"),
        (name = "batch tasks", description = "Tasks that agents run on schedules, and their runs"),
        (name = "jobs", description = "Scripts that run on many hosts, and the hosts"),
        (name = "alerts", description = "Alerts, and the rules, channels and silences that determine their messages"),
        (name = "heartbeats", description = "External jobs, which report each run by `GET`, `HEAD` or `POST /ping/KEY`"),
        (name = "commands", description = "Requests to workers, and their replies"),
        (name = "stream", description = "Live events"),
        (name = "access", description = "Users, tokens and the audit log"),
        (name = "server", description = "The server itself"),
    ),
    components(schemas(
        Problem,
        StreamMessage,
        super::roots::Sort,
        super::jobs::list::JobsState,
        super::export::ExportFormat, super::logs::Level,
        super::logs::LogOrder,
        monitor_wire::AlertWebhook,
        super::stats::By,
        super::stats::StatsOrder
    )),
)]
pub(super) struct Api;

/// The description as JSON, which needs less memory than its values.
#[derive(Clone)]
pub(super) struct Text(Bytes);

impl Text {
    pub(super) fn of(description: &Value) -> Self {
        Self(description.to_string().into())
    }
}

/// Returns this description.
#[utoipa::path(
    get,
    path = "/api/openapi.json",
    tag = "server",
    responses((status = 200, description = "OpenAPI 3.1", body = Object))
)]
pub(super) async fn get_openapi(Extension(Text(text)): Extension<Text>, Strict(NoParams {}): Strict<NoParams>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], text)
}

/// Describes the requests that the server sends to others: the webhooks of alert channels.
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

/// Returns a table of the methods that workers may support.
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

/// Pattern of a root's id or number.
const ROOT: &str = "^((?!0{32}$)[0-9a-f]{32}|[0-9]{1,18})$";

/// Pattern of a process id or its first digits.
const PROCESS: &str = "^(?!0{16}$)[0-9a-f]{6,16}$";

/// Pattern of the key of a worker's channel.
const CHANNEL_KEY: &str = "^[0-9A-Za-z]{32,128}$";

/// Returns the complete description: the routes' own descriptions plus everything that applies to all routes.
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

/// Copies schemas without additional properties into the `allOf` that refers to them, and permits additional properties there, because JSON
/// Schema validates each part of an `allOf` against the properties of all parts.
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

/// Sets the maximum of unsigned integers explicitly, because OpenAPI has no format for them.
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
        // Requests from this machine, and all requests with `--insecure`, need no credentials.
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
        ("500", "The server failed; its log contains the cause".to_owned()),
        ("503", "Busy or stopping, or its disk has no room: again after `Retry-After`".to_owned()),
    ] {
        let problem = json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}});
        let answer = &mut operation["responses"][status];
        if answer.is_null() {
            *answer = json!({"description": description, "content": problem});
        }
        // Errors of OTLP routes have OTLP's own format, except for errors from before the handler, such as a missing token.
        answer["content"].as_object_mut().into_iter().for_each(|content| {
            let (kind, schema) = problem.as_object().into_iter().flatten().next().expect("one");
            content.entry(kind).or_insert_with(|| schema.clone());
        });
    }
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        if parameter["in"] == "query" && parameter["required"] != true {
            // HTML forms also send their empty fields. The server treats an empty parameter as missing.
            parameter["allowEmptyValue"] = true.into();
        }
        if parameter["name"] == "root" {
            parameter["schema"]["pattern"] = ROOT.into();
            parameter["example"] = "0199a3ce929d0e0e47360199a3ce929d".into();
        } else if parameter["name"] == "Monitor-Channel-Key" {
            parameter["schema"]["pattern"] = CHANNEL_KEY.into();
        } else if parameter["name"] == "name" && parameter["in"] == "path" {
            parameter["example"] = if path.contains("/agents/") { "db-1" } else { "gold" }.into();
        } else if parameter["name"] == "id" && parameter["schema"]["type"] == "integer" {
            parameter["example"] = 7.into();
        } else if parameter["name"] == "host" && parameter["in"] == "path" {
            parameter["example"] = "web-1".into();
        } else if parameter["name"] == "id" {
            let is_worker = path.contains("/workers/");
            parameter["example"] = if is_worker { "5b0c00000000000000000000000000ff" } else { "a3ce929d0e0e4736" }.into();
            if path == "/api/v1/processes/{id}" {
                parameter["schema"]["pattern"] = PROCESS.into();
            }
        }
    }
}
