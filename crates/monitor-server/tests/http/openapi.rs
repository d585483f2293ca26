use expect_test::expect_file;
use monitor_wire::{Argument, Method};
use serde_json::{Value, json};

use crate::stream::Reader;
use crate::support::{CHILD, ROOT, TestServer, WORKER, batch, read, tree};

/// All routes, sorted.
const ROUTES: &[&str] = &[
    "delete /api/v1/alerts/hushes/{hush}",
    "delete /api/v1/alerts/rules/{rule}",
    "delete /api/v1/batch-tasks/{name}",
    "delete /api/v1/heartbeats/{name}",
    "delete /api/v1/hosts/{id}",
    "delete /api/v1/roots/{root}",
    "delete /api/v1/roots/{root}/pin",
    "delete /api/v1/targets/{name}",
    "get /api/openapi.json",
    "get /api/v1/agents",
    "get /api/v1/agents/{name}/book",
    "get /api/v1/agents/{name}/job-orders",
    "get /api/v1/alerts",
    "get /api/v1/alerts/explain",
    "get /api/v1/alerts/hushes",
    "get /api/v1/alerts/rules",
    "get /api/v1/alerts/trials",
    "get /api/v1/alerts/try",
    "get /api/v1/alerts/{alert}",
    "get /api/v1/audit",
    "get /api/v1/batch-tasks",
    "get /api/v1/batch-tasks/rules/next",
    "get /api/v1/batch-tasks/runs",
    "get /api/v1/batch-tasks/runs/day",
    "get /api/v1/batch-tasks/runs/{id}/log",
    "get /api/v1/batch-tasks/{name}",
    "get /api/v1/batch-tasks/{name}/explain",
    "get /api/v1/batch-tasks/{name}/publications",
    "get /api/v1/batch-tasks/{name}/publications/{publication}",
    "get /api/v1/batch-tasks/{name}/publications/{publication}/compare",
    "get /api/v1/batch-tasks/{name}/publications/{publication}/file",
    "get /api/v1/batch-tasks/{name}/versions",
    "get /api/v1/commands",
    "get /api/v1/commands/methods",
    "get /api/v1/commands/{id}",
    "get /api/v1/doctor",
    "get /api/v1/heartbeats",
    "get /api/v1/hosts",
    "get /api/v1/jobs",
    "get /api/v1/jobs/key",
    "get /api/v1/jobs/{id}",
    "get /api/v1/jobs/{id}/callbacks",
    "get /api/v1/jobs/{id}/hosts",
    "get /api/v1/jobs/{id}/hosts/{host}/output",
    "get /api/v1/jobs/{id}/request",
    "get /api/v1/jobs/{id}/result",
    "get /api/v1/jobs/{id}/wait",
    "get /api/v1/me",
    "get /api/v1/processes",
    "get /api/v1/processes/{id}",
    "get /api/v1/queue-tasks",
    "get /api/v1/queue-tasks/types",
    "get /api/v1/queue-tasks/{uuid}",
    "get /api/v1/queue-tasks/{uuid}/result",
    "get /api/v1/queues",
    "get /api/v1/roots",
    "get /api/v1/roots/names",
    "get /api/v1/roots/{root}",
    "get /api/v1/roots/{root}/export",
    "get /api/v1/roots/{root}/logs",
    "get /api/v1/roots/{root}/processes/{id}",
    "get /api/v1/roots/{root}/processes/{id}/logs",
    "get /api/v1/roots/{root}/tree",
    "get /api/v1/stats",
    "get /api/v1/stats/causes",
    "get /api/v1/stats/errors",
    "get /api/v1/stats/series",
    "get /api/v1/status",
    "get /api/v1/stream",
    "get /api/v1/targets",
    "get /api/v1/tokens",
    "get /api/v1/workers",
    "get /api/v1/workers/{id}",
    "get /api/v1/workers/{id}/channel",
    "get /api/v1/workers/{id}/commands",
    "get /healthz",
    "get /metrics",
    "get /readyz",
    "post /api/v1/agents/{name}/job-output",
    "post /api/v1/agents/{name}/job-reports",
    "post /api/v1/agents/{name}/pause",
    "post /api/v1/agents/{name}/resume",
    "post /api/v1/alerts/channels/{channel}/preview",
    "post /api/v1/alerts/channels/{channel}/test",
    "post /api/v1/alerts/hushes",
    "post /api/v1/alerts/trials",
    "post /api/v1/alerts/{alert}/ack",
    "post /api/v1/alerts/{alert}/resolve",
    "post /api/v1/backup",
    "post /api/v1/batch-tasks",
    "post /api/v1/batch-tasks/apply",
    "post /api/v1/batch-tasks/rehearse",
    "post /api/v1/batch-tasks/runs/{id}/kill",
    "post /api/v1/batch-tasks/runs/{id}/rerun",
    "post /api/v1/batch-tasks/{name}/kill",
    "post /api/v1/batch-tasks/{name}/pause",
    "post /api/v1/batch-tasks/{name}/publications/{publication}/restore",
    "post /api/v1/batch-tasks/{name}/resume",
    "post /api/v1/batch-tasks/{name}/run",
    "post /api/v1/clock/confirm",
    "post /api/v1/commands",
    "post /api/v1/commands/{id}/replies",
    "post /api/v1/events",
    "post /api/v1/heartbeats",
    "post /api/v1/heartbeats/{name}/roll",
    "post /api/v1/jobs",
    "post /api/v1/jobs/key",
    "post /api/v1/jobs/{id}/operate",
    "post /api/v1/queue-tasks",
    "post /api/v1/queue-tasks/retry",
    "post /api/v1/queue-tasks/revoke",
    "post /api/v1/roots/{root}/cancel",
    "post /api/v1/roots/{root}/pin",
    "post /v1/logs",
    "post /v1/traces",
    "put /api/v1/alerts/rules/{rule}",
    "put /api/v1/batch-tasks/{name}",
    "put /api/v1/heartbeats/{name}",
    "put /api/v1/hosts",
    "put /api/v1/targets/{name}",
];

