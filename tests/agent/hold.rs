//! Guarantees of the agent under faults: a locked or full database, many runs at once, and runs that misbehave.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use monitor_tests::{Server, SteeredClock, run, wait_for};
use serde_json::{Value, json};

use crate::harness::Agent;

/// A task that writes its due time to the agent's file `ran` each second.
const EACH: &str = "shell = \"echo $MONITOR_RUN_DUE >> ../../../ran\"\nrules = [\"* * * * * *\"]\noverlap = \"allow 100\"\nmissed = { policy = \"all\", cap = 1000 }";

fn folder_of(agent: &Agent, task: &str) {
    fs::create_dir_all(agent.path("data/task").join(task)).unwrap();
}

/// Checks that each second since the first run has either a run or a decision, and that no run started twice.
fn nothing_is_lost_or_doubled(agent: &Agent, task: &str) {
    agent.define(task, &EACH.replace("* * * * * *", "@yearly"));
    wait_for("the end of the rule", || agent.log().contains("version=2").then_some(()));
    let runs = agent.ended(task, 1);
    let mut ran: BTreeMap<String, u32> = BTreeMap::new();
    for due in agent.lines("ran") {
        *ran.entry(due).or_default() += 1;
    }
    assert!(ran.values().all(|times| *times == 1) && ran.len() == runs.len(), "none doubled: {ran:?}");
    let dues: BTreeSet<i64> = runs.iter().map(|run| run["due_us"].as_i64().unwrap() / 1_000_000).collect();
    let told: Vec<_> = ["missed", "skipped"].iter().flat_map(|what| agent.decisions(what, task)).collect();
    for due in *dues.first().unwrap()..=*dues.last().unwrap() {
        let is_told = dues.contains(&due) || told.iter().any(|told| (told.1..=told.2).contains(&due));
        assert!(is_told, "{due} is missed without a word: {dues:?} {told:?}");
    }
}

