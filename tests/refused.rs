//! A server, or a program in its place, that rejects the recorded events. All senders handle a rejection by the same rule.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::Stdio;

use monitor_tests::{Server, command, folders, run, ship_by_hand, wait_for, worker};
use serde_json::json;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

/// Checks that the newest tree of `many COUNT` is complete on the server and that nothing was dropped.
fn check(server: &Server, count: u64) {
    let root = wait_for("the tree", || server.roots().into_iter().find(|root| root["name"] == "many"));
    assert_eq!(root["counts"]["succeeded"].as_u64().unwrap(), count + count / 100 + 1, "{root}");
    assert_eq!(server.get("/status")["dropped"], json!([]));
}

#[test]
fn a_program_that_uses_http_with_a_tls_server_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let own = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, own.cert.pem()).unwrap();
    std::fs::write(&key, own.signing_key.serialize_pem()).unwrap();
    let server = Server::start_with_tls(&certificate, &key);
    let plain = server.url().replace("https://", "http://");
    let mut many = worker(&server, &["many", "900"]);
    many.env("MONITOR_SERVER_URL", &plain).env("MONITOR_LOG", "stderr").env("MONITOR_EXIT_TIMEOUT", "1m").env("MONITOR_FOLD_AFTER", "off");
    let finished = run(many);
    assert_eq!(finished.code, Some(0));
    assert_eq!(finished.stderr.matches("this server speaks https only").count(), 1, "{}", finished.stderr);
    assert!(finished.stderr.contains("are kept until the server is there"), "{}", finished.stderr);
    // `monitor spool ship` with the same address does not reach the server either.
    let mut ship = command("monitor");
    ship.args(["spool", "ship", "--server", &plain, "--dir"]).arg(server.spool());
    let refused = run(ship);
    assert!(refused.code != Some(0) && refused.stderr.contains("this server speaks https only"), "{}", refused.stderr);
    assert_eq!(folders(server.spool()), 1);
    // The next program uses https.
    let mut next = worker(&server, &["hang"]);
    next.env("SSL_CERT_FILE", &certificate);
    let mut child = next.spawn().unwrap();
    wait_for("the spool to hold nothing but what lives", || (folders(server.spool()) == 1 && server.roots().len() == 2).then_some(()));
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    check(&server, 900);
}

/// The usual self-signed certificate is a certificate of an authority, which no client accepts as a server certificate.
#[test]
fn the_error_of_a_refused_ca_certificate_explains_how_to_make_another() {
    let folder = tempfile::tempdir().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let own = rcgen::KeyPair::generate().unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, params.self_signed(&own).unwrap().pem()).unwrap();
    std::fs::write(&key, own.serialize_pem()).unwrap();
    let server = Server::start_with_tls(&certificate, &key);
    let mut many = worker(&server, &["many", "1"]);
    many.env("SSL_CERT_FILE", &certificate).env("MONITOR_LOG", "stderr");
    let mut roots = command("monitor");
    roots.args(["roots", "--server", server.url()]).env("SSL_CERT_FILE", &certificate);
    for (who, code) in [(many, Some(0)), (roots, Some(3))] {
        let finished = run(who);
        assert_eq!(finished.code, code, "{}", finished.stderr);
        let advice = "make it with `-addext basicConstraints=critical,CA:FALSE`";
        assert_eq!(finished.stderr.matches(advice).count(), 1, "{}", finished.stderr);
    }
    assert_eq!(folders(server.spool()), 1, "what was recorded is kept");
}

#[tokio::test]
async fn batches_refused_without_naming_an_event_are_kept() {
    let answers = [
        (400, None),
        (400, Some(0)),
        (400, Some(1_000_000)),
        (401, None),
        (403, None),
        (404, None),
        (413, None),
        (421, None),
        (422, Some(2)),
        (426, None),
        (302, None),
    ];
    for (status, event_number) in answers {
        let stranger = MockServer::start().await;
        let problem = json!({"type": "about:blank", "title": "", "status": status, "detail": "not here", "event_number": event_number});
        let answer = ResponseTemplate::new(status).set_body_json(problem);
        Mock::given(method("POST")).and(path("/api/v1/events")).respond_with(answer).mount(&stranger).await;
        let url = stranger.uri();
        let checked = move || {
            let server = Server::start();
            let mut many = worker(&server, &["many", "300"]);
            many.env("MONITOR_SERVER_URL", &url).env("MONITOR_LOG", "stderr").env("MONITOR_EXIT_TIMEOUT", "1m");
            many.env("MONITOR_FOLD_AFTER", "off");
            let finished = run(many);
            assert_eq!(finished.code, Some(0));
            assert_eq!(finished.stderr.matches("refuses what is recorded").count(), 1, "{status}: {}", finished.stderr);
            assert!(!finished.stderr.contains("dropped"), "{status}: {}", finished.stderr);
            let mut ship = command("monitor");
            ship.args(["spool", "ship", "--server", &url, "--dir"]).arg(server.spool());
            assert_ne!(run(ship).code, Some(0), "{status}");
            ship_by_hand(&server);
            check(&server, 300);
        };
        tokio::task::spawn_blocking(checked).await.unwrap();
    }
}

