//! An agent that lost its database and the mark beside it. It restores both from the server.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use monitor_tests::{SteeredClock, request_body, wait_for};
use serde_json::{Value, json};

use crate::harness::Agent;
use crate::lost::{
    HOUR, HOURLY, add_hourly, agent_of, garble, has_tasks, lose, none_ran_twice, server_by, server_has_pause, server_has_runs, to_hour,
};

#[test]
fn a_database_lost_with_its_mark_is_rebuilt_from_the_state_at_the_server() {
    for has_runs in [true, false] {
        let clock = SteeredClock::new();
        let server = server_by(&clock);
        let mut agent = agent_of(&server, &clock);
        fs::create_dir_all(agent.path("data/task/gold")).unwrap();
        agent.define("gold", HOURLY);
        agent.define("still", HOURLY);
        add_hourly(&server, &agent, "tin");
        add_hourly(&server, &agent, "calm");
        has_tasks(&agent, &["gold", "still", "tin", "calm"]);
        agent.done(&["pause", "still"]);
        assert_eq!(server.order("POST", "/batch-tasks/calm/pause", &json!({})).0, 200);
        wait_for("the server's pause", || (agent.ask(&["list"]).stdout.matches("paused").count() == 2).then_some(()));
        let first = to_hour();
        clock.pass(first);
        for task in ["gold", "tin"] {
            agent.ended(task, 1);
            server_has_runs(&server, task, 1);
        }
        server_has_pause(&server, "still");
        wait_for("what was skipped at the server", || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64;
            let told = server.get(&format!("/batch-tasks/still/explain?from={}&to={}", now - 7_200_000_000, now + 7_200_000_000));
            told.to_string().contains("\"skipped\"").then_some(())
        });
        agent.kill();
        lose(&agent);
        if !has_runs {
            fs::remove_dir_all(agent.path("data/runs")).unwrap();
        }
        // Three due times pass while the agent is away.
        clock.pass(first + 3 * HOUR + HOUR / 2);
        agent.start_again();
        has_tasks(&agent, &["gold", "still", "tin", "calm"]);
        for task in ["gold", "tin"] {
            let missed = wait_for("what was missed", || agent.decisions("missed", task).first().cloned());
            assert_eq!((missed.0.as_str(), missed.2 - missed.1, missed.3), ("rebuilt", 7_200, 3), "{task} {has_runs}: {missed:?}");
        }
        assert_eq!(agent.done(&["list"]).matches("paused").count(), 2, "{has_runs}: {}", agent.done(&["list"]));
        // The next due time starts a single run. The paused tasks stay paused.
        clock.pass(first + 4 * HOUR);
        for task in ["gold", "tin"] {
            let runs = agent.ended(task, if has_runs { 2 } else { 1 });
            assert_eq!(agent.decisions("missed", task).len(), 1, "{has_runs}: {runs:?}");
            server_has_runs(&server, task, 2);
            none_ran_twice(&agent, task);
        }
        for task in ["still", "calm"] {
            wait_for("a due time to be skipped", || (!agent.decisions("skipped", task).is_empty()).then_some(()));
            assert_eq!((agent.decisions("missed", task), agent.runs(task)), (Vec::new(), Vec::new()), "{task} {has_runs}");
            server_has_pause(&server, task);
        }
        assert_eq!(agent.lines("ran").len(), 4);
        let versions = server.order("GET", "/batch-tasks/gold/versions", &Value::Null).1;
        assert_eq!(versions["versions"].as_array().map(Vec::len), Some(2), "no number of a version is given twice: {versions}");
        // A further start repeats nothing of this.
        agent.stop();
        agent.start_again();
        clock.pass(first + 5 * HOUR);
        agent.ended("gold", if has_runs { 3 } else { 2 });
        assert_eq!((agent.decisions("missed", "gold").len(), agent.runs("still").len()), (1, 0));
        none_ran_twice(&agent, "gold");
    }
}

#[test]
fn a_pause_of_the_whole_agent_outlives_the_database_and_its_mark() {
    let clock = SteeredClock::new();
    let server = server_by(&clock);
    let mut agent = agent_of(&server, &clock);
    fs::create_dir_all(agent.path("data/task/gold")).unwrap();
    agent.define("gold", HOURLY);
    has_tasks(&agent, &["gold"]);
    agent.done(&["run", "gold", "--wait"]);
    agent.done(&["pause", "--all"]);
    let is_paused = || {
        let agents = server.get("/agents")["agents"].as_array().cloned().unwrap_or_default();
        agents.iter().any(|of| of["name"] == "db-1" && of["paused_from_us"].is_u64())
    };
    wait_for("the pause at the server", || is_paused().then_some(()));
    agent.kill();
    lose(&agent);
    // An agent that accepts no tasks from the server also fetches the pause.
    agent.set_env("MONITOR_AGENT_ACCEPT", "files");
    agent.start_again();
    has_tasks(&agent, &["gold"]);
    clock.pass(to_hour());
    let skipped = wait_for("a due time to be skipped", || agent.decisions("skipped", "gold").first().cloned());
    assert_eq!((skipped.0.as_str(), agent.runs("gold").len(), is_paused()), ("paused", 1, true));
    // The new mark contains the pause.
    wait_for("the mark", || fs::read_to_string(agent.path("data/agent.db.mark")).ok().filter(|mark| mark.contains("\"paused\":{")));
}