#[tokio::test]
async fn every_route_is_described() {
    let server = TestServer::start().await;
    let description = server.ask("/api/openapi.json").await;
    let mut routes: Vec<_> = description["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |method| format!("{method} {path}")))
        .collect();
    routes.sort_unstable();
    assert_eq!(routes, ROUTES);
}

#[tokio::test]
async fn operations_have_names_of_their_own_and_their_parameters_words() {
    let server = TestServer::start().await;
    let description = server.ask("/api/openapi.json").await;
    // Generated clients have one function per operation id.
    let operations = description["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    let mut ids: Vec<&str> = operations.filter_map(|operation| operation["operationId"].as_str()).collect();
    ids.sort_unstable();
    let again: Vec<&str> = ids.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    assert_eq!(again, [""; 0], "operation ids are unique");
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(operation["responses"].as_object().is_some_and(|responses| !responses.is_empty()), "{method} {path}");
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            for parameter in parameters {
                assert!(parameter["description"].as_str().is_some_and(|words| !words.is_empty()), "{method} {path}: {parameter}");
                assert!(parameter["in"] != "path" || !parameter["example"].is_null(), "{method} {path}: {parameter}");
            }
        }
    }
}

#[tokio::test]
async fn scopes_and_error_responses_of_operations_are_described() {
    let server = TestServer::start().await;
    let description = server.ask("/api/openapi.json").await;
    let schemes: Vec<_> = description["components"]["securitySchemes"].as_object().unwrap().keys().collect();
    assert_eq!(schemes, ["login", "token"]);
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            for status in ["400", "401", "403", "421", "429", "500", "503"] {
                let problem = &operation["responses"][status]["content"]["application/problem+json"];
                assert_eq!(problem["schema"]["$ref"], "#/components/schemas/Problem", "{method} {path} {status}");
            }
            let wants = operation["security"].as_array().unwrap();
            let anybody = ["/healthz", "/readyz", "/api/v1/me"].contains(&path.as_str()) || (path == "/api/v1/jobs/key" && method == "get");
            let open = wants.contains(&json!({}));
            // Callers with `read` may also send commands that change nothing, and rehearse.
            let is_open = [
                "/api/v1/alerts/trials",
                "/api/v1/batch-tasks/rehearse",
                "/api/v1/events",
                "/v1/traces",
                "/v1/logs",
                "/api/v1/commands",
                "/api/v1/commands/{id}/replies",
            ];
            let is_change = method != "get" && !is_open.contains(&path.as_str());
            let is_restricted = [
                "/api/v1/agents/{name}/book",
                "/api/v1/agents/{name}/job-orders",
                "/api/v1/audit",
                "/api/v1/jobs/{id}/request",
                "/api/v1/tokens",
            ]
            .contains(&path.as_str());
            let expected = (anybody, !anybody && !is_change && !is_restricted);
            assert_eq!((wants.is_empty(), open), expected, "{method} {path}: {wants:?}");
        }
    }
    let export = &description["paths"]["/api/v1/roots/{root}/export"]["get"]["responses"]["200"]["content"];
    assert_eq!(
        export.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["application/json", "application/x-ndjson", "application/xml", "text/html"]
    );
    for (path, place, right, wrong) in [
        ("/api/v1/roots/{root}/tree", 0, ["7", ROOT], ["", "x", "-1", "00000000000000000000000000000000", "99999999999999999999"]),
        ("/api/v1/processes/{id}", 0, [CHILD, "000001"], ["", "7", "0000000000000000", "000000000000000G", WORKER]),
    ] {
        let mut schema = description["paths"][path]["get"]["parameters"][place]["schema"].clone();
        schema["components"] = description["components"].clone();
        let is_taken = |text: &str| jsonschema::draft202012::is_valid(&schema, &json!(text));
        assert!(right.iter().all(|text| is_taken(text)), "{path}: {schema}");
        assert!(!wrong.iter().any(|text| is_taken(text)), "{path}: {schema}");
    }
}

