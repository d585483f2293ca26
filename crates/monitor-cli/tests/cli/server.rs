use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::{ROOT, TestServer, end_of, monitor, started};

#[test]
fn a_second_server_reports_which_resource_is_in_use() {
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

#[cfg(target_os = "linux")]
#[test]
fn data_is_stored_in_the_data_folder_of_the_user_by_default() {
    let home = tempfile::tempdir().unwrap();
    for (xdg, folder) in [(None, "home/.local/share/monitor"), (Some(home.path().join("xdg")), "xdg/monitor")] {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("monitor"));
        command
            .args(["server", "--listen", "127.0.0.1:0"])
            .env("HOME", home.path().join("home"))
            .env("MONITOR_AGENT", "off")
            .env_remove("XDG_DATA_HOME")
            .env_remove("MONITOR_DATA");
        let mut child = command.envs(xdg.map(|folder| ("XDG_DATA_HOME", folder))).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("listening on "), "{line}");
        assert!(home.path().join(folder).is_dir(), "{folder}");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[cfg(unix)]
#[test]
fn a_signal_stops_the_server_gracefully() {
    for signal in ["TERM", "INT"] {
        let mut server = TestServer::start();
        server.send(1, &[started(ROOT, 1, None, "kept")]);
        let pid = server.child.id().to_string();
        assert!(Command::new("kill").args([format!("-{signal}"), pid]).status().unwrap().success());
        assert_eq!(end_of(&mut server.child).code(), Some(0), "{signal}");
    }
}

#[cfg(unix)]
#[test]
fn closing_the_terminal_stops_the_server_unless_sighup_is_ignored() {
    // The signal disposition of the test process must not affect the result.
    for (hangup, outlives) in [("trap - HUP; exec env --default-signal=HUP", false), ("trap '' HUP; exec", true)] {
        let data = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        let monitor = assert_cmd::cargo::cargo_bin!("monitor");
        let script = format!("{hangup} \"$0\" server --listen 127.0.0.1:0 --data \"$1\"");
        command.args(["-c", &script]).arg(monitor).arg(data.path());
        let mut child = command.env("MONITOR_SPOOL_DIR", "off").stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim_end().trim_start_matches("listening on ").trim_end_matches("/tasks").to_owned();
        let signal = |name: &str| assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
        signal("-HUP");
        if outlives {
            crate::support::monitor(&["status", "--server", &url]).assert().success();
            signal("-TERM");
        }
        assert_eq!(end_of(&mut child).code(), Some(0), "{hangup}");
    }
}

#[cfg(unix)]
#[test]
fn a_data_folder_that_is_writable_by_others_causes_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    for (mode, is_said) in [(0o777, true), (0o1777, true), (0o720, true), (0o755, false), (0o700, false)] {
        let data = tempfile::tempdir().unwrap();
        std::fs::set_permissions(data.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("monitor"));
        command
            .args(["server", "--listen", "127.0.0.1:0", "--data"])
            .arg(data.path())
            .env("MONITOR_AGENT", "off")
            .env("MONITOR_SPOOL_DIR", "off");
        let mut child = command.env_remove("RUST_LOG").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said.contains("chmod 700"), is_said, "{mode:o}: {said}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn systemd_is_notified_unless_the_writer_of_the_server_is_stuck() {
    use std::os::unix::net::UnixDatagram;
    let data = tempfile::tempdir().unwrap();
    let socket = UnixDatagram::bind(data.path().join("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("monitor"));
    command
        .args(["server", "--listen", "127.0.0.1:0", "--data"])
        .arg(data.path())
        .env("MONITOR_AGENT", "off")
        .env("MONITOR_SPOOL_DIR", "off");
    command.env("NOTIFY_SOCKET", data.path().join("notify")).env("WATCHDOG_USEC", "400000").env_remove("WATCHDOG_PID");
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut server = TestServer::of(child, data);
    let hear = || {
        let mut words = [0; 64];
        socket.recv(&mut words).map(|length| String::from_utf8_lossy(&words[..length]).trim().to_owned())
    };
    assert_eq!([hear().unwrap(), hear().unwrap(), hear().unwrap()], ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]);
    // Another connection can't write: the writer waits for it, up to ten seconds.
    let database = rusqlite::Connection::open(server.data.path().join("monitor.db")).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    std::thread::scope(|scope| {
        let sent = scope.spawn(|| server.send(1, &[started(ROOT, 1, None, "kept")]));
        // Messages from before the block arrive first; then there is silence for many heartbeat intervals.
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        while hear().is_ok() {
            assert!(!sent.is_finished(), "the batch waits for the database");
        }
        assert!(!sent.is_finished());
        database.execute_batch("ROLLBACK").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        assert_eq!(hear().unwrap(), "WATCHDOG=1");
    });
    assert!(Command::new("kill").arg(server.child.id().to_string()).status().unwrap().success());
    while hear().unwrap() != "STOPPING=1" {}
    assert_eq!(end_of(&mut server.child).code(), Some(0));
}

#[cfg(unix)]
#[test]
fn a_server_whose_output_is_not_read_continues_to_serve() {
    let data = tempfile::tempdir().unwrap();
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("monitor"));
    command
        .args(["server", "--listen", "127.0.0.1:0", "--data"])
        .arg(data.path())
        .env("MONITOR_AGENT", "off")
        .env("RUST_LOG", "debug")
        .env("MONITOR_SPOOL_DIR", "off");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim_end().trim_start_matches("listening on ").trim_end_matches("/tasks");
    monitor(&["status", "--server", url]).assert().success();
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert_eq!(end_of(&mut child).code(), Some(0));
}

#[cfg(unix)]
#[test]
fn a_second_signal_does_not_wait_for_requests() {
    let data = tempfile::tempdir().unwrap();
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("monitor"));
    command
        .args(["server", "--listen", "127.0.0.1:0", "--data"])
        .arg(data.path())
        .env("MONITOR_AGENT", "off")
        .env("RUST_LOG", "info")
        .env("MONITOR_SPOOL_DIR", "off");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim_end().trim_start_matches("listening on http://").trim_end_matches("/tasks");
    let mut endless = std::net::TcpStream::connect(address).unwrap();
    let head = "POST /api/v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n";
    endless.write_all(head.as_bytes()).unwrap();
    // The server confirms that it waits for the body.
    BufReader::new(&endless).read_line(&mut line).unwrap();
    assert!(line.ends_with("100 Continue\r\n"), "{line}");
    let stop = |pid: u32| assert!(Command::new("kill").arg(pid.to_string()).status().unwrap().success());
    stop(child.id());
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(log.any(|line| line.contains("stopping")));
    stop(child.id());
    assert!(log.any(|line| line.contains("a second signal to stop")));
    assert_eq!(end_of(&mut child).code(), Some(1));
}