#[test]
fn a_locked_database_delays_the_agent_and_loses_nothing() {
    let agent = Agent::start(&[("each", EACH)]);
    folder_of(&agent, "each");
    agent.ended("each", 1);
    let other = rusqlite::Connection::open(agent.path("data/agent.db")).unwrap();
    other.busy_timeout(Duration::from_secs(10)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // The agent waits up to ten seconds for the lock.
    agent.wait_for_log("nothing is started until it works again");
    let before = agent.lines("ran").len();
    other.execute_batch("COMMIT").unwrap();
    agent.wait_for_log("the agent's database works again");
    wait_for("later runs", || (agent.lines("ran").len() > before + 12).then_some(()));
    nothing_is_lost_or_doubled(&agent, "each");
}

/// Number of runs in the agent's database. This process can read the database even if the agent's disk fails.
fn stored_runs(agent: &Agent) -> usize {
    let database = rusqlite::Connection::open(agent.path("data/agent.db")).unwrap();
    let count: u32 = database.query_row("SELECT count(*) FROM run", [], |row| row.get(0)).unwrap();
    count as usize
}

/// Counts the messages to a socket until the test ends.
fn count(socket: UnixDatagram) -> Arc<AtomicU64> {
    let messages = Arc::new(AtomicU64::new(0));
    let counter = messages.clone();
    std::thread::spawn(move || {
        while socket.recv(&mut [0; 64]).is_ok() {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    messages
}

#[test]
fn a_full_or_failing_disk_under_the_database_starts_nothing_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (shim, told) = (folder.path().join("shim.so"), folder.path().join("told"));
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/disk/shim.c");
    let made = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-Wall", "-o"]).arg(&shim).arg(source).status();
    assert!(made.expect("a C compiler, as the build needs one").success());
    fs::write(&told, [0]).unwrap();
    let disk = fs::OpenOptions::new().write(true).open(&told).unwrap();
    let clock = SteeredClock::new();
    // The agent sends a message to the service manager in each turn of its loop, so the test can count the turns.
    let socket = folder.path().join("notify");
    let turns = count(UnixDatagram::bind(&socket).unwrap());
    let mut env = clock.env();
    for (name, value) in &mut env {
        if *name == "LD_PRELOAD" {
            value.push(":");
            value.push(&shim);
        }
    }
    env.extend([("DISK_TOLD", told.into_os_string()), ("NOTIFY_SOCKET", socket.into_os_string())]);
    let agent = Agent::start_with(&[("each", EACH)], env);
    folder_of(&agent, "each");
    agent.ended("each", 1);
    let mut ahead = Duration::ZERO;
    // Faults of the shim: 2 is a full disk, 1 is a failing disk.
    for (round, fault) in [2_u8, 1].into_iter().enumerate() {
        disk.write_at(&[fault], 0).unwrap();
        wait_for("the agent to say so", || (agent.log().matches("nothing is started until it works again").count() > round).then_some(()));
        // Runs that are already in the database may still be starting.
        let started = stored_runs(&agent);
        // Three further due times pass. The agent decides twice and starts nothing.
        ahead += Duration::from_secs(3);
        clock.pass(ahead);
        let turn = turns.load(Ordering::Relaxed);
        wait_for("two turns of the agent", || (turns.load(Ordering::Relaxed) >= turn + 3).then_some(()));
        let before = agent.lines("ran").len();
        assert_eq!(stored_runs(&agent), started, "the disk fails");
        assert!(before <= started, "what can't be written down isn't started: {before} of {started}");
        disk.write_at(&[0], 0).unwrap();
        wait_for("the agent's database", || (agent.log().matches("the agent's database works again").count() > round).then_some(()));
        wait_for("later runs", || (agent.lines("ran").len() > before + 4).then_some(()));
    }
    nothing_is_lost_or_doubled(&agent, "each");
}

#[test]
fn two_hundred_tasks_due_at_the_same_time_all_run_once() {
    let clock = SteeredClock::new();
    let mut agent = Agent::start_with(&[], clock.env());
    agent.kill();
    agent.set_env("MONITOR_AGENT_MAX_RUNS", "20");
    let hour = Duration::from_secs(3_600);
    let at = (SystemTime::now() + hour).duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut date = Command::new("date");
    date.args(["-u", "-d", &format!("@{at}"), "+%Y-%m-%dT%H:%M:%SZ"]);
    let rule = run(date).stdout.trim().to_owned();
    let task = format!("shell = \"echo $MONITOR_TASK_NAME >> {}\"\nrules = [{rule:?}]", agent.path("ran").display());
    let names: Vec<String> = (0..200).map(|number| format!("task-{number:03}")).collect();
    for name in &names {
        agent.define(name, &task);
    }
    agent.start_again();
    wait_for("all tasks", || (agent.ask(&["list"]).stdout.matches("task-").count() == 200).then_some(()));
    clock.pass(hour);
    let mut ran = wait_for("all runs", || {
        let lines = agent.lines("ran");
        (lines.len() >= 200).then_some(lines)
    });
    ran.sort();
    assert_eq!(ran, names, "each ran once");
    let runs: Vec<Value> = names.iter().map(|name| agent.ended(name, 1)[0].clone()).collect();
    assert!(runs.iter().all(|run| run["outcome"] == "ok" && run["due_us"] == json!(at * 1_000_000)), "{runs:?}");
    // Starts and ends, in order of time, give the number of simultaneous runs.
    let mut marks: Vec<(i64, i32)> = Vec::new();
    for run in &runs {
        marks.extend([(run["started_us"].as_i64().unwrap(), 1), (run["ended_us"].as_i64().unwrap(), -1)]);
    }
    marks.sort_by_key(|(at, step)| (*at, *step));
    let (_, at_once) = marks.iter().fold((0, 0), |(now, most), (_, step)| (now + step, most.max(now + step)));
    assert!(at_once <= 20, "{at_once} ran at once");
}

/// Process ids of processes with these words in their command lines.
fn pids(words: &str) -> Vec<i32> {
    let all = fs::read_dir("/proc").expect("a system with it").flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let has = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).replace('\0', " ").contains(words)
    };
    all.filter(has).collect()
}

#[test]
fn a_run_that_ignores_sigterm_and_forks_twice_is_ended_with_all_that_it_has_started() {
    let mark = format!("{}.5", 600_000 + std::process::id());
    let far = format!("(setsid sh -c 'trap : TERM; while :; do sleep {mark}; done' &); trap '' TERM; while :; do sleep {mark}; done");
    let agent = Agent::start(&[("far", &format!("shell = {far:?}\nkill-after = \"300ms\""))]);
    agent.wait_for_log("a task is new or has changed");
    agent.done(&["run", "far"]);
    let runs = agent.ended("far", 1);
    assert_eq!((&runs[0]["result_code"], &runs[0]["reason"]), (&json!(93), &json!("kill-after")), "{}", runs[0]);
    wait_for("all of it to be gone", || pids(&format!("sleep {mark}")).is_empty().then_some(()));
}

#[test]
fn a_run_that_writes_without_end_ends_all_the_same_and_its_end_is_read() {
    const BYTES: u64 = 16 << 20;
    let server = Server::start();
    let agent = Agent::of_server(&server, "db-1", &[]);
    let shell = format!("head -c {BYTES} /dev/zero | tr '\\0' x | fold -w 1000; echo; echo the end; exit 3");
    let task = json!({"name": "wordy", "shell": shell, "on": ["db-1"]});
    assert_eq!(server.order("POST", "/batch-tasks", &task).0, 201);
    wait_for("the task", || agent.ask(&["list"]).stdout.contains("wordy").then_some(()));
    let id = agent.done(&["run", "wordy"]);
    let runs = agent.ended("wordy", 1);
    assert_eq!((&runs[0]["exit_code"], &runs[0]["outcome"]), (&json!(3), &json!("fail")), "{}", runs[0]);
    let size = wait_for("the log", || {
        let (status, piece) = server.order("GET", &format!("/batch-tasks/runs/{id}/log"), &Value::Null);
        (status == 200 && piece["is_over"] == true).then(|| piece["size_bytes"].as_u64().unwrap())
    });
    let last = server.order("GET", &format!("/batch-tasks/runs/{id}/log?offset={}", size - 20), &Value::Null).1;
    assert!(last["text"].as_str().unwrap().ends_with("the end\n"), "{last}");
}

#[test]
fn vanished_runs_and_runs_of_deleted_tasks_block_no_other_run() {
    let agent = Agent::start(&[
        ("gone", "shell = \"echo $$ > ../../../pid; exec sleep 1000\""),
        ("other", "shell = \"echo x > ../../../pid2; sleep 2; exit 7\""),
    ]);
    folder_of(&agent, "gone");
    folder_of(&agent, "other");
    agent.wait_for_log("a task is new or has changed");
    let first = agent.done(&["run", "gone"]);
    let pid = wait_for("the command", || agent.lines("pid").first().cloned());
    // Until the start is known, the agent reads the folder to find out whether the launcher has started the command.
    wait_for("the start", || agent.runs("gone").iter().any(|run| run["started_us"].is_i64()).then_some(()));
    // The run's folder is removed, and all processes that supervise the run are killed.
    let folder = agent.path("data/runs").join(&first);
    wait_for("its folder to be gone, into which the launcher still writes", || {
        let _ = fs::remove_dir_all(&folder);
        (!folder.exists()).then_some(())
    });
    for pid in agent.launchers().into_iter().map(|pid| pid.to_string()).chain([pid]) {
        let _ = Command::new("kill").args(["-9", &pid]).status();
    }
    let runs = agent.ended("gone", 1);
    assert_eq!((&runs[0]["reason"], &runs[0]["result_code"]), (&json!("lost"), &json!(94)), "{}", runs[0]);
    let second = agent.done(&["run", "gone"]);
    wait_for("another run", || agent.runs("gone").iter().any(|run| run["id"] == json!(second) && run["started_us"].is_i64()).then_some(()));
    agent.done(&["kill", "gone", "--now"]);
    // The task is deleted while it runs.
    let run = agent.done(&["run", "other"]);
    wait_for("the command", || agent.path("pid2").exists().then_some(()));
    fs::remove_file(agent.path("tasks/other.toml")).unwrap();
    agent.wait_for_log("a task is gone");
    let runs = agent.ended("other", 1);
    assert_eq!((&runs[0]["id"], &runs[0]["exit_code"]), (&json!(run), &json!(7)), "its end is seen: {}", runs[0]);
    assert!(agent.ask(&["run", "other"]).stderr.contains("there is no task \"other\""));
}

#[test]
fn after_a_kill_of_all_supervisors_skip_does_not_block_later_runs() {
    let mut agent = Agent::start(&[(
        "each",
        "shell = \"echo $$ >> ../../../pids; exec sleep 1000\"\nrules = [\"* * * * * *\"]\noverlap = \"skip\"\nmissed = \"skip\"",
    )]);
    folder_of(&agent, "each");
    let pid = wait_for("the command", || agent.lines("pids").first().cloned());
    wait_for("an overlap", || (!agent.decisions("skipped", "each").is_empty()).then_some(()));
    agent.kill();
    for pid in agent.launchers().into_iter().map(|pid| pid.to_string()).chain([pid]) {
        let _ = Command::new("kill").args(["-9", &pid]).status();
    }
    wait_for("all to be gone", || agent.launchers().is_empty().then_some(()));
    agent.start_again();
    wait_for("another run", || (agent.lines("pids").len() > 1).then_some(()));
    let runs = agent.runs("each");
    assert_eq!((&runs[0]["reason"], &runs[0]["result_code"]), (&json!("lost"), &json!(94)), "{}", runs[0]);
}

/// All files below a folder.
fn texts(folder: PathBuf) -> Vec<(PathBuf, Vec<u8>)> {
    let (mut found, mut todo) = (Vec::new(), vec![folder]);
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => todo.push(entry.path()),
                Ok(kind) if kind.is_file() => found.push((entry.path(), fs::read(entry.path()).unwrap_or_default())),
                _ => {}
            }
        }
    }
    found
}

