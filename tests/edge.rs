//! The server with hostile and excessive clients. It answers or closes, continues to serve other clients, and its memory is bounded.
//! `cargo xtask soak` does the same with thousands of clients.
#![cfg(target_os = "linux")]

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use monitor_tests::{PATIENCE, Server, command, rounds, run, wait_for};
use serde_json::{Value, json};

const MIB: u64 = 1 << 20;

fn address(server: &Server) -> &str {
    server.url().trim_start_matches("http://")
}

fn connect(server: &Server) -> TcpStream {
    let socket = TcpStream::connect(address(server)).expect("a connection");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket
}

/// Raises the limit of open files as far as the system allows.
fn raise_files() {
    // SAFETY: both functions get a valid struct.
    #[allow(unsafe_code, reason = "std can't raise limits")]
    unsafe {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        limit.rlim_cur = limit.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
    }
}

/// Everything that the server sends until it closes the connection, which it must do.
fn until_closed(mut socket: TcpStream) -> String {
    let mut answer = Vec::new();
    match socket.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {}
        Err(error) => panic!("not closed: {error}"),
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// The answer to this request, until the server closes the connection.
fn say(server: &Server, request: &str) -> String {
    let mut socket = connect(server);
    // The server may close before it has read everything.
    let _ = socket.write_all(request.as_bytes());
    until_closed(socket)
}

/// A batch with a root and this number of children.
fn tree(root: u64, children: u64) -> Value {
    let root_id = format!("{:032x}", u128::from(root) + 1);
    let event = |id: u64, parent: Option<u64>| {
        json!({"type": "process-started", "root_id": root_id, "id": format!("{id:016x}"), "parent_id": parent.map(|id| format!("{id:016x}")),
               "kind": "normal", "name": "crowd", "time_us": 1_763_600_000_000_000_u64 + id})
    };
    let events: Vec<_> = (1..=children + 1).map(|id| event(id, (id > 1).then_some(1))).collect();
    json!({"version": 1, "worker": {"id": format!("{:032x}", u128::from(root) + 1), "hostname": "h", "pid": 1, "program": "p"},
           "sequence": 1, "sent_us": 1, "events": events})
}

#[test]
fn idle_connections_and_a_flood_of_them_leave_room_for_others() {
    raise_files();
    let server = Server::start();
    let count = 500 * rounds(1);
    let crowd: Vec<_> = (0..count).map(|_| connect(&server)).collect();
    // Each connection has had one request and is now idle.
    for socket in &crowd {
        let mut socket = socket;
        socket.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").expect("sent");
    }
    assert_eq!(server.post(&tree(1, 10)).0, 200);
    for _ in 0..count {
        drop(connect(&server));
    }
    assert_eq!(server.post(&tree(2, 10)).0, 200);
    assert_eq!(server.roots().len(), 2);
    let memory = server.peak_memory();
    println!("{count} idle connections, {count} more: peak {} MiB", memory / MIB);
    assert!(memory < 256 * MIB, "{memory}");
    drop(crowd);
}

#[test]
fn slow_connections_are_closed_in_time_while_others_are_served() {
    let server = Server::start();
    let heads: Vec<_> = (0..50)
        .map(|_| {
            let mut socket = connect(&server);
            socket.write_all(b"GET /healthz HTTP/1.1\r\nhost: loc").expect("sent");
            socket
        })
        .collect();
    let bodies: Vec<_> = (0..50)
        .map(|_| {
            let mut socket = connect(&server);
            let head = "POST /api/v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{";
            socket.write_all(head.as_bytes()).expect("sent");
            socket
        })
        .collect();
    let begun = Instant::now();
    assert_eq!(server.post(&tree(1, 10)).0, 200);
    for socket in heads {
        assert_eq!(until_closed(socket), "");
    }
    let heads = begun.elapsed();
    for socket in bodies {
        let answer = until_closed(socket);
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
    let bodies = begun.elapsed();
    println!("closed after {heads:?} and {bodies:?}");
    assert!(heads < Duration::from_secs(10) && bodies < Duration::from_secs(20), "{heads:?} {bodies:?}");
}

#[test]
fn pipelined_requests_are_answered_in_order_and_garbage_is_refused() {
    let server = Server::start();
    let get = |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{more}\r\n");
    let pairs = (get("/healthz", "") + &get("/nope", "")).repeat(100);
    let answer = say(&server, &(pairs + &get("/healthz", "connection: close\r\n")));
    let told: Vec<_> = answer.match_indices("HTTP/1.1 ").map(|(at, _)| &answer[at + 9..at + 12]).collect();
    assert_eq!(told, [["200", "404"].repeat(100), vec!["200"]].concat());

    let batch = tree(1, 1).to_string();
    let (length, long) = (batch.len(), "x".repeat(1 << 20));
    let post = "POST /api/v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\n";
    for (request, statuses) in [
        // The promised rest of the body never comes. The server rejects the request or closes the connection.
        (format!("{post}content-length: {}\r\n\r\n{batch}", length - 1), &["400"][..]),
        (format!("{post}content-length: {length}\r\ncontent-length: {}\r\n\r\n{batch}", length + 1), &["400"]),
        (format!("{post}content-length: -1\r\n\r\n{batch}"), &["400"]),
        (format!("{post}content-length: 99999999999999999999999\r\n\r\n{batch}"), &["400"]),
        (format!("{post}content-length: 99999999999\r\n\r\n{batch}"), &["413"]),
        (format!("{post}content-length: {length}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"), &["400"]),
        (format!("{post}transfer-encoding: chunked\r\n\r\nffffffffffffffffffff\r\n{batch}\r\n0\r\n\r\n"), &["400"]),
        (get(&format!("/{long}"), ""), &["414", "431", ""]),
        (get("/healthz", &format!("x: {long}\r\n")), &["431", ""]),
        (get("/healthz", &"x: y\r\n".repeat(1_000)), &["431", ""]),
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), &["400", "505", ""]),
        ("\u{16}\u{3}\u{1}\0\u{5}hello\r\n\r\n".to_owned(), &["400", ""]),
    ] {
        let answer = say(&server, &request);
        let status = answer.strip_prefix("HTTP/1.1 ").map_or("", |rest| &rest[..3]);
        assert!(statuses.contains(&status), "{request:.200}: {answer}");
    }
    assert_eq!(server.get("/status")["events"], 0);
    assert_eq!(server.post(&tree(1, 1)).0, 200);
}

