//! Tests the recording of unmodified shell scripts.

use std::fmt::Write as _;
use std::process::Command;

use serde_json::Value;

use crate::harness::{House, output};

/// One line a process: depth, name, kind, and how it failed.
fn outline(tree: &[Value]) -> String {
    let mut text = String::new();
    for process in tree {
        let word = |key: &str| process[key].as_str().unwrap_or_default().to_owned();
        let error = process["error"]["message"].as_str().map(|error| format!(": {error}")).unwrap_or_default();
        let state = if word("state") == "succeeded" { String::new() } else { format!(" [{}]", word("state")) };
        let indent = "  ".repeat(process["depth"].as_u64().unwrap() as usize);
        writeln!(text, "{indent}{} ({}){state}{error}", word("name"), word("kind")).unwrap();
    }
    text
}

#[test]
fn the_commands_of_a_script_are_separate_processes() {
    let house = House::new();
    let script = "#!/bin/bash\nset -eu\nx=$(echo inner)\nfor n in 1 2; do\n  echo $n $x\ndone\nfalse || true\nbash below.sh\necho \"last $_ $?\" >&2\nexit 4\n";
    std::fs::write(house.folder.path().join("script.sh"), script).unwrap();
    std::fs::write(house.folder.path().join("below.sh"), "true\n! sh -c 'exit 6'\n").unwrap();
    let plain = output(
        {
            let mut bash = Command::new("bash");
            bash.arg("script.sh").current_dir(house.folder.path());
            bash
        },
        b"",
    );
    let out = output(house.run(&["--inject", "shell"], &["bash", "script.sh"]), b"");
    assert_eq!(
        (&out.status.code(), &out.stdout, String::from_utf8_lossy(&out.stderr)),
        (&plain.status.code(), &plain.stdout, String::from_utf8_lossy(&plain.stderr))
    );
    let tree = house.tree();
    let expected = "\
bash (script) [failed]: last below.sh 0
  set -eu (script)
  x=$(echo inner) (script)
  for n in 1 2 (script)
  echo $n $x (script)
  for n in 1 2 (script)
  echo $n $x (script)
  false (script)
  true (script)
  bash below.sh (script)
    true (script)
    sh -c 'exit 6' (script)
  echo \"last $_ $?\" 1>&2 (script)
  exit 4 (script) [failed]: exit code 4
";
    let seen = outline(&tree);
    assert_eq!(seen, expected);
    let place = tree.iter().find(|process| process["name"] == "bash below.sh").unwrap()["fields"]["place"].clone();
    assert_eq!(place, "script.sh:8");
}

/// A step shows only its own exit code: not that of a pipeline's parts, of the head of a loop, or of an earlier command.
#[test]
fn a_step_has_no_exit_code_but_its_own() {
    let house = House::new();
    std::fs::write(house.folder.path().join("it.sh"), "false; echo one | cat | cat\nfalse; false\nfor n in 1; do :; done\n(exit 0)\n")
        .unwrap();
    let out = output(house.run(&["--inject", "shell"], &["bash", "it.sh"]), b"");
    assert_eq!(&*out.stdout, b"one\n");
    let expected = "\
bash (script)
  false (script) [failed]: exit code 1
  echo one (script)
  cat (script)
  cat (script)
  false (script) [failed]: exit code 1
  false (script) [failed]: exit code 1
  for n in 1 (script)
  : (script)
";
    assert_eq!(outline(&house.tree()), expected);
}

/// The error of a run is that of the command that ended it; a handled failure is not its reason.
#[test]
fn the_error_of_a_script_excludes_failures_that_it_handled() {
    let check = |script: &str, expected: Option<&str>, printed: &str| {
        let house = House::new();
        output(house.run(&["--inject", "shell"], &["bash", "-c", script]), b"");
        let tree = house.tree();
        assert!(tree.iter().skip(1).any(|process| process["state"] == "failed"), "{script}: {tree:#?}");
        let error = house.get("/roots")["roots"][0]["error"]["message"].clone();
        match expected {
            Some(part) => assert!(error.as_str().is_some_and(|error| error.contains(part)), "{script}: {error}"),
            None => assert!(error.is_null(), "{script}: {error}"),
        }
        let listed = String::from_utf8(output(house.monitor(&["roots"]), b"").stdout).unwrap();
        assert!(listed.contains(printed) && (expected.is_some() || !listed.contains("exit code")), "{script}: {listed}");
    };
    check("false || true; ls /nope", Some("/nope"), "/nope");
    check("ls /nope; true", None, "succeeded");
}

