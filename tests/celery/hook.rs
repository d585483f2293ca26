//! `monitor celery hook`: a program, its task, and the program that the task starts are one run.

use std::path::Path;
use std::process::{Command, Stdio};

use monitor_tests::{RabbitMq, Redis, command, run, wait_for};
use serde_json::{Map, Value};

use crate::cluster::{Cluster, Kind, expect_equal};

/// Writes the module into a folder.
fn write_module(folder: &Path) {
    let mut hook = command("monitor");
    std::fs::write(
        folder.join("monitor_celery.py"),
        run({
            hook.args(["celery", "hook"]);
            hook
        })
        .stdout,
    )
    .expect("written");
}

#[test]
fn a_program_its_task_and_the_program_that_it_starts_are_one_run() {
    let redis = Redis::start();
    let folder = tempfile::tempdir().expect("a folder");
    write_module(folder.path());
    let cluster = Cluster::start_with_hook(&Kind::Redis(&redis), folder.path());

    // A program that sends a task, recorded by `monitor run`. The task starts another program by `monitor run`.
    let python = cluster.python("python");
    let mut send = cluster.command(&["run", "--name", "order", "--"]);
    send.arg(python.get_program()).args(["-c", "import shop; print(shop.pack.delay().id)"]);
    for (name, value) in python.get_envs() {
        send.env(name, value.expect("set"));
    }
    send.current_dir(python.get_current_dir().expect("a folder"));
    let finished = run(send);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);

    let root = wait_for("the run with all its processes", || {
        let root = cluster.server.roots().into_iter().find(|root| root["name"] == "order")?;
        let outline = monitor_tests::outline(&cluster.server.tree(&root));
        outline.contains("box").then_some((root, outline))
    });
    let expected = "order\n  shop.pack\n    box\n";
    assert_eq!(
        root.1.lines().map(|line| line.split('<').next().unwrap_or(line).trim_end()).collect::<Vec<_>>().join("\n") + "\n",
        expected
    );
    // A task without such a program begins a run of its own, as before.
    let id = cluster.call("shop.add", "[1, 2]");
    let own = wait_for("its end", || cluster.task(&id).filter(|task| task["state"] == "succeeded"));
    assert_eq!(own["root_id"], id.replace('-', ""));
}

/// From a Rust program to a worker of Celery, to `monitor run`, and to another Rust program. Nothing in the application is changed.
#[test]
fn a_rust_program_and_what_its_task_starts_are_one_tree_on_the_page() {
    let redis = Redis::start();
    let mut cluster = Cluster::start(&Kind::Redis(&redis), &[]);
    cluster.kill_worker();
    let program = format!("{} talks", command("monitor-test-worker").get_program().display());
    cluster.start_worker_by_run("w2", &["--inject", "celery"], &[("PROGRAM", program.as_str()), ("MONITOR_ENABLED", "1")]);

    let mut sender = command("monitor-test-carrier");
    sender.args(["celery-send", redis.url(), "shop.pack", "b1bd3060-b2ce-4b3f-9329-af43c819ddf7"]).env("MONITOR_ENABLED", "1");
    sender.env("MONITOR_SERVER_URL", cluster.server.url()).env("MONITOR_SPOOL_DIR", cluster.server.spool());
    let sent = run(sender);
    assert_eq!(sent.code, Some(0), "{}", sent.stderr);

    let root = wait_for("the run with all its processes", || {
        let root = cluster.server.roots().into_iter().find(|root| root["name"] == "checkout")?;
        let tree = cluster.server.tree(&root);
        (tree.len() == 5 && tree.iter().all(|process| process["state"] == "succeeded")).then_some(root)
    });
    let outline = monitor_tests::outline(&cluster.server.tree(&root));
    let names: Vec<_> = outline.lines().map(|line| line.split('<').next().unwrap_or(line).trim_end()).collect();
    assert_eq!(names, ["checkout", "  shop.pack", "    box", "      talks", "        step"]);

    let app = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/monitor-web/app");
    let mut browser = Command::new("node");
    browser.arg("browser/chain.mjs").args(["checkout", "shop.pack", "box", "talks", "step"]).current_dir(app);
    browser.env("MONITOR_TEST_URL", cluster.server.url()).env("MONITOR_TEST_ROOT", root["root_id"].as_str().expect("its id"));
    let shown = browser.output().expect("Node is installed");
    assert!(shown.status.success(), "{}{}", String::from_utf8_lossy(&shown.stdout), String::from_utf8_lossy(&shown.stderr));
}