/// A foreign page whose name now resolves to this machine, and a page that sends cross-origin requests.
#[test]
fn pages_of_other_origins_can_neither_read_nor_write() {
    let server = Server::start();
    let batch = tree(1, 1).to_string();
    for (headers, status) in [
        ("host: evil.example:60010", 421),
        ("host: localhost\r\norigin: http://evil.example", 403),
        ("host: localhost\r\norigin: null", 403),
        ("host: evil.example\r\nhost: localhost", 421),
    ] {
        for asked in ["GET /api/v1/roots", "GET /api/v1/stream", "POST /api/v1/events", "DELETE /api/v1/roots/1"] {
            let length = batch.len();
            let head = format!("{asked} HTTP/1.1\r\n{headers}\r\nconnection: close\r\ncontent-type: application/json");
            let answer = say(&server, &format!("{head}\r\ncontent-length: {length}\r\n\r\n{batch}"));
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{asked}, {headers}: {answer}");
        }
    }
    assert_eq!(server.get("/status")["events"], 0);
}

#[test]
fn a_body_that_decompresses_to_a_gigabyte_uses_little_memory() {
    let server = Server::start();
    let spaces = |bytes| std::io::repeat(b' ').take(bytes);
    let zstd = zstd::stream::encode_all(spaces(1024 * MIB), 1).expect("memory");
    // Each member alone is larger than a body may be. Compressing everything at once takes a minute without optimization.
    let mut member = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::copy(&mut spaces(64 * MIB), &mut member).expect("memory");
    let gzip = member.finish().expect("memory").repeat(16);
    let client = reqwest::blocking::Client::builder().no_proxy().build().expect("a client");
    for (encoding, body) in [("zstd", zstd), ("gzip", gzip)] {
        for _ in 0..rounds(2) {
            let request = client.post(format!("{}/api/v1/events", server.url())).header("content-type", "application/json");
            let answer = request.header("content-encoding", encoding).body(body.clone()).send().expect("an answer");
            assert_eq!(answer.status(), 413, "{encoding}");
        }
    }
    assert_eq!(server.post(&tree(1, 10)).0, 200);
    let memory = server.peak_memory();
    println!("peak {} MiB", memory / MIB);
    assert!(memory < 256 * MIB, "{memory}");
}