/// Commands in conditions are not failures, whatever their exit code is.
#[test]
fn a_condition_that_is_not_met_is_no_failure() {
    let house = House::new();
    let script = "if grep -q x /dev/null; then :; fi\n[ a = b ]\n[[ a == b ]]\n((0))\nfalse || true\ntrue && false || echo no\n! true\n\
                  while grep -q y /dev/null; do :; done\ngrep -q z /dev/null\ntrue | false\necho last\n";
    std::fs::write(house.folder.path().join("it.sh"), script).unwrap();
    let out = output(house.run(&["--inject", "shell"], &["bash", "it.sh"]), b"");
    assert_eq!((out.status.code(), &*out.stdout), (Some(0), &b"no\nlast\n"[..]));
    let expected = "\
bash (script)
  grep -q x /dev/null (script)
  [ a = b ] (script)
  [[ a == b ]] (script)
  ((0)) (script)
  false (script)
  true (script)
  true (script)
  false (script)
  echo no (script)
  true (script)
  grep -q y /dev/null (script)
  grep -q z /dev/null (script) [failed]: exit code 1
  true (script)
  false (script) [failed]: exit code 1
  echo last (script)
";
    let tree = house.tree();
    assert_eq!(outline(&tree), expected);
    assert_eq!(tree[2]["exit_code"], 1, "what it answered is told");
    // A script with its own ERR trap keeps it; results of conditions are then not recorded.
    let house = House::new();
    std::fs::write(house.folder.path().join("it.sh"), "trap 'echo own' ERR\nfalse || true\nfalse\n[ a = b ]\ntrue\n").unwrap();
    let out = output(house.run(&["--inject", "shell"], &["bash", "it.sh"]), b"");
    assert_eq!(&*out.stdout, b"own\nown\n");
    assert_eq!(house.tree().iter().filter(|process| process["name"] == "[ a = b ]" && process["state"] == "failed").count(), 0);
}

#[test]
fn commands_of_an_exit_trap_have_their_own_names() {
    for (trap, end, names) in [
        ("echo bye $?; rm -f \"x y\"; echo 'a b'", "exit 3", &["exit 3", "echo bye $?", "rm -f \"x y\"", "echo 'a b'"][..]),
        ("echo one\necho two", "false", &["false", "echo one", "echo two"]),
        ("cleanup", "echo over", &["echo over", "cleanup"]),
        ("echo one && echo two", "echo over", &["echo over", "echo one && echo two", "echo one && echo two"]),
    ] {
        let house = House::new();
        let script = format!("set -f\ncleanup() {{ echo c; }}\ntrue\ntrap {} EXIT\n{end}\n", shell_word(trap));
        std::fs::write(house.folder.path().join("it.sh"), &script).unwrap();
        let plain = output(
            {
                let mut bash = Command::new("bash");
                bash.arg("it.sh").current_dir(house.folder.path());
                bash
            },
            b"",
        );
        let out = output(house.run(&["--inject", "shell"], &["bash", "it.sh"]), b"");
        assert_eq!((out.status.code(), &out.stdout, &out.stderr), (plain.status.code(), &plain.stdout, &plain.stderr), "{trap}");
        let tree = house.tree();
        let seen: Vec<_> = tree.iter().skip(4).map(|process| process["name"].as_str().unwrap()).collect();
        assert_eq!(seen, names, "{}", outline(&tree));
        let last = tree.last().unwrap();
        assert_eq!((&last["state"], &last["reason"]), (&"succeeded".into(), &"unknown".into()), "the script's code is none of its own");
        assert!(last["fields"]["place"].as_str().unwrap().ends_with("it.sh:EXIT"), "{last:#}");
    }
}

fn shell_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[test]
fn a_program_that_replaces_a_script_by_exec_is_its_last_command() {
    let house = House::new();
    std::fs::write(house.folder.path().join("it.sh"), "exec 3>&1 2> err\necho one >&3\nexec bash next.sh\n").unwrap();
    std::fs::write(house.folder.path().join("next.sh"), "echo two\nfalse\nexec sh -c 'exit 5'\n").unwrap();
    let out = output(house.run(&["--inject", "shell"], &["bash", "it.sh"]), b"");
    assert_eq!((out.status.code(), &*out.stdout), (Some(5), &b"one\ntwo\n"[..]));
    let expected = "\
bash (script) [failed]: exit code 5
  exec 3>&1 2> err (script)
  echo one 1>&3 (script)
  exec bash next.sh (script) [failed]: exit code 5
    echo two (script)
    false (script) [failed]: exit code 1
    exec sh -c 'exit 5' (script) [failed]: exit code 5
";
    assert_eq!(outline(&house.tree()), expected);
}

