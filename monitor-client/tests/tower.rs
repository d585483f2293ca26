//! Tests the recording of requests, over real connections to a real server.

#![cfg(feature = "record")]

mod support;

use std::convert::Infallible;
use std::io;

use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::{HeaderMap, Request, Response, StatusCode};
use axum::routing::{any, get};
use axum::{Router, serve};
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use monitor_client::reqwest_middleware::Middleware;
use monitor_client::tower::{ClientLayer, ServerLayer};
use monitor_client::{Process, broken_callers, normal_task};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tower_layer::Layer;
use tower_service::Service;

use crate::support::{Trees, record, run};

#[normal_task]
fn look_up(name: &str) -> usize {
    name.len()
}

#[normal_task]
fn write_line() {}

/// Responses that are sent in parts, each when the test requests it; an error ends them early.
type Parts = mpsc::UnboundedReceiver<Result<&'static str, io::Error>>;

fn parts(parts: Parts) -> Body {
    Body::from_stream(stream::unfold(parts, async |mut parts| {
        let part = parts.recv().await?;
        write_line();
        Some((part, parts))
    }))
}

/// Notified by `/stays` when it has begun.
static BEGUN: Notify = Notify::const_new();

async fn panics() -> StatusCode {
    panic!("told so")
}

fn app() -> Router {
    Router::new()
        .route("/users/{id}", get(async |Path(id): Path<String>| format!("{} letters", look_up(&id))))
        .route("/fails", any(async || StatusCode::BAD_GATEWAY))
        .route("/panics", get(panics))
        .route("/nothing", get(async || StatusCode::NO_CONTENT))
        .route(
            "/stays",
            get(async || {
                BEGUN.notify_one();
                std::future::pending::<()>().await;
            }),
        )
        .layer(ServerLayer::new())
}

/// Serves an app on its own port while `work` runs, then waits until every connection has ended.
fn serving<F: Future<Output = ()>>(app: Router, work: impl FnOnce(String) -> F) -> Trees {
    record(|| {
        run(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("an address").to_string();
            let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
            let server = serve(listener, app).with_graceful_shutdown(async { stopped.await.unwrap_or_default() });
            let server = tokio::spawn(server.into_future());
            work(address).await;
            stop.send(()).expect("it serves");
            server.await.expect("no panic").expect("it served");
        });
    })
}

