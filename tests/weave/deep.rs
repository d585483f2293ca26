//! Recursion in woven programs.

use std::process::Command;

use expect_test::expect;
use monitor_tests::{Finished, Server, run};

use crate::{Project, good, tree};

/// The program prints the stack usage of each call: plain, woven, and woven and recorded.
#[test]
fn recursion_as_deep_as_the_plain_program_bears_it_ends_as_it_does_there() {
    let (server, project) = (Server::start(), Project::of("deep", "", include_str!("../woven/deep.rs")));
    let said = |finished: Finished| {
        let stdout = good(finished).stdout;
        let (bytes, results): (Vec<_>, Vec<_>) = stdout.lines().map(str::to_owned).partition(|line| line.contains("bytes a call"));
        let bytes: Vec<usize> = bytes.iter().filter_map(|line| line.split(' ').next()?.parse().ok()).collect();
        (bytes, results)
    };
    for profile in ["", " --release"] {
        let (plain, results) = said(run(project.cargo(&format!("run -q{profile}"))));
        let (woven, same) = said(run(project.monitor(&format!("run -q{profile}"), Some(&server))));
        assert_eq!(same, results, "recorded{profile}");
        let mut off = project.monitor(&format!("run -q{profile}"), Some(&server));
        off.env("MONITOR_SPOOL_DIR", "off");
        let (off, same) = said(run(off));
        assert_eq!(same, results, "not recorded{profile}");
        println!("bytes of stack a call{profile}, plain {plain:?}, woven {off:?}, recorded {woven:?}");
        // A call that returns a value gets a guard. A call that returns a `Result` stores the result once or twice more.
        let is_small = |(plain, woven): (&usize, &usize)| *woven <= plain * 3 + 128;
        assert!(plain.len() == 2 && plain.iter().zip(&woven).all(is_small), "{plain:?} {woven:?}");
        assert_eq!(off, woven, "what is recorded takes no more of the stack");
    }
    let text = tree(&server, "deep::main");
    expect![[r#"
        deep::main
          deep::here
          deep::sum
            deep::here
          deep::here
          deep::checked
            deep::here
          deep::even
            deep::odd
          deep::broken [failed]: no bottom
          deep::Tree::of
          deep::Tree::depth
          deep::even
            deep::odd
    "#]]
    .assert_eq(&text);
}

/// Prints its stack sizes: the limits of the first thread's stack, and the size that std uses for other threads.
const ROOM: &str = "
fn main() {
    let limits = std::fs::read_to_string(\"/proc/self/limits\").unwrap();
    let stack = limits.lines().find(|line| line.starts_with(\"Max stack size\")).unwrap();
    let words: Vec<&str> = stack.split_whitespace().collect();
    println!(\"{} {} {}\", words[3], words[4], std::env::var(\"RUST_MIN_STACK\").unwrap_or(\"unset\".to_owned()));
}
";

#[cfg(target_os = "linux")]
#[test]
fn a_woven_program_is_given_six_times_the_stack_as_far_as_the_system_allows() {
    let (server, project) = (Server::start(), Project::of("room", "", ROOM));
    let said = |command: Command, soft: &str, own: Option<&str>| {
        // A child inherits the shell's limit.
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -S -s {soft} && exec \"$@\""), "sh"]).arg(command.get_program()).args(command.get_args());
        shell.current_dir(command.get_current_dir().expect("the project's"));
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell.env_remove("RUST_MIN_STACK").envs(own.map(|own| ("RUST_MIN_STACK", own)));
        let line = good(run(shell)).stdout;
        let words: Vec<&str> = line.split_whitespace().collect();
        let [soft, hard, least] = words[..] else { panic!("{line}") };
        let bytes = |limit: &str| limit.parse::<u64>().unwrap_or(u64::MAX);
        (bytes(soft), bytes(hard), least.parse::<u64>().ok())
    };
    for (soft, own, least) in [("8192", None, 6 * (2 << 20)), ("4096", Some("16777216"), 6 * (16 << 20))] {
        let (before, hard, told) = said(project.cargo("run -q"), soft, own);
        assert_eq!((before, told), (1024 * soft.parse::<u64>().unwrap(), own.map(|own| own.parse().unwrap())));
        let woven = said(project.monitor("run -q", Some(&server)), soft, own);
        assert_eq!(woven, ((6 * before).min(hard), hard, Some(least)));
    }
}

/// Recurses on other threads as deep as a plain debug build can. The second thread has an explicit stack size.
const ROOMY: &str = "
fn main() {
    println!(\"{}\", std::thread::spawn(|| sum(15_000)).join().unwrap());
    let small = std::thread::Builder::new().stack_size(1 << 20);
    println!(\"{}\", small.spawn(|| sum(7_500)).unwrap().join().unwrap());
}

fn sum(n: u64) -> u64 {
    if n == 0 {
        return 0;
    }
    let sum = sum(n - 1);
    sum + n
}
";

/// The program starts all threads itself, so nothing enlarges their stacks, recorded or not.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn threads_of_a_woven_program_started_by_hand_recurse_as_deep_as_unwoven() {
    let (server, project) = (Server::start(), Project::of("roomy", "", ROOMY));
    let plain = good(run(project.cargo("run -q"))).stdout;
    good(run(project.monitor("build", None)));
    for enabled in ["0", "1"] {
        let mut by_hand = Command::new(concat!(env!("CARGO_TARGET_TMPDIR"), "/woven/monitor/build/debug/roomy"));
        by_hand.env("MONITOR_SPOOL_DIR", server.spool()).env("MONITOR_ENABLED", enabled).env_remove("RUST_MIN_STACK");
        assert_eq!(good(run(by_hand)).stdout, plain, "MONITOR_ENABLED={enabled}");
    }
}
