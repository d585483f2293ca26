//! Tests the environment that a command runs in, the result that its caller sees, and the recorded data.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use crate::harness::{House, end_of, kill, line_of, output, wait_for};

#[test]
fn a_command_is_recorded_with_all_its_properties() {
    let house = House::new();
    let run = house.run(
        &["--name", "sort it", "--batch", "b7", "--mask", "key"],
        &[
            "sh",
            "-c",
            "head -c 100000 /dev/zero | wc -c; echo one >&2; echo two >&2; exit 3",
            "x",
            "https://ada:lovelace@host/a?token=byron",
            "--key=sesame",
            "--password",
            "hunter2",
        ],
    );
    let out = output(run, b"");
    assert_eq!((out.status.code(), &*out.stdout, &*out.stderr), (Some(3), &b"100000\n"[..], &b"one\ntwo\n"[..]));
    let process = house.process();
    assert_eq!((&process["name"], &process["kind"], &process["state"]), (&"sort it".into(), &"script".into(), &"failed".into()));
    assert_eq!((&process["exit_code"], &process["signal"], &process["source"]), (&3.into(), &().into(), &().into()));
    assert_eq!(process["error"]["kind"], "exit");
    assert_eq!((&process["error"]["message"], &process["error"]["code"]), (&"two".into(), &3.into()));
    assert_eq!(process["error"]["tail"], "one\ntwo");
    let fields = &process["fields"];
    let command = fields["command"].as_str().expect("text");
    assert!(command.starts_with("sh -c ") && command.ends_with("x https://ada:***@host/a?token=*** --key=*** --password ***"), "{command}");
    assert_eq!(fields["cwd"], house.folder.path().canonicalize().unwrap().to_str().unwrap());
    assert!(fields["pid"].as_u64() > Some(1) && fields["host"].as_str().is_some_and(|host| !host.is_empty()), "{fields}");
    assert!(fields["peak_memory_bytes"].as_u64() > Some(100_000) && fields["cpu_ms"].as_u64().is_some(), "{fields}");
    assert!(fields["io_written_bytes"].as_u64() >= Some(100_000), "what its children wrote counts as well: {fields}");
    let root = house.get("/roots")["roots"][0].clone();
    assert_eq!(root["title"], "sort it <b7:1>");
}