/// Sends a request unchanged and reads the response until the connection closes.
async fn ask(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(format!("{request}\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_request_is_named_by_its_route_and_never_by_its_path() {
    let trees = serving(app(), async |address| {
        assert!(ask(&address, "GET /users/ada?token=secret HTTP/1.1").await.ends_with("3 letters"));
        assert!(ask(&address, "HEAD /users/ada HTTP/1.1").await.starts_with("HTTP/1.1 200"));
        assert!(ask(&address, "GET /secret HTTP/1.1").await.starts_with("HTTP/1.1 404"));
        assert!(ask(&address, "BREW /fails HTTP/1.1").await.starts_with("HTTP/1.1 502"));
        assert!(ask(&address, "GET /nothing HTTP/1.1").await.starts_with("HTTP/1.1 204"));
    });
    assert_eq!(
        trees.to_string(),
        "GET /users/{id} cross_process {http.method: GET} {http.route: /users/{id}} {http.status_code: 200}\n  look_up\n\
         HEAD /users/{id} cross_process {http.method: HEAD} {http.route: /users/{id}} {http.status_code: 200}\n  look_up\n\
         GET cross_process {http.method: GET} {http.status_code: 404}\n\
         HTTP /fails cross_process {http.method: HTTP} {http.route: /fails} {http.status_code: 502} error: HTTP 502 Bad Gateway\n\
         GET /nothing cross_process {http.method: GET} {http.route: /nothing} {http.status_code: 204}"
    );
}

#[test]
fn the_tree_of_a_caller_continues_and_broken_headers_are_counted() {
    let broken = broken_callers();
    let trees = serving(app(), async |address| {
        for header in ["00-0199a3ce929d0e0e47360199a3ce929d-a3ce929d0e0e4736-00", "00-so-ein-Käse", ""] {
            ask(&address, &format!("GET /nothing HTTP/1.1\r\ntraceparent: {header}")).await;
        }
    });
    let parents: Vec<u64> = trees.processes.iter().map(|process| process.started.parent).collect();
    assert_eq!(parents, [0xa3ce_929d_0e0e_4736, 0, 0]);
    assert_eq!(trees.processes[0].started.root, 0x0199_a3ce_929d_0e0e_4736_0199_a3ce_929d);
    assert!(broken_callers() > broken);
}

#[test]
fn a_panic_fails_its_request_and_not_the_next() {
    let trees = serving(app(), async |address| {
        assert_eq!(ask(&address, "GET /panics HTTP/1.1").await, "");
        assert!(ask(&address, "GET /users/ada HTTP/1.1").await.ends_with("3 letters"));
    });
    assert_eq!(
        trees.to_string(),
        "GET /panics cross_process {http.method: GET} {http.route: /panics} panic: told so\n\
         GET /users/{id} cross_process {http.method: GET} {http.route: /users/{id}} {http.status_code: 200}\n  look_up"
    );
}

#[test]
fn a_client_that_disconnects_cancels_its_request() {
    let trees = serving(app(), async |address| {
        let mut stream = TcpStream::connect(&address).await.expect("a connection");
        stream.write_all(b"GET /stays HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
        BEGUN.notified().await;
    });
    assert_eq!(trees.to_string(), "GET /stays cross_process {http.method: GET} {http.route: /stays} cancelled");
}

#[test]
fn a_request_ends_with_the_last_byte_of_its_body() {
    for (goes, fails, outcome) in [(false, false, ""), (true, false, " cancelled"), (false, true, " error: the disk is full")] {
        let (send, receive) = mpsc::unbounded_channel();
        let receive = std::sync::Arc::new(std::sync::Mutex::new(Some(receive)));
        let app = Router::new().route("/parts", get(async move || parts(receive.lock().expect("no panic").take().expect("one request"))));
        let trees = serving(app.layer(ServerLayer::new()), async |address| {
            let mut stream = TcpStream::connect(&address).await.expect("a connection");
            stream.write_all(b"GET /parts HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.expect("sent");
            let mut answer = Vec::new();
            for (word, count) in [("one", 1), ("two", 2)] {
                send.send(Ok(word)).expect("the answer is being written");
                while answer.windows(3).filter(|found| [b"one", b"two"].contains(&(*found).try_into().expect("three"))).count() < count {
                    assert_ne!(stream.read_buf(&mut answer).await.expect("more"), 0);
                }
            }
            if goes {
                drop(stream);
                // The server finds out when it is to write, or to read.
                send.closed().await;
                return;
            }
            if fails {
                send.send(Err(io::Error::other("the disk is full"))).expect("the answer is being written");
            }
            drop(send);
            let _ = stream.read_to_end(&mut answer).await;
        });
        let fields = "{http.method: GET} {http.route: /parts} {http.status_code: 200}";
        // The error is a part as well, that was waited for.
        let lines = "\n  write_line".repeat(if fails { 3 } else { 2 });
        assert_eq!(trees.to_string(), format!("GET /parts cross_process {fields}{outcome}{lines}"));
    }
}

#[test]
fn a_status_of_grpc_fails_in_headers_and_in_trailers() {
    let status = |code: &'static str| {
        HeaderMap::from_iter(
            [("grpc-status", code), ("grpc-message", "no%20such%20user")]
                .map(|(name, value)| (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))),
        )
    };
    let trailing = move |code| {
        let frames = [Ok::<_, Infallible>(http_body::Frame::data(Bytes::from_static(b"x"))), Ok(http_body::Frame::trailers(status(code)))];
        Body::new(StreamBody::new(stream::iter(frames)))
    };
    let app = Router::new()
        .route("/head", get(async move || (status("5"), Body::empty())))
        .route("/tail", get(async move || trailing("13")))
        .route("/good", get(async move || trailing("0")))
        .layer(ServerLayer::new());
    let trees = record(|| {
        run(async {
            for path in ["/head", "/tail", "/good"] {
                // Trailers need no HTTP/2 where there is no connection.
                let request = Request::builder().uri(path).body(Body::empty()).expect("a request");
                let response = app.clone().call(request).await.expect("infallible");
                response.into_body().collect().await.expect("a body");
            }
        });
    });
    let outcomes: Vec<String> = trees
        .processes
        .iter()
        .map(|process| {
            process.ended.as_ref().map_or_else(String::new, |ended| match &ended.outcome {
                monitor_core::record::Outcome::Failed(failure) => failure.message.clone(),
                other => format!("{other:?}"),
            })
        })
        .collect();
    assert_eq!(outcomes, ["gRPC status 5 (not found): no such user", "gRPC status 13 (internal): no such user", "Succeeded"]);
}

#[test]
fn custom_names_are_used_and_nested_layers_record_once() {
    let own = ServerLayer::new().named(|request| (request.uri.path() == "/users/ada").then(|| "show Ada".to_owned()));
    let trees = serving(app().layer(own), async |address| {
        ask(&address, "GET /users/ada HTTP/1.1").await;
        ask(&address, "GET /nothing HTTP/1.1").await;
    });
    let names: Vec<&str> = trees.processes.iter().map(support::Recorded::name).collect();
    assert_eq!(names, ["show Ada", "look_up", "GET /nothing"], "the outermost layer alone");
}

#[test]
fn a_client_sends_its_context_along() {
    let trees = serving(app(), async |address| {
        let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new()).with(Middleware).build();
        let ask = async |path| client.get(format!("http://{address}{path}")).send().await;
        Process::builder("buy")
            .instrument_any(async {
                assert_eq!(ask("/users/ada").await.expect("an answer").text().await.expect("text"), "3 letters");
                assert_eq!(ask("/fails").await.expect("an answer").status(), 502);
                let refused = client.get("http://127.0.0.1:1/?token=secret").send().await;
                assert!(refused.is_err());
                tokio::select! {
                    answer = ask("/stays") => panic!("{answer:?}"),
                    () = BEGUN.notified() => {}
                }
            })
            .await;
    });
    let text = trees.to_string();
    let client = "{http.method: GET} {server.address: 127.0.0.1}";
    let server = |route: &str| format!("{{http.method: GET}} {{http.route: {route}}}");
    assert!(!text.contains("secret"), "{text}");
    let refused = text.lines().find(|line| line.contains("there was no connection")).expect("one that was refused");
    assert!(refused.starts_with("  GET 127.0.0.1 ") && refused.contains("refused"), "{refused}");
    let rest: Vec<&str> = text.lines().filter(|line| *line != refused).collect();
    assert_eq!(
        rest,
        [
            "buy".to_owned(),
            format!("  GET 127.0.0.1 {client} {{http.status_code: 200}}"),
            format!("    GET /users/{{id}} cross_process {} {{http.status_code: 200}}", server("/users/{id}")),
            "      look_up".to_owned(),
            format!("  GET 127.0.0.1 {client} {{http.status_code: 502}} error: HTTP 502 Bad Gateway"),
            format!("    GET /fails cross_process {} {{http.status_code: 502}} error: HTTP 502 Bad Gateway", server("/fails")),
            format!("  GET 127.0.0.1 {client} cancelled"),
            format!("    GET /stays cross_process {} cancelled", server("/stays")),
        ]
    );
}

#[test]
fn a_layer_of_towers_is_a_client_too() {
    let trees = record(|| {
        run(async {
            let mut client = ClientLayer::new().layer(app());
            let request = Request::builder().uri("http://shop.example/users/ada").body(Body::empty()).expect("a request");
            let answer: Response<_> = client.call(request).await.expect("infallible");
            assert_eq!(answer.into_body().collect().await.expect("a body").to_bytes(), "3 letters");
        });
    });
    let names: Vec<&str> = trees.processes.iter().map(support::Recorded::name).collect();
    assert_eq!(names, ["GET shop.example", "GET /users/{id}", "look_up"]);
    assert_eq!(trees.to_string().matches('\n').count(), 2, "one tree: {trees}");
}
