//! An agent with a damaged or deleted database, or with a file that is no database.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use monitor_tests::{Server, SteeredClock, run, wait_for};
use serde_json::{Value, json};

use crate::harness::{Agent, token};

pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
/// A task that writes the id of each run to the agent's file `ran`.
pub(crate) const HOURLY: &str =
    "shell = \"echo $MONITOR_RUN_ID >> ../../../ran\"\nrules = [\"0 * * * *\"]\nzone = \"UTC\"\nmissed = { policy = \"all\" }";

pub(crate) fn to_hour() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    Duration::from_secs(HOUR.as_secs() - now.as_secs() % HOUR.as_secs())
}

/// A server with this clock. It closes no connection when the clock jumps.
pub(crate) fn server_by(clock: &SteeredClock) -> Server {
    let mut env = clock.env();
    for name in ["MONITOR_HEADER_TIMEOUT", "MONITOR_IDLE_TIMEOUT", "MONITOR_STALL_TIMEOUT"] {
        env.push((name, "365d".into()));
    }
    Server::start_with(env)
}

/// The agent db-1 of a server, with the same clock.
pub(crate) fn agent_of(server: &Server, clock: &SteeredClock) -> Agent {
    let mut env = clock.env();
    env.extend([
        ("MONITOR_SERVER_URL", server.url().into()),
        ("MONITOR_SPOOL_DIR", server.spool().into()),
        ("MONITOR_TOKEN_FILE", token(server, "db-1").into()),
    ]);
    Agent::start_with(&[], env)
}

/// Adds a task like [`HOURLY`] to the server, for the agent db-1.
pub(crate) fn add_hourly(server: &Server, agent: &Agent, name: &str) {
    fs::create_dir_all(agent.path("data/task").join(name)).unwrap();
    let missed = json!({"policy": "all"});
    let shell = "echo $MONITOR_RUN_ID >> ../../../ran";
    let task = json!({"name": name, "shell": shell, "rules": ["0 * * * *"], "zone": "UTC", "missed": missed, "on": ["db-1"]});
    let (status, added) = server.order("POST", "/batch-tasks", &task);
    assert_eq!(status, 201, "{added}");
}

pub(crate) fn has_tasks(agent: &Agent, names: &[&str]) {
    wait_for("all tasks", || names.iter().all(|name| agent.ask(&["list"]).stdout.contains(name)).then_some(()));
}

/// Waits until the server has this many ended runs of a task.
pub(crate) fn server_has_runs(server: &Server, task: &str, count: usize) {
    wait_for("the runs at the server", || {
        let runs = server.get(&format!("/batch-tasks/runs?task={task}"))["runs"].as_array()?.clone();
        (runs.iter().filter(|run| run["ended_us"].is_u64()).count() == count).then_some(())
    });
}

/// Waits until the server shows a task as paused.
pub(crate) fn server_has_pause(server: &Server, task: &str) {
    let path = format!("/batch-tasks/{task}");
    wait_for("the pause at the server", || (server.order("GET", &path, &Value::Null).1["status"] == "paused").then_some(()));
}

/// Deletes the database and the mark of a killed agent.
pub(crate) fn lose(agent: &Agent) {
    for name in ["agent.db", "agent.db-wal", "agent.db-shm", "agent.db.mark"] {
        match fs::remove_file(agent.path("data").join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{name}: {error}"),
            _ => {}
        }
    }
    assert!(!agent.path("data/agent.db").exists() && !agent.path("data/agent.db.mark").exists());
}

/// Checks that no due time of a task ran twice.
pub(crate) fn none_ran_twice(agent: &Agent, task: &str) {
    let mut ran: Vec<String> = agent.lines("ran").into_iter().filter(|run| run.starts_with(&format!("{task}@"))).collect();
    let count = ran.len();
    ran.sort();
    ran.dedup();
    assert_eq!(ran.len(), count, "{ran:?}");
}

fn database(agent: &Agent) -> PathBuf {
    agent.path("data/agent.db")
}

