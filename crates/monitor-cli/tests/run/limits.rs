//! Tests the limits of a command on time, CPU time and memory, and the end of its process tree.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::harness::{House, end_of, is_alive, kill, line_of, output, wait_for};

/// A command that forks twice and leaves its process group and session, so that its parent is init or a subreaper. It ignores SIGTERM.
fn straggler(house: &House, pid_file: &str) -> String {
    let path = house.folder.path().join(pid_file);
    format!("(setsid bash -c 'trap \"\" TERM; echo $$ > {}; while :; do sleep 0.05; done' &) ; ", path.display())
}

fn pid_in(house: &House, file: &str) -> u32 {
    line_of(house.folder.path().join(file)).parse().expect("a pid")
}

#[test]
fn a_timeout_ends_the_command_and_all_its_descendants() {
    let house = House::new();
    let script = format!("{} trap 'echo bye; exit 0' TERM; while :; do sleep 0.05; done", straggler(&house, "far"));
    let run = house.run(&["--timeout", "1s", "--grace", "300ms"], &["bash", "-c", &script]);
    let begun = Instant::now();
    let out = output(run, b"");
    // It handled SIGTERM and succeeded, but the timeout is still recorded as a failure.
    assert_eq!((out.status.code(), &*out.stdout), (Some(0), &b"bye\n"[..]));
    assert!(begun.elapsed().as_millis() >= 1_300, "what was left had its grace");
    let far = pid_in(&house, "far");
    wait_for("the one that left group and session to be killed", || (!is_alive(far)).then_some(()));
    let process = house.process();
    assert_eq!((&process["state"], &process["reason"], &process["exit_code"]), (&"failed".into(), &"timeout".into(), &0.into()));
    // The shell may additionally report that its `sleep` was terminated.
    assert!(process["error"]["message"].as_str().is_some_and(|message| message.starts_with("timeout: exit code 0")), "{process:#}");
}

#[test]
fn a_command_that_ignores_sigterm_is_killed_after_the_grace_period() {
    let house = House::new();
    let run = house.run(&["--timeout", "300ms", "--grace", "200ms"], &["bash", "-c", "trap '' TERM; while :; do sleep 0.05; done"]);
    assert_eq!(output(run, b"").status.code(), Some(137));
    let process = house.process();
    assert_eq!((&process["reason"], &process["signal"]), (&"timeout".into(), &9.into()));
}

/// SIGTERM stays pending while a process is stopped.
#[test]
fn a_timeout_ends_a_stopped_command() {
    let house = House::new();
    let run = house.run(&["--timeout", "300ms", "--grace", "30s"], &["sh", "-c", "kill -STOP $$"]);
    assert_eq!(output(run, b"").status.code(), Some(143));
}

/// Without a limit, remaining processes are neither ended nor waited for.
#[test]
fn remaining_processes_continue_without_a_limit() {
    let house = House::new();
    let script = format!("{} exit 3", straggler(&house, "far"));
    let mut child =
        house.run(&[], &["bash", "-c", &script]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    assert_eq!(end_of(&mut child).code(), Some(3));
    let far = pid_in(&house, "far");
    assert!(is_alive(far));
    kill(far, "KILL");
}

#[test]
fn cpu_time_is_limited_and_the_kind_of_limit_is_recorded() {
    let house = House::new();
    // Two processes at a time, which share the CPU time; an rlimit would apply to each separately.
    let run = house.run(&["--cpu", "1s", "--grace", "1s"], &["bash", "-c", "(while :; do :; done) & while :; do :; done"]);
    let code = output(run, b"").status.code();
    let process = house.process();
    assert_eq!((&process["reason"], &process["state"]), (&"cpu".into(), &"failed".into()), "{process:#}");
    let how = process["fields"]["cpu_limit"].as_str().expect("what limits it");
    assert!(how == "1s by cgroup" && code == Some(143) || how == "1s by rlimit, for each process" && code == Some(152), "{how} {code:?}");
}

/// Returns true if a cgroup with a memory limit can be created below or next to the current one. That is not possible with cgroup v1
/// controllers, as on older machines, or in a cgroup of another user.
fn may_make_memory_groups() -> bool {
    let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let mounts = text("/proc/self/mounts");
    let mount = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).find(|words| words[2] == "cgroup2");
    let groups = text("/proc/self/cgroup");
    let (Some(mount), Some(own)) = (mount, groups.lines().find_map(|line| line.strip_prefix("0::/"))) else { return false };
    let own = Path::new(mount[1]).join(own);
    let beside = own.parent().filter(|_| own != Path::new(mount[1]));
    [Some(&*own), beside].into_iter().flatten().any(|place| {
        let group = place.join(format!("monitor-test-{}", std::process::id()));
        let is_made = std::fs::create_dir(&group).is_ok();
        let is_limited = is_made && std::fs::write(group.join("memory.max"), "1000000000").is_ok();
        if is_made {
            std::fs::remove_dir(&group).unwrap();
        }
        is_limited
    })
}