#[tokio::test]
async fn a_number_above_its_maximum_is_refused_by_its_name() {
    let server = TestServer::start().await;
    let description = server.ask("/api/openapi.json").await;
    let token = server.local_token();
    let mut tried = Vec::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let (schema, name) = (&parameter["schema"], parameter["name"].as_str().unwrap());
                if parameter["in"] != "query" || schema["type"] != "integer" {
                    continue;
                }
                let of_format = || (schema["format"] == "int32").then_some(i32::MAX as u64);
                let Some(maximum) = schema["maximum"].as_u64().or_else(of_format) else { continue };
                let filled =
                    path.replace("{root}", "7").replace("{name}", "local").replace("{id}", "a3ce929d0e0e4736").replace("{uuid}", "u");
                let others =
                    operation["parameters"].as_array().unwrap().iter().filter(|other| other["in"] == "query" && other["required"] == true);
                let others = others.filter(|other| *other != parameter).map(|other| format!("&{}=1", other["name"].as_str().unwrap()));
                let others = others.collect::<Vec<_>>().concat();
                let url = format!("http://{}{filled}?{name}={}{others}", server.address, maximum + 1);
                let request = server.client.request(method.to_uppercase().parse().unwrap(), url).bearer_auth(&token);
                let (status, problem) = read(request.send().await.unwrap()).await;
                let detail = problem["detail"].as_str().unwrap_or_default();
                assert!(status == 400 && detail.contains(&format!("`{name}`")), "{method} {path} {name} {maximum}: {status} {problem}");
                tried.push(format!("{path} {name} {maximum}"));
            }
        }
    }
    for parameter in [
        "/api/v1/roots offset 2147483647",
        "/api/v1/queue-tasks offset 2147483647",
        "/api/v1/agents/{name}/book wait_ms 60000",
        "/api/v1/queues timeout 60000",
    ] {
        assert!(tried.iter().any(|tried| tried == parameter), "{parameter}: {tried:#?}");
    }
}

