//! The examples, executed like a user would: their trees, and that monitoring does not change their output.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use expect_test::expect;
use monitor_tests::{Finished, Server, example, outline, run, wait_for};
use serde_json::Value;

/// A folder with sources of three kinds, a file that is no text, and an unreadable file.
fn sources() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    for n in 0..6 {
        write(&format!("src/part{n}.rs"), format!("fn part{n}() -> u32 {{\n    {n}\n}}\n").as_bytes());
    }
    write("README.md", "# 说明\n\nTwo words.\n".as_bytes());
    write("empty.txt", b"");
    write("picture.png", &[0x89, b'P', b'N', b'G', 0xff, 0xfe]);
    write("Makefile", b"all:\n\tcargo build\n");
    folder
}

fn pipeline(folder: &Path, report: &Path, server: Option<&Server>) -> std::process::Command {
    let mut command = example("pipeline", server);
    command.arg(folder).arg("--report").arg(report);
    command
}

/// Runs an example unmonitored, monitored, and monitored without a server. The output must be the same each time, except for the warning
/// about the missing server.
fn same_each_way(server: &Server, make: impl Fn(Option<&Server>) -> std::process::Command) -> Finished {
    let plain = run(make(None));
    let monitored = run(make(Some(server)));
    assert_eq!(monitored, plain, "monitoring changes nothing");
    let mut alone = make(None);
    alone.env("MONITOR_ENABLED", "1").env("MONITOR_SERVER_URL", "http://127.0.0.1:1");
    let mut alone = run(alone);
    let is_warning = |line: &&str| line.starts_with("monitor: warning: the server at http://127.0.0.1:1 ");
    assert!(alone.stderr.lines().any(|line| is_warning(&line)), "{}", alone.stderr);
    alone.stderr = alone.stderr.lines().filter(|line| !is_warning(line)).map(|line| format!("{line}\n")).collect::<Vec<_>>().concat();
    assert_eq!(alone, plain, "nor does a server that is not there");
    plain
}

