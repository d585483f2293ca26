//! Commands for the workers of a cluster, on the command line of `monitor`.

use std::process::Stdio;

use monitor_tests::{RabbitMq, Redis, run, terminate, wait_for};
use serde_json::{Value, json};

use crate::cluster::{Cluster, Kind, SILENT, of_celery};

/// A command ends when all have answered. On a busy machine that takes a while.
const LONG: &str = "30s";

fn obey(cluster: &Cluster) {
    let ask = |args: &[&str]| {
        let finished = cluster.monitor(args);
        assert_eq!(finished.code, Some(0), "{args:?}: {}{}", finished.stdout, finished.stderr);
        finished.stdout
    };
    let node = |args: &[&str]| ask(&[args, &["-d", "w1@shop", "--timeout", LONG]].concat());
    // The node's channel is opened after its first event.
    wait_for("the channel of the node", || (cluster.monitor(&["inspect", "ping", "-d", "w1@shop"]).code == Some(0)).then_some(()));
    assert!(ask(&["inspect", "ping", "--timeout", LONG]).contains("pong"), "the bridge itself is not asked");

    assert!(node(&["inspect", "registered"]).contains("shop.add"));
    assert!(node(&["inspect", "active-queues"]).contains("celery"));
    let bindings: Value = serde_json::from_str(&ask(&["queue", "list", "--bindings", LONG, "--json"])).unwrap();
    let expected = json!({"queue": "celery", "exchange": "celery", "type": "direct", "routing_key": "celery", "workers": ["w1@shop"]});
    assert_eq!(bindings["bindings"][0], expected, "{bindings}");
    assert!(node(&["inspect", "stats"]).contains("prefork"));
    let conf = node(&["inspect", "conf"]);
    assert!(conf.contains("worker_send_task_events"), "{conf}");
    assert!(node(&["control", "rate-limit", "shop.total", "10/m"]).contains("new rate limit set successfully"));
    assert!(node(&["control", "time-limit", "shop.total", "60s", "90s"]).contains("time limits set successfully"));
    assert!(node(&["control", "pool-grow", "1"]).contains("pool will grow"));

    // Methods that only Celery has, and one of the application.
    assert!(node(&["control", "clock"]).contains("clock"));
    assert!(node(&["control", "report"]).contains("software ->"));
    assert!(node(&["control", "heartbeat"]).contains("w1@shop"));
    assert!(node(&["control", "revoke-by-stamped-headers", "headers={\"order\": [\"7\"]}"]).contains("headers"));
    assert!(node(&["control", "shop-size", "times=2"]).contains("84"));
    // Secrets are masked in the replies of all of them.
    assert!(node(&["control", "shop-size", "times=1"]).contains("***"));
    let unknown = cluster.monitor(&["control", "nosuch", "-d", "w1@shop", "--timeout", LONG]);
    assert!(unknown.code != Some(0) && unknown.stdout.contains("nosuch"), "{}", unknown.stdout);

    let called = ask(&["call", "shop.add", "--args", "[20, 22]", "--wait", LONG]);
    assert_eq!(called.trim(), "42");
    // The queue and the time are known by the event of its sending, which may arrive after the result.
    wait_for("the event of its sending", || {
        let called = &cluster.server.get("/queue-tasks?type=shop.add&limit=1")["tasks"][0]["task"];
        (called["queue"] == "celery" && called["sent_us"].is_u64()).then_some(())
    });

    let id = cluster.call("shop.wait", "[600]");
    let state = |wanted: &str| wait_for(wanted, || cluster.task(&id).filter(|task| task["state"] == wanted));
    state("running");
    assert!(node(&["inspect", "active"]).contains(&id));
    assert!(node(&["inspect", "query", &id]).contains("active"));
    node(&["control", "revoke", &id, "--terminate"]);
    assert_eq!(state("cancelled")["reason"], "terminated");

    // A run is cancelled by its number, without any word of Celery.
    let id = cluster.call("shop.wait", "[601]");
    let running = wait_for("running", || cluster.task(&id).filter(|task| task["state"] == "running"));
    ask(&["cancel", running["root_id"].as_str().expect("its run"), "--timeout", LONG]);
    state("cancelled");

    // Tasks of a queue that no node reads are counted and deleted.
    for number in 0..3 {
        ask(&["call", "shop.add", "--args", &format!("[{number}, 0]"), "--queue", "unread"]);
    }
    let purged = ask(&["purge", "-Q", "unread", "--force", "--timeout", LONG]);
    assert!(purged.contains('3'), "{purged}");

    // An ended task is sent again, with its arguments, under a new id.
    let wait = |id: &str, state: &str| wait_for(state, || cluster.task(id).filter(|task| task["state"] == state));
    let finished = cluster.call("shop.add", "[\"it's\", \" \\u65e5\"]");
    let former = wait(&finished, "succeeded");
    let again = ask(&["retry", &finished, "--json", "--timeout", LONG]);
    let again: Value = serde_json::from_str(&again).expect("JSON");
    let new = again["lines"][0]["value"]["tasks"][0]["uuid"].as_str().unwrap_or_else(|| panic!("no new id: {again}"));
    let task = wait(new, "succeeded");
    assert_eq!(task["task"]["result"], former["task"]["result"], "{task}");
    wait_for("its queue", || cluster.task(new).filter(|task| task["task"]["queue"] == "celery"));
    let link = wait_for("the link", || cluster.task(new)?["links"].as_array()?.first().cloned());
    assert_eq!((&link["id"], &link["relation"]), (&former["id"], &json!("retry_of")), "{link}");
    let running = cluster.call("shop.wait", "[602]");
    wait(&running, "running");
    for (id, why) in
        [(running.as_str(), "the task has not ended"), (&failed_with_a_secret(cluster), "they were cut, masked or not recorded")]
    {
        let refused = cluster.monitor(&["retry", id, "--timeout", LONG]);
        assert!(refused.code != Some(0) && refused.stdout.contains(why), "{refused:?}");
    }
    node(&["control", "revoke", &running, "--terminate"]);

    // What Celery can't do is refused with the reason.
    let refused = cluster.monitor(&["control", "rate-limit", "shop.total", "10/m", "--for", "1m", "-d", "w1@shop", "--timeout", LONG]);
    assert_eq!(refused.code, Some(6), "{}", refused.stderr);
    assert!(refused.stdout.contains("--for can't be used"), "{}", refused.stdout);
    let wrong = cluster.monitor(&["control", "rate-limit", "shop.nosuch", "10/m", "-d", "w1@shop", "--timeout", LONG]);
    assert!(wrong.code != Some(0) && wrong.stdout.contains("unknown task"), "{}", wrong.stdout);
}

