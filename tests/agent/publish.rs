//! Publications, progress and notifications of runs, with the real agent, real commands and real folders.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;

use monitor_tests::{Server, command, run, wait_for};
use serde_json::{Value, json};

use crate::harness::Agent;

/// A search path that contains `monitor`, for commands of tasks that call `monitor publish`.
fn path() -> String {
    let monitor = command("monitor");
    let programs = Path::new(monitor.get_program()).parent().unwrap();
    format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default())
}

pub(crate) fn definition(shell: &str, more: &str) -> String {
    format!("command = [\"sh\", \"-c\", {shell:?}, \"sh\"]\nenv = {{ PATH = {:?} }}\n{more}", path())
}

pub(crate) fn target(name: &str, folder: &Path) -> String {
    format!("publish.{name} = {{ folder = {:?} }}\n", folder.to_str().unwrap())
}

fn json(agent: &Agent, args: &[&str]) -> Value {
    serde_json::from_str(&agent.done(&[args, &["--json"]].concat())).unwrap()
}

#[test]
fn a_run_publishes_to_folders_and_commands_and_restores_publications() {
    let server = Server::start();
    let agent = Agent::start_for(&server, &[]);
    let (pre, prod, sent) = (agent.path("srv/pre"), agent.path("srv/prod"), agent.path("sent"));
    let shell = "echo $1 > $MONITOR_PUBLISH_DIR/price.json; mkdir $MONITOR_PUBLISH_DIR/day; echo $1 > $MONITOR_PUBLISH_DIR/day/a; monitor publish pre prod send";
    let command = format!(
        "publish.send = {{ command = [\"sh\", \"-c\", {:?}] }}\n",
        format!("cat price.json >> {}; test ! -e {}", sent.display(), agent.path("refuse").display())
    );
    agent.define("gold", &definition(shell, &[target("pre", &pre), target("prod", &prod), command].concat()));
    agent.wait_for_log("a task is new or has changed");
    let price = |folder: &Path| fs::read_to_string(folder.join("price.json")).unwrap();
    for text in ["1", "2"] {
        assert_eq!(agent.ask(&["run", "gold", "--wait", "--", text]).code, Some(0), "{}", agent.log());
        assert_eq!((price(&pre), price(&prod)), (format!("{text}\n"), format!("{text}\n")));
    }
    assert!(fs::symlink_metadata(&prod).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&sent).unwrap(), "1\n2\n");
    // The publication is in the tree of the run.
    let shown = wait_for("the run's fields", || {
        let runs = server.get("/batch-tasks/runs?task=gold");
        let root = runs["runs"][0]["root_id"].as_str()?.to_owned();
        let fields = server.get(&format!("/roots/{root}/tree"))["processes"][0]["fields"].clone();
        Some(fields).filter(|fields| fields["publish.send"].is_string())
    });
    assert!(shown["publish.prod"].as_str().unwrap().starts_with("2 files, 4 B in "), "{shown}");

    let all = json(&agent, &["publications", "gold"]);
    let all = all["publications"].as_array().unwrap().clone();
    let about =
        |of: &Value| (of["number"].as_i64().unwrap(), of["target"].as_str().unwrap().to_owned(), of["is_current"].as_bool().unwrap());
    let list: Vec<_> = all.iter().map(about).collect();
    let named =
        |list: &[(i64, &str, bool)]| list.iter().map(|(number, target, is)| (*number, (*target).to_owned(), *is)).collect::<Vec<_>>();
    assert_eq!(
        list,
        named(&[(6, "send", true), (5, "prod", true), (4, "pre", true), (3, "send", false), (2, "prod", false), (1, "pre", false)])
    );
    agent.done(&["restore-publication", "gold", "2"]);
    assert_eq!((price(&pre), price(&prod)), ("2\n".to_owned(), "1\n".to_owned()));
    agent.done(&["restore-publication", "gold", "3"]);
    assert_eq!(fs::read_to_string(&sent).unwrap(), "1\n2\n1\n");
    let text = agent.done(&["publications", "gold"]);
    assert!(text.lines().nth(1).unwrap().contains("2 files") && text.contains(", 2 again, by "), "{text}");
    assert_eq!(agent.ask(&["restore-publication", "gold", "99"]).code, Some(4));
    // The copies beside the target may be deleted, because the history also contains the files.
    fs::remove_dir_all(agent.path("srv/.prod.published")).unwrap();
    fs::remove_file(&prod).unwrap();
    agent.done(&["restore-publication", "gold", "5"]);
    assert_eq!(price(&prod), "2\n");

    // The history can be listed, shown and compared.
    let history = json(&agent, &["history", "gold"])["history"].as_array().unwrap().clone();
    let [newest, oldest] = [0, 1].map(|index: usize| history[index]["folder"].as_str().unwrap().to_owned());
    assert_eq!(history[0]["files"], 2);
    assert_eq!(json(&agent, &["history", "gold", &newest])["files"], json!({ "price.json": 2, "day/a": 2 }));
    assert_eq!(json(&agent, &["history", "gold", &oldest, &newest])["changes"], json!({ "price.json": "changed", "day/a": "changed" }));
    assert_eq!(json(&agent, &["history", "gold", &newest, &newest])["changes"], json!({}));
    assert_eq!(agent.ask(&["history", "gold", "../../etc"]).code, Some(4));

    // A failed publication is reported, and the target keeps its content.
    fs::write(agent.path("refuse"), "").unwrap();
    let failed = agent.ask(&["run", "gold", "--wait", "--", "3"]);
    assert_eq!(failed.code, Some(1));
    assert!(agent.done(&["publications", "gold"]).lines().next().unwrap().contains("failed: sh ended with exit status: 1"));
}

