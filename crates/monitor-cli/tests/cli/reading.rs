use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::{ROOT, TestServer, ended, monitor, started};

#[test]
fn a_tree_is_drawn() {
    let server = TestServer::start();
    let events = [
        started(ROOT, 1, None, "夜间构建 nightly"),
        started(ROOT, 2, Some(1), "编译"),
        started(ROOT, 3, Some(2), "read"),
        started(ROOT, 4, Some(2), "parse"),
        started(ROOT, 5, Some(1), "test"),
        ended(ROOT, 3, 1_500, None),
        ended(ROOT, 4, 12_300_000, Some("no such\ntable")),
        ended(ROOT, 5, 999, None),
        ended(ROOT, 2, 185_000_000_000, Some("a child failed")),
        ended(ROOT, 1, 3_000_543_210, None),
    ];
    server.send(1, &events);
    let expected = "\
✓ 夜间构建 nightly <1>  succeeded      3.0 s
├─ ✗ 编译               failed      3 m 05 s  a child failed
│  ├─ ✓ read            succeeded     1.5 µs
│  └─ ✗ parse           failed       12.3 ms  no such … table
└─ ✓ test               succeeded     999 ns
";
    assert_eq!(server.run(&["tree", "1"]), expected);
    assert_eq!(server.run(&["tree", ROOT]), expected);
    let tree = server.json(&["tree", "1"]);
    assert_eq!((tree["processes"].as_array().unwrap().len(), &tree["root"]["number"]), (5, &json!(1)));
}

#[test]
fn awkward_names_are_shown_and_never_sent_raw() {
    let server = TestServer::start();
    let names = [
        "\u{1b}[31mred\u{1b}[0m",
        "\u{1b}]0;title\u{7}",
        "two\r\nlines\ttab",
        "nul\u{0}del\u{7f}csi\u{9b}2J",
        "\u{202e}gnp.exe",
        "<script>alert(1)</script> \"'",
        &"长".repeat(3_000),
        "",
    ];
    let mut events = vec![started(ROOT, 1, None, "\u{1b}[2Jroot\u{7}")];
    events.extend(names.iter().zip(2..).map(|(name, id)| started(ROOT, id, Some(1), name)));
    events.push(ended(ROOT, 2, 1, Some("\u{1b}[8mhidden\u{85}")));
    server.send(1, &events);
    for args in [&["tree", "1"][..], &["roots"], &["tree", "1", "--json"], &["roots", "--json"]] {
        let text = server.run(args);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{args:?}: {text:?}");
    }
    let tree = server.run(&["tree", "1"]);
    assert_eq!(tree.lines().count(), 1 + names.len(), "{tree}");
    for shown in ["␛[31mred␛[0m", "␛]0;title␇", "two␍␊lines␉tab", "nul␀del␡csi<U+009B>2J", "<U+202E>gnp.exe", "␛[8mhidden<U+0085>"]
    {
        assert!(tree.contains(shown), "{shown} is not in {tree}");
    }
    for wrong in [&["roots", "--state", "a\u{9b}2J\nb"][..], &["tree", "1", "--x\u{1b}[2J"], &["\u{9b}2J"]] {
        let error = String::from_utf8(monitor(wrong).assert().code(2).get_output().stderr.clone()).unwrap();
        assert!(!error.chars().any(|c| c.is_control() && c != '\n') && error.starts_with("error: "), "{error:?}");
    }
    let error = monitor(&["tree", "\u{1b}[31m", "--server", &server.url]).assert().code(2).get_output().stderr.clone();
    assert!(!error.contains(&0x1b), "{}", String::from_utf8_lossy(&error));
}

/// An error of many lines is one line in a list and in the tree, with its causes behind it.
#[test]
fn errors_are_short_and_include_their_causes() {
    let server = TestServer::start();
    let mut end = ended(ROOT, 2, 1_000, Some("exit code 1\nTraceback:\n  File x\nValueError: bad"));
    end["error"]["chain"] = json!(["no such table", "disk\u{9b}31m full"]);
    server.send(1, &[started(ROOT, 1, None, "import"), started(ROOT, 2, Some(1), "load"), end.clone()]);
    end["id"] = json!("0000000000000001");
    server.send(4, &[end]);
    let line = "exit code 1 … ValueError: bad: no such table: disk<U+009B>31m full\n";
    let roots = server.run(&["roots"]);
    assert!(roots.ends_with(&format!("  {line}")) && roots.lines().count() == 1, "{roots}");
    let tree = server.run(&["tree", "1"]);
    assert_eq!(tree, format!("✗ import <1>  failed     1.0 µs  {line}└─ ✗ load     failed     1.0 µs  {line}"));
}