#[test]
fn no_secret_appears_in_api_logs_processes_or_files() {
    const SECRET: &str = "Zx81-hush-hush-9c";
    let server = Server::start();
    let agent = Agent::of_server(&server, "db-1", &[]);
    let secrets = tempfile::tempdir().unwrap();
    let file = secrets.path().join("pw");
    fs::write(&file, format!("{SECRET}\n")).unwrap();
    let go = agent.path("go");
    let shell = format!("test ${{#PW}} = {} && echo begins; while ! [ -e {} ]; do sleep 0.05; done; exit 3", SECRET.len(), go.display());
    let task = json!({"name": "gold", "shell": shell, "on": ["db-1"], "env": {"PW": {"file": file}}});
    assert_eq!(server.order("POST", "/batch-tasks", &task).0, 201);
    wait_for("the task", || agent.ask(&["list"]).stdout.contains("gold").then_some(()));
    let id = agent.done(&["run", "gold"]);
    let output = agent.path("data/runs").join(&id).join("output.log");
    wait_for("the command, which has it", || fs::read_to_string(&output).is_ok_and(|text| text == "begins\n").then_some(()));
    assert!(pids(SECRET).is_empty(), "no command line has it");
    let is_clean = |what: &str, bytes: &[u8]| {
        assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()), "{what}");
    };
    let spec = fs::read(agent.path("data/runs").join(&id).join("spec.json")).unwrap();
    assert!(String::from_utf8_lossy(&spec).contains(file.to_str().unwrap()), "the place of the secret is there");
    fs::write(&go, "").unwrap();
    agent.ended("gold", 1);
    let root = wait_for("the run at the server", || {
        let runs = server.get("/batch-tasks/runs?task=gold");
        runs["runs"][0]["ended_us"].as_u64().and(runs["runs"][0]["root_id"].as_str().map(str::to_owned))
    });
    let paths = [
        "batch-tasks",
        "batch-tasks/gold",
        "batch-tasks/gold/versions",
        "batch-tasks/gold/explain",
        "batch-tasks/runs",
        "audit",
        "commands",
        "workers",
    ];
    let paths = paths.map(str::to_owned).into_iter();
    for path in paths.chain([format!("roots/{root}/tree"), format!("roots/{root}/logs"), format!("batch-tasks/runs/{id}/log")]) {
        let (status, answer) = server.order("GET", &format!("/{path}"), &Value::Null);
        assert_eq!(status, 200, "{path}: {answer}");
        is_clean(&path, answer.to_string().as_bytes());
    }
    is_clean("the server's log", server.log().as_bytes());
    for (path, bytes) in texts(agent.path("")).into_iter().chain(texts(server.data().to_owned())) {
        is_clean(&path.display().to_string(), &bytes);
    }
}