/// Id of a failed task with an argument that is masked.
fn failed_with_a_secret(cluster: &Cluster) -> String {
    let finished = run(cluster.celery(&["call", "shop.fail", "--args", "[\"no disk\"]", "--kwargs", "{\"password\": \"s3cret\"}"]));
    let id = finished.stdout.trim().to_owned();
    wait_for("its failure", || cluster.task(&id).filter(|task| task["state"] == "failed"));
    id
}

#[test]
fn a_task_whose_application_keeps_arguments_with_results_is_retried_with_all_of_them() {
    let redis = Redis::start();
    let results = of_celery(&redis, 1);
    let cluster = Cluster::start_with_conf(
        &Kind::Redis(&redis),
        &["--results", &results, "--arguments", "off"],
        json!({"result_extended": true, "task_send_sent_event": false}),
    );
    let id = failed_with_a_secret(&cluster);
    wait_for("the channel of the node", || (cluster.monitor(&["inspect", "ping", "-d", "w1@shop"]).code == Some(0)).then_some(()));
    let again: Value = serde_json::from_str(&cluster.monitor(&["retry", &id, "--json", "--timeout", LONG]).stdout).expect("JSON");
    let new = again["lines"][0]["value"]["tasks"][0]["uuid"].as_str().unwrap_or_else(|| panic!("no new id: {again}"));
    wait_for("the same failure", || cluster.task(new).filter(|task| task["error"]["message"] == "ValueError('no disk')"));
    let mut meta = cluster.python("python");
    meta.args(["-c", &format!("import shop; print(shop.app.AsyncResult('{new}').kwargs)")]);
    assert_eq!(run(meta).stdout.trim(), "{'password': 's3cret'}");
}