#[test]
fn an_event_that_is_too_large_is_dropped_and_counted_and_others_arrive() {
    let server = Server::start_with(vec![("MONITOR_MAX_BODY_BYTES", "128KiB".into())]);
    for spool in [server.spool(), Path::new("off")] {
        let mut says = worker(&server, &["says", "200000"]);
        says.env("MONITOR_SPOOL_DIR", spool).env("MONITOR_LOG", "stderr").env("MONITOR_EXIT_TIMEOUT", "1m");
        let finished = run(says);
        assert_eq!(finished.stderr.matches("an event is too large for the server").count(), 1, "{}", finished.stderr);
    }
    assert_eq!(folders(server.spool()), 0);
    let roots = server.roots();
    assert_eq!(roots.len(), 2);
    assert!(roots.iter().all(|root| root["name"] == "says" && root["state"] == "succeeded"), "{roots:?}");
    let dropped = wait_for("what was dropped", || {
        let dropped = server.get("/status")["dropped"].as_array().unwrap().clone();
        (dropped[0]["count"] == 2).then_some(dropped)
    });
    assert_eq!(dropped, [json!({"type": "process-logged", "reason": "rejected", "root_id": null, "count": 2})]);
}

/// The launcher leaves unsent events to another process, which tries once and prints nothing.
#[tokio::test]
async fn events_of_a_launcher_are_kept_if_a_server_refuses_them() {
    for status in [400, 401, 403, 404, 413, 421, 426] {
        let stranger = MockServer::start().await;
        let problem = json!({"type": "about:blank", "title": "", "status": status, "detail": "not here"});
        let answer = ResponseTemplate::new(status).set_body_json(problem);
        Mock::given(method("POST")).and(path("/api/v1/events")).respond_with(answer).mount(&stranger).await;
        let url = stranger.uri();
        let checked = move || {
            let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
            let mut launched = command("monitor");
            let waits = "seq 50; for n in $(seq 3000); do if [ -e go ]; then exit 3; fi; sleep 0.02; done";
            launched.args(["run", "--", "sh", "-c", waits]).current_dir(&folder).env("MONITOR_LOG", "stderr");
            launched.env("MONITOR_SERVER_URL", &url).env("MONITOR_SPOOL_DIR", server.spool());
            let mut child = launched.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let (mut stderr, mut said) = (BufReader::new(child.stderr.take().unwrap()), String::new());
            stderr.read_line(&mut said).unwrap();
            std::fs::write(folder.path().join("go"), "").unwrap();
            stderr.read_to_string(&mut said).unwrap();
            assert!(said.lines().count() == 1 && said.contains("refuses what is recorded"), "{status}: {said}");
            let (output, lines) = (child.wait_with_output().unwrap(), (1..=50).map(|n| n.to_string()).collect::<Vec<_>>());
            assert_eq!(output.status.code(), Some(3), "{status}");
            assert_eq!(String::from_utf8(output.stdout).unwrap().lines().collect::<Vec<_>>(), lines, "{status}");
            // The process that tries once may still have the spool locked.
            wait_for("what was recorded", || {
                let mut ship = command("monitor");
                ship.args(["spool", "ship", "--server", server.url(), "--dir"]).arg(server.spool());
                run(ship);
                (folders(server.spool()) == 0).then_some(())
            });
            let root = server.finished_root();
            assert_eq!((&root["name"], &root["state"]), (&json!("sh"), &json!("failed")), "{root}");
            let logs = server.get(&format!("/roots/{}/logs?limit=1000", root["root_id"].as_str().unwrap()));
            let told: Vec<_> = logs["logs"].as_array().unwrap().iter().map(|log| log["message"].as_str().unwrap().to_owned()).collect();
            assert_eq!(told, lines, "{status}");
            assert_eq!(server.get("/status")["dropped"], json!([]));
        };
        tokio::task::spawn_blocking(checked).await.unwrap();
    }
}

/// A server takes the spools of dead programs over, unless it can store nothing.
#[test]
fn a_server_that_cannot_store_leaves_events_in_the_spool() {
    let spool = tempfile::tempdir().unwrap();
    let path = spool.path().join("spool");
    let settings = |least: &str| {
        vec![
            ("MONITOR_SPOOL_DIR", path.clone().into_os_string()),
            ("MONITOR_SPOOL_INTERVAL", "20ms".into()),
            ("MONITOR_MIN_FREE_BYTES", least.into()),
        ]
    };
    let mut server = Server::start_with(settings("4000000GiB"));
    wait_for("the disk to be looked at", || (server.ask("GET", "/readyz").0 == 503).then_some(()));
    let mut many = worker(&server, &["many", "300"]);
    many.env("MONITOR_SPOOL_DIR", &path).env("MONITOR_EXIT_TIMEOUT", "100ms").env("MONITOR_FOLD_AFTER", "off");
    assert_eq!(run(many).code, Some(0));
    let looked_us = || {
        let status = server.get("/status");
        let duty = status["duties"].as_array().unwrap().iter().find(|duty| duty["name"] == "spool").cloned();
        duty.and_then(|duty| duty["last_us"].as_u64())
    };
    for _ in 0..3 {
        let before = looked_us();
        wait_for("a look into the spool", || (looked_us() > before).then_some(()));
    }
    assert_eq!((folders(&path), server.roots().len()), (1, 0));
    let log = server.log();
    assert_eq!(log.lines().filter(|line| line.contains("min-free-bytes")).count(), 1, "{log}");
    server.stop();
    server.set_env(settings("1"));
    server.start_again();
    wait_for("all to be taken in", || (folders(&path) == 0).then_some(()));
    check(&server, 300);
}
