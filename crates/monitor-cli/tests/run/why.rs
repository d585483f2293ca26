//! Tests the line that shows why a command failed, with commands that really fail.

use std::io::{self, Read};
use std::process::Stdio;

use serde_json::Value;

use crate::harness::{House, output};

/// Runs a command whose stdout and stderr are the same pipe; returns its error and the output.
fn in_one_pipe(house: &House, command: &[&str]) -> (Value, Vec<u8>) {
    let (mut read, written) = io::pipe().unwrap();
    let mut run = house.run(&[], command);
    run.stdin(Stdio::null()).stdout(written.try_clone().unwrap()).stderr(written);
    let mut child = run.spawn().unwrap();
    // The command builder has the write end open, too.
    drop(run);
    let mut out = Vec::new();
    read.read_to_end(&mut out).unwrap();
    assert!(!child.wait().unwrap().success());
    (house.process()["error"].clone(), out)
}

#[test]
fn a_traceback_is_found_before_later_output() {
    let house = House::new();
    let script = "import sys\nfor n in range(4):\n    print(f'[ok] step {n} ✓')\ndef fetch():\n    raise TimeoutError('The read operation timed out')\nfetch()\n";
    let (error, out) = in_one_pipe(&house, &["python3", "-c", script]);
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains("[ok] step 3 ✓"), "{out}");
    assert_eq!((&error["message"], &error["type"]), (&"TimeoutError: The read operation timed out".into(), &"TimeoutError".into()));
    assert_eq!((&error["kind"], &error["code"]), (&"exit".into(), &1.into()));
    let tail = error["tail"].as_str().unwrap();
    assert!(tail.contains("[ok] step 3 ✓") && tail.contains("\n  File \"<string>\", line 6, in <module>\n"), "indented as it was: {tail}");
    // In the list of runs: the line, then the exit code, then the output.
    let roots = String::from_utf8(house.monitor(&["roots"]).output().unwrap().stdout).unwrap();
    assert!(roots.ends_with("  TimeoutError: The read operation timed out  exit code 1\n"), "{roots}");
    let tree = String::from_utf8(house.monitor(&["tree", "1"]).output().unwrap().stdout).unwrap();
    assert!(tree.contains("TimeoutError: The read operation timed out  exit code 1\n"), "{tree}");
    assert!(tree.contains("\n       File \"<string>\", line 6, in <module>\n"), "{tree}");
    // The run can be found by the text of the line.
    let found = house.get("/roots?q=read+operation");
    assert_eq!(found["roots"][0]["error"]["message"], error["message"]);
}

#[test]
fn the_error_comes_from_stdout_if_stderr_has_none() {
    let house = House::new();
    let script = "echo a warning >&2; echo; echo 'src/x.ts(3,5): error TS2322: no such type'; echo done; exit 2";
    output(house.run(&[], &["sh", "-c", script]), b"");
    let error = house.process()["error"].clone();
    assert_eq!((&error["message"], &error["code"]), (&"src/x.ts(3,5): error TS2322: no such type".into(), &2.into()));
    assert!(error["tail"].as_str().unwrap().ends_with("\ndone"), "{error}");
}

#[test]
fn stderr_is_the_reason_although_stdout_contains_the_word_error_and_json_gives_its_message() {
    for (script, message) in [
        ("echo 'Error rate: 0.01 %, within the limit'; echo 'disk quota exceeded' >&2; exit 1", "disk quota exceeded"),
        (
            r#"echo '{"level":"error","msg":"quota of db-1 used up"}' >&2; echo '{"level":"info","msg":"bye"}' >&2; exit 1"#,
            "quota of db-1 used up",
        ),
        ("echo '错误：无法连接数据库 orders'; echo 导入结束; exit 1", "错误：无法连接数据库 orders"),
    ] {
        let house = House::new();
        output(house.run(&[], &["sh", "-c", script]), b"");
        assert_eq!(house.process()["error"]["message"], message, "{script}");
    }
}

/// Without such a line, the error is the exit code, or a limit.
#[test]
fn the_exit_status_is_the_error_if_no_output_line_explains_it() {
    for (script, message) in
        [("exit 3", "exit code 3"), ("echo all is well; exit 3", "exit code 3"), ("kill -9 $$", "killed by SIGKILL (9)")]
    {
        let house = House::new();
        output(house.run(&[], &["sh", "-c", script]), b"");
        let error = house.process()["error"].clone();
        assert_eq!((&error["message"], &error["code"]), (&message.into(), &().into()), "{script}");
    }
}

/// Megabytes without a line end, bytes that are no text, and what would move a terminal's cursor.
#[test]
fn hostile_output_leaves_a_short_line_without_control_characters() {
    let hostile = [
        "head -c 3000000 /dev/zero | tr '\\0' x; exit 1",
        "head -c 300000 /dev/urandom; exit 1",
        r"printf 'error: \033[31mno\033[0m \033]0;title\007table\033[2J\n'; exit 1",
        r"printf '\377\376 cannot open it\r\n' >&2; exit 1",
    ];
    for script in hostile {
        let house = House::new();
        let (error, _) = in_one_pipe(&house, &["sh", "-c", script]);
        let message = error["message"].as_str().unwrap();
        assert!(message.chars().count() <= 501 && !message.contains(['\n', '\x1b']), "{script}: {message:?}");
        assert!(error["tail"].as_str().is_none_or(|tail| tail.len() <= 4 << 10), "{script}");
    }
}