/// Arbitrary bytes are passed on unchanged.
#[test]
fn input_and_output_go_through_as_they_are() {
    let house = House::new();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let out = output(house.run(&["--name", "copy"], &["cat"]), &bytes);
    assert!(out.status.success() && out.stdout == bytes && out.stderr.is_empty());
    // A reader that goes away early ends the writer, as without.
    let mut child = house.run(&[], &["sh", "-c", "yes; exit 9"]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(end_of(&mut child).code().is_some_and(|code| code == 9 || code == 141));
}

#[test]
fn exit_codes_of_the_command_are_kept_and_those_of_the_launcher_differ() {
    let house = House::new();
    std::fs::write(house.folder.path().join("plain"), "no program").unwrap();
    std::fs::write(house.folder.path().join("headless"), "#!/no/such/interpreter\n").unwrap();
    output(
        {
            let mut chmod = std::process::Command::new("chmod");
            chmod.arg("+x").arg(house.folder.path().join("headless"));
            chmod
        },
        b"",
    );
    for (options, command, code, says) in [
        (&[][..], &["true"][..], 0, ""),
        (&[], &["sh", "-c", "exit 255"], 255, ""),
        (&[], &["sh", "-c", "kill -TERM $$"], 143, ""),
        (&[], &["sh", "-c", "kill -KILL $$"], 137, ""),
        (&[], &["no-such-command"], 127, "monitor run: no-such-command: command not found\n"),
        (&[], &["./no-such-file"], 127, "monitor run: ./no-such-file: there is no such file\n"),
        (&[], &["./plain"], 126, "monitor run: ./plain: can't be executed: Permission denied (os error 13)\n"),
        (&[], &["./headless"], 126, "monitor run: ./headless: the interpreter that its first line names is not there\n"),
        (
            &["--cwd", "/no/such/folder"],
            &["true"],
            125,
            "monitor run: the folder /no/such/folder can't be entered: No such file or directory (os error 2)\n",
        ),
        (
            &["--log-dir", "/proc/nowhere"],
            &["true"],
            125,
            "monitor run: the folder /proc/nowhere can't be written to (--log-dir): No such file or directory (os error 2)\n",
        ),
    ] {
        let out = output(house.run(options, command), b"");
        assert_eq!((out.status.code(), &*String::from_utf8_lossy(&out.stderr)), (Some(code), says), "{command:?}");
    }
    // The ends of those that were not even started are recorded, too.
    wait_for("all of them", || {
        let trees = house.trees();
        (trees.len() == 10 && trees.iter().all(|tree| tree[0]["state"] != "running")).then(|| {
            let reasons: Vec<_> = trees.iter().filter_map(|tree| tree[0]["reason"].as_str()).collect();
            assert_eq!(reasons, ["not-found", "not-found", "not-executable", "not-executable", "not-started", "not-started"]);
            assert_eq!((&trees[2][0]["signal"], &trees[2][0]["error"]["message"]), (&15.into(), &"killed by SIGTERM (15)".into()));
        })
    });
}

/// A signal to the launcher is a request to end, however the command reacts. Any other end by a signal is a failure.
#[test]
fn a_command_that_ends_on_request_is_cancelled() {
    for (to_launcher, command, state, signal, code) in [
        (true, "echo $$ > ready; exec sleep 600", "cancelled", Some(15), None),
        (true, "trap 'exit 4' TERM; echo $$ > ready; while :; do sleep 0.05; done", "cancelled", None, Some(4)),
        (true, "trap 'exit 0' TERM; echo $$ > ready; while :; do sleep 0.05; done", "succeeded", None, Some(0)),
        (false, "echo $$ > ready; exec sleep 600", "failed", Some(15), None),
    ] {
        let house = House::new();
        let mut child = house.run(&[], &["sh", "-c", command]).stdin(Stdio::null()).spawn().unwrap();
        let pid = line_of(house.folder.path().join("ready")).parse().unwrap();
        kill(if to_launcher { child.id() } else { pid }, "TERM");
        end_of(&mut child);
        let process = house.process();
        assert_eq!(
            (process["state"].as_str(), process["signal"].as_i64(), process["exit_code"].as_i64()),
            (Some(state), signal, code),
            "{command}: {process:#}"
        );
    }
}

/// The same as without the launcher: a program that does not need its working folder runs in any.
#[test]
fn a_removed_or_inaccessible_working_folder_does_not_stop_the_launcher() {
    let house = House::new();
    let run = house.run(&[], &["printf", "ran"]);
    let own = {
        let uid = std::process::Command::new("id").arg("-u").output().unwrap();
        if uid.stdout == b"0\n" { "chmod 700 . && exec setpriv --reuid 65534 --regid 65534 --clear-groups" } else { "chmod 000 . && exec" }
    };
    for (folder, leave) in [("gone", "rmdir ../gone && exec"), ("locked", own)] {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &format!("mkdir {folder} && cd {folder} && {leave} \"$@\""), "sh"]).arg(run.get_program()).args(run.get_args());
        for (name, value) in run.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell.env("MONITOR_SPOOL_DIR", "off").env("MONITOR_TOKEN", "").current_dir(house.folder.path());
        let out = output(shell, b"");
        assert_eq!((out.status.code(), &*out.stdout, &*String::from_utf8_lossy(&out.stderr)), (Some(0), &b"ran"[..], ""), "{folder}");
    }
    wait_for("both to be recorded", || {
        let trees = house.trees();
        (trees.len() == 2 && trees.iter().all(|tree| tree[0]["state"] == "succeeded")).then(|| {
            let cwd = trees[0][0]["fields"]["cwd"].as_str().unwrap();
            assert!(cwd.ends_with("/gone (deleted)"), "{cwd}");
        })
    });
}