/// Databases that the agent has moved aside, without their write-ahead logs.
fn aside(agent: &Agent) -> Vec<PathBuf> {
    let entries = fs::read_dir(agent.path("data")).unwrap().map(|entry| entry.unwrap().path());
    let is_one = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.contains(".damaged-") && !name.ends_with("-wal") && !name.ends_with("-shm")
    };
    let mut found: Vec<_> = entries.filter(is_one).collect();
    found.sort();
    found
}

/// Moves the write-ahead log into the database file and deletes all other files of the database.
fn without_log(agent: &Agent) {
    let database = rusqlite::Connection::open(database(agent)).unwrap();
    database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(database);
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(agent.path(&format!("data/agent.db{suffix}")));
    }
}

/// Overwrites the database with garbage.
pub(crate) fn garble(agent: &Agent) {
    without_log(agent);
    fs::write(database(agent), b"\x00\xff\x13 garbage \x7f".repeat(2_000)).unwrap();
}

fn due(run: &Value) -> i64 {
    run["due_us"].as_i64().unwrap() / 1_000_000
}

#[test]
fn a_lost_database_is_recreated_and_no_earlier_due_time_runs_again() {
    let clock = SteeredClock::new();
    let server = server_by(&clock);
    let mut agent = agent_of(&server, &clock);
    fs::create_dir_all(agent.path("data/task/gold")).unwrap();
    agent.define("gold", HOURLY);
    let until = format!("until [ -e {} ]; do sleep 0.05; done; exit 7", agent.path("go").display());
    agent.define("long", &format!("shell = \"echo $$ >> {}; {until}\"\nexit = {{ \"7\" = \"warn\" }}", agent.path("long").display()));
    agent.define("still", HOURLY);
    wait_for("all tasks", || ["gold", "long", "still"].iter().all(|name| agent.ask(&["list"]).stdout.contains(name)).then_some(()));
    agent.done(&["pause", "still"]);
    let first = to_hour();
    clock.pass(first);
    agent.ended("gold", 1);
    let long = agent.done(&["run", "long"]);
    wait_for("it to run", || (agent.lines("long").len() == 1).then_some(()));
    // A task whose version is greater than the version of its run.
    agent.define("still", &format!("{HOURLY}\ntags = [\"later\"]"));
    // The agent writes the mark every ten seconds.
    let mark = || fs::read_to_string(agent.path("data/agent.db.mark")).unwrap_or_default();
    let before = mark();
    wait_for("the mark", || (mark() != before && mark().contains("still") && mark().contains("\"version\":2")).then_some(()));
    agent.kill();
    let ran = agent.lines("ran");
    garble(&agent);
    // Three due times pass while the agent is away.
    clock.pass(first + 3 * HOUR + HOUR / 2);
    agent.start_again();
    agent.wait_for_log("lost its database");
    let told = agent.log();
    for words in ["file is not a database", "it is now", ".damaged-", "monitor agent salvage", "none of them starts"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let kept = aside(&agent);
    assert!(kept.len() == 1 && fs::read(&kept[0]).unwrap().len() == 26_000, "{kept:?}");

    // All due times are recorded as missed and start nothing.
    let missed = wait_for("what was missed", || agent.decisions("missed", "gold").first().cloned());
    assert_eq!((missed.0.as_str(), missed.3), ("rebuilt", 3), "{missed:?}");
    assert_eq!(missed.2 - missed.1, 7_200);
    assert_eq!(agent.decisions("missed", "still"), [], "it was paused, and still is");
    assert!(agent.done(&["list"]).contains("paused"));
    // The agent follows the run that has outlived it and does not start it again.
    fs::write(agent.path("go"), "").unwrap();
    let runs = agent.ended("long", 1);
    assert_eq!((runs.len(), runs[0]["id"].as_str(), &runs[0]["exit_code"]), (1, Some(long.as_str()), &Value::from(7)));
    assert_eq!(runs[0]["outcome"], "warn", "it is judged by the task's definition");
    assert_eq!(agent.lines("long").len(), 1);
    // The next due time starts a single run. The history of runs is complete again.
    clock.pass(first + 4 * HOUR);
    let runs = agent.ended("gold", 2);
    assert_eq!((runs.len(), due(&runs[1]) - due(&runs[0])), (2, 4 * 3_600), "{runs:?}");
    assert!(runs[0]["version"].as_i64() < runs[1]["version"].as_i64(), "no number of a version is given twice: {runs:?}");
    assert_eq!(agent.lines("ran").len(), ran.len() + 1);
    let alert = wait_for("the alert", || {
        let alerts = server.get("/alerts")["alerts"].as_array()?.clone();
        alerts.into_iter().find(|alert| alert["subject"].to_string().contains("agent-database db-1"))
    });
    assert!(alert.to_string().contains("the agent db-1 lost its database"), "{alert}");
    // The agent continues normally.
    agent.stop();
    agent.start_again();
    clock.pass(first + 5 * HOUR);
    agent.ended("gold", 3);
    assert_eq!((aside(&agent).len(), agent.decisions("missed", "gold").len()), (1, 1));
}

#[test]
fn any_damaged_database_is_moved_aside_and_the_agent_continues() {
    let mut agent = Agent::start(&[("gold", "shell = \"true\"")]);
    agent.wait_for_log("a task is new or has changed");
    agent.done(&["run", "gold", "--wait"]);
    let mut runs = 1;
    let mut check = |agent: &mut Agent, what: &str, damage: &dyn Fn(PathBuf), is_kept: bool| {
        agent.stop();
        let before = (aside(agent).len(), agent.log().matches("lost its database").count());
        without_log(agent);
        damage(database(agent));
        agent.start_again();
        wait_for(what, || (agent.log().matches("lost its database").count() > before.1).then_some(()));
        runs += 1;
        wait_for(what, || (agent.ask(&["run", "gold", "--wait"]).code == Some(0)).then_some(()));
        assert_eq!(agent.ended("gold", runs).len(), runs, "{what}: the runs before are known");
        assert_eq!(aside(agent).len() > before.0, is_kept, "{what}");
    };
    check(&mut agent, "random bytes", &|path| fs::write(path, [0xa5_u8; 5_000]).unwrap(), true);
    check(&mut agent, "an empty file", &|path| fs::write(path, "").unwrap(), true);
    let truncate = |path: PathBuf| {
        let whole = fs::read(&path).unwrap();
        assert!(whole.len() > 3 * 4_096, "{}", whole.len());
        fs::write(path, &whole[..whole.len() / 2 + 100]).unwrap();
    };
    check(&mut agent, "a truncated file", &truncate, true);
    let half = |path: PathBuf| {
        let mut whole = fs::read(&path).unwrap();
        let from = whole.len() / 2;
        whole[from..].fill(0x5a);
        fs::write(path, whole).unwrap();
    };
    check(&mut agent, "half of it is garbage", &half, true);
    let folder = |path: PathBuf| {
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        fs::write(path.join("a"), "a").unwrap();
    };
    check(&mut agent, "a folder", &folder, true);
    check(&mut agent, "nothing", &|path| fs::remove_file(path).unwrap(), false);
}

#[test]
fn a_database_that_is_newer_or_not_to_be_opened_is_left_as_it_is() {
    let mut agent = Agent::start(&[("gold", "shell = \"true\"")]);
    agent.wait_for_log("a task is new or has changed");
    agent.done(&["run", "gold", "--wait"]);
    agent.stop();
    let refused = |agent: &Agent| {
        let mut command = agent.command(&["agent", "--tasks"]);
        command.arg(agent.path("tasks"));
        run(command)
    };
    let version = |number: i64| rusqlite::Connection::open(database(&agent)).unwrap().pragma_update(None, "user_version", number).unwrap();
    for (number, words) in [
        (99, "was written by a newer version of the agent: run that version"),
        (3, "has schema 3, and version 0.1.0 reads schema 4 and later; nothing was changed. To start afresh, move the folder away"),
    ] {
        version(number);
        let bytes = fs::read(database(&agent)).unwrap();
        let said = refused(&agent);
        assert!(said.code == Some(1) && said.stderr.contains(words), "{}", said.stderr);
        assert!(fs::read(database(&agent)).unwrap() == bytes && aside(&agent).is_empty());
    }
    version(4);
    // A database without permission to read. Root may open any file, so another user runs the agent.
    fs::set_permissions(database(&agent), fs::Permissions::from_mode(0o400)).unwrap();
    let mut command = agent.command(&["agent", "--tasks"]);
    command.arg(agent.path("tasks"));
    if nix::unistd::geteuid().is_root() {
        let bin = tempfile::tempdir().unwrap();
        let program = bin.path().join("monitor");
        fs::copy(command.get_program(), &program).unwrap();
        for path in [bin.path().to_owned(), program.clone(), agent.path("")] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        chown(agent.path("data"), Some(65_534), None).unwrap();
        chown(agent.path("data/agent.lock"), Some(65_534), None).unwrap();
        let mut other = std::process::Command::new(program);
        other.args(command.get_args()).envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))).uid(65_534);
        let said = run(other);
        assert!(said.code == Some(1) && said.stderr.contains("may not be opened by this user"), "{}", said.stderr);
    } else {
        let said = run(command);
        assert!(said.code == Some(1) && said.stderr.contains("may not be opened by this user"), "{}", said.stderr);
    }
    assert!(aside(&agent).is_empty());
}