#[test]
fn a_task_of_another_cluster_is_not_sent_to_this_one() {
    let (redis, other) = (Redis::start(), Redis::start());
    let mut cluster = Cluster::start(&Kind::Redis(&redis), &[]);
    let id = cluster.call("shop.add", "[1, 2]");
    wait_for("its end", || cluster.task(&id).filter(|task| task["state"] == "succeeded"));
    cluster.kill_worker();
    wait_for("the lost node", || cluster.worker("w1").filter(|worker| worker["state"] == "lost"));
    // Only a node of the other cluster offers the command now.
    let folder = tempfile::tempdir().expect("a folder");
    let broker = of_celery(&other, 0);
    let mut bridge = cluster.command(&["celery", "bridge", &broker, "--name", "others", "--data"]);
    let mut bridge = bridge.arg(folder.path()).stderr(Stdio::null()).spawn().expect("it starts");
    let mut node = cluster.celery(&["worker", "-n", "other@shop", "-c", "1", "--loglevel", "warning"]);
    let mut node = node.env("BROKER", &broker).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    wait_for("its channel", || (cluster.monitor(&["inspect", "ping", "-d", "other@shop"]).code == Some(0)).then_some(()));
    let refused = cluster.monitor(&["retry", &id, "--timeout", LONG]);
    assert!(refused.code != Some(0) && refused.stdout.contains("not known as a task of the cluster others"), "{refused:?}");
    for child in [&mut node, &mut bridge] {
        terminate(child);
    }
}

#[test]
fn workers_on_redis_obey_the_commands_of_monitor() {
    let redis = Redis::start();
    let cluster = Cluster::start(&Kind::Redis(&redis), &[]);
    obey(&cluster);
    let queues: Value = serde_json::from_str(&cluster.monitor(&["queue", "list", "--ask", LONG, "--json"]).stdout).expect("JSON");
    let queue = queues["queues"].as_array().expect("queues").iter().find(|queue| queue["name"] == "celery").expect("the queue").clone();
    assert_eq!(queue["workers"][0]["waiting"], 0, "{queue}");
}

#[test]
fn workers_on_rabbitmq_obey_the_commands_of_monitor() {
    let (rabbit, redis) = (RabbitMq::start(), Redis::start());
    let cluster = Cluster::start(&Kind::RabbitMq(&rabbit, &redis), &[]);
    // Only RabbitMQ has queues without messages. The one of the test must exist before a task can be sent to it.
    let declared = cluster.celery(&["amqp", "queue.declare", "unread", "false", "true"]).output();
    assert!(declared.is_ok(), "{declared:?}");
    obey(&cluster);
}

#[test]
fn a_node_that_sends_no_events_is_named_and_its_events_are_turned_on() {
    let redis = Redis::start();
    let mut cluster = Cluster::start(&Kind::Redis(&redis), &[]);
    cluster.start_worker(SILENT, &["-Q", SILENT]);
    let call = |cluster: &Cluster| cluster.call_in("shop.add", "[1, 2]", SILENT);
    wait_for("the advice", || {
        call(&cluster);
        cluster.bridge_says("works on tasks without sending events: start it with -E").then_some(())
    });
    let enabled = cluster.monitor(&["control", "enable-events", "-d", "silent@shop", "--timeout", LONG]);
    assert_eq!(enabled.code, Some(0), "{}", enabled.stdout);
    let id = call(&cluster);
    wait_for("the task", || cluster.task(&id).filter(|task| task["state"] == "succeeded"));

    // With the option, the bridge turns them on by itself.
    cluster.stop_bridge();
    cluster.kill_worker();
    cluster.add_option("--enable-events");
    cluster.start_bridge();
    cluster.start_worker(SILENT, &["-Q", SILENT]);
    wait_for("a task", || {
        let id = call(&cluster);
        cluster.task(&id).filter(|task| !task["started_us"].is_null())
    });
}
