//! Kills of the server, the bridge and the broker. Events that the broker keeps are recorded once. Gaps are reported, and tasks in them are found again.

use monitor_tests::{RabbitMq, Redis, Sentinel, run, wait_for};
use serde_json::json;

use crate::cluster::{Cluster, Kind, expect_equal, of_celery};

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

#[test]
fn a_bridge_follows_sentinels_to_the_new_master() {
    let (mut sentinel, redis) = (Sentinel::start(), Redis::start());
    let mut cluster = Cluster::start(&Kind::Sentinel(&sentinel, &redis), &[]);
    expect_equal(&cluster, &cluster.work(1));
    // Other names of channels: those of kombu before 5.4, which does not replace `{db}`, and both, for the change to another version.
    let former = if cluster.version().starts_with("5.3") { "/{db}." } else { "/{{db}}." };
    for (name, transport) in [("former", json!({"fanout_prefix": former})), ("both", json!({"sentinel_fanout_compat": true}))] {
        cluster.start_worker_with(name, &["-Q", name], &json!({"broker_transport_options": transport}));
        let id = cluster.call_in("shop.again", "[]", name);
        let mut last = None;
        let task = wait_for("its task", || {
            let task = cluster.task(&id);
            if task != last {
                eprintln!("{name}: {task:?}");
                last.clone_from(&task);
            }
            task.filter(|task| task["state"] == "succeeded")
        });
        assert_eq!((&task["attempt"], task["contradictions"].as_u64().unwrap_or(0)), (&json!(3), 0), "{task}");
        let node = format!("{name}@shop");
        wait_for("its reply", || (cluster.monitor(&["inspect", "ping", "-d", &node]).code == Some(0)).then_some(()));
    }
    let check = |address: &str| {
        let finished = cluster.monitor(&["celery", "check", address]);
        (finished.code, finished.stdout + &finished.stderr)
    };
    let (code, said) = check(&cluster.broker.replace("=shop", "=nosuch"));
    assert!(code == Some(3) && said.contains("its Sentinels know no working master of this name"), "{said}");
    // One of the Sentinels is down.
    let half = cluster.broker.replace("sentinel://", "sentinel://127.0.0.1:1;sentinel://");
    wait_for("a check", || (check(&half).0 == Some(0)).then_some(()));

    let change: [fn(&mut Sentinel); 2] = [Sentinel::switch_master, Sentinel::kill_master];
    for change in change {
        cluster.clear_bridge_log();
        change(&mut sentinel);
        wait_for("the connection to the new master", || cluster.bridge_says("connected to the broker").then_some(()));
        let id = cluster.call("shop.add", "[1, 2]");
        wait_for("a task after it", || cluster.task(&id).filter(|task| task["state"] == "succeeded"));
        wait_for("a command after it", || (cluster.monitor(&["inspect", "ping", "-d", "w1@shop"]).code == Some(0)).then_some(()));
    }
}

#[test]
fn what_happened_in_a_gap_of_redis_is_found_out_from_nodes_and_results() {
    let redis = Redis::start();
    let results = of_celery(&redis, 1);
    let mut cluster = Cluster::start(&Kind::Redis(&redis), &["--results", &results]);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("end");
    // The node has two processes, so the third task waits in it.
    let until = json!([file, 6]).to_string();
    let [ends, forgotten] = [(); 2].map(|()| cluster.call("shop.until", &until));
    for id in [&ends, &forgotten] {
        wait_for("the start of a task", || cluster.task(id).filter(|task| task["state"] == "running"));
    }
    let starts = cluster.call("shop.wait", "[600]");
    wait_for("the third task in the node", || cluster.task(&starts).filter(|task| task["task"]["phase"] == "received"));

    cluster.kill_bridge();
    std::fs::write(&file, "").expect("written");
    let result = run(cluster.celery(&["result", &ends]));
    assert_eq!((result.code, result.stdout.trim()), (Some(0), "6"), "{}", result.stderr);
    let mut forget = cluster.python("python");
    forget.args(["-c", &format!("import shop; result = shop.app.AsyncResult('{forgotten}'); result.get(timeout=300); result.forget()")]);
    assert_eq!(run(forget).code, Some(0));
    let unheard = cluster.call("shop.wait", "[601]");
    let active = || run(cluster.celery(&["inspect", "active", "--json"])).stdout;
    wait_for("the tasks in the node", || [&starts, &unheard].into_iter().all(|id| active().contains(id.as_str())).then_some(()));
    assert_eq!(cluster.task(&ends).expect("known")["state"], "running", "its end was missed, and its node is not lost");
    assert!(cluster.task(&unheard).is_none());

    cluster.start_bridge();
    let queried = |id: &str, state: &str| {
        wait_for(&format!("{id} as {state}"), || {
            cluster.task(id).filter(|task| task["state"] == state && !task["fields"]["celery.queried"].is_null())
        })
    };
    let end = queried(&ends, "succeeded");
    assert_eq!((&end["task"]["result"], &end["fields"]["celery.queried"]), (&"6".into(), &"result".into()), "{end}");
    let start = queried(&starts, "running");
    assert_eq!((&start["fields"]["celery.queried"], &start["root_id"]), (&"node".into(), &starts.replace('-', "").into()), "{start}");
    let heard = queried(&unheard, "running");
    assert_eq!((&heard["name"], &heard["task"]["args"]), (&"shop.wait".into(), &"(601,)".into()), "{heard}");
    let worker = cluster.worker("w1").expect("the node");
    assert_eq!((&start["worker_id"], &heard["worker_id"]), (&worker["id"], &worker["id"]));
    // The end of this task is not known.
    let gone = queried(&forgotten, "lost");
    assert!(gone["error"]["message"].as_str().is_some_and(|why| why.contains("no longer holds the task")), "{gone}");
    assert_eq!(cluster.task(&starts).expect("known")["state"], "running", "a task that its node holds is not lost");
}

#[test]
fn a_bridge_that_may_not_read_says_what_it_cannot_find_out() {
    let redis = Redis::start();
    let mut cluster = Cluster::start(&Kind::Redis(&redis), &[]);
    let token = cluster.monitor(&["token", "create", "orders", "--scope", "ingest"]).stdout;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, token).expect("written");
    cluster.kill_bridge();
    cluster.add_option(&format!("--token-file={}", file.display()));
    cluster.start_bridge();
    wait_for("the warning", || cluster.bridge_says("use a token with the scopes ingest and read").then_some(()));
    let id = cluster.call("shop.add", "[1, 2]");
    wait_for("the events after it", || cluster.task(&id).filter(|task| task["state"] == "succeeded"));
}
