//! Commands for the workers of a cluster, on the command line of `monitor`.

use monitor_tests::{RabbitMq, Redis, wait_for};
use serde_json::Value;

use crate::cluster::{Cluster, Kind, SILENT};

fn obey(cluster: &Cluster) {
    let ask = |args: &[&str]| {
        let finished = cluster.monitor(args);
        assert_eq!(finished.code, Some(0), "{args:?}: {}{}", finished.stdout, finished.stderr);
        finished.stdout
    };
    let node = |args: &[&str]| ask(&[args, &["-d", "w1@shop", "--timeout", "5s"]].concat());
    // The node's channel is opened after its first event.
    wait_for("the channel of the node", || (cluster.monitor(&["inspect", "ping", "-d", "w1@shop"]).code == Some(0)).then_some(()));
    assert!(ask(&["inspect", "ping", "--timeout", "5s"]).contains("pong"), "the bridge itself is not asked");

    assert!(node(&["inspect", "registered"]).contains("shop.add"));
    assert!(node(&["inspect", "active-queues"]).contains("celery"));
    assert!(node(&["inspect", "stats"]).contains("prefork"));
    let conf = node(&["inspect", "conf"]);
    assert!(conf.contains("worker_send_task_events"), "{conf}");
    assert!(node(&["control", "rate-limit", "shop.total", "10/m"]).contains("new rate limit set successfully"));
    assert!(node(&["control", "time-limit", "shop.total", "60s", "90s"]).contains("time limits set successfully"));
    assert!(node(&["control", "pool-grow", "1"]).contains("pool will grow"));

    let called = ask(&["call", "shop.add", "--args", "[20, 22]", "--wait", "30s"]);
    assert_eq!(called.trim(), "42");

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
    ask(&["cancel", running["root_id"].as_str().expect("its run"), "--timeout", "20s"]);
    assert_eq!(cluster.task(&id).expect("known")["state"], "cancelled");

    // Tasks of a queue that no node reads are counted and deleted.
    for number in 0..3 {
        ask(&["call", "shop.add", "--args", &format!("[{number}, 0]"), "--queue", "unread"]);
    }
    let purged = ask(&["purge", "-Q", "unread", "--force"]);
    assert!(purged.contains('3'), "{purged}");

    // What Celery can't do is refused with the reason.
    let refused = cluster.monitor(&["control", "rate-limit", "shop.total", "10/m", "--for", "1m", "-d", "w1@shop"]);
    assert_eq!(refused.code, Some(6), "{}", refused.stderr);
    assert!(refused.stdout.contains("--for can't be used"), "{}", refused.stdout);
    let wrong = cluster.monitor(&["control", "rate-limit", "shop.nosuch", "10/m", "-d", "w1@shop"]);
    assert!(wrong.code != Some(0) && wrong.stdout.contains("unknown task"), "{}", wrong.stdout);
}

#[test]
fn workers_on_redis_obey_the_commands_of_monitor() {
    let redis = Redis::start();
    let cluster = Cluster::start(&Kind::Redis(&redis), &[]);
    obey(&cluster);
    let queues: Value = serde_json::from_str(&cluster.monitor(&["queue", "list", "--ask", "5s", "--json"]).stdout).expect("JSON");
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
    let enabled = cluster.monitor(&["control", "enable-events", "-d", "silent@shop", "--timeout", "5s"]);
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
