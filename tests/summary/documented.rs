//! Tests of the commands in docs/ci.md.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use monitor_tests::{Server, run};

use crate::Job;

const PAGE: &str = include_str!("../../docs/ci.md");

/// The commands of the GitHub workflow on the page, in order.
fn workflow() -> Vec<&'static str> {
    let workflow = PAGE.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a workflow");
    workflow.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("run: ")).collect()
}

#[test]
fn the_commands_of_the_documentation_do_what_it_states() {
    let job = Job::new(Some(Server::start()));
    for (name, text) in [("build.sh", "#!/bin/sh\necho error: no such table >&2\nexit 3\n"), ("check.sh", "#!/bin/sh\n")] {
        let file = job.folder.path().join(name);
        fs::write(&file, text).expect("a file");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("a file of ours");
    }
    let shell = |line: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", line]);
        let mut shell = job.prepared(shell);
        // Another name than `summary.md`, because a command of the page writes a file with that name.
        shell.env("GITHUB_STEP_SUMMARY", job.folder.path().join("step.md"));
        run(shell)
    };
    let commands = workflow();
    let codes: Vec<_> = commands.iter().map(|line| shell(line)).map(|finished| (finished.code, finished.stderr)).collect();
    let expected = [(Some(3), "error: no such table\n".to_owned()), (Some(0), String::new()), (Some(0), String::new())];
    assert_eq!(codes, expected, "{commands:?}");
    let step = fs::read_to_string(job.folder.path().join("step.md")).expect("a file");
    assert_eq!(step.matches("### ✗ `build <1>`: failed").count(), 1, "{step}");
    assert!(!step.contains("check"), "{step}");
    assert!(job.text().contains("- `build` failed: `error: no such table`"), "{}", job.text());
    let tests = PAGE.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a script");
    assert_eq!(shell("monitor run --name 'tests of x' -- true").code, Some(0));
    let exported = shell(tests);
    assert_eq!(exported.code, Some(0), "{}", exported.stderr);
    let is_result = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().ends_with(".xml");
    assert_eq!(fs::read_dir(&job.folder).expect("a folder").flatten().filter(is_result).count(), 1);
}