#[test]
fn the_doctor_names_what_lost_its_parent_and_the_line_to_write() {
    let server = TestServer::start();
    let mut stray = started(&ROOT.replace('9', "8"), 1, None, "resize");
    (stray["attachment"], stray["thread"]) = (json!("unattached"), json!("pool\u{9b}-1"));
    server.send(1, &[started(ROOT, 1, None, "serve"), stray]);
    let run = |args: &[&str]| {
        let output = monitor(args).args(["--server", &server.url]).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    for args in [&["doctor"][..], &["doctor", "2"], &["doctor", "2", "0000000000000001"]] {
        let (code, said) = run(args);
        assert!(code == 0 && said.contains("monitor_client::spawn_thread(move || resize(…))"), "{said}");
        assert!(said.contains("Likely its parent is `serve`") && said.contains("pool<U+009B>-1"), "{said}");
    }
    assert_eq!(run(&["doctor", "1"]), (0, "every process has its parent\n".to_owned()));
    assert_eq!(server.json(&["doctor"])["findings"][0]["fix"], "spawn_thread");
    assert_eq!([run(&["doctor", "9"]).0, run(&["doctor", "2", "00000000000000ff"]).0, run(&["doctor", "2", "x"]).0], [4, 4, 2]);
}

#[test]
fn trees_are_pinned_unpinned_and_deleted() {
    let server = TestServer::start();
    server.send(1, &[started(ROOT, 1, None, "nightly\u{9b}"), ended(ROOT, 1, 1, None), started(&ROOT.replace('9', "8"), 1, None, "runs")]);
    let run = |args: &[&str], input: &str| {
        let data = server.data.path();
        let output = monitor(args).args(["--server", &server.url]).env("MONITOR_DATA", data).write_stdin(input).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    assert_eq!(run(&["pin", "1"], ""), (0, "pinned nightly<U+009B> <1>\n".to_owned(), String::new()));
    assert_eq!(server.json(&["roots", "--name", "nightly\u{9b}"])["roots"][0]["pinned"], true);
    let (code, _, why) = run(&["delete", "1", "--yes"], "");
    assert!(code == 1 && why.contains("`monitor unpin 1`"), "{why}");
    assert_eq!(run(&["unpin", ROOT], "").1, "unpinned nightly<U+009B> <1>\n");
    // Without a terminal, no confirmation is possible, even if the pipe contains an answer.
    let (code, _, why) = run(&["delete", "1"], "y\n");
    assert!(code == 1 && why.contains("--yes"), "{why}");
    assert_eq!(run(&["delete", "1", "--yes"], "").1, "deleted nightly<U+009B> <1>\n");
    assert_eq!(run(&["tree", "1"], "").0, 4);
    let (code, _, why) = run(&["delete", "2", "--yes"], "");
    assert!(code == 1 && why.contains("--running"), "{why}");
    let (code, shown, _) = run(&["delete", "2", "--yes", "--running", "--json"], "");
    assert_eq!((code, &serde_json::from_str::<serde_json::Value>(&shown).unwrap()["name"]), (0, &json!("runs")));
    for command in [&["pin", "9"][..], &["unpin", "9"], &["delete", "9", "--yes"]] {
        assert_eq!(run(command, "").0, 4, "{command:?}");
    }
    assert_eq!(run(&["pin", "x/.."], "").0, 2);
}

#[test]
fn a_tree_of_any_depth_has_short_lines() {
    let server = TestServer::start();
    let events: Vec<_> = (1..=2_000).map(|id| started(ROOT, id, (id > 1).then(|| id - 1), "deeper")).collect();
    server.send(1, &events);
    let tree = server.run(&["tree", "1"]);
    assert_eq!(tree.lines().count(), 2_000);
    assert!(tree.lines().all(|line| line.chars().count() < 200));
    assert!(tree.lines().nth(1_999).unwrap().starts_with("⋯ 1999 └─ ▶ deeper"), "{tree}");
}

#[test]
fn roots_are_listed_and_filtered() {
    let server = TestServer::start();
    let other = ROOT.replace('9', "8");
    let events = [
        started(ROOT, 1, None, "nightly"),
        ended(ROOT, 1, 2_000_000_000, None),
        started(&other, 1, None, "import"),
        ended(&other, 1, 1_000_000, Some("no such table")),
    ];
    server.send(1, &events);
    let failed = "✗ import <2>  failed  2025-11-20 00:53:20     1.0 ms        1 ✗1  no such table\n";
    let both = "\
✗ import <2>   failed     2025-11-20 00:53:20     1.0 ms        1 ✗1  no such table
✓ nightly <1>  succeeded  2025-11-20 00:53:20      2.0 s        1
";
    assert_eq!(server.run(&["roots"]), both);
    assert_eq!(server.run(&["roots", "--state", "failed,lost"]), failed);
    let output = monitor(&["roots", "--state", "failed,succeded", "--server", &server.url]).assert().code(2).get_output().stderr.clone();
    let message = String::from_utf8(output).unwrap();
    let states = ["'succeded'", "pending, running, retrying, succeeded, failed, cancelled, lost", "'succeeded'"];
    assert!(states.iter().all(|words| message.contains(words)), "{message}");
    assert_eq!(server.run(&["roots", "--name", "import"]), failed);
    assert_eq!(server.run(&["roots", "--q", "SUCH TABLE"]), failed);
    assert_eq!(server.run(&["roots", "--limit", "1"]), failed);
    assert_eq!(server.run(&["roots", "--batch", "none of this mark"]), "");
    assert_eq!(server.run(&["roots", "--worker", "night*@build-7"]), both);
    let nowhere = monitor(&["roots", "--worker", "biuld-7", "--server", &server.url]).assert().failure().get_output().stderr.clone();
    assert!(String::from_utf8(nowhere).unwrap().contains("there is no worker \"biuld-7\"; did you mean build-7?"));
    assert_eq!(server.json(&["roots", "--limit", "1"])["roots"][0]["root_id"], other);
}

#[test]
fn the_status_is_a_glance() {
    let server = TestServer::start();
    server.send(1, &[started(ROOT, 1, None, "a"), ended(ROOT, 1, 1, Some("b")), json!({"type": "new\u{1b}s"})]);
    let status = server.run(&["status"]);
    for words in [
        server.url.as_str(),
        env!("CARGO_PKG_VERSION"),
        "1 online, 0 offline, 0 lost",
        "keeps      all runs",
        "of its log",
        "1:  1 failed",
        "1 events of type new␛s",
    ] {
        assert!(status.contains(words), "{words:?} is not in {status}");
    }
    assert_eq!(server.json(&["status"])["workers"]["online"], 1);
}

#[test]
fn a_missing_run_ends_with_exit_code_4_and_an_invalid_id_with_2() {
    let server = TestServer::start();
    for (root, code, words) in [("9", 4, "no run 9"), (ROOT, 4, "no run"), ("x/../..", 2, "is not a run"), ("?x", 2, "is not a run")] {
        let output = monitor(&["tree", root, "--server", &server.url]).assert().code(code).get_output().stderr.clone();
        let message = String::from_utf8(output).unwrap();
        assert!(message.contains(words), "{root}: {message}");
    }
}

#[test]
fn a_closed_output_pipe_is_not_an_error() {
    let server = TestServer::start();
    let mut events = vec![started(ROOT, 1, None, "root")];
    events.extend((2..=5_000).map(|id| started(ROOT, id, Some(1), "a child with a name that takes its place in the pipe")));
    server.send(1, &events);
    for args in [&["tree", "1"][..], &["tree", "1", "--json"]] {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("monitor"));
        command.args(args).args(["--server", &server.url]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        assert!(output.stderr.is_empty(), "{args:?}: {output:?}");
    }
}
