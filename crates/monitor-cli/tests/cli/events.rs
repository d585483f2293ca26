//! Tests `monitor events`, and receivers with a server that is killed.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use monitor_receiver::{Ended, Error, Notice, Receiver, State};
use serde_json::{Value, json};

use crate::support::{PATIENCE, ROOT, TestServer, ended, monitor, started, wait_for};

fn task(event_type: &str, id: u64) -> Value {
    json!({
        "type": event_type, "root_id": ROOT, "id": format!("{id:016x}"), "time_us": 1_763_600_000_000_000 + id, "name": "render",
        "native_id": format!("uuid-{id}"), "exception": "no disk", "queue": "video",
    })
}

/// Three tasks (one fails), and a function with a hostile name.
fn story(server: &TestServer) {
    let hostile = started(ROOT, 9, None, "\u{1b}[31m红\u{9b}\n名");
    server
        .send(1, &[task("task-sent", 1), task("task-sent", 2), task("task-started", 1), task("task-failed", 1), task("task-succeeded", 2)]);
    server.send(6, &[hostile, ended(ROOT, 9, 5, Some("a\u{7}b"))]);
}

#[test]
fn events_are_printed_as_aligned_lines_with_escaped_names() {
    let server = TestServer::start();
    story(&server);
    // A wide character occupies two columns.
    let line = |name: &str, subject: &str, words: &str| {
        let columns = 36 - subject.chars().filter(|c| *c > '\u{2fff}').count();
        format!("{name:<18}  {subject:<columns$}  1         {words}").trim_end().to_owned()
    };
    let printed = server.run(&["events", "--after", "0", "--limit", "7"]);
    let lines: Vec<_> = printed.lines().map(|line| line.split_at(25)).collect();
    let expected = [
        line("task-sent", "render", "video"),
        line("task-sent", "render", "video"),
        line("task-started", "render", ""),
        line("task-failed", "render", "no disk"),
        line("task-succeeded", "render", ""),
        line("process-started", "␛[31m红<U+009B>␊名", ""),
        line("process-ended", "␛[31m红<U+009B>␊名", "a␇b"),
    ];
    assert_eq!(lines.iter().map(|(_, line)| *line).collect::<Vec<_>>(), expected);
    assert_eq!(lines[6].0, "2025-11-20 00:53:24.000  ");
}