#[test]
fn runs_known_only_to_the_server_do_not_repeat_if_the_clock_is_set_back() {
    let (clock, server_clock) = (SteeredClock::new(), SteeredClock::new());
    let server = server_by(&server_clock);
    let mut agent = agent_of(&server, &clock);
    fs::create_dir_all(agent.path("data/task/gold")).unwrap();
    agent.define("gold", HOURLY);
    add_hourly(&server, &agent, "tin");
    has_tasks(&agent, &["gold", "tin"]);
    let first = to_hour();
    server_clock.pass(first);
    clock.pass(first);
    for task in ["gold", "tin"] {
        agent.ended(task, 1);
        server_has_runs(&server, task, 1);
    }
    wait_for("what is decided at the server", || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + first;
        let agents = server.get("/agents")["agents"].as_array()?.clone();
        let decided = agents.iter().find(|of| of["name"] == "db-1")?["decided_us"].as_u64()?;
        (u128::from(decided) >= u128::from(now.as_secs() - now.as_secs() % 3_600) * 1_000_000).then_some(())
    });
    agent.kill();
    lose(&agent);
    fs::remove_dir_all(agent.path("data/runs")).unwrap();
    clock.pass(first.saturating_sub(HOUR / 60));
    agent.start_again();
    has_tasks(&agent, &["gold", "tin"]);
    clock.pass(first + HOUR / 120);
    // A request to start a run also makes the agent decide about due times.
    agent.done(&["run", "gold", "--wait"]);
    assert_eq!(agent.lines("ran").len(), 3, "{:?}", agent.lines("ran"));
    clock.pass(first + HOUR);
    agent.ended("gold", 2);
    agent.ended("tin", 1);
    for task in ["gold", "tin"] {
        none_ran_twice(&agent, task);
    }
    assert_eq!(agent.lines("ran").len(), 5);
}

#[test]
fn without_mark_and_server_no_past_due_time_runs_and_the_pause_returns() {
    let clock = SteeredClock::new();
    let mut server = server_by(&clock);
    let mut agent = agent_of(&server, &clock);
    for task in ["gold", "still"] {
        fs::create_dir_all(agent.path("data/task").join(task)).unwrap();
        agent.define(task, HOURLY);
    }
    has_tasks(&agent, &["gold", "still"]);
    let first = to_hour();
    clock.pass(first);
    for task in ["gold", "still"] {
        agent.ended(task, 1);
        server_has_runs(&server, task, 1);
    }
    agent.done(&["pause", "still"]);
    server_has_pause(&server, "still");
    agent.kill();
    server.kill();
    lose(&agent);
    clock.pass(first + 3 * HOUR + HOUR / 2);
    agent.start_again();
    agent.wait_for_log("lost its database");
    // The folder of the newest run shows when the agent was last running.
    let missed = wait_for("what was missed", || agent.decisions("missed", "gold").first().cloned());
    assert_eq!((missed.0.as_str(), missed.2 - missed.1, missed.3), ("rebuilt", 7_200, 3), "{missed:?}");
    assert_eq!((agent.runs("gold").len(), agent.lines("ran").len()), (1, 2), "nothing that was due before runs");
    // Rules also start runs without the server.
    clock.pass(first + 4 * HOUR);
    agent.ended("gold", 2);
    none_ran_twice(&agent, "gold");
    server.start_again();
    wait_for("the pause", || agent.ask(&["list"]).stdout.contains("paused").then_some(()));
    let before = agent.ended("still", 2).len();
    clock.pass(first + 5 * HOUR);
    agent.ended("gold", 3);
    wait_for("a due time to be skipped", || (!agent.decisions("skipped", "still").is_empty()).then_some(()));
    assert_eq!(agent.runs("still").len(), before, "it is paused again");
    server_has_pause(&server, "still");
    server_has_runs(&server, "gold", 3);
    assert_eq!(agent.decisions("missed", "gold").len(), 1, "nothing is reported twice");
    none_ran_twice(&agent, "gold");
    none_ran_twice(&agent, "still");
}

