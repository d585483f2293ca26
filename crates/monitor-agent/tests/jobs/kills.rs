//! SIGKILL of agents, launchers and helpers.

use std::fs;
use std::process::Command;
use std::time::Duration;

use monitor_wire::{HostStatus, JobOrder};

use crate::host::{Host, order, wait_for};

/// Number of kills, each at another moment after the order.
const KILLS: u64 = 20;

#[test]
fn an_agent_that_is_killed_at_any_moment_starts_a_script_once_and_reports_its_end() {
    let mut host = Host::start("");
    for round in 0..KILLS {
        let file = format!("ran-{round}");
        let order = order(&format!("echo >> {}; exit 7", host.path(&file).display()));
        host.server.offer(&order);
        // No condition to wait for: each delay hits a different step of a run.
        std::thread::sleep(Duration::from_millis(round * 13));
        host.kill();
        host.start_again();
        let end = host.ended(order.key);
        assert_eq!((end.status, end.exit_code, host.lines(&file)), (HostStatus::EXIT_CODE, Some(7), 1), "{round}: {end:?}");
    }
    let left = fs::read_dir(host.path("data/scripts")).into_iter().flatten().count();
    assert_eq!(left, 0, "no script is left");
}

#[test]
fn a_script_that_ends_while_no_agent_is_there_is_reported_with_its_exit_code() {
    let mut host = Host::start("");
    let order = order(&format!("until test -e {}; do sleep 0.05; done; echo late; exit 4", host.path("gate").display()));
    host.server.offer(&order);
    let folder = host.run_folder(order.key);
    wait_for("the script", || folder.join("running-1.json").exists().then_some(()));
    host.kill();
    fs::write(host.path("gate"), "").unwrap();
    wait_for("the end of the script", || folder.join("outcome.json").exists().then_some(()));
    host.start_again();
    let end = host.ended(order.key);
    assert_eq!((end.status, end.exit_code, host.server.output(order.key).as_str()), (HostStatus::EXIT_CODE, Some(4), "late\n"), "{end:?}");
}

#[test]
fn a_running_script_is_followed_although_the_recovery_fails_and_its_order_has_expired() {
    let mut host = Host::start("");
    let script = format!("until test -e {}; do sleep 0.05; done; exit 5", host.path("gate").display());
    let order = JobOrder { expires_us: monitor_runs::now_us() + 2_000_000, ..order(&script) };
    host.server.offer(&order);
    let folder = host.run_folder(order.key);
    wait_for("the script", || folder.join("running-1.json").exists().then_some(()));
    host.kill();
    // The database has no record of another run, and can't be written: the recovery of all runs fails.
    let other = host.run_folder(crate::host::order("").key);
    fs::create_dir_all(&other).unwrap();
    fs::write(other.join("spec.json"), "{}").unwrap();
    let database = rusqlite::Connection::open(host.path("data/agent.db")).unwrap();
    let full = "CREATE TRIGGER full BEFORE INSERT ON job_run WHEN NEW.state = 'started' BEGIN SELECT RAISE(FAIL, 'the disk is full'); END";
    database.execute_batch(full).unwrap();
    drop(database);
    wait_for("the order expires", || (monitor_runs::now_us() > order.expires_us).then_some(()));
    host.start_again();
    wait_for("the failure", || host.log().contains("the runs of jobs can't be continued").then_some(()));
    fs::write(host.path("gate"), "").unwrap();
    let end = host.ended(order.key);
    assert_eq!((end.status, end.exit_code), (HostStatus::EXIT_CODE, Some(5)), "{end:?}");
}

#[test]
fn a_run_whose_launcher_and_helper_are_killed_has_no_guessed_outcome() {
    let host = Host::start("");
    let order = order("sleep 60");
    host.server.offer(&order);
    let folder = host.run_folder(order.key);
    wait_for("the script", || folder.join("running-1.json").exists().then_some(()));
    // A helper has the command line of its launcher.
    let line = format!("--from\0{}", folder.display());
    let is_ours = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|text| text.contains(&line));
    let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut pids: Vec<u32> = pids.filter(is_ours).collect();
    assert_eq!(pids.len(), 2, "{pids:?}");
    let running: serde_json::Value = serde_json::from_slice(&fs::read(folder.join("running-1.json")).unwrap()).unwrap();
    pids.push(running["by"]["pid"].as_u64().unwrap() as u32);
    let killed = Command::new("kill").arg("-9").args(pids.iter().map(u32::to_string)).status().unwrap();
    assert!(killed.success());
    let end = host.ended(order.key);
    assert_eq!((end.status, end.exit_code), (HostStatus::LOST, None), "{end:?}");
}

#[test]
fn reports_and_output_wait_for_a_server_that_is_away() {
    let host = Host::start("");
    let order = order(&format!("until test -e {}; do sleep 0.05; done; echo done", host.path("gate").display()));
    host.server.offer(&order);
    let folder = host.run_folder(order.key);
    wait_for("the script", || folder.join("running-1.json").exists().then_some(()));
    host.server.change(|data| data.is_away = true);
    fs::write(host.path("gate"), "").unwrap();
    wait_for("the end of the script", || folder.join("outcome.json").exists().then_some(()));
    host.server.change(|data| data.is_away = false);
    assert_eq!(host.ended(order.key).status, HostStatus::SUCCEEDED);
    assert_eq!(host.server.output(order.key), "done\n");
}
