//! Brief calls are counted.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use monitor_tests::{Server, outline, wait_for};
use serde_json::Value;

use crate::{LastNumber, Project};

/// Calls that are brief, one that fails, and one that isn't; what is to be had of them when the program is killed.
const BRIEF_CALLS: &str = "
fn main() {
    for n in 0..2_000 {
        let _ = outer(n);
    }
    long();
    println!(\"{}\", std::process::id());
    waits();
}

fn outer(n: u32) -> Result<u32, String> {
    let mut sum = 0;
    for m in 0..2 {
        sum += inner(n, m);
    }
    if n == 1_234 { Err(format!(\"the sum is {}\", sum)) } else { Ok(sum) }
}

fn inner(n: u32, m: u32) -> u32 {
    let mut sum = n;
    for k in 0..m {
        sum = sum.wrapping_mul(31).wrapping_add(k);
    }
    sum
}

fn long() {
    let pause = std::time::Duration::from_millis(20);
    std::thread::sleep(pause);
    inner(1, 2);
}

fn waits() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect(\"a line\");
}
";

#[test]
fn brief_calls_are_counted_and_those_that_fail_or_take_long_have_rows() {
    for is_killed in [false, true] {
        let (server, project) = (Server::start(), Project::of("brief-calls", "", BRIEF_CALLS));
        let mut command = project.monitor("run -q", Some(&server));
        // As it is for whoever says nothing, but for a machine that is busy with other tests.
        command.env("MONITOR_FOLD_BELOW", "10ms").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let pid = output.by_ref().map_while(Result::ok).last_number();
        if is_killed {
            assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
        } else {
            drop(child.stdin.take());
        }
        assert_eq!(child.wait().unwrap().code() == Some(0), !is_killed);
        let is_over = |root: &Value| root["name"] == "brief_calls::main" && root["state"] != "running";
        let root = wait_for("its end", || server.roots().into_iter().find(is_over));
        wait_for("nothing is left in the spool", || fs::read_dir(server.spool()).unwrap().next().is_none().then_some(()));
        let processes = server.tree(&root);
        let of = |name: &str| -> u64 {
            let own = processes.iter().filter(|process| process["name"] == name);
            own.map(|process| process["fold"]["count"].as_u64().unwrap_or(1)).sum()
        };
        let text = outline(&processes);
        assert_eq!((of("brief_calls::outer"), of("brief_calls::inner"), of("brief_calls::long")), (2_000, 4_001, 1), "{text}");
        assert!(processes.len() < 300 && processes.iter().all(|process| process["orphan"] == false), "{text}");
        let failed: Vec<_> = processes.iter().filter(|process| process["state"] == "failed" && process["fold"].is_null()).collect();
        assert!(failed.iter().any(|process| process["error"]["message"] == "the sum is 39488"), "{failed:?}");
        assert!(text.contains("  brief_calls::long\n    brief_calls::inner ×1\n"), "{text}");
    }
}
