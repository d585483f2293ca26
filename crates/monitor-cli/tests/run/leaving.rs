//! Tests the end of a launcher: it does not wait for a server, and its remaining records arrive exactly once.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc;

use serde_json::Value;

use crate::harness::{House, PATIENCE, end_of, kill, output, wait_for};

/// Programs that report to this address, by pid.
fn reporters(url: &str) -> Vec<u32> {
    let setting = format!("MONITOR_SERVER_URL={url}");
    let pids = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_one = |pid: &u32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == setting.as_bytes())
    };
    pids.filter(is_one).collect()
}

fn logs(house: &House, process: &Value) -> Vec<String> {
    let path = format!("/roots/{}/processes/{}/logs?limit=10000", process["root_id"].as_str().unwrap(), process["id"].as_str().unwrap());
    house.get(&path)["logs"].as_array().expect("a list").iter().map(|log| log["message"].as_str().unwrap().to_owned()).collect()
}

fn link(path: String) -> PathBuf {
    std::fs::read_link(path).unwrap_or_default()
}

#[test]
fn a_detached_process_waits_for_an_unresponsive_server_without_open_pipes() {
    let house = House::new();
    // The kernel accepts the data, but no process reads it.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let mut run = house.run(&[], &["sh", "-c", "seq 100; exit 3"]);
    run.env("MONITOR_SERVER_URL", &url).env("MONITOR_EXIT_TIMEOUT", "1h");
    let mut child = run.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let stdout = child.stdout.take().unwrap();
    let (said, read) = mpsc::channel();
    std::thread::spawn(move || said.send(std::io::read_to_string(stdout)));
    assert_eq!(end_of(&mut child).code(), Some(3));
    let text = read.recv_timeout(PATIENCE).expect("nobody holds the pipe any more").unwrap();
    assert!(text.starts_with("1\n2\n") && text.ends_with("\n100\n"), "{text}");

    let sender = wait_for("the one who sends the rest, detached", || {
        let [pid] = reporters(&url)[..] else { return None };
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        let [_, _, group, session, terminal, ..] = fields[..] else { return None };
        let is_apart = group == session && session == pid.to_string() && terminal == "0";
        let has_nothing = (0..3).all(|file| link(format!("/proc/{pid}/fd/{file}")) == Path::new("/dev/null"));
        (is_apart && has_nothing && link(format!("/proc/{pid}/cwd")) == Path::new("/")).then_some(pid)
    });
    kill(sender, "KILL");
    let spool = house.folder.path().join("spool");
    wait_for("what it had to send, and nobody who has it", || {
        let text = output(house.monitor(&["spool", "list", "--json", "--dir", spool.to_str().unwrap()]), b"").stdout;
        String::from_utf8(text).unwrap().contains("\"dead\"").then_some(())
    });
    assert!(output(house.monitor(&["spool", "ship", "--dir", spool.to_str().unwrap()]), b"").status.success());
    let process = house.process();
    assert_eq!((&process["state"], &process["exit_code"]), (&"failed".into(), &3.into()));
    assert_eq!(logs(&house, &process), (1..=100).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn remaining_events_arrive_once_and_the_worker_goes_offline() {
    let house = House::new();
    // Long enough that some records are sent before the end.
    let script = "seq 200; while ! [ -e go ]; do sleep 0.02; done; seq 201 400";
    let mut child = house.run(&[], &["sh", "-c", script]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    wait_for("its beginning to be stored", || {
        let tree = house.trees().into_iter().next()?;
        (logs(&house, &tree[0]).len() == 200).then_some(())
    });
    std::fs::write(house.folder.path().join("go"), "").unwrap();
    assert!(end_of(&mut child).success());
    let process = house.process();
    assert_eq!((&process["state"], &process["reason"], &process["exit_code"]), (&"succeeded".into(), &().into(), &0.into()));
    assert_eq!(logs(&house, &process), (1..=400).map(|n| n.to_string()).collect::<Vec<_>>());
    wait_for("its goodbye", || (house.get("/workers")["workers"][0]["state"] == "offline").then_some(()));
    wait_for("nothing to be left", || (std::fs::read_dir(house.folder.path().join("spool")).unwrap().count() == 0).then_some(()));
}

/// Without a spool no other process could send the records later, so the launcher waits for the server.
#[test]
fn without_a_spool_all_is_stored_when_the_launcher_ends() {
    let house = House::new();
    let mut run = house.run(&[], &["false"]);
    run.env("MONITOR_SPOOL_DIR", "off");
    assert_eq!(output(run, b"").status.code(), Some(1));
    assert_eq!(house.trees()[0][0]["state"], "failed");
}

/// Unobserved facts are not invented: no end and no exit code.
#[test]
fn a_process_whose_launcher_was_killed_is_shown_as_lost() {
    let house = House::new();
    let mut run = house.run(&[], &["sh", "-c", "echo begun; exec sleep 600"]);
    run.env("MONITOR_HEARTBEAT", "200ms");
    let mut child = run.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let process = wait_for("it to be known", || {
        let tree = house.trees().into_iter().next()?;
        (tree[0]["fields"]["pid"].is_u64() && !logs(&house, &tree[0]).is_empty()).then(|| tree[0].clone())
    });
    assert_eq!(process["state"], "running");
    kill(child.id(), "KILL");
    end_of(&mut child);
    let process = wait_for("it to be lost", || house.trees()[0].first().filter(|process| process["state"] == "lost").cloned());
    assert_eq!((&process["exit_code"], &process["signal"], &process["ended_us"]), (&().into(), &().into(), &().into()));
    let command = u32::try_from(process["fields"]["pid"].as_u64().unwrap()).unwrap();
    assert!(crate::harness::is_alive(command), "the command goes on");
    kill(command, "KILL");
}
