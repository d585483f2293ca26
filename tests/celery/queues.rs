//! The number of waiting tasks in the queues of a cluster, on the bridge's run and in the metrics.

use monitor_tests::{RabbitMq, Redis, run, wait_for};
use serde_json::{Value, json};

use crate::cluster::{Cluster, Kind};

fn bridges(cluster: &Cluster) -> usize {
    cluster.server.roots().iter().filter(|root| root["name"] == "celery orders").count()
}

/// The fields of the newest bridge's run.
fn fields(cluster: &Cluster) -> Value {
    let newest = cluster.server.roots().into_iter().filter(|root| root["name"] == "celery orders");
    let root = newest.max_by_key(|root| root["started_us"].as_u64()).expect("a run");
    cluster.server.tree(&root)[0]["fields"].clone()
}

/// The value of a metric.
fn metric(cluster: &Cluster, name: &str) -> Option<String> {
    let (status, text) = cluster.server.ask("GET", "/metrics");
    assert_eq!(status, 200, "{text}");
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned))
}

/// Sends tasks to a queue that nobody reads, and then starts a node that reads it.
fn deepen(kind: &Kind<'_>) {
    let mut cluster = Cluster::start(kind, &[]);
    // A queue of RabbitMQ exists once a node has read it.
    cluster.start_worker("w2", &["-Q", "other"]);
    cluster.kill_worker();
    let [oldest, _] = [(); 2].map(|()| cluster.call_in("shop.add", "[1, 2]", "other"));
    let mut urgent = cluster.python("python");
    urgent.args(["-c", "import shop; shop.add.apply_async((1, 2), queue='other', priority=9)"]);
    assert_eq!(run(urgent).code, Some(0));
    // RabbitMQ reports only the sum.
    let of_each = if matches!(kind, Kind::Redis(_)) { json!({"0": 2, "9": 1}) } else { Value::Null };
    let expect = |cluster: &Cluster, waiting: u64, consumers: u64| {
        let labels = r#"{cluster="orders",queue="other"}"#;
        let expected = [("waiting", waiting), ("consumers", consumers)];
        wait_for(&format!("{expected:?}"), || {
            let queues = &fields(cluster)["celery.queues"];
            let other = &queues["other"];
            let of_each = if waiting == 3 { &of_each } else { &Value::Null };
            let is_on_page = other["waiting"] == waiting
                && other["consumers"] == consumers
                && other["priorities"] == *of_each
                && queues["celery"]["waiting"] == 0;
            let is_shown =
                |(name, count): &(&str, u64)| metric(cluster, &format!("monitor_celery_queue_{name}{labels}")) == Some(count.to_string());
            (is_on_page && expected.iter().all(is_shown)).then_some(())
        });
    };
    expect(&cluster, 3, 0);
    let oldest = cluster.task(&oldest).expect("known")["task"]["sent_us"].as_u64().expect("a time");
    wait_for("the oldest task", || (fields(&cluster)["celery.queues"]["other"]["oldest_us"] == oldest).then_some(()));
    let seconds = metric(&cluster, r#"monitor_celery_queue_oldest_sent_seconds{cluster="orders",queue="other"}"#).expect("a metric");
    assert!((seconds.parse::<f64>().expect("a number") - oldest as f64 / 1e6).abs() < 1e-3, "{seconds} {oldest}");
    // The queue is still known after a restart, though neither a node nor a new event names it.
    cluster.kill_bridge();
    let before = bridges(&cluster);
    cluster.start_bridge();
    wait_for("the new bridge", || (bridges(&cluster) > before).then_some(()));
    expect(&cluster, 3, 0);
    assert_eq!(metric(&cluster, r#"monitor_celery_connected{cluster="orders"}"#).as_deref(), Some("1"));
    // After a minute, the series is there as well.
    wait_for("the series", || {
        let recent = &fields(&cluster)["celery.queues.recent"]["other"];
        recent.as_array().is_some_and(|minutes| minutes.contains(&3.into())).then_some(())
    });
    cluster.start_worker("w3", &["-Q", "other"]);
    expect(&cluster, 0, 1);
    assert!(fields(&cluster)["celery.queues"]["other"]["oldest_us"].is_null());
    // The bridge knows the queue of tasks whose sending it has seen.
    cluster.call_in("shop.add", "[1, 2]", "other");
    let per_minute = |what: &str| metric(&cluster, &format!(r#"monitor_celery_queue_{what}_per_minute{{cluster="orders",queue="other"}}"#));
    wait_for("the numbers of the minute", || ["sent", "ended"].iter().all(|what| per_minute(what).as_deref() == Some("1")).then_some(()));
}

#[test]
fn the_queues_of_a_cluster_on_redis_are_measured() {
    let redis = Redis::start();
    deepen(&Kind::Redis(&redis));
}

#[test]
fn the_queues_of_a_cluster_on_rabbitmq_are_measured() {
    let (rabbit, redis) = (RabbitMq::start(), Redis::start());
    deepen(&Kind::RabbitMq(&rabbit, &redis));
}