/// After a hundred similar commands, further commands are counted with their descendants; processes that are not scripts are below the
/// script.
#[test]
fn loops_fold() {
    let house = House::new();
    let monitor = assert_cmd::cargo::cargo_bin!("monitor");
    let script = format!(
        "for n in {{1..400}}; do\n  : $n\n  [ $n = 350 ] && {} run --name afar -- true\n  bash below.sh\ndone\nfalse\n",
        monitor.display()
    );
    std::fs::write(house.folder.path().join("it.sh"), script).unwrap();
    std::fs::write(house.folder.path().join("below.sh"), "# $(touch harm)\ntrue 'x]$(touch harm)'\n").unwrap();
    output(house.run(&["--inject", "shell"], &["bash", "it.sh"]), b"");
    let tree = house.tree();
    let of = |name: &str| tree.iter().filter(|process| process["name"].as_str().unwrap().starts_with(name)).collect::<Vec<_>>();
    for name in [": $n", "[ $n = 350 ]", "bash below.sh"] {
        let found = of(name);
        let counted: u64 = found.iter().filter_map(|process| process["fold"]["count"].as_u64()).sum();
        let single = found.iter().filter(|process| process["fold"].is_null()).count() as u64;
        assert_eq!(counted + single, 400, "{name}");
        assert!((100..150).contains(&single), "{name}: {single} are told singly");
        assert!(found.iter().all(|process| process["state"] == "succeeded"));
    }
    // Slow commands are recorded individually, too, together with their descendants.
    assert!(tree.len() < 900, "{}", tree.len());
    assert!(!house.folder.path().join("harm").exists(), "the text of a command is never run");
    let afar = of("afar");
    assert_eq!((afar.len(), afar[0]["orphan"].as_bool()), (1, Some(false)));
    assert_eq!((tree[tree.len() - 1]["name"].as_str(), tree[tree.len() - 1]["state"].as_str()), (Some("false"), Some("failed")));
}

/// Two scripts in one step: the result of each is unknown, but their last commands have ended.
#[test]
fn the_last_command_of_each_script_ends_with_it() {
    let house = House::new();
    std::fs::write(house.folder.path().join("it.sh"), "sh -c 'bash a.sh; bash b.sh'\ntrue\n").unwrap();
    std::fs::write(house.folder.path().join("a.sh"), "echo a1\necho a2\n").unwrap();
    std::fs::write(house.folder.path().join("b.sh"), "echo b1\necho b2\n").unwrap();
    let out = output(house.run(&["--inject", "shell"], &["bash", "it.sh"]), b"");
    assert_eq!(&*out.stdout, b"a1\na2\nb1\nb2\n");
    let tree = house.tree();
    assert!(tree.len() == 7 && tree.iter().all(|process| process["state"] == "succeeded"), "{}", outline(&tree));
    let reason = |name: &str| tree.iter().find(|process| process["name"] == name).unwrap()["reason"].clone();
    assert_eq!((reason("echo a1"), reason("echo a2"), reason("echo b2")), (Value::Null, "unknown".into(), "unknown".into()));
}

/// After very many commands the trap is removed, and the script continues as if there had never been one.
#[test]
fn the_trap_is_removed_from_a_script_after_very_many_commands() {
    let house = House::new();
    let script = "for ((n = 0; n < 5100; n++)); do :; done; echo a b; echo $_; trap -p DEBUG; echo $MONITOR_PARENT_ID";
    std::fs::write(house.folder.path().join("it.sh"), script).unwrap();
    let out = output(house.run(&["--inject", "shell"], &["bash", "it.sh"]), b"");
    let process = house.tree()[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(String::from_utf8_lossy(&out.stdout), format!("a b\nb\n{process}\n"));
}

/// Traces, traps, a closed feed and user settings are invisible to the script.
#[test]
fn a_script_does_the_same_with_and_without_injection() {
    let house = House::new();
    let scripts = [
        "set -x; echo a; IFS=:; y='b:c'; echo $y; set +x; echo $IFS",
        "trap 'echo bye $?' EXIT; trap 'echo err' ERR; false; echo $?",
        "RANDOM=42; echo $RANDOM $RANDOM; set -o pipefail; false | true; echo $?; echo $_",
        "trap 'echo own $BASH_COMMAND' DEBUG; true; echo x",
        "set -u; f() { echo in f $1; return 3; }; f 1 || echo $?; exec sh -c 'echo $0; exit 7'",
        "rm -f \"$MONITOR_FEED\"; echo gone; sleep 0.01; echo on",
        "set -u; unset MONITOR_FEED MONITOR_FEED_PID MONITOR_ROOT_ID; echo on; . './a\tb'; echo $?",
        "cat <<< here; read line < /etc/hostname; [[ -n $line ]] && echo read; wait; kill -TERM $$",
    ];
    for script in scripts {
        let path = house.folder.path().join("it.sh");
        std::fs::write(&path, script).unwrap();
        // A user's settings file; its path contains a variable that bash expands.
        std::fs::write(house.folder.path().join("own.bash"), "echo own settings\n").unwrap();
        std::fs::write(house.folder.path().join("a\tb"), "echo sourced\n").unwrap();
        let plain = output(
            {
                let mut bash = Command::new("bash");
                bash.arg("it.sh").current_dir(house.folder.path()).env("BASH_ENV", "${NO_SUCH-.}/$(echo own).bash");
                bash
            },
            b"",
        );
        let mut run = house.run(&["--inject", "shell"], &["bash", "it.sh"]);
        run.env("BASH_ENV", "${NO_SUCH-.}/$(echo own).bash");
        let out = output(run, b"");
        let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = plain.status.code().unwrap_or(143);
        assert_eq!(
            (out.status.code(), shown(&out.stdout), shown(&out.stderr)),
            (Some(code), shown(&plain.stdout), shown(&plain.stderr)),
            "{script}"
        );
    }
}
