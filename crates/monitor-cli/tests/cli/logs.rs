use serde_json::{Value, json};

use crate::support::{ROOT, TestServer, ended, monitor, started};

fn said(id: u64, time_us: u64, level: &str, message: &str) -> Value {
    let id = format!("{id:016x}");
    json!({"type": "process-logged", "root_id": ROOT, "id": id, "time_us": time_us, "level": level, "message": message, "fields": {"n": time_us}})
}

fn server() -> TestServer {
    let server = TestServer::start();
    let events = [
        started(ROOT, 1, None, "nightly"),
        started(ROOT, 2, Some(1), "compile"),
        said(1, 1_000, "info", "begin"),
        said(2, 2_000, "error", "\u{1b}[31mred\u{7}"),
        said(1, 3_000, "debug", "details"),
        said(3, 4_000, "fatal", "from nowhere"),
        ended(ROOT, 1, 1, None),
    ];
    server.send(1, &events);
    server
}

#[test]
fn lines_are_shown_escaped_with_time_level_and_name() {
    let server = server();
    let all = "\
1970-01-01 00:00:00.001  info   nightly: begin n=1000
1970-01-01 00:00:00.002  error  compile: ␛[31mred␇ n=2000
1970-01-01 00:00:00.003  debug  nightly: details n=3000
1970-01-01 00:00:00.004  fatal  0000000000000003: from nowhere n=4000
";
    assert_eq!(server.run(&["logs", "1"]), all);
    assert_eq!(server.run(&["logs", ROOT, "--follow"]), all, "the root has ended: nothing is to come");
    let lines: Vec<_> = all.lines().map(|line| format!("{line}\n")).collect();
    assert_eq!(server.run(&["logs", "1", "--level", "warn"]), lines[1].clone() + &lines[3]);
    assert_eq!(server.run(&["logs", "1", "--tail", "2"]), lines[2..].concat());
    assert_eq!(server.run(&["logs", "1", "--q", "NOWHERE"]), lines[3]);
    assert_eq!(server.run(&["logs", "1", "0000000000000002"]), lines[1].replace("compile: ", ""));
    let json = server.run(&["logs", "1", "--json"]);
    let entries: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((entries.len(), &entries[1]["message"]), (4, &json!("\u{1b}[31mred\u{7}")));
}

/// Starts `monitor logs --follow`, calls `then` when it follows, and waits for its end; returns its exit code and output.
fn follow(server: &TestServer, args: &[&str], then: impl FnOnce()) -> (Option<i32>, String) {
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("monitor"));
    command.args(["logs", "-f", "--server", &server.url]).args(args).env_remove("MONITOR_TOKEN").env("TZ", "UTC");
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    // It is subscribed to the stream.
    while !server.metrics().contains("monitor_stream_subscribers 1\n") {
        assert_eq!(child.try_wait().unwrap(), None, "it has ended before");
        std::thread::yield_now();
    }
    then();
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn following_ends_when_the_followed_process_ends_in_any_way() {
    let offline = |time_us: u64| json!({"type": "worker-offline", "time_us": time_us});
    for args in [&["1"][..], &["1", "0000000000000001"]] {
        let server = TestServer::start();
        // More processes than the stream reports individually. The followed process may or may not be reported.
        let mut events = vec![started(ROOT, 1, None, "nightly"), said(1, 1_000, "info", "begin")];
        events.extend((2..2_000).map(|id| started(ROOT, id, Some(1), "step")));
        server.send(1, &events);
        let (code, printed) = follow(&server, args, || {
            // The worker of an unrelated tree.
            server.send_as(7, 1, &[started(&ROOT.replace('9', "8"), 1, None, "other"), offline(2_000)]);
            server.send(2_001, &[said(1, 3_000, "info", "last")]);
            server.send(2_002, &[offline(1_763_600_009_000_000)]);
        });
        assert!(code == Some(0) && printed.contains("begin") && printed.contains("last"), "{args:?}: {printed}");
    }
}

#[test]
fn following_a_tree_that_is_deleted_ends() {
    let server = TestServer::start();
    server.send(1, &[started(ROOT, 1, None, "nightly")]);
    let token = std::fs::read_to_string(server.data.path().join("local.token")).unwrap();
    let token = token.lines().nth(1).unwrap().to_owned();
    let (code, _) = follow(&server, &["1"], || server.delete("/api/v1/roots/1?running=true", &token));
    assert_eq!(code, Some(4));
}

#[test]
fn earlier_log_lines_are_not_shown_with_tail_0() {
    let server = server();
    assert_eq!(server.run(&["logs", "1", "--tail", "0", "-f"]), "", "it has ended: nothing comes");
    let server = TestServer::start();
    server.send(1, &[started(ROOT, 1, None, "nightly"), said(1, 1_000, "info", "before")]);
    let (code, printed) = follow(&server, &["1", "--tail", "0"], || {
        server.send(3, &[said(1, 2_000, "info", "after"), ended(ROOT, 1, 1, None)]);
    });
    assert!(code == Some(0) && printed.contains("after") && !printed.contains("before"), "{printed}");
}

#[test]
fn a_missing_run_or_process_ends_with_exit_code_4() {
    let server = server();
    for args in [&["logs", "2"][..], &["logs", "1", "00000000000000ff"]] {
        monitor(args).args(["--server", &server.url]).assert().code(4);
    }
}

#[test]
fn log_lines_that_were_not_kept_are_reported() {
    let server = TestServer::with(&["--listen", "127.0.0.1:0", "--logs-kept", "1"], tempfile::tempdir().unwrap());
    server.send(1, &[started(ROOT, 1, None, "talks"), said(1, 1, "info", "a"), said(1, 2, "info", "b"), said(1, 3_000, "info", "c")]);
    let output = monitor(&["logs", "1", "0000000000000001", "--server", &server.url]).assert().success().get_output().clone();
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 2);
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("1 lines were not kept, from 1970-01-01 00:00:00.000 to 1970-01-01 00:00:00.003"), "{words}");
}
