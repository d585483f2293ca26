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
fn lines_are_shown_harmless_with_time_level_and_name() {
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

#[test]
fn what_is_not_there_is_4() {
    let server = server();
    for args in [&["logs", "2"][..], &["logs", "1", "00000000000000ff"]] {
        monitor(args).args(["--server", &server.url]).assert().code(4);
    }
}

#[test]
fn what_was_not_kept_is_said() {
    let server = TestServer::with(&["--listen", "127.0.0.1:0", "--logs-kept", "1"], tempfile::tempdir().unwrap());
    server.send(1, &[started(ROOT, 1, None, "talks"), said(1, 1, "info", "a"), said(1, 2, "info", "b"), said(1, 3_000, "info", "c")]);
    let output = monitor(&["logs", "1", "0000000000000001", "--server", &server.url]).assert().success().get_output().clone();
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 2);
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("1 lines were not kept, from 1970-01-01 00:00:00.000 to 1970-01-01 00:00:00.003"), "{words}");
}