/// By the group for all together, which the kernel enforces by killing; else each allocation beyond fails.
#[test]
fn memory_is_limited_and_the_kind_of_limit_is_recorded() {
    let house = House::new();
    // Two of 120 MiB each, and one of 400 MiB.
    let two =
        "import os; os.fork(); x = bytearray(120 << 20); print(len(x)); os.waitpid(-1, 0) if os.getpid() == int(os.environ['P']) else 0";
    let two = two.replace("int(os.environ['P'])", "top").replacen("os.fork()", "top = os.getpid(); os.fork()", 1);
    let is_by_group = may_make_memory_groups();
    for (program, fits_each, fits_all) in [
        ("x = bytearray(400 << 20); print(len(x))", false, false),
        ("x = bytearray(20 << 20); print(len(x))", true, true),
        (&two, true, false),
    ] {
        // The second attempt is not taken to have had too much because the first had.
        let run = house.run(&["--memory", "200M", "--retry", "1", "--backoff", "1ms"], &["python3", "-c", program]);
        let out = output(run, b"");
        let process = wait_for("its end", || {
            let tree = house.trees().pop()?;
            (tree[0]["fields"]["memory_limit"].is_string() && tree[0]["fields"]["peak_memory_bytes"].is_u64()).then(|| tree[0].clone())
        });
        let how = if is_by_group { "209715200 bytes by cgroup" } else { "209715200 bytes by rlimit, for each process" };
        assert_eq!(process["fields"]["memory_limit"], how);
        let fits = if is_by_group { fits_all } else { fits_each };
        assert_eq!(out.status.success(), fits, "{program}: {out:?}");
        if is_by_group && !fits {
            assert_eq!(process["reason"], "memory", "{program}");
        }
    }
}

#[test]
fn a_command_can_have_a_higher_niceness_than_its_launcher() {
    let house = House::new();
    // The tests may themselves be nicer than usual; 19 is as far as it goes.
    let own = rustix::process::getpriority_process(None).unwrap();
    let expected = |more: i32| format!("{}\n", (own + more).min(19)).into_bytes();
    assert_eq!(output(house.run(&["--nice", "7"], &["nice"]), b"").stdout, expected(7));
    let mut below = Command::new("nice");
    let monitor = house.run(&["--nice", "2"], &["nice"]);
    below
        .args(["-n", "3"])
        .arg(monitor.get_program())
        .args(monitor.get_args())
        .envs(monitor.get_envs().filter_map(|(name, value)| Some((name, value?))));
    assert_eq!(output(below, b"").stdout, expected(5));
}

#[test]
fn a_failed_command_is_retried_as_an_attempt_of_the_same_process() {
    let house = House::new();
    let script = "echo x >> tries; echo attempt $(wc -l < tries) >&2; [ $(wc -l < tries) -ge 3 ]";
    let out = output(house.run(&["--retry", "4", "--backoff", "10ms"], &["sh", "-c", script]), b"");
    assert_eq!((out.status.code(), &*out.stderr), (Some(0), &b"attempt 1\nattempt 2\nattempt 3\n"[..]));
    let process = wait_for("the last attempt", || Some(house.process()).filter(|process| process["state"] == "succeeded"));
    assert_eq!((&process["attempt"], &process["exit_code"], &process["error"]), (&3.into(), &0.into(), &().into()));

    let house = House::new();
    let begun = Instant::now();
    let out = output(house.run(&["--retry", "2", "--backoff", "100ms"], &["sh", "-c", "echo no >&2; exit 9"]), b"");
    assert_eq!(out.status.code(), Some(9));
    assert!(begun.elapsed().as_millis() >= 300, "100 ms, then twice as long");
    let process = wait_for("the last attempt", || Some(house.process()).filter(|process| process["attempt"] == 3));
    assert_eq!((&process["state"], &process["error"]["message"]), (&"failed".into(), &"no".into()));
    assert!(process["fields"]["command"].as_str().is_some_and(|command| command.contains("exit 9")), "{process:#}");
}

#[test]
fn a_run_that_waits_for_its_next_attempt_can_be_ended() {
    let house = House::new();
    let after = "echo after $MONITOR_RUN_EXIT_CODE $MONITOR_RUN_ATTEMPTS > after";
    let options = ["--retry", "3", "--backoff", "1h", "--log-dir", "logs", "--log-bytes", "4", "--after", after];
    let mut child =
        house.run(&options, &["sh", "-c", "yes | head -c 100000; exit 1"]).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    wait_for("the first attempt to fail", || house.trees().first().filter(|tree| tree[0]["state"] == "retrying").map(drop));
    kill(child.id(), "TERM");
    assert_eq!(end_of(&mut child).code(), Some(1));
    // It ends like any other run: the hook has run, and the file contains a note about the missing limit.
    assert_eq!(std::fs::read_to_string(house.folder.path().join("after")).unwrap(), "after 1 1\n");
    let process = house.process();
    assert_eq!(process["fields"]["log_file_cut_bytes"], 90_112);
    let text = std::fs::read_to_string(process["fields"]["log_file"].as_str().unwrap()).unwrap();
    assert!(text.starts_with("y\n") && text.contains("\n(cut: 90112 bytes are left out here)\n") && text.ends_with("y\n"), "{text}");
}

