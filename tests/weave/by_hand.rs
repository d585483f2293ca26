//! A woven program that is started by hand, so that no process ships its records.

use std::fs;
use std::path::Path;
use std::process::Command;

use monitor_tests::{Server, command, run, wait_for};
use serde_json::Value;

use crate::{Project, good, tree};

/// A program that fails as often as its argument says. Failures are recorded singly.
const BRIEF: &str = "
fn main() {
    let times = std::env::args().nth(1).and_then(|times| times.parse().ok()).unwrap_or(3);
    let failed = (0..times).filter(|n| fails(*n).is_err()).count();
    println!(\"{failed}\");
}

fn fails(n: u32) -> Result<u32, String> {
    if n % 2 == 0 { Err(format!(\"{n:0200}\")) } else { Err(n.to_string()) }
}
";

/// A woven program that is started by hand.
fn by_hand(name: &str, args: &[&str], server: &Server) -> Command {
    let mut program = Command::new(Path::new(concat!(env!("CARGO_TARGET_TMPDIR"), "/woven/monitor/build/debug")).join(name));
    program.args(args).env("MONITOR_SPOOL_DIR", server.spool()).env("MONITOR_ENABLED", "1").env("MONITOR_FOLD_AFTER", "off");
    program
}

/// The files of the programs in a spool.
fn spooled(server: &Server) -> Vec<String> {
    let folders = fs::read_dir(server.spool()).expect("a spool").map(|folder| folder.expect("a folder").path());
    folders
        .flat_map(|folder| fs::read_dir(folder).expect("a folder"))
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn ship_by_hand(server: &Server) {
    let mut ship = command("monitor");
    ship.args(["spool", "ship", "--server", server.url(), "--dir"]).arg(server.spool());
    good(run(ship));
}

#[test]
fn a_short_program_creates_few_files_and_its_shipper_reports_its_end() {
    let (server, project) = (Server::start(), Project::of("brief", "", BRIEF));
    good(run(project.monitor("build", None)));
    let mut off = by_hand("brief", &[], &server);
    off.env_remove("MONITOR_ENABLED");
    assert_eq!(good(run(off)).stdout, "3\n");
    assert!(!server.spool().exists(), "off nothing is made");
    // On a busy machine this may take longer than other conditions.
    let files = wait_for("a program that is over before more is made", || {
        let _ = fs::remove_dir_all(server.spool());
        good(run(by_hand("brief", &[], &server)));
        let files = spooled(&server);
        (!files.iter().any(|file| file.starts_with("journal-") || file.starts_with("spare-"))).then_some(files)
    });
    assert!(files.len() <= 5, "who it is, a lock, the memory of one thread, words of failures: {files:?}");
    ship_by_hand(&server);
    let text = tree(&server, "brief::main");
    assert!(text.starts_with("brief::main\n") && text.matches("brief::fails [failed]").count() == 3, "{text}");
    let worker = &server.get("/workers")["workers"][0];
    assert_eq!((&worker["state"], &worker["program"]), (&"offline".into(), &"brief".into()), "{worker}");
    assert_eq!(server.get("/status")["dropped"], serde_json::json!([]));
}

#[test]
fn a_burst_that_the_spool_has_no_room_for_keeps_its_root() {
    let (server, project) = (Server::start(), Project::of("burst", "", BRIEF));
    good(run(project.monitor("build", None)));
    let mut burst = by_hand("burst", &["60000"], &server);
    burst.env("MONITOR_SPOOL_BYTES", "4194304").env("MONITOR_EXIT_TIMEOUT", "2m").env("MONITOR_FOLD_BELOW", "off");
    assert_eq!(good(run(burst)).stdout, "60000\n");
    ship_by_hand(&server);
    let roots = server.roots();
    assert!(matches!(&roots[..], [root] if root["name"] == "burst::main" && root["state"] == "succeeded"), "{roots:?}");
    let dropped = server.get("/status")["dropped"].clone();
    let is_known = |drop: &Value| ["process-started", "process-ended"].contains(&drop["type"].as_str().unwrap());
    assert!(dropped.as_array().unwrap().iter().any(|drop| drop["reason"] == "spool"), "{dropped}");
    assert!(dropped.as_array().unwrap().iter().all(is_known), "what was given up is known by kind: {dropped}");
}

/// At its end the program writes nothing, because everything is already in the spool. So a short time limit loses nothing. Nothing is
/// shipped in between.
#[test]
fn a_burst_is_kept_whole_however_long_its_end_may_take() {
    let project = Project::of("whole", "", BRIEF);
    good(run(project.monitor("build", None)));
    for wait in ["0s", "20ms", "1h"] {
        let server = Server::start();
        let mut burst = by_hand("whole", &["5000"], &server);
        burst.env("MONITOR_SPOOL_BYTES", "512MiB").env("MONITOR_BUFFER_BYTES", "256MiB").env("MONITOR_EXIT_TIMEOUT", wait);
        burst.env("MONITOR_FOLD_BELOW", "off");
        assert_eq!(good(run(burst)).stdout, "5000\n");
        ship_by_hand(&server);
        let root = server.finished_root();
        assert_eq!((&root["name"], &root["counts"]["failed"]), (&"whole::main".into(), &5_000.into()), "{wait}: {root}");
        assert_eq!(server.get("/status")["dropped"], serde_json::json!([]), "{wait}");
    }
}