#[tokio::test]
async fn answers_are_valid_for_a_client_that_permits_no_unknown_properties() {
    let server = TestServer::start().await;
    let description = server.ask("/api/openapi.json").await;
    let post = server.client.post(format!("http://{}/api/v1/heartbeats", server.address)).bearer_auth(server.local_token());
    let made = post.json(&json!({"name": "nightly", "every_ms": 60_000})).send().await.unwrap();
    assert_eq!(made.status(), 201);
    let answer = server.ask("/api/v1/heartbeats").await;
    assert_valid(&schema(&description, "/api/v1/heartbeats", "get", "200"), &answer, "heartbeats");
    let schemas = &description["components"]["schemas"];
    for (name, schema) in schemas.as_object().unwrap() {
        for part in schema["allOf"].as_array().into_iter().flatten() {
            let named = part["$ref"].as_str().and_then(|path| path.rsplit('/').next());
            let part = named.map_or(part, |named| &schemas[named]);
            assert_ne!(part["additionalProperties"], false, "{name}: the other parts of its `allOf` are refused by this one");
        }
    }
}

/// The page's types are generated from this file. After a change, run with `UPDATE_EXPECT=1`, and then `npm run types` in
/// crates/monitor-web/app.
#[tokio::test]
async fn the_page_knows_this_description() {
    let server = TestServer::start().await;
    let description = server.ask("/api/openapi.json").await;
    let text = format!("{description:#}\n");
    expect_file!["../../../monitor-web/app/src/api/openapi.json"].assert_eq(&text);
}

/// The page's table of methods is generated from that of the wire format. After a change, run with `UPDATE_EXPECT=1`.
#[test]
fn the_page_knows_the_methods_of_workers() {
    let argument = |argument: &Argument| {
        let mut field = json!({"name": argument.name, "kind": argument.kind.as_str()});
        if !argument.is_required {
            field["isOptional"] = true.into();
        }
        field
    };
    let row = |method: &Method| {
        let arguments: Vec<Value> = method.arguments.iter().map(argument).collect();
        let (scope, has_own_command) = (method.scope.as_str(), method.has_own_command());
        format!("  {},\n", json!({"name": method.name, "scope": scope, "hasOwnCommand": has_own_command, "arguments": arguments}))
    };
    let text = format!(
        "/** Generated from the table of methods in monitor-wire by `UPDATE_EXPECT=1 cargo test -p monitor-server --test http openapi`. */\n\
         import type {{ Method }} from \"../model/orders.ts\";\n\nexport const METHODS: readonly Method[] = [\n{}];\n",
        Method::ALL.iter().map(row).collect::<String>()
    );
    expect_file!["../../../monitor-web/app/src/api/methods.ts"].assert_eq(&text);
}

/// Returns the schema of a response, with all schemas it refers to.
fn schema(description: &Value, path: &str, method: &str, status: &str) -> Value {
    let content = description["paths"][path][method]["responses"][status]["content"].as_object();
    let content = content.unwrap_or_else(|| panic!("{method} {path} {status} is not described"));
    let mut schema = content.values().next().unwrap()["schema"].clone();
    schema["components"] = description["components"].clone();
    schema
}

fn assert_valid(schema: &Value, value: &Value, what: &str) {
    let validator = jsonschema::draft202012::new(schema).expect("a schema");
    let errors: Vec<_> = validator.iter_errors(value).map(|error| format!("{} at {}", error, error.instance_path())).collect();
    assert!(errors.is_empty(), "{what}: {errors:#?}\n{value:#}");
}