/// Small OTLP requests in which a large resource and scope apply to every item.
#[test]
fn shared_attributes_of_otlp_are_not_multiplied_into_gigabytes() {
    let server = Server::start();
    let client = reqwest::blocking::Client::builder().no_proxy().build().expect("a client");
    let large = "x".repeat(1_000_000);
    for attribute in ["host.name", "service.name", "anything"] {
        for (spans, events) in [(1, 40_000), (20_000, 0)] {
            let span =
                json!({"traceId": "01".repeat(16), "spanId": "01".repeat(8), "endTimeUnixNano": "1", "events": vec![json!({}); events]});
            let body = json!({"resourceSpans": [{
                "resource": {"attributes": [{"key": attribute, "value": {"stringValue": large}}]},
                "scopeSpans": [{"scope": {"name": large}, "spans": vec![span; spans]}],
            }]});
            let request = client.post(format!("{}/v1/traces", server.url())).header("content-type", "application/json");
            let answer = request.body(body.to_string()).send().expect("an answer");
            assert_eq!(answer.status(), 413, "{attribute}, {spans} spans, {events} events");
        }
    }
    let memory = server.peak_memory();
    println!("peak {} MiB", memory / MIB);
    // A request may allocate 96 MiB, and the heaps of the threads that did so, usually two or three, may remain.
    assert!(memory < 512 * MIB, "{memory}");
}

