//! An agent whose database is damaged, deleted or not its own.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use monitor_tests::{Server, SteeredClock, run, wait_for};
use serde_json::Value;

use crate::harness::{Agent, token};

const HOUR: Duration = Duration::from_secs(3_600);
/// Writes each of its runs into the agent's file `ran`.
const HOURLY: &str =
    "shell = \"echo $MONITOR_RUN_ID >> ../../../ran\"\nrules = [\"0 * * * *\"]\nzone = \"UTC\"\nmissed = { policy = \"all\" }";

fn to_hour() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    Duration::from_secs(HOUR.as_secs() - now.as_secs() % HOUR.as_secs())
}

/// A server by these clocks, which closes no connection when they jump.
fn server_by(clock: &SteeredClock) -> Server {
    let mut env = clock.env();
    for name in ["MONITOR_HEADER_TIMEOUT", "MONITOR_IDLE_TIMEOUT", "MONITOR_STALL_TIMEOUT"] {
        env.push((name, "365d".into()));
    }
    Server::start_with(env)
}

fn database(agent: &Agent) -> PathBuf {
    agent.path("data/agent.db")
}

/// Databases that were moved aside, without their logs.
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

/// Writes the log of the database back, so that all of it is in one file, which alone is left.
fn without_log(agent: &Agent) {
    let database = rusqlite::Connection::open(database(agent)).unwrap();
    database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(database);
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(agent.path(&format!("data/agent.db{suffix}")));
    }
}

/// Overwrites the database with what is no database.
fn garble(agent: &Agent) {
    without_log(agent);
    fs::write(database(agent), b"\x00\xff\x13 garbage \x7f".repeat(2_000)).unwrap();
}

fn due(run: &Value) -> i64 {
    run["due_us"].as_i64().unwrap() / 1_000_000
}

#[test]
fn a_lost_database_is_made_anew_and_no_due_time_before_runs_again() {
    let clock = SteeredClock::new();
    let server = server_by(&clock);
    let mut env = clock.env();
    env.extend([
        ("MONITOR_SERVER_URL", server.url().into()),
        ("MONITOR_SPOOL_DIR", server.spool().into()),
        ("MONITOR_TOKEN_FILE", token(&server, "db-1").into()),
    ]);
    let mut agent = Agent::start_with(&[], env);
    fs::create_dir_all(agent.path("data/task/gold")).unwrap();
    agent.define("gold", HOURLY);
    let until = format!("until [ -e {} ]; do sleep 0.05; done; exit 7", agent.path("go").display());
    agent.define("long", &format!("shell = \"echo $$ >> {}; {until}\"", agent.path("long").display()));
    agent.define("still", HOURLY);
    wait_for("all tasks", || ["gold", "long", "still"].iter().all(|name| agent.ask(&["list"]).stdout.contains(name)).then_some(()));
    agent.done(&["pause", "still"]);
    let first = to_hour();
    clock.pass(first);
    agent.ended("gold", 1);
    let long = agent.done(&["run", "long"]);
    wait_for("it to run", || (agent.lines("long").len() == 1).then_some(()));
    // The mark is written every ten seconds.
    let mark = || fs::read_to_string(agent.path("data/agent.db.mark")).unwrap_or_default();
    let before = mark();
    wait_for("the mark", || (mark() != before && mark().contains("still")).then_some(()));
    agent.kill();
    let ran = agent.lines("ran");
    garble(&agent);
    // While the agent is away, three due times pass.
    clock.pass(first + 3 * HOUR + HOUR / 2);
    agent.start_again();
    agent.wait_for_log("lost its database");
    let told = agent.log();
    for words in ["file is not a database", "it is now", ".damaged-", "monitor agent salvage", "none of them starts"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let kept = aside(&agent);
    assert!(kept.len() == 1 && fs::read(&kept[0]).unwrap().len() == 26_000, "{kept:?}");

    // All that was due is told as missed, and nothing of it runs.
    let missed = wait_for("what was missed", || agent.decisions("missed", "gold").first().cloned());
    assert_eq!((missed.0.as_str(), missed.3), ("rebuilt", 3), "{missed:?}");
    assert_eq!(missed.2 - missed.1, 7_200);
    assert_eq!(agent.decisions("missed", "still"), [], "it was paused, and still is");
    assert!(agent.done(&["list"]).contains("paused"));
    // The run that outlived it is followed, and not started again.
    fs::write(agent.path("go"), "").unwrap();
    let runs = agent.ended("long", 1);
    assert_eq!((runs.len(), runs[0]["id"].as_str(), &runs[0]["exit_code"]), (1, Some(long.as_str()), &Value::from(7)));
    assert_eq!(agent.lines("long").len(), 1);
    // The next due time runs, once; and the history of runs is back.
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
    // It goes on as ever.
    agent.stop();
    agent.start_again();
    clock.pass(first + 5 * HOUR);
    agent.ended("gold", 3);
    assert_eq!((aside(&agent).len(), agent.decisions("missed", "gold").len()), (1, 1));
}

#[test]
fn whatever_stands_in_the_database_s_place_is_moved_aside_and_the_agent_goes_on() {
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
    version(99);
    let bytes = fs::read(database(&agent)).unwrap();
    let said = refused(&agent);
    assert!(
        said.code == Some(1) && said.stderr.contains("was written by a newer version of the agent: run that version"),
        "{}",
        said.stderr
    );
    assert!(fs::read(database(&agent)).unwrap() == bytes && aside(&agent).is_empty());
    version(3);
    // No permission: root may open anything, so that another user tries.
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