/// Starts a task that starts groups, and waits until they are as expected: name, state, progress, number of processes below, and error.
fn groups(cluster: &Cluster, task: &str, args: &str, expected: &str) {
    let id = cluster.call(task, args);
    let mut last = String::new();
    wait_for(expected, || {
        let root = cluster.server.roots().into_iter().find(|root| root["root_id"] == id.replace('-', ""))?;
        let tree = cluster.server.tree(&root);
        let mut lines: Vec<_> = tree
            .iter()
            .filter(|process| process["kind"] == "group")
            .map(|of| {
                let below = tree.iter().filter(|process| process["parent_id"] == of["id"]).count();
                let why = of["error"]["message"].as_str().unwrap_or_default();
                let progress = of["progress"].as_object().map(|progress| format!("{} of {}", progress["done"], progress["total"]));
                format!("{} {} {} {below} {why}", of["name"], of["state"], progress.unwrap_or_default())
            })
            .collect();
        lines.sort_unstable();
        let found = lines.join("\n");
        if found != last {
            eprintln!("{found}");
            last.clone_from(&found);
        }
        (found == expected).then_some(())
    });
}

#[test]
fn groups_and_chords_are_processes_that_end_with_their_last_task() {
    let redis = Redis::start();
    let folder = tempfile::tempdir().expect("a folder");
    write_module(folder.path());
    let cluster = Cluster::start_with_hook(&Kind::Redis(&redis), folder.path());
    let expected = [
        r#""chord shop.total" "succeeded" 2.0 of 2.0 2 "#,
        r#""group" "failed" 2.0 of 2.0 2 2 of 2 tasks have failed"#,
        r#""group" "succeeded" 4.0 of 4.0 4 "#,
    ];
    groups(&cluster, "shop.fan", "[]", &expected.join("\n"));
}

#[test]
fn a_group_that_a_program_outside_of_a_run_sends_is_a_run_with_links() {
    let redis = Redis::start();
    let folder = tempfile::tempdir().expect("a folder");
    write_module(folder.path());
    let cluster = Cluster::start_with_hook(&Kind::Redis(&redis), folder.path());
    let mut python = cluster.python("python");
    let program =
        "import celery, shop\nprint(celery.group(shop.add.s(1, 1), celery.chain(shop.add.s(2, 2), shop.total_of.s())).apply_async().id)";
    python.args(["-c", program]).env("HOOK", "1").env("PYTHONPATH", folder.path());
    let finished = run(python);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let uuid = finished.stdout.trim().replace('-', "");
    let (root, group) = wait_for("the end of the group", || {
        let root = cluster.server.roots().into_iter().find(|root| root["root_id"] == uuid)?;
        let group = cluster.server.tree(&root).into_iter().find(|of| of["kind"] == "group" && of["state"] == "succeeded");
        group.map(|group| (root, group))
    });
    assert_eq!((&group["name"], &group["progress"]["done"], &group["progress"]["total"]), (&"group".into(), &2.0.into(), &2.0.into()));
    assert_eq!((&root["name"], &root["batch"]), (&"group".into(), &"orders".into()), "{root}");
    let tasks: Vec<_> = cluster.server.roots().into_iter().filter(|root| root["root_id"] != uuid && root["name"] == "shop.add").collect();
    assert_eq!(tasks.len(), 2);
    for task in tasks {
        let process = &cluster.server.tree(&task)[0];
        let link = serde_json::json!({"root_id": group["root_id"], "id": group["id"], "relation": "member_of"});
        assert_eq!(process["links"], Value::Array(vec![link]), "{process}");
    }
}

