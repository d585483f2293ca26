//! Commands of alert channels on a real agent. The agent runs only commands that its own configuration lists.

use std::ffi::OsString;
use std::fs;

use monitor_tests::{Server, wait_for};
use serde_json::{Value, json};

use crate::harness::Agent;

/// Sends a test message by a channel, as soon as the server has read the channel and the agent is connected.
fn test(server: &Server, channel: &str) -> Value {
    wait_for("an answer of the agent", || {
        let (status, tested) = server.order("POST", &format!("/alerts/channels/{channel}/test"), &json!({}));
        let answer = tested["answer"].as_str().unwrap_or_default();
        (status == 200 && !answer.contains("is that agent there?") && !answer.contains("there is no worker")).then_some(tested)
    })
}

#[test]
fn an_agent_runs_only_the_commands_of_channels_that_its_machine_lists() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let command = |file: &str| json!(["/bin/sh", "-c", format!("cat > {}", path(file).display())]);
    let channel =
        |name: &str, command: &Value| format!("[channel.{name}]\nkind = \"command\"\nagent = \"db-1\"\ncommand = {command}\nrate = 1000\n");
    let channels = [channel("page", &command("page")), channel("other", &command("other")), channel("changed", &command("changed"))];
    fs::write(path("alerts.toml"), channels.concat()).unwrap();
    let server = Server::start_with(vec![("MONITOR_ALERTS_FILE", OsString::from(path("alerts.toml")))]);
    let listed = format!("name = \"db-1\"\n[commands]\npage = {}\nchanged = [\"/bin/true\"]\n", command("page"));
    fs::write(path("agent.toml"), listed).unwrap();
    let env = vec![
        ("MONITOR_SERVER_URL", OsString::from(server.url())),
        ("MONITOR_SPOOL_DIR", server.spool().into()),
        ("MONITOR_TOKEN_FILE", crate::harness::token(&server, "db-1").into()),
        ("MONITOR_AGENT_CONFIG", path("agent.toml").into()),
    ];
    let mut agent = Agent::start_with(&[], env);

    let tested = test(&server, "page");
    assert_eq!(tested["state"], "sent", "{tested}\n{}", agent.log());
    let message: Value = serde_json::from_str(&fs::read_to_string(path("page")).unwrap()).unwrap();
    assert_eq!(message["kind"], "test", "{message}");
    for (name, remedy) in [("other", "agent.toml"), ("changed", "lists another command")] {
        let tested = test(&server, name);
        let answer = tested["answer"].as_str().unwrap();
        assert!(tested["state"] != "sent" && answer.contains("refused") && answer.contains(remedy), "{tested}");
        assert!(!path(name).exists(), "{name} ran");
    }
    assert!(agent.log().contains("an order of the server is refused"), "{}", agent.log());

    agent.stop();
    agent.set_env("MONITOR_AGENT_ACCEPT", "all,commands");
    agent.start_again();
    wait_for("the command of a channel that isn't listed", || {
        server.order("POST", "/alerts/channels/other/test", &json!({}));
        path("other").exists().then_some(())
    });
}