#[test]
fn a_real_folder_an_unknown_target_and_nothing_at_all_are_refused_with_words() {
    let agent = Agent::start(&[]);
    let real = agent.path("real");
    fs::create_dir(&real).unwrap();
    fs::write(real.join("precious"), "").unwrap();
    let shell = "echo 1 > $MONITOR_PUBLISH_DIR/$2; monitor publish $1";
    agent.define("gold", &definition(shell, &target("prod", &real)));
    agent.wait_for_log("a task is new or has changed");
    let said = |args: &[&str]| {
        let id = agent.ask(&[&["run", "gold", "--wait", "--"], args].concat()).stdout.trim().to_owned();
        fs::read_to_string(agent.path("data/runs").join(id).join("output.log")).unwrap()
    };
    let words = said(&["prod", "a"]);
    assert!(words.contains("is a real folder: move it away, so that a link can take its place"), "{words}");
    let words = said(&["prd", "a"]);
    assert!(words.contains("gold has no target \"prd\", but prod"), "{words}");
    let words = said(&["prod"]);
    assert!(
        words.contains("there is nothing to publish") || words.contains("is a directory") || words.contains("Is a directory"),
        "{words}"
    );
    assert!(real.join("precious").exists() && fs::read_dir(&real).unwrap().count() == 1);
    // Outside of a run.
    let outside = run(agent_command(&agent, &["publish", "prod"]));
    assert!(outside.code == Some(1) && outside.stderr.contains("this is no run of a task"), "{}", outside.stderr);
}

fn agent_command(agent: &Agent, args: &[&str]) -> std::process::Command {
    let mut command = agent.command(args);
    for name in ["MONITOR_RUN_ID", "MONITOR_RUN_DIR", "MONITOR_PUBLISH_DIR", "MONITOR_ROOT_ID", "MONITOR_PARENT_ID"] {
        command.env_remove(name);
    }
    command
}