#[test]
fn a_command_line_without_a_separator_gets_a_hint() {
    let house = House::new();
    for (args, code, hint) in [
        (&["run", "ls"][..], 2, "hint: the command stands behind `--`: monitor run -- ls\n"),
        (&["run", "--timeout", "3s", "make", "-j8", "a b"], 2, "monitor run --timeout 3s -- make -j8 'a b'\n"),
        (&["run", "ls -la"], 2, "monitor run -- sh -c 'ls -la'\n"),
        (
            &["run", "--", "ls -la"],
            127,
            "monitor run: ls -la: command not found\nhint: this is one word, with spaces in it: leave out its quotes",
        ),
        (&["run", "--detach", "--", "it's \u{9b}2J"], 127, "monitor run -- sh -c 'it'\\''s <U+009B>2J'\n"),
        (&["run", "--", "no-such-command"], 127, ""),
        (&["run", "--timeot", "3s", "--", "true"], 2, ""),
    ] {
        let out = output(house.monitor(args), b"");
        let stderr = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains(hint) && stderr.contains("hint: ") != hint.is_empty(), "{args:?}: {stderr}");
    }
}

#[test]
fn an_invalid_command_line_is_refused_before_the_command_runs() {
    let house = House::new();
    for (args, says) in [
        (&["run"][..], "COMMAND"),
        (&["run", "--", ""], "there is no command"),
        (&["run", "--timeot", "3s", "--", "true"], "--timeout"),
        (&["run", "--timeout", "3", "--", "true"], "500ms, 90s"),
        (&["run", "--memory", "much", "--", "true"], "500M or 2G"),
        (&["run", "--nice", "99", "--", "true"], "99"),
        (&["run", "--server", "nowhere", "--", "true"], "URL"),
        (&["run", "--on-launcher-death", "cry", "--", "true"], "continue"),
    ] {
        let out = output(house.monitor(args), b"");
        let stderr = String::from_utf8_lossy(&out.stderr);
        assert!(matches!(out.status.code(), Some(2 | 125)) && stderr.contains(says), "{args:?}: {stderr}");
    }
    assert!(house.trees().is_empty());
}

#[test]
fn nested_runs_appear_below_the_outer_run() {
    let house = House::new();
    let monitor = assert_cmd::cargo::cargo_bin!("monitor");
    let script = format!(
        "echo $MONITOR_ENABLED; {0} run --name inner -- sh -c '{0} run --name innermost -- true'; {0} run --name beside -- true",
        monitor.display()
    );
    let out = output(house.run(&["--name", "outer"], &["sh", "-c", &script]), b"");
    assert_eq!(&*out.stdout, b"1\n");
    let tree = house.tree();
    let shape: Vec<_> = tree.iter().map(|process| (process["name"].as_str().unwrap(), process["depth"].as_u64().unwrap())).collect();
    assert_eq!(shape, [("outer", 0), ("inner", 1), ("innermost", 2), ("beside", 1)]);
}

/// Output is passed on unchanged; only the end of stderr is kept.
#[test]
fn output_to_a_file_goes_there_directly_unless_it_is_captured() {
    let house = House::new();
    let path = house.folder.path().join("out");
    let script = "ls -l /proc/self/fd/1; echo why >&2; exit 1";
    let mut run = house.run(&[], &["sh", "-c", script]);
    let file = File::create(&path).unwrap();
    let status = run.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file).status().unwrap();
    assert_eq!(status.code(), Some(1));
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(&format!("-> {}", path.canonicalize().unwrap().display())) && text.ends_with("why\n"), "{text}");
    let process = house.process();
    assert!(process["error"]["message"] == "why", "{process:#}");
    assert!(process["fields"]["output_bytes"].is_null());

    let house = House::new();
    let mut run = house.run(&["--capture"], &["echo", "captured"]);
    run.stdin(Stdio::null()).stdout(File::create(&path).unwrap()).status().unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "captured\n");
    assert_eq!(house.process()["fields"]["output_bytes"], 9);
}

