//! Tasks and workers are recorded as Celery itself reports them.

use monitor_tests::{RabbitMq, Redis, Server, wait_for};
use serde_json::json;

use crate::cluster::{Cluster, Kind, expect_equal};

/// A workload on a new cluster: successes, failures, retries, revoked tasks, chains, chords, and tasks that start others.
fn record(kind: &Kind<'_>) -> Cluster {
    let cluster = Cluster::start(kind, &[]);
    let ends = cluster.work(2);
    assert_eq!(ends.len(), 2 * 13);
    expect_equal(&cluster, &ends);

    let failed = cluster.server.get("/queue-tasks?type=shop.fail&limit=1")["tasks"][0].clone();
    assert_eq!(failed["error"]["message"], "ValueError('no disk 1')", "{failed}");
    assert!(failed["task"]["traceback"].as_str().expect("recorded").ends_with("ValueError: no disk 1\n"));
    assert_eq!(failed["task"]["kwargs"], "{'password': ***}", "{failed}");

    let again = cluster.server.get("/queue-tasks?type=shop.again&limit=1")["tasks"][0].clone();
    let again = cluster.task(again["native_id"].as_str().expect("its id")).expect("known");
    assert_eq!((&again["attempt"], &again["task"]["phase"]), (&json!(3), &json!("succeeded")));
    let outcomes: Vec<_> = again["attempts"].as_array().expect("attempts").iter().map(|attempt| attempt["outcome"].clone()).collect();
    assert_eq!(outcomes, ["failed", "failed", "succeeded"], "{again}");

    let worker = cluster.worker("w1").expect("known");
    assert_eq!((&worker["hostname"], &worker["heartbeat_interval_ms"]), (&json!("shop"), &json!(2_000)));
    assert!(worker["version"].as_str().expect("a version").starts_with("py-celery 5."), "{worker}");
    wait_for("the number of tasks in a heartbeat", || cluster.worker("w1").filter(|worker| worker["processed"].as_u64() >= Some(24)));
    cluster
}

#[test]
fn a_cluster_on_redis_is_recorded_as_celery_reports_it() {
    let redis = Redis::start();
    let mut cluster = record(&Kind::Redis(&redis));

    // A node that is killed is lost with its running task, which Celery's own state never tells.
    cluster.start_worker("w2", &["-Q", "other"]);
    let id = cluster.call_in("shop.wait", "[600]", "other");
    wait_for("the running task", || cluster.task(&id).filter(|task| task["state"] == "running"));
    cluster.kill_worker();
    wait_for("the lost node", || cluster.worker("w2").filter(|worker| worker["state"] == "lost"));
    wait_for("its lost task", || cluster.task(&id).filter(|task| task["state"] == "lost"));
    wait_for("the other node", || cluster.worker("w1").filter(|worker| worker["state"] == "online"));

    // The bridge is a run with its state, and it ends with the bridge.
    let bridge = || cluster.server.roots().into_iter().find(|root| root["name"] == "celery orders").expect("a run");
    assert_eq!(bridge()["state"], "running");
    let tree = cluster.server.tree(&bridge());
    assert_eq!(tree[0]["fields"]["celery.state"], "connected", "{}", tree[0]);
    cluster.stop_bridge();
    let bridge = |server: &Server| server.roots().into_iter().find(|root| root["name"] == "celery orders").expect("a run");
    wait_for("its end", || (bridge(&cluster.server)["state"] == "cancelled").then_some(()));
}

#[test]
fn a_cluster_on_rabbitmq_is_recorded_as_celery_reports_it() {
    let (rabbit, redis) = (RabbitMq::start(), Redis::start());
    drop(record(&Kind::RabbitMq(&rabbit, &redis)));
}

#[test]
fn a_server_with_the_setting_records_a_cluster_by_itself() {
    let redis = Redis::start();
    let mut cluster = Cluster::start(&Kind::Redis(&redis), &[]);
    let of_orders = cluster.call("shop.add", "[1, 2]");
    wait_for("its end", || cluster.task(&of_orders).filter(|task| task["state"] == "succeeded"));
    cluster.stop_bridge();
    cluster.server.stop();
    let clusters = format!("[{{ name = \"own\", broker = \"{}\" }}]", cluster.broker);
    cluster.server.set_env(vec![("MONITOR_CELERY", clusters.into())]);
    cluster.server.start_again();
    wait_for("the bridge's run", || cluster.server.roots().into_iter().find(|root| root["name"] == "celery own"));
    let ends = cluster.work(1);
    expect_equal(&cluster, &ends);
    cluster.server.stop();
    assert!(!cluster.server.log().contains("events wait in the folder"), "the bridge ends before the server");

    // Runs that the tasks of the cluster have begun are kept as long as its setting says.
    let clusters = format!("[{{ name = \"own\", broker = \"{}\", keep = \"1s\", keep-failed = \"30d\" }}]", cluster.broker);
    cluster.server.set_env(vec![("MONITOR_CELERY", clusters.into())]);
    cluster.server.start_again();
    for (id, end) in &ends {
        if end["state"] == "FAILURE" {
            assert_eq!(cluster.task(id).expect("kept")["state"], "failed");
        } else {
            wait_for("the removal of a task", || cluster.task(id).is_none().then_some(()));
        }
    }
    assert_eq!(cluster.task(&of_orders).expect("kept")["state"], "succeeded", "it is of another cluster");
    cluster.server.stop();
    cluster.server.set_env(vec![("MONITOR_CELERY", "amqp://shop:s3cret@mq".into())]);
    let said = cluster.server.fail_to_start();
    assert!(said.contains("leave the password out of `broker`") && !said.contains("s3cret"), "{said}");
}

#[test]
fn names_that_an_application_changes_are_used() {
    let redis = Redis::start();
    let options = ["--event-exchange", "ev", "--control-exchange", "ctl", "--key-prefix", "shop:", "--fanout-prefix", "/fan{db}."];
    let transport = json!({"global_keyprefix": "shop:", "fanout_prefix": "/fan{db}.", "fanout_patterns": false});
    let conf = json!({"event_exchange": "ev", "control_exchange": "ctl", "broker_transport_options": transport});
    let cluster = Cluster::start_with_conf(&Kind::Redis(&redis), &options, conf);
    expect_equal(&cluster, &cluster.work(1));
    wait_for("an answer", || (cluster.monitor(&["inspect", "ping", "-d", "w1@shop"]).code == Some(0)).then_some(()));
    let id = cluster.monitor(&["call", "shop.add", "--args", "[20, 22]", "--wait", "30s"]);
    assert_eq!((id.code, id.stdout.trim()), (Some(0), "42"), "{}", id.stderr);
    let check = || cluster.monitor(&[&["celery", "check", &cluster.broker], &options[..]].concat());
    wait_for("the node in a check", || check().stdout.contains("w1@shop").then_some(()));
}

#[test]
fn arguments_and_results_are_left_out_on_request() {
    let redis = Redis::start();
    let cluster = Cluster::start(&Kind::Redis(&redis), &["--arguments", "shop.t*"]);
    let (add, total) = (cluster.call("shop.add", "[1, 2]"), cluster.call("shop.total", "[[1, 2]]"));
    let ended = |id: &str| wait_for("its end", || cluster.task(id).filter(|task| task["state"] == "succeeded"));
    let (add, total) = (ended(&add), ended(&total));
    assert!(add["task"]["args"].is_null() && add["task"]["result"].is_null(), "{add}");
    assert_eq!((&total["task"]["args"], &total["task"]["result"]), (&json!("[[1, 2]]"), &json!("3")));
}