#[tokio::test]
async fn answers_are_as_described() {
    let server = TestServer::start().await;
    let description = server.ask("/api/openapi.json").await;
    assert_valid(&schema(&description, "/api/v1/events", "post", "200"), &json!({"accepted": 3}), "accepted");
    server.send(&tree()).await;
    for (path, route) in [
        ("/api/v1/roots".to_owned(), "/api/v1/roots"),
        (format!("/api/v1/roots/{ROOT}"), "/api/v1/roots/{root}"),
        (format!("/api/v1/roots/{ROOT}/tree"), "/api/v1/roots/{root}/tree"),
        (format!("/api/v1/roots/{ROOT}/processes/{CHILD}"), "/api/v1/roots/{root}/processes/{id}"),
        ("/api/v1/processes?kind=root".to_owned(), "/api/v1/processes"),
        (format!("/api/v1/processes/{CHILD}"), "/api/v1/processes/{id}"),
        ("/api/v1/queue-tasks".to_owned(), "/api/v1/queue-tasks"),
        ("/api/v1/queue-tasks/types".to_owned(), "/api/v1/queue-tasks/types"),
        ("/api/v1/queues".to_owned(), "/api/v1/queues"),
        ("/api/v1/workers".to_owned(), "/api/v1/workers"),
        (format!("/api/v1/workers/{WORKER}"), "/api/v1/workers/{id}"),
        ("/api/v1/roots/names".to_owned(), "/api/v1/roots/names"),
        ("/api/v1/stats".to_owned(), "/api/v1/stats"),
        ("/api/v1/stats/series".to_owned(), "/api/v1/stats/series"),
        ("/api/v1/stats/errors".to_owned(), "/api/v1/stats/errors"),
        ("/api/v1/stats/causes".to_owned(), "/api/v1/stats/causes"),
        ("/api/v1/status".to_owned(), "/api/v1/status"),
        ("/healthz".to_owned(), "/healthz"),
    ] {
        let answer = server.ask(&path).await;
        assert_valid(&schema(&description, route, "get", "200"), &answer, &path);
    }
    for (path, route, status) in [
        ("/api/v1/roots?limit=0", "/api/v1/roots", 400),
        ("/api/v1/roots/9", "/api/v1/roots/{root}", 404),
        ("/api/v1/roots?unattached=maybe", "/api/v1/roots", 400),
        ("/api/v1/roots/9/tree", "/api/v1/roots/{root}/tree", 404),
        ("/api/v1/stream?after=x", "/api/v1/stream", 400),
    ] {
        let (found, problem) = read(server.get(path).send().await.unwrap()).await;
        assert_eq!(found, status);
        assert_valid(&schema(&description, route, "get", &status.to_string()), &problem, path);
    }
}

/// Returns the published samples of all events that workers send, and of an unknown one.
fn samples() -> Vec<Value> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../monitor-wire/fixtures");
    let types = ["queued", "started", "updated", "progressed", "logged", "folded", "ended"].map(|name| format!("process-{name}"));
    let types = types.into_iter().chain(["online", "heartbeat", "offline"].map(|name| format!("worker-{name}")));
    let types = types.chain(["unknown".to_owned()]);
    let read = |name| std::fs::read_to_string(format!("{folder}/{name}.json")).expect("a sample");
    types.map(|name| serde_json::from_str(&read(name)).expect("JSON")).collect()
}

#[tokio::test]
async fn batches_and_stream_messages_are_as_described() {
    let server = TestServer::start().await;
    let description = server.ask("/api/openapi.json").await;
    let mut body = description["paths"]["/api/v1/events"]["post"]["requestBody"]["content"]["application/json"]["schema"].clone();
    body["components"] = description["components"].clone();
    let batch = batch(1, &samples());
    assert_valid(&body, &batch, "a batch");
    let mut other = batch.clone();
    other["events"][0]["id"] = json!(7);
    assert!(!jsonschema::draft202012::is_valid(&body, &other), "a number is no id");
    server.send(&batch).await;
    let as_of = server.ask("/api/v1/roots").await["as_of"].as_u64().unwrap();
    let described = schema(&description, "/api/v1/stream", "get", "200");
    let mut reader = Reader::open(server.get("/api/v1/stream?after=0")).await;
    loop {
        let message = reader.next().await;
        assert_valid(&described, &message.data, &message.event);
        if message.id == as_of {
            break;
        }
    }
}
