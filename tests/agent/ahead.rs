//! An agent whose clock is ahead of the server's.

use std::time::Duration;

use monitor_tests::{Server, SteeredClock, wait_for};

use crate::harness::{Agent, token};

const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn an_agent_ahead_of_the_server_keeps_its_events_raises_an_alert_and_sends_them_later() {
    let server = Server::start();
    let clock = SteeredClock::new();
    clock.set_ahead(HOUR);
    let mut env = clock.env();
    env.extend([
        ("MONITOR_SERVER_URL", server.url().into()),
        ("MONITOR_SPOOL_DIR", server.spool().into()),
        ("MONITOR_TOKEN_FILE", token(&server, "db-1").into()),
    ]);
    let agent = Agent::start_with(&[("gold", "shell = \"true\"\nrules = [\"@yearly\"]")], env);
    agent.wait_for_log("its events are dated ahead of the server");
    let alert = wait_for("the alert", || {
        let alerts = server.get("/alerts")["alerts"].as_array()?.clone();
        alerts.into_iter().find(|alert| alert["subject"].to_string().contains("agent-clock db-1"))
    });
    assert!(alert.to_string().contains("the clock of the agent db-1 is ahead"), "{alert}");
    assert_eq!(server.get("/batch-tasks")["tasks"], serde_json::json!([]), "nothing of the agent's decisions is stored");
    // Once the clock is right, the agent sends everything that it has recorded.
    clock.set_ahead(Duration::ZERO);
    let task = wait_for("the task at the server", || server.get("/batch-tasks")["tasks"].as_array()?.first().cloned());
    assert_eq!((task["name"].as_str(), task["agent"].as_str()), (Some("gold"), Some("db-1")));
    wait_for("what the agent has decided", || {
        server.get("/agents")["agents"].as_array()?.iter().any(|of| of["name"] == "db-1").then_some(())
    });
    agent.wait_for_log("the server accepts the agent's events again");
    let dropped = server.get("/status")["dropped"].clone();
    assert!(dropped.as_array().is_none_or(Vec::is_empty), "{dropped}");
}
