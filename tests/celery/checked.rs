//! `monitor celery check`, and addresses that can't be used.

use std::process::Stdio;

use monitor_tests::{RabbitMq, Redis, Sentinel, command, run, terminate, wait_for};

use crate::cluster::{Cluster, Kind, of_celery};

/// Checks until a condition holds, and returns the output. A node on a busy machine may answer too late for a single check.
fn check_until(broker: &str, is_right: impl Fn(&str) -> bool) -> String {
    let mut last = String::new();
    wait_for("the answers of the nodes", || {
        let (_, said) = check(broker, &[]);
        if said != last {
            eprintln!("{said}");
            last.clone_from(&said);
        }
        is_right(&said).then_some(said)
    })
}

fn check(broker: &str, env: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut check = command("monitor");
    check.args(["celery", "check", broker]).envs(env.iter().copied());
    let finished = run(check);
    (finished.code, finished.stdout + &finished.stderr)
}

#[test]
fn a_check_names_what_is_wrong_and_what_to_do() {
    let (redis, rabbit) = (Redis::start(), RabbitMq::start());
    let of_rabbit = rabbit.url().to_owned();
    let place = of_rabbit.strip_prefix("amqp://").expect("its address");
    let (host, _) = place.split_once('/').expect("host and port");
    for (broker, env, code, words) in [
        ("sqs://key:s3cret@", &[][..], 2, "the transport `sqs` is not supported: RabbitMQ"),
        ("redis://localhost/orders", &[], 2, "the database of Redis is a number"),
        ("localhost", &[], 2, "it has no `://`"),
        ("amqp://shop:s3cret@localhost", &[], 2, "list of processes"),
        ("redis://127.0.0.1:1/0", &[], 3, "can't be reached"),
        ("amqp://127.0.0.1:1", &[], 3, "can't be reached"),
        (&format!("amqp://guest@{host}/"), &[("MONITOR_CELERY_PASSWORD", "s3cret")], 1, "refuses it"),
        (&format!("amqp://guest@{host}/nosuch"), &[], 1, "doesn't have this virtual host"),
        (&of_celery(&redis, 200), &[], 1, "doesn't have this virtual host or database"),
        (&of_celery(&redis, 0), &[], 5, "none has answered: is one running"),
        (&of_rabbit, &[], 5, "none has answered: is one running"),
    ] {
        let (found, said) = check(broker, env);
        assert_eq!(found, Some(code), "{broker}: {said}");
        assert!(said.contains(words) && !said.contains("s3cret"), "{broker}: {said}");
    }
    for (results, env, words) in [
        (Some("amqp://localhost"), &[][..], "only results in Redis can be read"),
        (Some("redis://:s3cret@localhost"), &[], "use --results-password-file"),
        (None, &[("MONITOR_CELERY_RESULTS", "localhost")], "results: this is no address of a broker"),
    ] {
        let mut check = command("monitor");
        check.args(["celery", "check", "redis://localhost"]).args(results.map(|url| format!("--results={url}"))).envs(env.iter().copied());
        let refused = run(check);
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        assert!(refused.stderr.contains(words) && !refused.stderr.contains("s3cret"), "{}", refused.stderr);
    }
    let (code, said) = check(&of_rabbit, &[("MONITOR_CELERY_RESULTS", "redis://:s3cret@127.0.0.1:1/0")]);
    assert!(code == Some(5) && said.contains("results  can't be read: ") && !said.contains("s3cret"), "{said}");
    let (_, said) = check(&of_rabbit, &[]);
    assert!(said.contains("results  not known: name their Redis by --results"), "{said}");
    let (code, said) = check("", &[("MONITOR_CELERY_BROKER", "")]);
    assert!(code == Some(2) && said.contains("it has no `://`"), "{said}");
}

#[test]
fn sentinels_with_a_password_of_their_own_are_asked_with_it() {
    let sentinel = Sentinel::start_with(&["requirepass s3ntinel"]);
    let folder = tempfile::tempdir().expect("a folder");
    let check = |broker: &str, password: Option<&str>| {
        let file = folder.path().join("password");
        std::fs::write(&file, password.unwrap_or_default()).expect("written");
        let mut check = command("monitor");
        check.args(["celery", "check", broker]);
        if password.is_some() {
            check.arg("--sentinel-password-file").arg(&file);
        }
        let finished = run(check);
        (finished.code, finished.stdout + &finished.stderr)
    };
    for (broker, password, code, words) in [
        (sentinel.url(), Some("s3ntinel"), 5, "none has answered: is one running"),
        (sentinel.url(), None, 1, "refuses it"),
        (sentinel.url(), Some("wr0ng"), 1, "refuses it"),
        ("redis://localhost/0", Some("s3ntinel"), 2, "is for addresses with sentinel://"),
    ] {
        let (found, said) = check(broker, password);
        assert_eq!(found, Some(code), "{password:?}: {said}");
        assert!(said.contains(words) && !said.contains("s3ntinel") && !said.contains("wr0ng"), "{password:?}: {said}");
    }
}

#[test]
fn a_node_whose_clock_is_a_day_ahead_is_named_and_recorded() {
    let redis = Redis::start();
    let cluster = Cluster::start(&Kind::Redis(&redis), &[]);
    // Celery takes the time from this function.
    let program = "import sys, time; real = time.time; time.time = lambda: real() + 86400; from celery.__main__ import main; \
                   sys.argv = ['celery', '-A', 'shop', 'worker', '-n', 'ahead@shop', '-c', '1', '-Q', 'ahead']; main()";
    let mut node = cluster.python("python");
    let mut node = node.args(["-c", program]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let said = check_until(&cluster.broker, |said| said.contains("its clock is 1 d 00 h ahead of") && said.contains("w1@shop"));
    let lines: Vec<_> = said.lines().skip_while(|line| !line.starts_with("ahead@shop")).take(3).collect();
    assert!(lines[1].contains("its clock") && lines[2].starts_with("w1@shop"), "{said}");
    let id = cluster.call_in("shop.wait", "[1]", "ahead");
    let task = wait_for("its task", || cluster.task(&id).filter(|task| task["state"] == "succeeded"));
    let elapsed = task["elapsed_ns"].as_u64().expect("a duration") / 1_000_000_000;
    assert!((1..3_600).contains(&elapsed), "{task}");
    wait_for("the node", || cluster.worker("ahead").filter(|worker| worker["state"] == "online"));
    terminate(&mut node);
}

#[test]
fn a_check_shows_nodes_versions_pools_queues_and_events() {
    let redis = Redis::start();
    let cluster = Cluster::start(&Kind::Redis(&redis), &[]);
    // A node sends its first event before it answers commands.
    let said = check_until(&cluster.broker, |said| said.contains("w1@shop"));
    let line = said.lines().find(|line| line.starts_with("w1@shop")).expect("the node");
    let version = cluster.version();
    assert!(line.contains(&format!("celery {version}  prefork 2  queues celery")) && !said.contains("events are off"), "{said}");
    let node = wait_for("its answer", || {
        let json = cluster.monitor(&["celery", "check", &cluster.broker, "--json"]).stdout;
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        Some(json["nodes"][0].clone()).filter(serde_json::Value::is_object)
    });
    assert_eq!((&node["name"], &node["sends_events"]), (&"w1@shop".into(), &true.into()));
}