/// A signal that the command sends to its own group, or that it survives, is not a request to end the run.
#[test]
fn signals_that_a_command_sends_to_its_own_group_do_not_prevent_retries() {
    let house = House::new();
    let script = "trap '' TERM; kill -TERM 0; echo x >> tries; [ $(wc -l < tries) -ge 2 ]";
    let mut run = house.run(&["--retry", "1", "--backoff", "1ms"], &["bash", "-c", script]);
    run.process_group(0);
    assert_eq!(output(run, b"").status.code(), Some(0));

    // The command may have ended before the launcher handles the signal.
    let house = House::new();
    let script = "trap '' TERM; echo x >> tries; echo $$ > ready; while ! [ -e go ]; do sleep 0.02; done; kill -TERM 0; exit $(($(wc -l < tries) < 2))";
    let mut run = house.run(&["--retry", "1", "--backoff", "1ms"], &["bash", "-c", script]);
    let mut child = run.process_group(0).stdin(Stdio::null()).spawn().unwrap();
    let command = line_of(house.folder.path().join("ready"));
    kill(child.id(), "STOP");
    std::fs::write(house.folder.path().join("go"), "").unwrap();
    wait_for("its end", || (!is_alive(command.parse().unwrap())).then_some(()));
    kill(child.id(), "CONT");
    assert_eq!(end_of(&mut child).code(), Some(0));

    let house = House::new();
    let script = "trap 'echo again > heard' HUP; echo x >> tries; echo $$ > ready; [ $(wc -l < tries) -ge 2 ] && exit 0; \
        while ! [ -e heard ]; do sleep 0.02; done; sleep 0.5; exit 1";
    let mut child =
        house.run(&["--retry", "1", "--backoff", "1ms", "--grace", "10ms"], &["bash", "-c", script]).stdin(Stdio::null()).spawn().unwrap();
    line_of(house.folder.path().join("ready"));
    kill(child.id(), "HUP");
    assert_eq!(end_of(&mut child).code(), Some(0), "it was told to read its settings again");
}

/// The launcher does not wait for processes that don't read its output, neither at its normal end nor when it is ended.
#[test]
fn an_unread_output_pipe_does_not_delay_limits() {
    let house = House::new();
    let mut run = house.run(&["--timeout", "300ms", "--grace", "100ms"], &["yes"]);
    let mut child = run.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    assert_eq!(end_of(&mut child).code(), Some(143));
    // The output can still be read up to its end.
    let text = std::io::read_to_string(child.stdout.take().unwrap()).unwrap();
    assert!(text.len() > 64 << 10 && text.trim_end().lines().all(|line| line == "y" || line.is_empty()), "{}", text.len());
    assert_eq!(house.process()["reason"], "timeout");
}

#[test]
fn a_remaining_process_that_continues_to_write_is_not_awaited() {
    let house = House::new();
    let script = "{ echo y; : > written; exec yes; } & echo $! > pid; until [ -e written ]; do sleep 0.02; done";
    let run = &mut house.run(&[], &["sh", "-c", script]);
    let mut child = run.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()).unwrap());
    assert!(end_of(&mut child).success());
    let writer = pid_in(&house, "pid");
    assert!(is_alive(writer));
    kill(writer, "KILL");
    assert!(reader.join().unwrap() > 0);
}

/// Output, terminal and exit code end with the launcher; the command continues.
#[test]
fn a_killed_launcher_leaves_its_command_running() {
    let house = House::new();
    let script = "echo $$ > pid; while ! [ -e go ]; do sleep 0.02; done; seq 100000; echo end > ended";
    let mut child = house.run(&[], &["sh", "-c", script]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let pid = pid_in(&house, "pid");
    wait_for("it to be known", || house.trees().first().map(drop));
    kill(child.id(), "KILL");
    end_of(&mut child);
    std::fs::write(house.folder.path().join("go"), "").unwrap();
    // Its output still arrives, and does not end it.
    let text = std::io::read_to_string(child.stdout.take().unwrap()).unwrap();
    assert!(text.ends_with("\n99999\n100000\n"), "{}", text.len());
    assert_eq!(line_of(house.folder.path().join("ended")), "end");
    wait_for("it to end", || (!is_alive(pid)).then_some(()));
}

#[test]
fn a_command_is_killed_with_its_launcher_if_configured() {
    let house = House::new();
    let script = format!("{} echo $$ > pid; while :; do sleep 0.05; done", straggler(&house, "far"));
    let mut child = house.run(&["--on-launcher-death", "kill"], &["bash", "-c", &script]).stdin(Stdio::null()).spawn().unwrap();
    let (near, far) = (pid_in(&house, "pid"), pid_in(&house, "far"));
    kill(child.id(), "KILL");
    end_of(&mut child);
    wait_for("both to be killed", || (!is_alive(near) && !is_alive(far)).then_some(()));
}
