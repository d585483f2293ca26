//! Tests the options of a run in addition to its command.

use serde_json::Value;

use crate::detached::{detach, listed, text, until};
use crate::harness::{House, output, wait_for};

fn stdout(house: &House, options: &[&str], script: &str) -> String {
    let out = output(house.run(options, &["sh", "-c", script]), b"");
    assert!(out.status.success(), "{out:?}");
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn an_id_can_be_used_only_once() {
    let house = House::new();
    let id = detach(&house, &["--id", "nightly-2026"], "exit 3");
    assert_eq!(id, "nightly-2026");
    until(&house, &id, "ended");
    let out = output(house.run(&["--detach", "--id", "nightly-2026"], &["touch", "twice"]), b"");
    let why = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.code() == Some(125) && why.contains("\"nightly-2026\" already"), "{why}");
    assert!(!house.folder.path().join("twice").exists());
    // Not by another launcher of the same folder either.
    let folder = house.folder.path().join("runs/nightly-2026");
    let (code, _, why) = text(&["run", "--from", folder.to_str().unwrap()], &house);
    assert!(code == Some(125) && why.contains("taken by another launcher"), "{why}");
    assert_eq!(listed(&house, &id)["exit_code"], 3);
    for bad in ["", "..", "a/b", "-x", "a b"] {
        let out = output(house.run(&["--detach", &format!("--id={bad}")], &["true"]), b"");
        assert_eq!(out.status.code(), Some(125), "{bad:?}: {out:?}");
    }
}

#[test]
fn only_the_first_of_concurrent_starts_with_the_same_id_runs() {
    let house = House::new();
    let start = || house.run(&["--detach", "--id", "once"], &["sh", "-c", "echo ran >> ran"]).spawn().unwrap();
    let children: Vec<_> = (0..6).map(|_| start()).collect();
    let codes: Vec<_> = children.into_iter().map(|mut child| child.wait().unwrap().code().unwrap()).collect();
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 1, "{codes:?}");
    until(&house, "once", "ended");
    assert_eq!(std::fs::read_to_string(house.folder.path().join("ran")).unwrap(), "ran\n");
}

#[test]
fn the_process_has_the_ids_kind_and_fields_that_it_is_given() {
    let house = House::new();
    let (root, own) = ("0190aaaabbbbccccddddeeeeffff0001", "0123456789abcdef");
    let link = format!("{root}:{own}:retry_of");
    stdout(
        &house,
        &["--root-id", root, "--process-id", own, "--kind", "job", "--field", "ticket=4711", "--field", "empty=", "--link", &link],
        "true",
    );
    let process = house.process();
    assert_eq!((&process["root_id"], &process["id"], &process["kind"]), (&root.into(), &own.into(), &"job".into()));
    assert_eq!((&process["fields"]["ticket"], &process["fields"]["empty"]), (&"4711".into(), &"".into()));
    assert_eq!((&process["links"][0]["relation"], &process["links"][0]["id"]), (&"retry_of".into(), &own.into()));
    for bad in [["--root-id", "x", "--process-id", own], ["--root-id", root, "--process-id", "0000000000000000"]] {
        let out = output(house.run(&bad, &["true"]), b"");
        assert!(out.status.code() == Some(125) && String::from_utf8_lossy(&out.stderr).contains("hexadecimal"), "{out:?}");
    }
}

#[test]
fn a_secret_is_in_the_environment_and_in_no_file() {
    let house = House::new();
    std::fs::write(house.folder.path().join("key"), "hush-4711\n").unwrap();
    let mut run = house.run(
        &["--detach", "--secret", "KEY=file:key", "--secret", "OTHER=env:MINE"],
        &["sh", "-c", "[ \"$KEY\" = \"$(cat key)\" ] && [ ${#OTHER} = 9 ]"],
    );
    run.env("MINE", "hush-4712");
    let out = output(run, b"");
    let id = String::from_utf8(out.stdout).unwrap().trim().to_owned();
    assert_eq!(until(&house, &id, "ended")["exit_code"], 0);
    for entry in std::fs::read_dir(house.folder.path().join("runs").join(&id)).unwrap() {
        let text = String::from_utf8_lossy(&std::fs::read(entry.unwrap().path()).unwrap()).into_owned();
        assert!(!text.contains("hush"), "{text}");
    }
    assert!(!house.process().to_string().contains("hush"));
    let spec = std::fs::read_to_string(house.folder.path().join("runs").join(&id).join("spec.json")).unwrap();
    assert!(spec.contains("\"sh\"") && spec.contains("\"env\": \"MINE\""), "{spec}");
    for (bad, word) in [("KEY=file:absent", "absent"), ("KEY=env:NO_SUCH_ONE", "NO_SUCH_ONE")] {
        let out = output(house.run(&["--secret", bad], &["touch", "ran"]), b"");
        assert!(out.status.code() == Some(125) && String::from_utf8_lossy(&out.stderr).contains(word), "{out:?}");
    }
    assert!(!house.folder.path().join("ran").exists());
}