#[test]
fn signals_are_passed_on() {
    let house = House::new();
    for (signal, expected) in [("TERM", "TERM"), ("INT", "INT"), ("HUP", "HUP"), ("USR1", "USR1"), ("QUIT", "QUIT")] {
        let ready = house.folder.path().join(signal);
        let script = format!("trap 'echo got {signal}; exit 4' {signal}; echo $$ > {}; while :; do sleep 0.05; done", ready.display());
        let mut child = house.run(&["--retry", "5"], &["bash", "-c", &script]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        line_of(&ready);
        kill(child.id(), signal);
        if signal == "USR1" {
            // The signal was not sent through the launcher, so the next attempt starts.
            std::fs::remove_file(&ready).unwrap();
            line_of(&ready);
            kill(child.id(), "TERM");
        }
        let status = end_of(&mut child);
        let out = std::io::read_to_string(child.stdout.take().unwrap()).unwrap();
        assert_eq!((status.code(), out), (Some(if signal == "USR1" { 143 } else { 4 }), format!("got {expected}\n")));
    }
}

/// With a signal that can't be handled, the launcher's own end shows it as well.
#[test]
fn the_launcher_ends_with_an_exit_code_and_not_by_the_signal() {
    let house = House::new();
    let mut child = house.run(&[], &["sleep", "600"]).stdin(Stdio::null()).spawn().unwrap();
    let pid = wait_for("its pid", || house.trees().first().and_then(|tree| tree[0]["fields"]["pid"].as_u64()));
    kill(u32::try_from(pid).unwrap(), "KILL");
    let status = end_of(&mut child);
    assert_eq!((status.code(), status.signal()), (Some(137), None));
    assert_eq!(house.process()["signal"], 9);
}

/// Remaining processes may continue to write; the launcher does not wait for them.
#[test]
fn remaining_processes_keep_their_output() {
    let house = House::new();
    let go = house.folder.path().join("go");
    let script = format!("(while ! [ -e {} ]; do sleep 0.02; done; echo late) & echo early", go.display());
    let mut child = house.run(&[], &["sh", "-c", &script]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    assert!(end_of(&mut child).success());
    std::fs::write(&go, "").unwrap();
    assert_eq!(std::io::read_to_string(child.stdout.take().unwrap()).unwrap(), "early\nlate\n");
}

/// In a small container without certificates: on this machine, and for another address, which is treated as remote.
#[test]
fn http_needs_no_certificates() {
    let house = House::new();
    let port = house.server.url.rsplit(':').next().unwrap();
    for url in [house.server.url.clone(), format!("http://[::ffff:127.0.0.1]:{port}")] {
        for args in [&["run", "--", "true"][..], &["roots"][..]] {
            let mut monitor = house.monitor(args);
            monitor.env("SSL_CERT_FILE", "/dev/null").env("SSL_CERT_DIR", "/dev/null").env("MONITOR_SERVER_URL", &url);
            monitor.env("MONITOR_SPOOL_DIR", "off").env("MONITOR_TOKEN", "");
            let said = output(monitor, b"");
            assert!(said.status.success(), "{url} {args:?}: {}", String::from_utf8_lossy(&said.stderr));
        }
    }
    wait_for("both", || (house.trees().len() == 2).then_some(()));
}

#[test]
fn an_unreachable_server_changes_nothing() {
    let mut house = House::new();
    let _ = (house.server.child.kill(), house.server.child.wait());
    let out = output(house.run(&[], &["sh", "-c", "cat; exit 5"]), b"through");
    assert_eq!((out.status.code(), &*out.stdout, &*out.stderr), (Some(5), &b"through"[..], &b""[..]));
    let spool = std::fs::read_dir(house.folder.path().join("spool")).unwrap().count();
    assert!(spool > 0, "what it had to say is kept");
}

#[test]
fn two_hundred_concurrent_runs_are_recorded() {
    let house = House::new();
    let children: Vec<_> = (0..200)
        .map(|number| {
            let mut run = house.run(&["--name", "one of many"], &["sh", "-c", &format!("echo {number}; exit {}", number % 3)]);
            run.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for (number, mut child) in children.into_iter().enumerate() {
        let status = end_of(&mut child);
        let out = std::io::read_to_string(child.stdout.take().unwrap()).unwrap();
        assert_eq!((status.code(), out), (Some(number as i32 % 3), format!("{number}\n")));
    }
    // Records that a launcher could not send before its end are in the spool.
    let spool = house.folder.path().join("spool");
    output(
        {
            let mut ship = house.monitor(&["spool", "ship", "--dir"]);
            ship.arg(spool);
            ship
        },
        b"",
    );
    wait_for("all of them", || {
        let roots = house.get("/roots?limit=1000")["roots"].as_array().unwrap().clone();
        (roots.len() == 200 && roots.iter().all(|root| root["state"] != "running")).then(|| {
            assert_eq!(roots.iter().filter(|root| root["state"] == "succeeded").count(), 67);
        })
    });
}
