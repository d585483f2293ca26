use crate::support::{ROOT, TestServer, monitor, started};

#[test]
fn a_second_server_says_what_is_in_use() {
    let server = TestServer::start();
    let address = server.url.trim_start_matches("http://");
    let elsewhere = tempfile::tempdir().unwrap();
    let elsewhere = elsewhere.path().to_str().unwrap();
    let folder = server.data.path().to_str().unwrap();
    for (args, words) in [
        (["server", "--listen", address, "--data", elsewhere], [address, "--listen"]),
        (["server", "--listen", "127.0.0.1:0", "--data", folder], [folder, "--data"]),
        (["server", "--listen", "0.0.0.0:0", "--data", elsewhere], ["0.0.0.0:0", "--insecure"]),
    ] {
        let output = monitor(&args).assert().code(1).get_output().clone();
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(words.iter().all(|word| message.contains(word)), "{words:?} are not in {message}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn settings_come_from_flags_then_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = monitor(&["server", "--listen", "192.0.2.1:1"]);
    let output = command.env("MONITOR_LISTEN", "192.0.2.2:2").env("MONITOR_DATA", folder.path()).assert().code(1).get_output().clone();
    assert!(String::from_utf8(output.stderr).unwrap().contains("192.0.2.1:1"));
    let output =
        monitor(&["server"]).env("MONITOR_LISTEN", "192.0.2.2:2").env("MONITOR_DATA", folder.path()).assert().code(1).get_output().clone();
    assert!(String::from_utf8(output.stderr).unwrap().contains("192.0.2.2:2"));
}

#[cfg(unix)]
#[test]
fn a_signal_stops_it_in_good_order() {
    for signal in ["TERM", "INT"] {
        let mut server = TestServer::start();
        server.send(1, &[started(ROOT, 1, None, "kept")]);
        let pid = server.child.id().to_string();
        assert!(std::process::Command::new("kill").args([format!("-{signal}"), pid]).status().unwrap().success());
        assert_eq!(server.child.wait().unwrap().code(), Some(0), "{signal}");
    }
}