#[test]
fn the_command_does_not_see_the_token_of_the_launcher() {
    let house = House::new();
    let mut run = house.run(&[], &["sh", "-c", "echo \"<$MONITOR_TOKEN>\""]);
    run.env("MONITOR_TOKEN", "pm_hush");
    assert_eq!(String::from_utf8(output(run, b"").stdout).unwrap(), "<>\n");
    let mut run = house.run(&["--secret", "MONITOR_TOKEN=env:MONITOR_TOKEN"], &["sh", "-c", "echo \"<$MONITOR_TOKEN>\""]);
    run.env("MONITOR_TOKEN", "pm_hush");
    assert_eq!(String::from_utf8(output(run, b"").stdout).unwrap(), "<pm_hush>\n");
}

#[test]
fn a_clean_environment_contains_only_the_given_variables() {
    let house = House::new();
    let mut run =
        house.run(&["--clean-env", "--env", "GIVEN=1=2"], &["sh", "-c", "echo \"$LEFT_OVER,$GIVEN,${PATH:+path},${MONITOR_ROOT_ID:+id}\""]);
    run.env("LEFT_OVER", "here");
    assert_eq!(String::from_utf8(output(run, b"").stdout).unwrap(), ",1=2,path,id\n");
}

#[test]
fn hooks_run_before_and_after() {
    let house = House::new();
    let after = "echo after $MONITOR_RUN_EXIT_CODE $MONITOR_RUN_ATTEMPTS >> said";
    let options = ["--before", "echo before >> said", "--after", after, "--retry", "1", "--backoff", "1ms"];
    let out = output(house.run(&options, &["sh", "-c", "echo ran >> said; exit 4"]), b"");
    assert_eq!(out.status.code(), Some(4));
    assert_eq!(std::fs::read_to_string(house.folder.path().join("said")).unwrap(), "before\nran\nran\nafter 4 2\n");
    let out = output(house.run(&["--before", "exit 9", "--after", "touch after"], &["touch", "ran"]), b"");
    let why = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.code() == Some(125) && why.contains("the hook before it failed (--before): exit code 9"), "{why}");
    assert!(!house.folder.path().join("ran").exists() && !house.folder.path().join("after").exists());
    // A hook after it changes nothing of how it ended.
    let out = output(house.run(&["--after", "exit 9"], &["true"]), b"");
    assert!(out.status.success() && String::from_utf8_lossy(&out.stderr).contains("(--after): exit code 9"), "{out:?}");
}

#[test]
fn hooks_read_the_run_and_not_the_input_of_the_command() {
    let house = House::new();
    let options = ["--field", "rows=3", "--before", "cat > before", "--after", "cat > after"];
    let out = output(house.run(&options, &["sh", "-c", "cat; exit 4"]), b"its input\n");
    assert_eq!((out.status.code(), String::from_utf8_lossy(&out.stdout).as_ref()), (Some(4), "its input\n"));
    let read = |file: &str| serde_json::from_slice::<Value>(&std::fs::read(house.folder.path().join(file)).unwrap()).unwrap();
    assert_eq!((&read("before")["fields"]["rows"], &read("before")["outcome"]), (&"3".into(), &Value::Null));
    assert_eq!(read("after")["outcome"], serde_json::json!({ "exit_code": 4, "signal": null, "reason": null, "attempts": 1 }));
}

#[test]
fn the_after_hook_also_runs_without_a_launcher() {
    let house = House::new();
    let options = ["--after", "echo $MONITOR_RUN_EXIT_CODE > after"];
    let id = detach(&house, &options, "while ! [ -e go ]; do sleep 0.02; done; exit 7");
    crate::harness::kill(crate::detached::pid_of(&house, &id, "launcher"), "KILL");
    std::fs::write(house.folder.path().join("go"), "").unwrap();
    assert_eq!(until(&house, &id, "ended")["exit_code"], 7);
    assert_eq!(std::fs::read_to_string(house.folder.path().join("after")).unwrap(), "7\n");
}