#[test]
fn matching_events_are_printed_as_json_that_can_be_parsed() {
    let server = TestServer::start();
    story(&server);
    let numbers = |args: &[&str]| {
        let printed = server.run(&[&["events", "--after", "0", "--json"][..], args].concat());
        assert!(!printed.chars().any(|c| c != '\n' && c.is_control()), "{printed:?}");
        let lines = printed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines
            .inspect(|line| assert_eq!(line["event"], line["data"]["event"]["type"]))
            .map(|line| line["id"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(numbers(&["--limit", "7"]), [1, 2, 3, 4, 5, 6, 7]);
    for (args, expected) in [
        (&["--types", "task-s*, process-ended"][..], &[1, 2, 3, 5, 7][..]),
        (&["--kind", "task", "--types", "task-failed"], &[4]),
        (&["--task", "uuid-2"], &[2, 5]),
        (&["--worker", "night*@build-7", "--types", "process-*"], &[6, 7]),
        (&["--name", "render", "--root", "1"], &[1, 2, 3, 4, 5]),
        (&["--after", "4", "--root", ROOT], &[5, 6, 7]),
    ] {
        let limit = expected.len().to_string();
        let args = [args, &["--limit", &limit]].concat();
        let printed = if args[0] == "--after" {
            let printed = server.run(&[&["events", "--json"][..], &args[..]].concat());
            printed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_u64().unwrap()).collect()
        } else {
            numbers(&args)
        };
        assert_eq!(printed, expected, "{args:?}");
    }
    // No further event arrives.
    assert_eq!(server.run(&["events", "--timeout", "50ms"]), "");
}

#[test]
fn errors_are_reported_with_their_exit_codes() {
    let server = TestServer::start();
    let away = ["--server", "http://127.0.0.1:1"];
    for (args, code, words) in [
        (&[&["events"][..], &away[..]].concat()[..], 3, "was not reached"),
        (&["events", "--worker", "1"], 2, "`worker`"),
        (&["events", "--types", "task-["], 2, "`types`"),
        (&["events", "--root", "99"], 4, "no run 99"),
        (&["events", "--camera", "polaroid:x"], 2, "file, sqlite, webhook, command, mail"),
        (&["events", "--camera", "mail:ops@example.com"], 1, "MONITOR_SMTP_URL"),
        (&["events", "--maxrate", "often"], 2, "30/m"),
        (&["events", "--frequency", "0s"], 2, "such as 500ms"),
        (&["events", "--frequency", "1m"], 2, "--camera <KIND:TARGET>"),
        (&["events", "--maxrate", "1/h"], 2, "--camera <KIND:TARGET>"),
        (&["events", "--position", "/no/such/folder/at"], 1, "/no/such/folder/at"),
    ] {
        let mut command = monitor(args);
        if !args.contains(&"--server") {
            command.args(["--server", &server.url]);
        }
        let error = command.assert().code(code).get_output().stderr.clone();
        let error = String::from_utf8(error).unwrap();
        assert!(error.contains(words), "{args:?}: {error}");
    }
}

/// A proxy between a receiver and its server that can cut the connection.
struct Line {
    address: SocketAddr,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Line {
    fn to(server: &TestServer) -> Self {
        let target = server.url.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, open) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<TcpStream>>>::default());
        let all = open.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // While the server is down, connections are refused.
                let Ok(server) = TcpStream::connect(&target) else { continue };
                let twins = || (client.try_clone().unwrap(), server.try_clone().unwrap());
                for (mut from, mut to) in [twins(), (twins().1, twins().0)] {
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
                all.lock().unwrap().extend([client, server]);
            }
        });
        Self { address, open }
    }

    fn cut(&self) {
        for socket in self.open.lock().unwrap().drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

/// The events of a batch's tasks, one task after another.
fn events_of(batch: u64) -> Vec<Value> {
    (0..10)
        .flat_map(|n| {
            [task("task-sent", 1 + batch * 10 + n), task("task-started", 1 + batch * 10 + n), task("task-failed", 1 + batch * 10 + n)]
        })
        .collect()
}

const EVENTS_OF_A_BATCH: u64 = 30;

/// Kills the server and starts it again on the same port.
fn restart(server: TestServer) -> TestServer {
    let address = server.url.trim_start_matches("http://").to_owned();
    TestServer::with(&["--listen", &address], server.stop())
}

#[test]
fn no_event_is_lost_or_repeated_after_kills_cut_connections_and_restarts() {
    const BATCHES: u64 = 12;
    let mut server = TestServer::start();
    let line = Line::to(&server);
    let folder = tempfile::tempdir().unwrap();
    let position = folder.path().join("position");
    let (numbers, got) = mpsc::channel();
    let url = format!("http://{}", line.address);
    let receiving = std::thread::spawn(move || {
        let mut left = BATCHES * EVENTS_OF_A_BATCH;
        let mut state = State::default();
        while left > 0 {
            // A new receiver each time, as in a restarted program; it continues from the position file.
            let numbers = numbers.clone();
            let receiver = Receiver::connect(&url).unwrap().after(0).position_file(&position);
            let mut receiver = receiver.with_state(state).on("*", move |event, _| numbers.send(event.number).unwrap());
            let more = left.min(70);
            assert_eq!(receiver.capture_blocking(Some(more), Some(PATIENCE), false).unwrap(), Ended::Limit);
            (left, state) = (left - more, receiver.state().clone());
        }
        state
    });
    let mut seen = Vec::new();
    for batch in 0..BATCHES {
        server.send(1 + batch * EVENTS_OF_A_BATCH, &events_of(batch));
        // Some events arrive before the restart, some after it.
        while (seen.len() as u64) < batch * EVENTS_OF_A_BATCH + 5 {
            seen.push(got.recv_timeout(PATIENCE).unwrap());
        }
        match batch % 4 {
            1 => line.cut(),
            3 => server = restart(server),
            _ => {}
        }
    }
    let state = receiving.join().unwrap();
    seen.extend(got.try_iter());
    assert_eq!(seen, (1..=BATCHES * EVENTS_OF_A_BATCH).collect::<Vec<_>>());

    let mut undisturbed = Receiver::connect(&server.url).unwrap().after(0).with_state(State::default());
    undisturbed.capture_blocking(Some(BATCHES * EVENTS_OF_A_BATCH), Some(PATIENCE), false).unwrap();
    let known = |state: &State| {
        let tasks: Vec<_> = state.tasks_by_time().cloned().collect();
        let counts: BTreeMap<_, _> = state.all_counts().map(|(worker, counts)| (worker, counts.clone())).collect();
        (tasks, counts, state.event_count(), state.task_count(), state.newest())
    };
    assert_eq!(known(&state), known(undisturbed.state()));
    assert_eq!(state.task_count(), BATCHES * 10);
}

/// `monitor events` in the background.
struct Events {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Events {
    fn start(server: &TestServer, args: &[&str]) -> Self {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("monitor"));
        command.args(["events", "--json", "--server", &server.url]).args(args).env_remove("MONITOR_TOKEN");
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    fn next(&mut self) -> Option<u64> {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        let line = line.strip_suffix('\n')?;
        serde_json::from_str::<Value>(line).unwrap()["id"].as_u64()
    }

    /// Kills the command with SIGKILL; returns the event numbers it had printed.
    fn kill(mut self) -> Vec<u64> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::iter::from_fn(|| self.next()).collect()
    }
}

#[test]
fn a_killed_command_resumes_at_its_stored_position() {
    let server = TestServer::start();
    let folder = tempfile::tempdir().unwrap();
    let position = folder.path().join("position").display().to_string();
    let args = ["--after", "0", "--position", &position];
    let mut seen = Vec::new();
    for batch in 0..3 {
        server.send(1 + batch * EVENTS_OF_A_BATCH, &events_of(batch));
        let mut events = Events::start(&server, &args);
        let first = events.next().unwrap();
        // The event that was being processed when it was killed may be repeated.
        assert!(seen.last().is_none_or(|last| first == *last || first == *last + 1), "{first} after {seen:?}");
        seen.retain(|number| *number < first);
        seen.push(first);
        for _ in 0..10 {
            seen.push(events.next().unwrap());
        }
        // Another process may not use the position file at the same time.
        let refused = monitor(&["events", "--server", &server.url, "--position", &position]).assert().code(1).get_output().stderr.clone();
        assert!(String::from_utf8(refused).unwrap().contains("another receiver uses it"));
        seen.extend(events.kill());
    }
    let mut rest = Events::start(&server, &args);
    let all = 3 * EVENTS_OF_A_BATCH;
    while seen.last() != Some(&all) {
        let next = rest.next().unwrap();
        if seen.last() != Some(&next) {
            seen.push(next);
        }
    }
    rest.kill();
    assert_eq!(seen, (1..=all).collect::<Vec<_>>());
}

#[test]
fn handlers_that_panic_are_reported_and_the_others_continue() {
    let server = TestServer::start();
    story(&server);
    let (notices, told) = mpsc::channel();
    let (events, got) = mpsc::channel();
    let mut receiver = Receiver::connect(&server.url)
        .unwrap()
        .after(0)
        .on("task-f*", |event, _| assert_ne!(event.type_name(), "task-failed", "I can't bear it"))
        .on("*", move |event, _| events.send(event.type_name().to_owned()).unwrap())
        .notices(move |notice| {
            if let Notice::Panicked { types, number, message } = notice {
                notices.send(((*types).to_owned(), *number, message.contains("I can't bear it"))).unwrap();
            }
        });
    assert_eq!(receiver.capture_blocking(Some(7), Some(PATIENCE), false).unwrap(), Ended::Limit);
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [("task-f*".to_owned(), 4, true)]);
    assert_eq!(got.try_iter().count(), 7);
    assert_eq!(receiver.capture_blocking(None, Some(Duration::from_millis(50)), false).unwrap(), Ended::Timeout);

    // An aborted handler receives the event again.
    let is_ready = Arc::new(AtomicBool::new(false));
    let ready = is_ready.clone();
    let mut receiver = Receiver::connect(&server.url).unwrap().after(3).on("*", move |event, _| {
        if event.number < 5 || ready.load(Ordering::Relaxed) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    for _ in 0..2 {
        assert_eq!(receiver.capture_blocking(None, Some(PATIENCE), false).unwrap(), Ended::Handler);
    }
    is_ready.store(true, Ordering::Relaxed);
    assert_eq!(receiver.capture_blocking(Some(3), Some(PATIENCE), false).unwrap(), Ended::Limit);

    let mut wrong = Receiver::connect(&server.url).unwrap().on("task-[", |_, _| {});
    assert!(matches!(wrong.capture_blocking(Some(1), None, false), Err(Error::Pattern { pattern, .. }) if pattern == "task-["));
}

#[test]
fn a_state_starts_with_stored_data_and_is_reloaded_after_a_gap() {
    let forgetful = ["--listen", "127.0.0.1:0", "--stream-buffer-bytes", "1", "--stream-keep-bytes", "1"];
    let server = TestServer::with(&forgetful, tempfile::tempdir().unwrap());
    story(&server);
    let mut receiver = Receiver::connect(&server.url).unwrap().with_state(State::default());
    receiver.capture_blocking(Some(0), None, true).unwrap();
    let tasks = |state: &State| {
        let mut tasks: Vec<_> =
            state.tasks().map(|task| format!("{} {}", task.native_id.clone().unwrap_or_default(), task.state)).collect();
        tasks.sort();
        tasks
    };
    assert_eq!(tasks(receiver.state()), ["uuid-1 failed", "uuid-2 succeeded"]);
    assert_eq!(receiver.state().workers().map(|worker| worker.program.as_str()).collect::<Vec<_>>(), ["nightly"]);
    assert_eq!(receiver.state().event_count(), 0);

    let (notices, told) = mpsc::channel();
    let mut late = Receiver::connect(&server.url).unwrap().after(0).with_state(State::default()).notices(move |notice| {
        if let Notice::Gap { after, until } = notice {
            notices.send((*after, *until)).unwrap();
        }
    });
    let gap = loop {
        assert_eq!(late.capture_blocking(None, Some(Duration::from_millis(50)), false).unwrap(), Ended::Timeout);
        if let Ok(gap) = told.try_recv() {
            break gap;
        }
    };
    assert_eq!((gap, told.try_recv().is_err()), ((Some(0), 7), true));
    assert_eq!(tasks(late.state()), ["uuid-1 failed", "uuid-2 succeeded"]);
}

#[test]
fn the_receiver_waits_for_a_server_that_is_not_running_yet() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (notices, told) = mpsc::channel();
    let mut receiver =
        Receiver::connect(&format!("http://{address}")).unwrap().after(0).with_state(State::default()).notices(move |notice| {
            let _ = notices.send(matches!(notice, Notice::Interrupted { .. }));
        });
    let receiving = std::thread::spawn(move || receiver.capture_blocking(Some(7), Some(PATIENCE), true).map(|ended| (ended, receiver)));
    assert!(told.recv_timeout(PATIENCE).unwrap(), "interrupted");
    let server = TestServer::with(&["--listen", &address.to_string()], tempfile::tempdir().unwrap());
    story(&server);
    let (ended, receiver) = receiving.join().unwrap().unwrap();
    assert_eq!((ended, receiver.state().event_count()), (Ended::Limit, 7));
}

/// Starts an HTTP server that responds with this status; returns its address and the received bodies.
fn http_sink(status: &'static str) -> (String, mpsc::Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://user:secret@{}/pictures?key=secret", listener.local_addr().unwrap());
    let (bodies, posted) = mpsc::channel();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(socket.try_clone().unwrap());
            let (mut length, mut line) = (0, String::new());
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                if let Some((_, value)) = line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let _ = write!(socket, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            bodies.send(serde_json::from_slice(&body).unwrap()).unwrap();
        }
    });
    (url, posted)
}