#[test]
fn a_database_that_is_deleted_or_replaced_while_the_agent_runs_is_kept_by_a_copy() {
    let clock = SteeredClock::new();
    let agent = Agent::start_with(&[], clock.env());
    fs::create_dir_all(agent.path("data/task/gold")).unwrap();
    agent.define("gold", HOURLY);
    agent.define("still", HOURLY);
    wait_for("both tasks", || ["gold", "still"].iter().all(|name| agent.ask(&["list"]).stdout.contains(name)).then_some(()));
    agent.done(&["pause", "still"]);
    let first = to_hour();
    clock.pass(first);
    agent.ended("gold", 1);
    let remove =
        |suffixes: &[&str]| suffixes.iter().for_each(|suffix| fs::remove_file(agent.path(&format!("data/agent.db{suffix}"))).unwrap());
    let replace = || {
        fs::write(agent.path("other"), "another one's").unwrap();
        fs::rename(agent.path("other"), database(&agent)).unwrap();
    };
    let cases: [(&str, &dyn Fn(), usize); 4] = [
        ("was deleted while", &|| remove(&["", "-wal", "-shm"]), 0),
        ("agent.db was replaced while", &replace, 1),
        ("agent.db was deleted while", &|| remove(&[""]), 1),
        ("agent.db-wal was deleted while", &|| remove(&["-wal"]), 2),
    ];
    for (round, (words, lose, kept)) in cases.into_iter().enumerate() {
        lose();
        agent.wait_for_log(words);
        wait_for(words, || (agent.log().matches("All that was in it could be kept").count() > round).then_some(()));
        // The next due time starts a single run, and all earlier runs are known.
        clock.pass(first + HOUR * (round as u32 + 1));
        let runs = agent.ended("gold", round + 2);
        assert!(runs.windows(2).all(|pair| due(&pair[1]) - due(&pair[0]) == 3_600), "{words}: {runs:?}");
        assert_eq!(agent.lines("ran").len(), runs.len(), "{words}");
        assert!(runs.iter().all(|run| run["version"] == 1) && agent.done(&["list"]).contains("paused"), "{words}");
        assert_eq!((agent.decisions("missed", "gold"), agent.runs("still").len()), (Vec::new(), 0), "{words}");
        let there = aside(&agent).len()
            + fs::read_dir(agent.path("data"))
                .unwrap()
                .flatten()
                .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.contains(".damaged-") && name.ends_with("-wal")))
                .filter(|entry| !PathBuf::from(entry.path().to_str().unwrap().trim_end_matches("-wal")).exists())
                .count();
        assert!(there >= kept, "{words}: {there}");
    }
}