#[test]
fn pipeline_prints_the_same_with_and_without_monitoring() {
    let (server, folder, out) = (Server::start(), sources(), tempfile::tempdir().unwrap());
    let report = out.path().join("report.json");
    let printed = same_each_way(&server, |server| pipeline(folder.path(), &report, server));
    assert_eq!((printed.code, printed.stderr.as_str()), (Some(0), ""));
    let (_, table) = printed.stdout.split_once('\n').unwrap();
    expect![[r#"
         type    files  lines  words  tokens
         (none)      1      2      3       4
         md          1      3      4       5
         rs          6     18     42      60
         txt         1      0      0       0
         total       9     23     49      69
        left out:
          picture.png: invalid utf-8 sequence of 1 bytes from index 0
    "#]]
    .assert_eq(table);
    let written: Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    assert_eq!(written["total"]["tokens"], 69);

    // Siblings that threads and tasks start have no fixed order.
    let tree =
        outline(&server.tree(&server.finished_root())).replace(&folder.path().canonicalize().unwrap().display().to_string(), "FOLDER");
    let mut lines: Vec<&str> = tree.lines().collect();
    assert_eq!(lines.remove(0), "count sources");
    lines.sort_unstable();
    let mut counted = BTreeMap::<&str, usize>::new();
    for line in lines {
        *counted.entry(line).or_default() += 1;
    }
    let counted: Vec<String> = counted.iter().map(|(line, count)| format!("{count}×{line}\n")).collect();
    expect![[r#"
        9×      count tokens
        1×      verify report
        9×    parse file
        1×    publish.sh
        9×    read file
        1×    read file [failed]: picture.png is no text: invalid utf-8 sequence of 1 bytes from index 0
        1×  discover
        1×  parse
        1×  publish
        1×  read
        1×  start token service
        1×  sum_up
    "#]]
    .assert_eq(&counted.concat());
}

#[test]
fn pipeline_reports_why_it_failed_but_no_error_that_it_handled() {
    let (server, folder, out) = (Server::start(), sources(), tempfile::tempdir().unwrap());
    assert_eq!(run(pipeline(folder.path(), &out.path().join("report.json"), Some(&server))).code, Some(0));
    let root = server.finished_root();
    assert!(root["counts"]["failed"].as_u64() > Some(0) && root["error"].is_null(), "{root}");

    let server = Server::start();
    assert_ne!(run(pipeline(folder.path(), &out.path().join("no/such/folder/report.json"), Some(&server))).code, Some(0));
    let root = server.finished_root();
    assert!(root["error"]["message"].as_str().is_some_and(|message| message.starts_with("can't write")), "{root}");
}

#[test]
fn pipeline_on_this_repository_is_a_complete_tree_visible_while_it_runs() {
    let (server, out) = (Server::start(), tempfile::tempdir().unwrap());
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut command = pipeline(repository, &out.path().join("report.json"), Some(&server));
    let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
    wait_for("a running process while the program runs", || {
        let runs = server.roots().iter().any(|root| root["state"] == "running" && root["counts"]["running"].as_u64() > Some(1));
        assert!(runs || child.try_wait().unwrap().is_none(), "the program ended before it was seen to run");
        runs.then_some(())
    });
    assert!(child.wait().unwrap().success());

    let root = server.finished_root();
    let processes = server.tree(&root);
    let by_id: BTreeMap<&str, &Value> = processes.iter().map(|process| (process["id"].as_str().unwrap(), process)).collect();
    let parents = BTreeMap::from([
        ("discover", "count sources"),
        ("start token service", "count sources"),
        ("read", "count sources"),
        ("read file", "read"),
        ("parse", "count sources"),
        ("parse file", "parse"),
        ("count tokens", "parse file"),
        ("sum_up", "count sources"),
        ("publish", "count sources"),
        ("publish.sh", "publish"),
        ("verify report", "publish.sh"),
    ]);
    for process in &processes[1..] {
        let parent = by_id[process["parent_id"].as_str().expect("only the root has none")];
        assert_eq!(parent["name"], parents[process["name"].as_str().unwrap()], "{process}");
        assert!(process["orphan"] == false && process["attachment"] == "explicit", "{process}");
        match process["state"].as_str().unwrap() {
            "succeeded" => assert!(process["error"].is_null()),
            "failed" => assert!(process["error"]["message"].as_str().unwrap().ends_with("is no text"), "{process}"),
            other => panic!("{other}: {process}"),
        }
    }
    let distinct = |key: &str| processes.iter().map(|process| process[key].to_string()).collect::<BTreeSet<_>>().len();
    assert!(distinct("worker_id") >= 3, "{} operating-system processes", distinct("worker_id"));
    assert!(distinct("thread") >= 4, "{} threads", distinct("thread"));
    let read = processes.iter().filter(|process| process["name"] == "read file").count();
    assert!(read > 50 && processes.len() > 2 * read, "{read} files, {} processes", processes.len());
    assert!(root["counts"]["failed"].as_u64() > Some(0), "the picture in docs/ is no text");
}

#[test]
fn pipeline_refuses_a_missing_folder() {
    for monitored in [None, Some(&Server::start())] {
        let mut command = example("pipeline", monitored);
        command.arg("/nowhere/at/all");
        let finished = run(command);
        assert_eq!(finished.code, Some(1));
        assert!(finished.stderr.contains("can't open /nowhere/at/all"), "{}", finished.stderr);
    }
}

#[test]
fn batch_has_its_batch_mark() {
    let server = Server::start();
    let printed = same_each_way(&server, |server| {
        let mut command = example("batch", server);
        command.arg("batch001");
        command
    });
    assert_eq!(printed, Finished { code: Some(0), stdout: "batch001: 10 pieces, 1 refused\n".to_owned(), stderr: String::new() });
    let root = server.finished_root();
    assert_eq!(root["title"], format!("一个测试根任务 <batch001:{}>", root["number"]));
    assert_eq!(root["batch"], "batch001");
    expect![[r#"
        一个测试根任务
          一个带循环的任务
            导入订单
            导入订单
            导入订单 [failed]: order 1003 has no number of pieces: invalid digit found in string
            导入订单
    "#]]
    .assert_eq(&outline(&server.tree(&root)));
}

#[test]
fn queue_carries_the_parent_in_the_payload() {
    let server = Server::start();
    let printed = same_each_way(&server, |server| example("queue", server));
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
    expect![[r#"
        semantic: 6
        mapping: 120
        semantic: refused: a weight of -1 is none
        render: 40320
    "#]]
    .assert_eq(&printed.stdout);
    let root = server.finished_root();
    let processes = server.tree(&root);
    expect![[r#"
        produce tasks
          delegate
            judge whether to launch
          delegate
            judge whether to launch
          delegate [failed]: refused: a weight of -1 is none
            judge whether to launch [failed]: a weight of -1 is none
          delegate
            judge whether to launch
    "#]]
    .assert_eq(&outline(&processes));
    let workers: BTreeSet<&str> = processes.iter().map(|process| process["worker_id"].as_str().unwrap()).collect();
    assert_eq!(workers.len(), 2);
}

/// Code blocks of a page in this language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    page.split("\n```").filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n')).collect()
}

#[test]
fn the_program_of_docs_queues_shows_its_tasks() {
    let page = include_str!("../docs/guides/queues.md");
    let program = include_str!("../examples/tickets/main.rs");
    let (_, program) = program.split_once("\n\n").unwrap();
    assert_eq!(blocks(page, "rust")[0], program.trim_end(), "the page has this program");
    let manifest = blocks(page, "toml")[0];
    for name in ["anyhow", "monitor-client", "serde", "serde_json", "tokio"] {
        assert!(manifest.contains(&format!("\n{name} = ")), "{name}: {manifest}");
    }
    assert!(page.contains("\nMONITOR_ENABLED=1 cargo run\n"));

    let server = Server::start();
    let printed = same_each_way(&server, |server| example("tickets", server));
    assert_eq!((printed.code, printed.stderr.as_str()), (Some(0), ""));
    expect![[r#"
        a.mov: 5120 bytes
        b.mov: uploaded
        c.mov: no disk, again in 10 s
    "#]]
    .assert_eq(&printed.stdout);
    let tree = wait_for("all processes", || {
        let tree = server.tree(&server.finished_root());
        (tree.len() == 8 && tree.iter().all(|process| process["state"] == "succeeded" || process["state"] == "failed")).then_some(tree)
    });
    expect![[r#"
        send films
          render
            render
          render
            upload
          render
            render [failed]: no disk
            render
    "#]]
    .assert_eq(&outline(&tree));
    let tasks = server.get("/queue-tasks?sort=received");
    let results: Vec<_> = tasks["tasks"].as_array().unwrap().iter().map(|task| &task["task"]["result"]).collect();
    assert_eq!(results, [&Value::from(5_120), &Value::Null, &Value::from(5_120)]);
}

#[test]
fn the_program_of_docs_control_works_under_control() {
    let (_, program) = include_str!("../examples/controlled/main.rs").split_once("\n\n").unwrap();
    assert_eq!(blocks(include_str!("../docs/guides/control.md"), "rust")[0], program.trim_end(), "the page has this program");
    let server = Server::start();
    let printed = same_each_way(&server, |server| example("controlled", server));
    assert_eq!((printed.code, printed.stdout.as_str()), (Some(0), "a.mov: 120 bytes\nb.mov: 120 bytes\n"), "{}", printed.stderr);
    let tasks = server.get("/queue-tasks?queue=video&state=succeeded");
    assert_eq!(tasks["tasks"].as_array().map(Vec::len), Some(2), "{tasks}");
}

#[test]
fn workers_retry_tasks_and_skip_revoked_tasks() {
    let server = Server::start();
    let printed = same_each_way(&server, |server| example("workers", server));
    assert_eq!((printed.code, printed.stderr.as_str()), (Some(0), ""));
    expect![[r#"
        render-1: 24 frames, attempt 1
        render-2: 48 frames, attempt 2
        render-3: the task was revoked
        render-4: 96 frames, attempt 1
        thumbnail-1: 24 frames, attempt 1
        thumbnail-2: 48 frames, attempt 2
        thumbnail-3: the task was revoked
        thumbnail-4: 96 frames, attempt 1
    "#]]
    .assert_eq(&printed.stdout);
    let tasks = server.get("/queue-tasks?queue=films&limit=100");
    let phases = |phase: &str| tasks["tasks"].as_array().unwrap().iter().filter(|task| task["task"]["phase"] == phase).count();
    assert_eq!((phases("succeeded"), phases("revoked")), (6, 2), "{tasks}");
}

#[test]
fn service_shows_one_tree_of_three_processes() {
    let server = Server::start();
    let printed = same_each_way(&server, |server| example("service", server));
    assert_eq!((printed.code, printed.stderr.as_str()), (Some(0), ""));
    expect![[r#"
        apple: 200 OK, 5 left
        unicorn: 502 Bad Gateway, the stock answered 404 Not Found
    "#]]
    .assert_eq(&printed.stdout);
    let root = server.finished_root();
    let processes = server.tree(&root);
    expect![[r#"
        go shopping
          GET 127.0.0.1
            GET /orders/{item}
              find the price
                GET 127.0.0.1
                  GET /items/{item}
                    count what is left
          GET 127.0.0.1 [failed]: HTTP 502 Bad Gateway
            GET /orders/{item} [failed]: HTTP 502 Bad Gateway
              find the price [failed]: the stock answered 404 Not Found
                GET 127.0.0.1 [failed]: HTTP 404 Not Found
                  GET /items/{item}
                    count what is left
    "#]]
    .assert_eq(&outline(&processes));
    let workers: BTreeSet<&str> = processes.iter().map(|process| process["worker_id"].as_str().unwrap()).collect();
    assert_eq!(workers.len(), 3);
}

/// A receiver that ends with the test.
struct Receiving(std::process::Child);

impl Drop for Receiving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn receivers_report_an_unreachable_server_and_wait_for_it() {
    let mut server = Server::start();
    server.kill();
    let mut receivers = ["announcer", "dumpcam"].map(|name| {
        let mut command = example(name, None);
        command.args([server.url(), "1"]).stdin(std::process::Stdio::null());
        Receiving(command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap())
    });
    let errors = receivers.each_mut().map(|receiver| {
        let mut errors = std::io::BufReader::new(receiver.0.stderr.take().unwrap());
        let mut line = String::new();
        std::io::BufRead::read_line(&mut errors, &mut line).unwrap();
        assert!(line.starts_with("monitor: warning: ") && line.ends_with("; trying again\n"), "{line}");
        errors
    });
    server.start_again();
    wait_for("two readers", || server.ask("GET", "/metrics").1.contains("monitor_stream_subscribers 2\n").then_some(()));
    let task = serde_json::json!({"type": "task-sent", "root_id": format!("{:032x}", 7), "id": format!("{:016x}", 1), "time_us": 1, "name": "render"});
    let worker = serde_json::json!({"id": format!("{:032x}", 1), "hostname": "h", "pid": 1, "program": "film"});
    let answer = server.post(&serde_json::json!({"version": 1, "sent_us": 1, "sequence": 1, "worker": worker, "events": [task]}));
    assert_eq!(answer.0, 200, "{answer:?}");
    for (receiver, errors) in receivers.iter_mut().zip(errors) {
        assert!(receiver.0.wait().unwrap().success());
        assert_eq!(std::io::read_to_string(errors).unwrap(), "", "it is reported once");
    }
}

#[test]
fn receivers_announce_failures_and_dump_the_known_state() {
    let server = Server::start();
    let task = |event_type: &str, id: u64| {
        serde_json::json!({"type": event_type, "root_id": format!("{:032x}", 7), "id": format!("{id:016x}"), "time_us": 1_763_600_000_000_000_u64 + id,
            "name": "render", "args": [id], "native_id": format!("uuid-{id}"), "exception": "no disk"})
    };
    let batch = |sequence: u64, events: Vec<Value>| {
        let worker = serde_json::json!({"id": format!("{:032x}", 1), "hostname": "h", "pid": 1, "program": "film"});
        let answer =
            server.post(&serde_json::json!({"version": 1, "sent_us": 1, "sequence": sequence, "worker": worker, "events": events}));
        assert_eq!(answer.0, 200, "{answer:?}");
    };
    batch(1, vec![task("task-sent", 1), task("task-sent", 2)]);
    let mut receivers = ["announcer", "dumpcam"].map(|name| {
        let mut command = example(name, None);
        command.args([server.url(), "4"]).stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
        Receiving(command.spawn().unwrap())
    });
    // Wait until both receivers read the stream.
    wait_for("two readers", || server.ask("GET", "/metrics").1.contains("monitor_stream_subscribers 2\n").then_some(()));
    batch(3, vec![task("task-started", 1), task("task-failed", 1), task("task-started", 2), task("task-succeeded", 2)]);
    let [announced, dumped] = receivers.each_mut().map(|receiver| {
        let text = std::io::read_to_string(receiver.0.stdout.take().unwrap()).unwrap();
        assert!(receiver.0.wait().unwrap().success());
        text
    });
    assert_eq!(announced, "TASK FAILED: render[uuid-1] [1] \"no disk\"\n");
    assert!(dumped.contains("Workers:\n  film@h online\n") && dumped.contains("  render failed\n"), "{dumped}");
    assert!(dumped.ends_with(" tasks\n"), "{dumped}");
}
