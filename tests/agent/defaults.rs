//! Settings for all tasks of an agent: hooks and publication targets.

use std::ffi::OsString;
use std::fs;

use monitor_tests::wait_for;
use serde_json::Value;

use crate::harness::Agent;

#[test]
fn tasks_without_own_settings_have_the_hooks_and_targets_of_their_agent() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let keep = |name: &str| format!("[\"sh\", \"-c\", \"cat >> {}\"]", path(name).display());
    let settings = format!(
        "[all-tasks]\nhooks = {{ before = {}, after = {} }}\npublish.web = {{ folder = \"{}/web/{{task}}\" }}\n",
        keep("begins"),
        keep("ends"),
        folder.path().display()
    );
    fs::write(path("agent.toml"), settings).unwrap();
    fs::create_dir(path("web")).unwrap();
    let monitor = monitor_tests::command("monitor").get_program().to_owned();
    let program = "shell = \"echo 7 > $MONITOR_PUBLISH_DIR/price && $MONITOR publish web\"\n";
    let program = program.replace("$MONITOR ", &format!("{} ", monitor.display()));
    let own = format!("{program}hooks = {{ after = {} }}", keep("own"));
    let env: Vec<(&'static str, OsString)> = vec![("MONITOR_AGENT_CONFIG", path("agent.toml").into())];
    let agent = Agent::start_with(&[("gold", &program), ("tin", &own)], env);
    wait_for("the tasks", || (agent.ask(&["list"]).stdout.lines().count() >= 2).then_some(()));
    for task in ["gold", "tin"] {
        agent.done(&["run", task]);
        let run = agent.ended(task, 1).remove(0);
        assert_eq!(run["outcome"], "ok", "{run}");
        assert_eq!(fs::read_to_string(path("web").join(task).join("price")).unwrap(), "7\n");
    }
    let told = |name: &str| -> Vec<Value> {
        let text = fs::read_to_string(path(name)).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let names = |name: &str| told(name).iter().map(|run| run["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!((names("begins"), names("ends"), names("own")), (vec!["gold".to_owned()], vec!["gold".to_owned()], vec!["tin".to_owned()]));
    assert_eq!(told("ends")[0]["outcome"]["exit_code"], 0);
}