#[test]
fn a_publication_that_is_killed_at_any_time_leaves_the_old_files_or_the_new() {
    const FILES: usize = 60;
    let agent = Agent::start(&[]);
    let prod = agent.path("srv/prod");
    agent.define("gold", &definition("true", &target("prod", &prod)));
    agent.wait_for_log("a task is new or has changed");
    let id = agent.done(&["run", "gold", "--wait"]).lines().next().unwrap().to_owned();
    let files = agent.path("files");
    let publish = |text: &str| {
        fs::create_dir_all(&files).unwrap();
        for number in 0..FILES {
            fs::write(files.join(number.to_string()), text).unwrap();
        }
        let mut command = agent_command(&agent, &["publish", "prod"]);
        command.env("MONITOR_RUN_ID", &id).env("MONITOR_RUN_DIR", agent.path("data/runs").join(&id)).env("MONITOR_PUBLISH_DIR", &files);
        command
    };
    // All files exist, and all belong to the same publication.
    let shown = || {
        let texts: std::collections::BTreeSet<String> =
            (0..FILES).map(|number| fs::read_to_string(prod.join(number.to_string())).expect("each file is there")).collect();
        assert_eq!(texts.len(), 1, "{texts:?}");
        texts.into_iter().next().unwrap()
    };
    let begun = std::time::Instant::now();
    assert_eq!(run(publish("0")).code, Some(0));
    let whole = begun.elapsed();
    let (mut before, mut changed) = (shown(), 0);
    let rounds = 24;
    for round in 1..=rounds {
        let mut child = publish(&round.to_string()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(whole * round / rounds);
        let _ = child.kill();
        child.wait().unwrap();
        let now = shown();
        assert!(now == before || now == round.to_string(), "{before} -> {now} in {round}");
        changed += usize::from(now != before);
        before = now;
    }
    // Remains of interrupted publications block nothing, and the newest publication is shown as current.
    assert_eq!(run(publish("end")).code, Some(0));
    assert_eq!(shown(), "end");
    let list = json(&agent, &["publications", "gold", "-n", "100"]);
    let current: Vec<_> = list["publications"].as_array().unwrap().iter().filter(|of| of["is_current"] == true).collect();
    assert_eq!((current.len(), &current[0]["state"]), (1, &json!("done")), "{changed} of {rounds} had an effect");
    assert_eq!(fs::read_dir(agent.path("srv")).unwrap().count(), 2, "the link, and the folder of copies");
}

#[test]
fn concurrent_publications_are_complete_and_a_foreign_link_is_replaced() {
    let agent = Agent::start(&[]);
    let (prod, other) = (agent.path("srv/prod"), agent.path("other"));
    fs::create_dir_all(&other).unwrap();
    fs::create_dir_all(agent.path("srv")).unwrap();
    symlink(&other, &prod).unwrap();
    let shell =
        "for n in 1 2 3 4 5 6 7 8; do echo $1 > $MONITOR_PUBLISH_DIR/$n; done; monitor publish prod & monitor publish prod && wait $!";
    agent.define("gold", &definition(shell, &target("prod", &prod)));
    agent.wait_for_log("a task is new or has changed");
    let done = agent.ask(&["run", "gold", "--wait", "--", "x"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(fs::read_dir(&prod).unwrap().count(), 8);
    assert!(other.is_dir() && fs::read_dir(&other).unwrap().count() == 0, "what the link led to is left alone");
    assert_eq!(json(&agent, &["publications", "gold"])["publications"].as_array().unwrap().len(), 2);
}

#[test]
fn a_run_reports_progress_and_notifications_also_without_a_server() {
    let server = Server::start();
    let agent = Agent::start_for(&server, &[]);
    let shell = "monitor progress 40/100 --unit files && monitor notify 'no gold' --severity error --text 'at all' --key prices";
    agent.define("gold", &definition(shell, ""));
    agent.wait_for_log("a task is new or has changed");
    assert_eq!(agent.ask(&["run", "gold", "--wait"]).code, Some(0), "{}", agent.log());
    let process = wait_for("the progress", || {
        let runs = server.get("/batch-tasks/runs?task=gold");
        let root = runs["runs"][0]["root_id"].as_str()?.to_owned();
        let process = server.get(&format!("/roots/{root}/tree"))["processes"][0].clone();
        process["progress"].is_object().then_some(process)
    });
    assert_eq!((&process["progress"]["done"], &process["progress"]["total"]), (&json!(40.0), &json!(100.0)), "{process}");
    // The `monitor` processes that have sent this have ended.
    let workers = server.get("/workers")["workers"].as_array().unwrap().clone();
    let passing: Vec<_> = workers.iter().filter(|worker| worker["version"].is_null()).collect();
    assert!(passing.len() == 2 && passing.iter().all(|worker| worker["state"] == "offline"), "{workers:?}");
    // While the server is away, the events stay in the spool until another process ships them.
    let spool = agent.path("left");
    let mut later = agent_command(&agent, &["progress", "80/100"]);
    later.env("MONITOR_SPOOL_DIR", &spool).env("MONITOR_SERVER_URL", "http://127.0.0.1:1");
    later.env("MONITOR_ROOT_ID", process["root_id"].as_str().unwrap()).env("MONITOR_PARENT_ID", process["id"].as_str().unwrap());
    let later = run(later);
    assert_eq!((later.code, later.stderr.as_str()), (Some(0), ""));
    let mut ship = agent_command(&agent, &["spool", "ship", "--server", server.url()]);
    ship.env("MONITOR_SPOOL_DIR", &spool);
    let shipped = run(ship);
    assert_eq!(shipped.code, Some(0), "{}", shipped.stderr);
    let root = process["root_id"].as_str().unwrap();
    wait_for("the later progress", || {
        let process = server.get(&format!("/roots/{root}/tree"))["processes"][0].clone();
        (process["progress"]["done"] == json!(80.0)).then_some(())
    });
    // Outside of a run, the commands send nothing and report the reason.
    for (args, words) in
        [(&["progress", "1/2"][..], "MONITOR_ROOT_ID"), (&["notify", "x"], "MONITOR_ROOT_ID"), (&["progress", "x"], "40/100")]
    {
        let finished = run(agent_command(&agent, args));
        assert!(finished.code != Some(0) && finished.stderr.contains(words), "{args:?}: {}", finished.stderr);
    }
}

#[test]
fn a_rust_program_reports_and_publishes_like_the_commands() {
    let server = Server::start();
    let agent = Agent::start_for(&server, &[]);
    let prod = agent.path("srv/gold");
    let worker = command("monitor-test-worker");
    let program = worker.get_program().to_str().unwrap();
    agent.define("gold", &definition(&format!("{program} tells-of-a-run"), &target("prod", &prod)));
    agent.wait_for_log("a task is new or has changed");
    let id = agent.done(&["run", "gold", "--wait"]).lines().next().unwrap().to_owned();
    assert_eq!(fs::read_to_string(prod.join("price")).unwrap(), "7");
    let said = fs::read_to_string(agent.path("data/runs").join(id).join("output.log")).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines.len() == 3 && lines[0].contains("gold has no target \"-x\", but prod"), "{said}");
    assert!(lines[1].contains("required") && lines[2].contains("40/100"), "{said}");
    let process = wait_for("the progress", || {
        let runs = server.get("/batch-tasks/runs?task=gold");
        let root = runs["runs"][0]["root_id"].as_str()?.to_owned();
        Some(server.get(&format!("/roots/{root}/tree"))["processes"][0].clone()).filter(|process| process["progress"].is_object())
    });
    assert_eq!((&process["progress"]["done"], &process["progress"]["total"]), (&json!(40.0), &json!(100.0)), "{process}");
    for (name, command, words) in
        [("a run", path_of("monitor"), "MONITOR_ROOT_ID"), ("the command", "/nowhere/monitor".to_owned(), "MONITOR_COMMAND")]
    {
        let mut worker = std::process::Command::new(program);
        worker.arg("is-no-run").env("MONITOR_COMMAND", command).env_remove("MONITOR_ROOT_ID").env_remove("MONITOR_PARENT_ID");
        let finished = run(worker);
        assert!(finished.code == Some(0) && finished.stdout.contains(words), "{name}: {}{}", finished.stdout, finished.stderr);
    }
}

/// Path of a program of this workspace.
fn path_of(program: &str) -> String {
    command(program).get_program().to_str().unwrap().to_owned()
}

#[test]
fn a_task_of_node_runs_as_it_is_with_the_helper() {
    let server = Server::start();
    let agent = Agent::start_for(&server, &[]);
    let prod = agent.path("srv/gold");
    for folder in ["data/task/gold", "data/config"] {
        fs::create_dir_all(agent.path(folder)).unwrap();
    }
    fs::write(agent.path("data/helper.js"), agent.done(&["helper"])).unwrap();
    fs::write(agent.path("data/config/config.js"), "module.exports = { rows: 1, host: 'db-1' };").unwrap();
    let script = r"
const { config, task, notifyTaskRTX, caePublish, progress } = require('../../helper.js');
const fs = require('fs');
async function main() {
  fs.writeFileSync(`${task.publishDir}/price.json`, JSON.stringify({ ...config, name: task.name }));
  await progress(1, 2);
  await notifyTaskRTX('-- prices --', { missing: ['gold'] }, { severity: 'info', key: 'p' });
  await caePublish(['prod']);
  await caePublish('nowhere').catch(error => fs.writeFileSync('refused', error.message));
}
main();
";
    fs::write(agent.path("data/task/gold/index.js"), script).unwrap();
    let rest = format!("env = {{ PATH = {:?} }}\nconfig = {{ rows = 100 }}\n{}", path(), target("prod", &prod));
    agent.define("gold", &rest);
    agent.wait_for_log("a task is new or has changed");
    assert_eq!(agent.ask(&["run", "gold", "--wait"]).code, Some(0), "{}", agent.log());
    let published: Value = serde_json::from_str(&fs::read_to_string(prod.join("price.json")).unwrap()).unwrap();
    assert_eq!(published, json!({ "rows": 100, "host": "db-1", "name": "gold" }));
    let refused = fs::read_to_string(agent.path("data/refused")).unwrap();
    assert!(refused.contains("gold has no target \"nowhere\", but prod"), "{refused}");
    let process = wait_for("the progress", || {
        let runs = server.get("/batch-tasks/runs?task=gold");
        let root = runs["runs"][0]["root_id"].as_str()?.to_owned();
        Some(server.get(&format!("/roots/{root}/tree"))["processes"][0].clone()).filter(|process| process["progress"].is_object())
    });
    assert_eq!(process["progress"]["total"], 2.0);
}

#[test]
fn retention_runs_when_a_run_ends_and_keeps_logs_of_running_runs() {
    let agent = Agent::start(&[]);
    let own = agent.path("data/task/gold");
    for name in ["logs/202001/01/103000-0123456789abcdef.log", "history/202001/01_103005/a"] {
        let path = own.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "old").unwrap();
    }
    let shell = "touch $MONITOR_PUBLISH_DIR/price.json; test \"$1\" = now || while ! test -e ../../../go; do sleep 0.05; done; echo done";
    let keep = "overlap = \"allow 2\"\nretention = { logs = { count = 1 }, history = { age = \"30d\" } }";
    agent.define("gold", &definition(shell, keep));
    agent.wait_for_log("a task is new or has changed");
    agent.done(&["run", "gold"]);
    wait_for("a run", || agent.runs("gold").first().is_some_and(|run| run["started_us"].is_i64()).then_some(()));
    assert_eq!(agent.ask(&["run", "gold", "--wait", "--", "now"]).code, Some(0), "{}", agent.log());
    wait_for("the oldest to go", || (!own.join("logs/202001").exists() && !own.join("history/202001").exists()).then_some(()));
    fs::write(agent.path("go"), "").unwrap();
    agent.ended("gold", 2);
    let days = fs::read_dir(own.join("logs")).unwrap().flat_map(|month| fs::read_dir(month.unwrap().path()).unwrap());
    let logs = days.flat_map(|day| fs::read_dir(day.unwrap().path()).unwrap()).map(|log| fs::read_to_string(log.unwrap().path()).unwrap());
    assert_eq!(logs.collect::<Vec<_>>(), ["done\n", "done\n"], "one would be enough, but the older was still written");
    let links = fs::read_dir(own.join("history")).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_symlink());
    assert_eq!(links.count(), 1, "what was published is found by its name and the minute");
}

#[test]
fn a_run_fails_if_its_files_cannot_be_kept() {
    let agent = Agent::start(&[]);
    fs::create_dir_all(agent.path("data/task/gold")).unwrap();
    fs::write(agent.path("data/task/gold/history"), "no folder").unwrap();
    agent.define("gold", "shell = \"echo 1 > $MONITOR_PUBLISH_DIR/a; exit $1\"");
    agent.wait_for_log("a task is new or has changed");
    for (nth, (code, result_code)) in [("0", 96), ("3", 3)].into_iter().enumerate() {
        agent.done(&["run", "gold", "--", code]);
        let run = agent.ended("gold", nth + 1).remove(nth);
        assert_eq!(
            (&run["outcome"], &run["result_code"], &run["exit_code"]),
            (&json!("fail"), &json!(result_code), &json!(code.parse::<u8>().unwrap())),
            "{run}"
        );
    }
    assert_eq!(agent.runs("gold")[0]["reason"], "publishing");
}