#[test]
fn malformed_json_is_refused_with_its_place_and_does_no_harm() {
    let server = Server::start();
    let post = |body: &[u8]| {
        let client = reqwest::blocking::Client::builder().no_proxy().build().expect("a client");
        let request = client.post(format!("{}/api/v1/events", server.url())).header("content-type", "application/json");
        let answer = request.body(body.to_vec()).send().expect("an answer");
        (answer.status().as_u16(), answer.text().expect("text"))
    };
    let with = |event: &str| {
        let head = r#"{"version":1,"worker":{"id":"000000000000000000000000000000ff","hostname":"h","pid":1,"program":"p"},"sequence":1,"sent_us":1,"events":["#;
        format!("{head}{event}]}}").into_bytes()
    };
    let ids = r#""root_id":"00000000000000000000000000000001","id":"0000000000000001""#;
    let deep = "[".repeat(1_000_000);
    let cases: [(Vec<u8>, &str); 9] = [
        (deep.clone().into_bytes(), "batch"),
        (with(&format!(r#"{{"type":"process-updated",{ids},"time_us":1,"fields":{{"a":{deep}"#)), ""),
        (with(&format!(r#"{{"type":"process-started",{ids},"time_us":1,"time_us":2,"kind":"root","name":"a"}}"#)), "event"),
        (with(&format!(r#"{{"type":"process-started",{ids},"time_us":99999999999999999999999,"kind":"root","name":"a"}}"#)), "event"),
        (with(&format!(r#"{{"type":"process-started",{ids},"time_us":-1,"kind":"root","name":"a"}}"#)), "event"),
        (with(&format!(r#"{{"type":"process-started",{ids},"time_us":1e400,"kind":"root","name":"a"}}"#)), ""),
        (with(&format!(r#"{{"type":"process-started",{ids},"time_us":1,"kind":"root","name":"\ud800"}}"#)), ""),
        ([with(r#"{"type":"a"#).as_slice(), b"\xff\xfe"].concat(), ""),
        (b"\xff\xfe{\0}\0".to_vec(), "batch"),
    ];
    for (body, words) in cases {
        let (status, answer) = post(&body);
        assert!(status == 400 && answer.contains(words), "{}: {status} {answer}", String::from_utf8_lossy(&body[..body.len().min(300)]));
    }
    assert_eq!(server.get("/status")["events"], 0);
    assert_eq!(server.post(&tree(1, 1)).0, 200);
}

/// Clients that request every event, read the greeting, and then read nothing more. Half of them use WebSocket.
fn dawdlers(server: &Server, count: usize) -> Vec<TcpStream> {
    let upgrade =
        "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let open = |more: &str| {
        let mut socket = connect(server);
        socket2::SockRef::from(&socket).set_recv_buffer_size(4_096).expect("smaller");
        socket.write_all(format!("GET /api/v1/stream HTTP/1.1\r\nhost: localhost\r\n{more}\r\n").as_bytes()).expect("sent");
        let (mut said, mut piece) = (Vec::new(), [0; 1 << 10]);
        while !said.windows(9).any(|part| part == b"connected") {
            let read = socket.read(&mut piece).expect("a greeting");
            assert!(read > 0, "{}", String::from_utf8_lossy(&said));
            said.extend_from_slice(&piece[..read]);
        }
        socket
    };
    (0..count).map(|number| open(if number % 2 == 0 { "" } else { upgrade })).collect()
}

/// The value of a metric.
fn metric(server: &Server, name: &str) -> u64 {
    let client = reqwest::blocking::Client::builder().no_proxy().build().expect("a client");
    let text = client.get(format!("{}/metrics", server.url())).send().expect("an answer").text().expect("text");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().expect("a number")
}

#[test]
fn slow_readers_of_the_stream_share_unread_data_in_little_memory() {
    raise_files();
    let readers = 400 * rounds(1);
    let most = u64::from(readers) * 64 * 1024 + 8 * MIB;
    let server = Server::start_with(vec![
        ("MONITOR_MAX_SUBSCRIBERS", readers.to_string().into()),
        ("MONITOR_STREAM_BUFFER_BYTES", "16MiB".into()),
        // No client is disconnected during the test.
        ("MONITOR_STALL_TIMEOUT", "10m".into()),
    ]);
    let slow = dawdlers(&server, readers as usize);
    assert_eq!(metric(&server, "monitor_stream_subscribers"), u64::from(readers));
    let batches = 30;
    for number in 1..=batches {
        assert_eq!(server.post(&tree(number, 5_000)).0, 200);
        let unsent = metric(&server, "monitor_stream_unsent_bytes");
        assert!(unsent <= most, "{unsent} of {most}");
    }
    let pieces = metric(&server, "monitor_stream_pieces_total");
    let memory = server.peak_memory();
    println!("{readers} readers who dawdle, {pieces} pieces: peak {} MiB", memory / MIB);
    assert!(memory < 160 * MIB, "{memory}");
    assert_eq!(metric(&server, "monitor_stream_subscribers"), u64::from(readers), "none was cut off");
    assert_eq!(server.roots().len(), batches as usize);
    drop(slow);
    let held = || (metric(&server, "monitor_stream_unsent_bytes") <= 8 * MIB).then_some(());
    wait_for("what was held to be given back", held);
}

/// The server reports a full queue with `Retry-After`. A real program waits accordingly and loses nothing.
#[test]
fn a_program_waits_if_the_server_requests_it() {
    // Only a single batch fits, and each batch is more than half of the limit.
    let server = Server::start_with(vec![("MONITOR_MAX_QUEUE_BYTES", "1".into()), ("MONITOR_MAX_PENDING_BYTES", "256KiB".into())]);
    let refused = std::thread::scope(|scope| {
        let posts: Vec<_> = (1..=8)
            .map(|number| {
                let server = &server;
                scope.spawn(move || {
                    let client = reqwest::blocking::Client::builder().no_proxy().timeout(None).build().expect("a client");
                    let mut refused = 0;
                    for part in 0..20 {
                        let body = tree(100 * number + part, 1_000).to_string();
                        wait_for("a turn", || {
                            let request = client.post(format!("{}/api/v1/events", server.url())).header("content-type", "application/json");
                            let answer = request.body(body.clone()).send().expect("an answer");
                            let is_busy = matches!(answer.status().as_u16(), 429 | 503);
                            assert!(is_busy || answer.status() == 200, "{answer:?}");
                            refused += u32::from(is_busy && answer.headers()["retry-after"] == "1");
                            (!is_busy).then_some(())
                        });
                    }
                    refused
                })
            })
            .collect();
        let mut many = command("monitor-test-worker");
        many.args(["many", "2000"]).env("MONITOR_ENABLED", "1").env("MONITOR_SERVER_URL", server.url()).env("MONITOR_EXIT_TIMEOUT", "1m");
        assert_eq!(run(many).code, Some(0));
        posts.into_iter().map(|post| post.join().expect("no panic")).sum::<u32>()
    });
    println!("{refused} requests were asked to wait");
    assert!(refused > 0, "the queue was never full");
    let all = server.roots();
    assert_eq!(all.len(), 8 * 20 + 1, "what waited arrived");
    assert!(server.get("/status")["dropped"].as_array().expect("a list").is_empty());
}

/// OTLP clients that use gRPC retry forever. The server logs a single line about it.
#[test]
fn a_client_that_uses_grpc_is_logged_once() {
    let server = Server::start();
    for _ in 0..3 {
        let mut socket = connect(&server);
        socket.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("sent");
        assert_eq!(until_closed(socket), "");
    }
    let log = server.log();
    let said: Vec<_> = log.lines().filter(|line| line.contains("gRPC")).collect();
    let [line] = said[..] else { panic!("{log}") };
    assert!(line.contains(" WARN ") && line.contains("OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"), "{line}");
}