/// A real mail server that stores received mail in a folder.
struct MailServer {
    program: Child,
    folder: tempfile::TempDir,
    url: String,
}

impl MailServer {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut program = Command::new("aiosmtpd");
        program.args(["-n", "-l", &address.to_string(), "-c", "aiosmtpd.handlers.Mailbox"]).arg(folder.path().join("mails"));
        let program = program.spawn().expect("aiosmtpd, of Debian's python3-aiosmtpd: `cargo xtask test` installs it");
        let server = Self { program, folder, url: format!("smtp://{address}") };
        wait_for("the mail server", || TcpStream::connect(address).ok());
        server
    }

    /// Waits for the only mail and returns it.
    fn mail(&self) -> String {
        wait_for("a mail", || {
            let mut mails = std::fs::read_dir(self.folder.path().join("mails/new")).ok()?;
            std::fs::read_to_string(mails.next()?.unwrap().path()).ok()
        })
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

#[test]
fn each_camera_takes_its_picture() {
    let server = TestServer::start();
    story(&server);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let ((webhook, posted), mails) = (http_sink("204 No Content"), MailServer::start());
    let cameras = [
        format!("file:{}", path("pictures.json")),
        format!("sqlite:{}", path("pictures.db")),
        format!("webhook:{webhook}"),
        format!("command:cat > {}", path("command.json")),
        "mail:Ops <ops@example.com>".to_owned(),
    ];
    // One snapshot at the end, independent of the duration.
    let mut args = vec!["events", "--after", "0", "--limit", "7", "--frequency", "1h", "--server", &server.url];
    args.extend(cameras.iter().flat_map(|camera| ["--camera", camera.as_str()]));
    let output = monitor(&args).env("MONITOR_SMTP_URL", &mails.url).assert().success().get_output().clone();
    assert_eq!((output.stdout.len(), String::from_utf8(output.stderr).unwrap().as_str()), (0, ""));

    let picture: Value = serde_json::from_str(&std::fs::read_to_string(path("pictures.json")).unwrap()).unwrap();
    let without_time = |mut picture: Value| {
        picture["time_us"].take();
        picture
    };
    let picture = without_time(picture);
    assert_eq!((&picture["event_count"], &picture["as_of"]), (&json!(7), &json!(7)));
    let mut names: Vec<_> =
        picture["tasks"].as_array().unwrap().iter().map(|task| json!([task["name"], task["state"]]).to_string()).collect();
    names.sort();
    assert_eq!(names[1..], [r#"["render","failed"]"#, r#"["render","succeeded"]"#]);
    assert_eq!(without_time(posted.recv_timeout(PATIENCE).unwrap()), picture);
    assert_eq!(without_time(serde_json::from_str(&std::fs::read_to_string(path("command.json")).unwrap()).unwrap()), picture);

    let database = rusqlite::Connection::open(path("pictures.db")).unwrap();
    let row = |sql: &str| database.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(row("SELECT state || ' ' || error FROM task WHERE native_id = 'uuid-1'"), "failed no disk");
    assert_eq!(row("SELECT program || '@' || hostname FROM worker"), "nightly@build-7");
    assert_eq!(row("SELECT sum(count) || ' of ' || (SELECT event_count FROM picture) FROM count"), "7 of 7");

    let mail = mails.mail();
    assert!(mail.contains("X-RcptTo: ops@example.com") && mail.contains("Subject: 3 tasks changed, 2 failed or lost"), "{mail}");
    assert!(mail.contains("failed render (uuid-1): no disk"), "{mail}");
}

#[test]
fn a_failing_camera_is_reported_once_and_delays_nothing() {
    let server = TestServer::start();
    story(&server);
    let (webhook, posted) = http_sink("500 Internal Server Error");
    let full = if cfg!(target_os = "linux") { "file:/dev/full" } else { "file:/no/such/folder/pictures" };
    let cameras =
        [full.to_owned(), format!("webhook:{webhook}"), "command:echo broken >&2; exit 3".to_owned(), "mail:ops@example.com".to_owned()];
    let mut args = vec!["events", "--dump", "--after", "0", "--limit", "7", "--frequency", "1ms", "--server", &server.url];
    args.extend(cameras.iter().flat_map(|camera| ["--camera", camera.as_str()]));
    let output = monitor(&args).env("MONITOR_SMTP_URL", "smtp://127.0.0.1:1").assert().code(1).get_output().clone();
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 7);
    let errors = String::from_utf8(output.stderr).unwrap();
    for words in [full, "answered with 500", "exit status: 3: broken", "camera mail:ops@example.com: "] {
        assert!(errors.contains(words), "{words}: {errors}");
    }
    assert_eq!(errors.lines().count(), 5, "each once, and why the command failed: {errors}");
    let last = errors.lines().last().unwrap();
    assert!(last.starts_with("monitor: the last picture was not delivered: ") && last.contains(", webhook:"), "{last}");
    assert!(!errors.contains("secret"), "{errors}");
    assert!(posted.try_iter().count() >= 1);
}