#[test]
fn readable_parts_of_a_damaged_database_are_recovered() {
    let clock = SteeredClock::new();
    let mut agent = Agent::start_with(&[], clock.env());
    fs::create_dir_all(agent.path("data/task/gold")).unwrap();
    agent.define("gold", HOURLY);
    for number in 0..150 {
        agent.define(&format!("task-{number:03}"), &format!("shell = \"true\"\nrules = [\"@yearly\"]\n# {}", "x".repeat(500)));
    }
    wait_for("all tasks", || (agent.ask(&["list"]).stdout.matches("task-").count() == 150).then_some(()));
    let first = to_hour();
    clock.pass(first);
    agent.ended("gold", 1);
    let salvage = |agent: &Agent, file: PathBuf, into: &str| {
        let mut command = agent.command(&["agent", "salvage", "--json"]);
        command.arg(file).arg(agent.path(into));
        run(command)
    };
    let said = salvage(&agent, agent.path("data"), "new");
    assert!(said.code == Some(1) && said.stderr.contains("is used by an agent: stop that one first"), "{}", said.stderr);
    agent.stop();
    without_log(&agent);
    let whole = fs::read(database(&agent)).unwrap();
    // An intact database: everything is saved.
    let said = salvage(&agent, agent.path("data"), "all");
    let all: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{}", said.stderr));
    assert_eq!(
        (&all["rows"]["task"], &all["rows"]["run"], &all["damaged"]),
        (&Value::from(151), &Value::from(1), &serde_json::json!([])),
        "{all}"
    );
    let said = salvage(&agent, agent.path("data"), "all");
    assert!(said.code == Some(1) && said.stderr.contains("exists: name a new folder"), "{}", said.stderr);
    // A page with versions of tasks contains garbage.
    let page = 4_096;
    let garbage: Vec<u8> = whole
        .chunks(page)
        .enumerate()
        .flat_map(|(number, bytes)| {
            let is_hit = number > 0 && bytes.windows(8).any(|part| part == b"task-100");
            if is_hit { vec![0x5a; bytes.len()] } else { bytes.to_vec() }
        })
        .collect();
    assert_ne!(garbage, whole);
    fs::write(agent.path("damaged.db"), &garbage).unwrap();
    let said = salvage(&agent, agent.path("damaged.db"), "part");
    let part: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{}", said.stderr));
    let versions = part["rows"]["version"].as_u64().unwrap();
    assert!(part["damaged"].to_string().contains("version") && (50..151).contains(&versions), "{part}");
    assert!(fs::read(agent.path("damaged.db")).unwrap() == garbage, "it stays as it was");
    for (what, bytes, words) in
        [("random", vec![0xa5; 5_000], "file is not a database"), ("empty", Vec::new(), "is no database of an agent")]
    {
        fs::write(agent.path(what), bytes).unwrap();
        let said = salvage(&agent, agent.path(what), &format!("of-{what}"));
        assert!(said.code == Some(1) && said.stderr.contains(words), "{what}: {}", said.stderr);
    }
    // An agent accepts the saved database and starts no earlier due times.
    let ran = agent.lines("ran").len();
    clock.pass(first + 3 * HOUR + HOUR / 2);
    fs::remove_dir_all(agent.path("data/runs")).unwrap();
    let said = salvage(&agent, agent.path("data"), "later");
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    fs::rename(agent.path("later/agent.db"), database(&agent)).unwrap();
    agent.start_again();
    wait_for("the agent", || (agent.ask(&["run", "task-001", "--wait"]).code == Some(0)).then_some(()));
    assert_eq!((agent.runs("gold").len(), agent.lines("ran").len()), (1, ran));
    clock.pass(first + 4 * HOUR);
    agent.ended("gold", 2);
    assert_eq!(agent.lines("ran").len(), ran + 1);
}