/// A server without support for the parameter `known`: it rejects the parameter and has no tasks. Returns its address and the first lines
/// of all requests so far.
fn older_server() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = requests.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut line = String::new();
            let _ = reader.read_line(&mut line);
            let _ = request_body(&mut reader);
            let (status, body) = if line.contains("known=") {
                (400, json!({"type": "about:blank", "title": "Bad Request", "status": 400, "detail": "parameter `known`: not known here"}))
            } else if line.contains("/book?") {
                (200, json!({"revision": 0, "tasks": []}))
            } else {
                (404, json!({"type": "about:blank", "title": "Not Found", "status": 404, "detail": "not here"}))
            };
            seen.lock().unwrap().push(line);
            let (kind, body) = (if status == 200 { "application/json" } else { "application/problem+json" }, body.to_string());
            let head =
                format!("HTTP/1.1 {status} -\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = (&stream).write_all(format!("{head}{body}").as_bytes());
        }
    });
    (url, requests)
}

#[test]
fn an_older_server_knows_nothing_of_the_agent_and_its_events_are_sent_all_the_same() {
    let (url, requests) = older_server();
    let clock = SteeredClock::new();
    let mut env = clock.env();
    env.push(("MONITOR_SERVER_URL", url.into()));
    let mut agent = Agent::start_with(&[], env);
    fs::create_dir_all(agent.path("data/task/gold")).unwrap();
    agent.define("gold", HOURLY);
    has_tasks(&agent, &["gold"]);
    let first = to_hour();
    clock.pass(first);
    agent.ended("gold", 1);
    agent.kill();
    lose(&agent);
    requests.lock().unwrap().clear();
    clock.pass(first + 2 * HOUR + HOUR / 2);
    agent.start_again();
    let missed = wait_for("what was missed", || agent.decisions("missed", "gold").first().cloned());
    assert_eq!((missed.0.as_str(), missed.3), ("rebuilt", 2), "{missed:?}");
    wait_for("the agent's events", || requests.lock().unwrap().iter().any(|line| line.starts_with("POST /api/v1/events ")).then_some(()));
    let known = requests.lock().unwrap().iter().filter(|line| line.contains("known=")).count();
    assert_eq!(known, 1, "it is asked once");
    clock.pass(first + 3 * HOUR);
    agent.ended("gold", 2);
    none_ran_twice(&agent, "gold");
}

#[test]
fn due_times_of_the_server_s_tasks_since_the_mark_are_reported_as_missed() {
    let clock = SteeredClock::new();
    let server = server_by(&clock);
    let mut agent = agent_of(&server, &clock);
    for task in ["tin", "moved", "calm"] {
        add_hourly(&server, &agent, task);
    }
    has_tasks(&agent, &["tin", "moved", "calm"]);
    assert_eq!(server.order("POST", "/batch-tasks/calm/pause", &json!({})).0, 200);
    wait_for("the server's pause", || agent.ask(&["list"]).stdout.contains("paused").then_some(()));
    let first = to_hour();
    clock.pass(first);
    for task in ["tin", "moved"] {
        agent.ended(task, 1);
        server_has_runs(&server, task, 1);
    }
    let mark = || fs::read_to_string(agent.path("data/agent.db.mark")).unwrap_or_default();
    let before = mark();
    wait_for("the mark", || (mark() != before).then_some(()));
    agent.kill();
    garble(&agent);
    clock.pass(first + 2 * HOUR + HOUR / 2);
    // A pause that begins and ends while the agent is away. Earlier due times are missed nevertheless.
    assert_eq!(server.order("POST", "/batch-tasks/moved/pause", &json!({})).0, 200);
    assert_eq!(server.order("POST", "/batch-tasks/moved/resume", &Value::Null).0, 200);
    clock.pass(first + 3 * HOUR + HOUR / 2);
    agent.start_again();
    agent.wait_for_log("lost its database");
    for task in ["tin", "moved"] {
        let missed = wait_for("what was missed", || agent.decisions("missed", task).first().cloned());
        assert_eq!((missed.0.as_str(), missed.2 - missed.1, missed.3), ("rebuilt", 7_200, 3), "{task}: {missed:?}");
    }
    assert_eq!(agent.decisions("missed", "calm"), [], "it was paused, and still is");
    clock.pass(first + 4 * HOUR);
    for task in ["tin", "moved"] {
        agent.ended(task, 2);
        none_ran_twice(&agent, task);
    }
    assert_eq!((agent.lines("ran").len(), agent.runs("calm").len()), (4, 0));
    wait_for("what was missed at the server", || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64;
        let told = server.get(&format!("/batch-tasks/tin/explain?from={now}&to={}", now + 18_000_000_000));
        told.to_string().contains("\"rebuilt\"").then_some(())
    });
}
