//! Log messages of the client and their target.

use monitor_tests::{Server, command, run, wait_for, worker};

#[test]
fn off_creates_nothing() {
    let server = Server::start();
    let mut listed = Vec::new();
    for enabled in ["", "0", "no", "maybe", "1"] {
        let mut lists = worker(&server, &["lists"]);
        lists.env("MONITOR_ENABLED", enabled);
        let mut plain = command("monitor-test-worker");
        plain.arg("lists");
        let (off, now) = (run(plain), run(lists));
        listed.push(now.stdout == off.stdout && now.code == off.code);
        // The warning appears only if a value was set and not understood.
        assert_eq!(now.stderr.contains("MONITOR_ENABLED"), enabled == "maybe", "{}", now.stderr);
        assert!(off.stdout.starts_with("1\n"), "one thread: {}", off.stdout);
    }
    assert_eq!(listed, [true, true, true, true, false]);
    assert_eq!(wait_for("the one that was on", || server.roots().into_iter().next())["name"], "leaf");
    assert_eq!(server.roots().len(), 1);
}

#[test]
fn a_wrong_server_address_is_reported_once_and_changes_nothing() {
    let server = Server::start();
    for (url, words) in [
        ("http://127.0.0.1:1", "is not reached"),
        ("no url", "MONITOR_SERVER_URL: \"no url\" is not taken"),
        ("https://127.0.0.1:1", "is not reached"),
    ] {
        let mut exit = worker(&server, &["exit"]);
        exit.env("MONITOR_SERVER_URL", url).env("MONITOR_LOG", "stderr").env("MONITOR_EXIT_TIMEOUT", "200ms");
        let finished = run(exit);
        assert_eq!(finished.code, Some(7), "{url}");
        assert_eq!(finished.stderr.matches(words).count(), 1, "{url}: {}", finished.stderr);
    }
    assert_eq!(server.roots().len(), 0);
}

#[test]
fn an_invalid_switch_is_reported_and_counts_as_off() {
    let server = Server::start();
    let mut exit = worker(&server, &["exit"]);
    exit.env("MONITOR_ENABLED", "enabled").env("MONITOR_LOG", "stderr");
    let finished = run(exit);
    assert_eq!(finished.code, Some(7));
    assert_eq!(finished.stderr.matches("MONITOR_ENABLED: \"enabled\" is not taken").count(), 1, "{}", finished.stderr);
    assert_eq!(server.roots().len(), 0);
}

#[test]
fn warnings_of_the_client_reach_a_tracing_subscriber_once() {
    let server = Server::start();
    let mut traced = worker(&server, &["traced"]);
    traced.env("MONITOR_SERVER_URL", "http://127.0.0.1:1").env("MONITOR_ROOT_ID", "x").env("MONITOR_BUFFER_BYTES", "65536");
    traced.env("MONITOR_SPOOL_DIR", "off");
    let stderr = run(traced).stderr;
    for words in ["MONITOR_ROOT_ID: \"x\" is not taken", "is not reached", "it is lost"] {
        let lines: Vec<&str> = stderr.lines().filter(|line| line.contains(words)).collect();
        assert!(matches!(lines[..], [line] if line.contains("WARN monitor_client")), "{words}: {stderr}");
    }
    assert!(!stderr.contains("monitor: "), "MONITOR_LOG is not set: {stderr}");
    assert!(run(worker(&server, &["traced"])).stderr.contains("INFO monitor_client"), "the server is reached");
}

#[test]
fn a_client_with_logging_off_writes_nothing_to_stderr() {
    let server = Server::start_without_spool();
    let told = |log: Option<&str>| {
        let mut exit = worker(&server, &["exit"]);
        exit.env("MONITOR_SERVER_URL", "http://127.0.0.1:1").env("MONITOR_HEARTBEAT", "no duration").env("MONITOR_ENABLE", "1");
        exit.envs(log.map(|log| ("MONITOR_LOG", log)));
        let finished = run(exit);
        assert_eq!(finished.code, Some(7));
        finished.stderr
    };
    let words = ["MONITOR_HEARTBEAT", "\"MONITOR_ENABLE\"", "is not reached", "it is lost"];
    for log in [None, Some("stderr")] {
        let said = told(log);
        assert!(words.iter().all(|words| said.contains(words)), "{log:?}: {said}");
    }
    assert_eq!(told(Some("off")), "");
}