#[test]
fn exit_codes_have_their_configured_meanings() {
    let state = |options: &[&str], code: &str, expected: i32| -> (Value, Value) {
        let house = House::new();
        let out = output(house.run(options, &["sh", "-c", &format!("echo ran >> ran; exit {code}")]), b"");
        assert_eq!(out.status.code(), Some(expected));
        let ran = std::fs::read_to_string(house.folder.path().join("ran")).unwrap().lines().count();
        (house.process()["state"].clone(), ran.into())
    };
    let retry = ["--retry", "1", "--backoff", "1ms"];
    assert_eq!(state(&[&retry[..], &["--exit", "24=ok"]].concat(), "24", 24), ("succeeded".into(), 1.into()));
    assert_eq!(state(&[&retry[..], &["--exit", "0=failed,24=ok"]].concat(), "0", 0), ("failed".into(), 2.into()));
    assert_eq!(state(&[&retry[..], &["--exit", "75=final"]].concat(), "75", 75), ("failed".into(), 1.into()));
    assert_eq!(state(&[&retry[..], &["--exit", "75=cancelled"]].concat(), "75", 75), ("cancelled".into(), 1.into()));
    let house = House::new();
    for bad in ["256=ok", "x", "1=good"] {
        assert_eq!(output(house.run(&["--exit", bad], &["true"]), b"").status.code(), Some(2), "{bad}");
    }
}

#[test]
fn a_long_run_causes_a_warning() {
    let house = House::new();
    let log = |process: &Value| house.get(&format!("/roots/1/processes/{}/logs", process["id"].as_str().unwrap())).to_string();
    let id = detach(&house, &["--warn-after", "100ms"], "while ! [ -e go ]; do sleep 0.02; done");
    wait_for("the warning", || {
        let process = house.trees().first()?.first()?.clone();
        (process["fields"]["warned_after"] == "100ms" && log(&process).contains("--warn-after")).then_some(())
    });
    std::fs::write(house.folder.path().join("go"), "").unwrap();
    assert_eq!(until(&house, &id, "ended")["exit_code"], 0);
}

#[test]
fn streams_of_a_detached_run_are_distinguished() {
    let house = House::new();
    let id = detach(&house, &[], "echo out; echo err >&2; while ! [ -e go ]; do sleep 0.02; done; echo more");
    std::fs::write(house.folder.path().join("go"), "").unwrap();
    until(&house, &id, "ended");
    assert_eq!(text(&["detached", "logs", "--stream", "stdout", &id], &house).1, "out\nmore\n");
    assert_eq!(text(&["detached", "logs", "--stream", "stderr", &id], &house).1, "err\n");
    let process = house.process();
    let logs = house.get(&format!("/roots/1/processes/{}/logs", process["id"].as_str().unwrap()));
    let of = |message: &str| logs["logs"].as_array().unwrap().iter().find(|log| log["message"] == message).unwrap()["stream"].clone();
    assert_eq!((of("out"), of("err")), ("stdout".into(), "stderr".into()));
}

/// Only a privileged user can run commands as another user; others get an error.
#[test]
fn a_command_runs_as_the_given_user() {
    let house = House::new();
    let out = output(house.run(&["--user", "nobody", "--cwd", "/"], &["sh", "-c", "id -un; echo $HOME $USER; id -G"]), b"");
    let said = String::from_utf8_lossy(&out.stdout);
    if output(std::process::Command::new("id"), b"").stdout.starts_with(b"uid=0(") {
        let words: Vec<_> = said.split_whitespace().collect();
        assert!(words[0] == "nobody" && words[2] == "nobody" && !words[3..].contains(&"0"), "{out:?}");
    } else {
        assert!(out.status.code() == Some(125) && String::from_utf8_lossy(&out.stderr).contains("--user"), "{out:?}");
    }
    let out = output(house.run(&["--user", "no-such-user"], &["touch", "ran"]), b"");
    assert!(
        out.status.code() == Some(125) && String::from_utf8_lossy(&out.stderr).contains("there is no user \"no-such-user\""),
        "{out:?}"
    );
    assert!(!house.folder.path().join("ran").exists());
}