#[test]
fn a_group_outlives_the_bridge() {
    let (rabbit, redis) = (RabbitMq::start(), Redis::start());
    let folder = tempfile::tempdir().expect("a folder");
    write_module(folder.path());
    let mut cluster = Cluster::start_with_hook(&Kind::RabbitMq(&rabbit, &redis), folder.path());
    let file = folder.path().join("end");
    let args = serde_json::json!([file]).to_string();
    groups(&cluster, "shop.halves", &args, r#""group" "pending" 1.0 of 2.0 2 "#);
    cluster.stop_bridge();
    std::fs::write(&file, "").expect("written");
    let still = cluster.server.get("/processes?kind=group&limit=1")["processes"][0].clone();
    assert_eq!(still["state"], "pending", "no worker of it has ended: {still}");
    cluster.start_bridge();
    wait_for("the end of the group", || {
        let group = cluster.server.get("/processes?kind=group&limit=1")["processes"][0].clone();
        (group["state"] == "succeeded").then_some(())
    });
}

/// Returns the results of tasks that a program sends, in their order.
fn results(cluster: &Cluster, module: Option<&Path>, count: u32) -> Value {
    let mut python = cluster.python("python");
    let program =
        format!("import json, shop\nprint(json.dumps([sent.get(timeout=120) for sent in [shop.add.delay(n, n) for n in range({count})]]))");
    python.args(["-c", &program]).stdin(Stdio::null());
    if let Some(folder) = module {
        python.env("HOOK", "1").env("PYTHONPATH", folder);
    }
    let finished = run(python);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    serde_json::from_str(&finished.stdout).expect("JSON")
}

#[test]
fn tasks_in_all_pools_have_the_same_results_with_the_module() {
    const TASKS: u32 = 1_000;
    let redis = Redis::start();
    let folder = tempfile::tempdir().expect("a folder");
    write_module(folder.path());
    for pool in ["prefork", "threads", "solo", "gevent"] {
        let mut cluster = Cluster::start_with_hook(&Kind::Redis(&redis), folder.path());
        cluster.kill_worker();
        cluster.start_worker("w2", &["--pool", pool]);
        // Half of them while the server is away.
        let before = results(&cluster, Some(folder.path()), TASKS / 2);
        cluster.server.kill();
        let away = results(&cluster, Some(folder.path()), TASKS / 2);
        let expected: Value = (0..TASKS / 2).map(|n| 2 * n).collect();
        assert!(before == expected && away == expected, "{pool}");
        cluster.server.start_again();
        // Threads of Celery before 5.7 lose events that they add while another one sends its own.
        if pool == "threads" && ["5.3", "5.4", "5.5", "5.6"].iter().any(|version| cluster.version().starts_with(version)) {
            continue;
        }
        let known = || {
            cluster.server.get("/queue-tasks/types")["types"].as_array().expect("types").iter().find(|of| of["name"] == "shop.add").cloned()
        };
        let mut last = Value::Null;
        wait_for("all tasks", || {
            let states = known().map(|of| of["states"].clone()).unwrap_or_default();
            if states != last {
                eprintln!("{pool}: {states}");
                last.clone_from(&states);
            }
            (states["succeeded"] == TASKS).then_some(())
        });
    }
}

/// A worker whose module can't do its work: each of its parts fails.
#[test]
fn a_module_that_fails_harms_no_task() {
    let redis = Redis::start();
    let folder = tempfile::tempdir().expect("a folder");
    write_module(folder.path());
    let file = folder.path().join("monitor_celery.py");
    let text = std::fs::read_to_string(&file).expect("text");
    let broken = text
        .replace("    root, parent = os.environ", "    raise RuntimeError('broken')\n    root, parent = os.environ")
        .replace("    ids = context()\n    if ids:", "    raise RuntimeError('broken')\n    if ids:");
    assert_eq!(broken.matches("raise RuntimeError").count(), 2);
    std::fs::write(&file, broken).expect("written");
    let cluster = Cluster::start_with_hook(&Kind::Redis(&redis), folder.path());
    let ends: Map<String, Value> = cluster.work(1);
    expect_equal(&cluster, &ends);
}
