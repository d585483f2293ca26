//! Kills of the server, the bridge and the broker: what the broker keeps is recorded once, and what it doesn't keep is reported as missing.

use monitor_tests::{RabbitMq, Redis, wait_for};

use crate::cluster::{Cluster, Kind, expect_equal};

#[test]
fn rabbitmq_keeps_the_events_while_the_server_and_the_bridge_are_killed() {
    let (rabbit, redis) = (RabbitMq::start(), Redis::start());
    let mut cluster = Cluster::start(&Kind::RabbitMq(&rabbit, &redis), &[]);
    let mut ends = cluster.work(1);
    cluster.server.kill();
    ends.extend(cluster.work(1));
    cluster.kill_bridge();
    ends.extend(cluster.work(1));
    cluster.start_bridge();
    ends.extend(cluster.work(1));
    cluster.server.start_again();
    expect_equal(&cluster, &ends);
    // The killed bridge is lost, and the tasks that it reported are not.
    let bridges: Vec<_> = cluster.server.roots().into_iter().filter(|root| root["name"] == "celery orders").collect();
    assert_eq!(bridges.len(), 2, "{bridges:?}");

    // A second bridge for the same server would get half of the events.
    let mut other = cluster.command(&["celery", "bridge", &cluster.broker, "--name", "orders", "--data"]);
    let folder = tempfile::tempdir().expect("a folder");
    let mut other = other.arg(folder.path()).stderr(std::process::Stdio::piped()).spawn().expect("it starts");
    let mut said = String::new();
    let stderr = other.stderr.take().expect("piped");
    for line in std::io::BufRead::lines(std::io::BufReader::new(stderr)) {
        said = line.expect("text");
        if said.contains("another bridge reads the queue of events") {
            break;
        }
    }
    assert!(said.contains("monitor.celeryev.orders."), "{said}");
    other.kill().and_then(|()| other.wait()).expect("it ends");
}

#[test]
fn a_bridge_to_redis_keeps_the_events_while_the_server_is_killed() {
    let redis = Redis::start();
    let mut cluster = Cluster::start(&Kind::Redis(&redis), &[]);
    cluster.server.kill();
    let mut ends = cluster.work(1);
    cluster.kill_bridge();
    cluster.start_bridge();
    ends.extend(cluster.work(1));
    cluster.server.start_again();
    expect_equal(&cluster, &ends);
}

#[test]
fn a_gap_of_redis_is_reported() {
    let mut redis = Redis::start();
    let cluster = Cluster::start(&Kind::Redis(&redis), &[]);
    cluster.clear_bridge_log();
    redis.restart();
    wait_for("the new connection", || cluster.bridge_says("connected to the broker").then_some(()));
    assert!(cluster.bridge_says("trying again in"), "the failure was logged");
    let root = cluster.server.roots().into_iter().find(|root| root["name"] == "celery orders").expect("a run");
    let path = format!("/roots/{}/logs", root["root_id"].as_str().expect("an id"));
    wait_for("the gap in the log of the bridge's run", || {
        let logs = cluster.server.get(&path);
        logs.to_string().contains("events of this time are missing, because Redis keeps none").then_some(())
    });
}
