//! Tests `monitor queue` and `monitor result`.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};

use crate::support::{ROOT, TestServer, monitor};

/// Tasks as returned by a real server.
fn tasks(count: u64) -> Vec<Value> {
    let server = TestServer::start();
    let sent = |id: u64| {
        json!({"type": "task-sent", "root_id": ROOT, "id": format!("{id:016x}"), "name": "render", "native_id": format!("task-{id}"),
            "time_us": 1_763_600_000_000_000 + id})
    };
    server.send(1, &(1..=count).map(sent).collect::<Vec<_>>());
    let page = server.json(&["queue", "tasks", "--sort", "received"]);
    assert_eq!(page["examined"], count, "{page}");
    page["tasks"].as_array().unwrap().clone()
}

/// Starts a server that responds with these pages in order; returns its address and the received requests.
fn server_with(pages: Vec<Value>) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, requests) = channel();
    std::thread::spawn(move || {
        for page in pages {
            let (mut socket, _) = listener.accept().unwrap();
            let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
            while !head.ends_with(b"\r\n\r\n") {
                let length = socket.read(&mut buffer).unwrap();
                head.extend_from_slice(&buffer[..length]);
            }
            sender.send(String::from_utf8(head).unwrap().lines().next().unwrap().to_owned()).unwrap();
            let body = page.to_string();
            let head = format!("content-type: application/json\r\ncontent-length: {}\r\nconnection: close", body.len());
            socket.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}").as_bytes()).unwrap();
        }
    });
    (url, requests)
}

/// Pages of a long search with three tasks in total.
fn short_pages() -> Vec<Value> {
    let tasks = tasks(3);
    let page = |tasks: &[Value], next: Option<&str>| json!({"tasks": tasks, "next_cursor": next, "examined": 400_000, "as_of": 7});
    vec![page(&[], Some("[1]")), page(&tasks[..2], Some("[2]")), page(&[], Some("[3]")), page(&tasks[2..], None)]
}

#[test]
fn a_list_of_tasks_continues_up_to_its_limit_or_the_last_task() {
    let pages = short_pages();
    let (url, requests) = server_with(pages.clone());
    let list = ["queue", "tasks", "--state", "failed", "--sort", "-runtime", "--offset", "2", "--server", &url];
    let output = monitor(&list).assert().success().get_output().clone();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().count() == 3 && text.contains("task-3"), "{text}");
    assert!(output.stderr.is_empty(), "no progress without a terminal: {:?}", String::from_utf8_lossy(&output.stderr));
    let requests: Vec<_> = requests.iter().collect();
    assert!(
        requests.iter().all(|line| line.contains("state=failed&sort=-runtime") || line.contains("sort=-runtime&state=failed")),
        "{requests:?}"
    );
    assert!(requests[0].contains("offset=2") && requests[1..].iter().all(|line| line.contains("offset=0")), "{requests:?}");
    assert!(requests[3].contains("limit=48") && requests[3].contains("cursor=%5B3%5D"), "{requests:?}");

    let (url, _requests) = server_with(pages.clone());
    let output = monitor(&["queue", "tasks", "--json", "--server", &url]).assert().success().get_output().stdout.clone();
    let page: Value = serde_json::from_slice(&output).unwrap();
    assert_eq!(page["tasks"].as_array().unwrap().len(), 3);
    assert_eq!((&page["examined"], &page["next_cursor"]), (&json!(1_600_000), &json!(null)));

    // Two tasks are enough, so the last page is not requested.
    let (url, requests) = server_with(pages);
    let output = monitor(&["queue", "tasks", "--limit", "2", "--server", &url]).assert().success().get_output().clone();
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 2);
    assert!(String::from_utf8(output.stderr).unwrap().contains("to continue the list: --cursor '[2]'"));
    assert_eq!(requests.try_iter().count(), 2);
}

#[cfg(target_os = "linux")]
#[test]
fn a_long_search_shows_its_progress_on_a_terminal() {
    use crate::pty::Pty;
    use crate::support::end_of;

    let (url, _requests) = server_with(short_pages());
    let pty = Pty::open(24, 80);
    let (sender, written) = channel();
    pty.read(move |bytes| drop(sender.send(bytes.to_vec())));
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("monitor"));
    command.args(["queue", "tasks", "--server", &url]);
    let mut child = pty.start(command);
    assert!(end_of(&mut child).success());
    drop(pty);
    let text = String::from_utf8(written.iter().flatten().collect()).unwrap();
    assert!(text.contains("800,000 tasks examined, 2 found") && text.contains("task-3"), "{text:?}");
    assert!(text.rfind("\r\u{1b}[K") < text.find("task-1"), "it is erased before the list: {text:?}");
}

#[test]
fn a_result_shows_the_outcome_of_its_task() {
    let server = TestServer::start();
    let task = |of: &str, id: u64, more: Value| {
        let mut event = json!({"root_id": ROOT, "id": format!("{id:016x}"), "native_id": of, "time_us": 1_763_600_000_000_000 + id});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let events = [
        task("empty", 1, json!({"type": "task-succeeded", "result": null})),
        task("text", 2, json!({"type": "task-succeeded", "result": ""})),
        task("unknown", 3, json!({"type": "task-succeeded"})),
        task("rejected", 4, json!({"type": "task-rejected"})),
        task("revoked", 5, json!({"type": "task-revoked"})),
        task("failed", 6, json!({"type": "task-failed", "exception": "no film", "traceback": "worker.rs:7\n  caused by: no disk"})),
        task("again", 7, json!({"type": "task-retried", "exception": "no net", "traceback": "worker.rs:3"})),
        task("again", 7, json!({"type": "task-succeeded", "attempt": 2, "result": 24})),
    ];
    server.send(1, &events);
    for (of, code, out, errors) in [
        ("empty", 0, "null\n", ""),
        ("text", 0, "\n", ""),
        ("unknown", 0, "", "does not record what it returns"),
        ("rejected", 1, "", "the task was rejected"),
        ("revoked", 1, "", "the task was revoked"),
        ("failed", 1, "", "worker.rs:7\n  caused by: no disk\nmonitor: the task has failed: no film"),
        ("again", 0, "24\n", ""),
    ] {
        let output = monitor(&["result", of, "--traceback", "--server", &server.url]).assert().code(code).get_output().clone();
        let (printed, told) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(printed == out && told.contains(errors) && (!errors.is_empty() || told.is_empty()), "{of}: {printed:?} {told:?}");
    }
}
