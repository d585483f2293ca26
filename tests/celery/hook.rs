//! `monitor celery hook`: a program, its task, and the program that the task starts are one run.

use monitor_tests::{Redis, run, wait_for};

use crate::cluster::{Cluster, Kind};

#[test]
fn a_program_its_task_and_the_program_that_it_starts_are_one_run() {
    let redis = Redis::start();
    let folder = tempfile::tempdir().expect("a folder");
    let hook = run({
        let mut hook = monitor_tests::command("monitor");
        hook.args(["celery", "hook"]);
        hook
    });
    std::fs::write(folder.path().join("monitor_celery.py"), hook.stdout).expect("written");
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
