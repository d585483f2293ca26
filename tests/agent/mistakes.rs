//! Mistakes in files of tasks. The agent uses all other files and shows file, line and column in every list.

use std::ffi::OsString;
use std::fs;

use monitor_tests::{Server, command, run, wait_for};
use serde_json::{Value, json};

use crate::harness::Agent;
use crate::receivers::Receiver;

const PLAIN: &str = "shell = \"true\"";

#[test]
fn a_mistake_is_reported_everywhere_and_does_not_hold_up_other_files() {
    let (receiver, folder) = (Receiver::start(), tempfile::tempdir().unwrap());
    let file = folder.path().join("alerts.toml");
    fs::write(&file, format!("[channel.hook]\nkind = \"webhook\"\nurl = \"http://{}/\"\nprivate = true\n", receiver.address)).unwrap();
    let server = Server::start_with(vec![("MONITOR_ALERTS_FILE", OsString::from(&file))]);
    let mut agent =
        Agent::of_server(&server, "db-1", &[("gold", &format!("{PLAIN}\n[then]\nsuccess = [\"lod\"]")), ("load", PLAIN), ("tin", PLAIN)]);
    let words = "gold.toml:4:12: then.success.0: there is no task lod; did you mean load?";
    let names = || {
        let tasks = server.get("/batch-tasks")["tasks"].clone();
        let is_there = |task: &&Value| task["status"] != "deleted";
        tasks.as_array().unwrap().iter().filter(is_there).map(|task| task["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mistakes = || {
        let agents = server.get("/agents")["agents"].clone();
        let of_it = agents.as_array().unwrap().iter().find(|of| of["name"] == "db-1");
        of_it.map(|of| of["mistakes"].as_array().cloned().unwrap_or_default()).unwrap_or_default()
    };
    let told = |words: &'static str| wait_for(words, || mistakes().iter().any(|of| of.as_str().unwrap().ends_with(words)).then_some(()));
    told(words);
    wait_for("the other tasks", || (names() == ["load", "tin"]).then_some(()));
    let by_server = |args: &[&str]| {
        let mut asked = command("monitor");
        asked.args(args).args(["--server", server.url()]).env("MONITOR_TOKEN", server.token());
        run(asked)
    };
    let status = by_server(&["status"]);
    assert!(
        status.stdout.lines().any(|line| line.starts_with("AGENT") && line.contains("db-1: /") && line.ends_with(words)),
        "{}",
        status.stdout
    );
    let listed = by_server(&["task", "list"]);
    assert!(listed.code == Some(0) && listed.stdout.starts_with("load") && listed.stderr.trim_end().ends_with(words), "{}", listed.stderr);
    let listed = agent.ask(&["list"]);
    assert!(listed.code == Some(0) && listed.stderr.trim_end().ends_with(words), "{}", listed.stderr);
    let listed: Value = serde_json::from_str(&agent.done(&["list", "--json"])).unwrap();
    assert!(listed["mistakes"][0].as_str().unwrap().ends_with(words), "{listed}");
    let mut alive = command("monitor");
    alive.arg("check-alive").arg(agent.path("data"));
    let alive = run(alive);
    assert!(alive.code == Some(0) && alive.stderr.trim_end().ends_with(words), "{}", alive.stderr);
    let fired = wait_for("an alert", || receiver.lock().messages.values().map(|copies| copies[0].clone()).next());
    assert!(fired["text"].as_str().unwrap().contains(words), "{fired:#}");

    // Other files are changed, added and removed in the presence of the mistake. A restart sends no second alert.
    agent.define("tin", "shell = \"false\"");
    agent.define("zinc", PLAIN);
    fs::remove_file(agent.path("tasks/load.toml")).unwrap();
    wait_for("the files", || (names() == ["tin", "zinc"]).then_some(()));
    assert_eq!(server.get("/batch-tasks")["tasks"][0]["definition"]["shell"], json!("false"));
    told("then.success.0: there is no task lod");
    agent.stop();
    agent.start_again();
    // Further mistakes of all kinds are added. The earlier definitions stay in force.
    agent.define("tin", "shell = 1");
    fs::remove_file(agent.path("tasks/zinc.toml")).unwrap();
    fs::create_dir(agent.path("tasks/zinc.toml")).unwrap();
    told("tin.toml:2:9: shell: a text is expected, and not 1");
    told("zinc.toml: this is no file, and a task is defined by one");
    assert_eq!(names(), ["tin", "zinc"]);
    assert_eq!(server.get("/batch-tasks")["tasks"][0]["definition"]["shell"], json!("false"));

    agent.define("gold", PLAIN);
    agent.define("tin", PLAIN);
    fs::remove_dir(agent.path("tasks/zinc.toml")).unwrap();
    wait_for("the end of all mistakes", || mistakes().is_empty().then_some(()));
    assert_eq!(names(), ["gold", "tin"]);
    assert!(agent.ask(&["list"]).stderr.is_empty() && !by_server(&["status"]).stdout.contains("AGENT"));
}

/// Definitions with a mistake, the line of the mistake and words of the message.
const BROKEN: [(&str, u32, &str); 26] = [
    ("shell = \"true\"\nrulse = []", 3, "did you mean rules?"),
    ("shell = \"true\"\nshell = \"false\"", 3, "duplicate key"),
    ("shell = \"true", 2, "invalid basic string"),
    ("shell = \"true\"\nrules = [\"99 * * * *\"]", 3, "99 is not in 0 to 59"),
    ("shell = \"true\"\nrules = \"0 0 * * *\"", 3, "a list is expected"),
    ("shell = \"true\"\nzone = \"Mars/Base\"", 3, "there is no zone Mars/Base"),
    ("shell = \"true\"\ntimeout = \"soon\"", 3, "expected a duration"),
    ("shell = \"true\"\ntimeout = -1", 3, "a text is expected"),
    ("shell = \"true\"\noverlap = \"maybe\"", 3, "skip"),
    ("shell = \"true\"\nretry = { times = 0 }", 3, "from 1"),
    ("shell = \"true\"\nquiet = [\"25:00-26:00\"]", 3, "25:00"),
    ("shell = \"true\"\nexit = { 300 = \"warn\" }", 3, "300"),
    ("shell = \"true\"\nexit = { 3 = \"great\" }", 3, "none of ok, warn"),
    ("shell = \"true\"\nlimits = { memory = \"lots\" }", 3, "bytes"),
    ("shell = \"true\"\nlimits = { nice = 20 }", 3, "from 0 to 19"),
    ("shell = \"true\"\nhooks = { before = \"./prepare\" }", 3, "a list"),
    ("shell = \"true\"\nexpect = { output-has = [\"done\"] }", 3, "a text is expected"),
    ("shell = \"true\"\npublish.web = {}", 3, "one of folder, s3 and command"),
    ("shell = \"true\"\npublish.web = { s3 = \"http://bucket\" }", 3, "no address of a bucket"),
    ("shell = \"true\"\nenv = { \"A=B\" = \"x\" }", 3, "A=B"),
    ("shell = \"true\"\nenv = { A = { file = 5 } }", 3, "a text is expected"),
    ("command = []", 2, "a program is missing"),
    ("command = [\"true\"]\nshell = \"true\"", 3, "shell"),
    ("shell = \"true\"\ntags = [1]", 3, "a text is expected"),
    ("shell = \"true\"\nretention = { logs = { count = -1 } }", 3, "from 1"),
    ("shell = \"true\"\nthen = { success = [\"nobody\"] }", 3, "there is no task nobody"),
];

#[test]
fn each_of_many_broken_definitions_names_its_place_and_all_others_run() {
    let tasks: Vec<(String, &str)> = BROKEN.iter().enumerate().map(|(index, (rest, ..))| (format!("broken-{index}"), *rest)).collect();
    let mut tasks: Vec<(&str, &str)> = tasks.iter().map(|(name, rest)| (name.as_str(), *rest)).collect();
    tasks.push(("good", PLAIN));
    let agent = Agent::start(&tasks);
    wait_for("the good one", || agent.ask(&["list"]).stdout.starts_with("good").then_some(()));
    agent.done(&["run", "good"]);
    assert_eq!(agent.ended("good", 1)[0]["outcome"], "ok");
    let mut check = command("monitor");
    check.args(["task", "check"]).args((0..BROKEN.len()).map(|index| agent.path("tasks").join(format!("broken-{index}.toml"))));
    let checked = run(check);
    let told = agent.ask(&["list"]).stderr;
    assert_eq!(checked.code, Some(2));
    for (index, (rest, line, words)) in BROKEN.iter().enumerate() {
        let place = format!("broken-{index}.toml:{line}:");
        let is_it = |text: &str| text.lines().any(|line| line.contains(&place) && line.contains(words));
        // References to other files are checked only if all files are readable.
        let is_of_others = words.starts_with("there is no task");
        assert!(is_it(&checked.stdout) || is_of_others, "{rest}: {words}: {}", checked.stdout);
        // The list contains the first twenty mistakes.
        assert!(is_it(&told) || told.lines().count() >= 20, "{rest}: {words}: {told}");
    }
}
