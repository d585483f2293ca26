//! Endless output. The first and the last half of the permitted size are kept. All views of the output contain the size of the missing
//! part.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use monitor_tests::{Server, command, run, wait_for};

use crate::harness::{Agent, token};

#[test]
fn the_beginning_of_long_output_and_the_error_at_its_end_are_kept() {
    let server = Server::start();
    let env = vec![
        ("MONITOR_SERVER_URL", server.url().into()),
        ("MONITOR_SPOOL_DIR", server.spool().into()),
        ("MONITOR_TOKEN_FILE", token(&server, "db-1").into()),
        ("MONITOR_AGENT_RUN_OUTPUT_BYTES", "64K".into()),
    ];
    let shell = "shell = \"echo begins; yes | head -c 20000000; echo no prices; exit 3\"\n";
    let expects = "[expect]\noutput-has = \"begins\"\n";
    let agent = Agent::start_with(&[("gold", &[shell, expects].concat())], env);
    wait_for("the task", || agent.ask(&["list"]).stdout.contains("gold").then_some(()));
    let id = agent.done(&["run", "gold"]);
    let ended = &agent.ended("gold", 1)[0];
    assert_eq!(ended["result_code"], 3, "{ended}");
    let is_whole = |what: &str, text: &str| {
        let gap = text.lines().find(|line| line.starts_with("(cut: ") && line.ends_with(" bytes are left out here)"));
        assert!(text.starts_with("begins\n") && text.ends_with("no prices\n") && text.len() < 100_000, "{what}: {} bytes", text.len());
        let missing: usize = gap.unwrap_or_else(|| panic!("{what}")).split(' ').nth(1).unwrap().parse().unwrap();
        assert!((19_000_000..20_000_100).contains(&missing), "{what}: {missing}");
    };
    let log = wait_for("the log file", || {
        let found = walk(&agent.path("data/task/gold/logs"));
        found.into_iter().find(|path| path.extension().is_some_and(|end| end == "log"))
    });
    wait_for("the end of the log file", || fs::read_to_string(&log).ok().filter(|text| text.ends_with("no prices\n")));
    is_whole("the file in logs/", &fs::read_to_string(&log).unwrap());
    // The log is a hard link to the file in the run's folder.
    let inode = |path: &std::path::Path| path.metadata().map(|file| (file.ino(), file.nlink(), file.mode() & 0o777)).unwrap();
    assert_eq!(inode(&log), inode(&agent.path("data/runs").join(&id).join("output.log")));
    assert_eq!((inode(&log).1, inode(&log).2), (2, 0o640));
    // The page reads the output in pieces.
    let (mut text, mut offset) = (String::new(), 0);
    loop {
        let piece = server.get(&format!("/batch-tasks/runs/{id}/log?offset={offset}"));
        text += piece["text"].as_str().unwrap();
        offset = piece["next_offset"].as_u64().unwrap();
        if offset == piece["size_bytes"].as_u64().unwrap() {
            break;
        }
    }
    is_whole("the API", &text);
    let mut runs = command("monitor");
    runs.args(["detached", "logs", &id]).env("MONITOR_RUNS_DIR", agent.path("data/runs"));
    let logs = run(runs);
    is_whole("monitor detached logs", &logs.stdout);
}

#[test]
fn log_and_publication_of_a_run_are_named_by_its_start() {
    // The run begins and ends in different seconds.
    let shell = "shell = \"date +%s; touch $MONITOR_PUBLISH_DIR/a; s=$(date +%s); while [ $(date +%s) -le $((s + 1)) ]; do :; done\"\n";
    let agent = Agent::start(&[("gold", shell)]);
    wait_for("the task", || agent.ask(&["list"]).stdout.contains("gold").then_some(()));
    agent.done(&["run", "gold"]);
    agent.ended("gold", 1);
    let own = agent.path("data/task/gold");
    let log = walk(&own.join("logs")).remove(0);
    // logs/202611/21/103000-ID.log and history/202611/21_103000/a
    let place = log.strip_prefix(own.join("logs")).unwrap().to_str().unwrap();
    let (start, _) = place.split_once('-').unwrap();
    let (day, time) = start.rsplit_once('/').unwrap();
    assert!(own.join("history").join(format!("{day}_{time}")).join("a").is_file(), "{:?}", walk(&own));
    // The command prints the time of its start.
    let said: i64 = fs::read_to_string(&log).unwrap().lines().next().unwrap().parse().unwrap();
    let mut date = std::process::Command::new("date");
    date.args(["-u", "-d", &format!("{}{} {}:{}:{}", &day[..6], &day[7..], &time[..2], &time[2..4], &time[4..]), "+%s"]);
    let named: i64 = run(date).stdout.trim().parse().unwrap();
    let ended = agent.runs("gold")[0]["ended_us"].as_i64().unwrap() / 1_000_000;
    assert!(named <= said && said < ended, "named {named}, began {said}, ended {ended}");
}

/// All files below a folder.
fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}
