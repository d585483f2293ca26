//! What a monitored call costs, beside the rivals, what a server takes in, how punctually tasks start, what receivers of events take in, and what the
//! page costs a browser.
//!
//! The benches of client, server and agent are a workspace of their own: see benches/Cargo.toml. That of the page is a script beside its
//! tests.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::demo::Server;
use crate::rivals;
use crate::run::{cargo, command, target, workspace};

pub(crate) fn bench(args: &[String]) -> Result<()> {
    run(&mut cargo(&["build", "--release", "-p", "monitor-cli", "-p", "cargo-monitor"]))?;
    if let Some(("page", rest)) = args.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return page(rest);
    }
    if let Some(("run", rest)) = args.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return crate::bench_run::bench(rest);
    }
    // Apart, for its dependencies are locked apart.
    let folder = target().join("benches");
    run(cargo(&["build", "--release", "--manifest-path", "benches/Cargo.toml", "--target-dir"]).arg(&folder))?;
    let mut bench = command(folder.join("release/monitor-benches"), &[]);
    bench.args(args).arg("--monitor").arg(target().join("release/monitor"));
    match args.first().map(String::as_str) {
        Some("batch") => drop(bench.arg("--rivals").arg(rivals::schedulers()?)),
        Some("alerts") => drop(bench.arg("--rivals").arg(rivals::tellers()?)),
        Some("events") => drop(bench.arg("--rivals").arg(rivals::queues()?)),
        _ => {}
    }
    run(&mut bench)
}

/// In the browser of the tests, against a server of its own on an empty folder.
fn page(args: &[String]) -> Result<()> {
    run(&mut cargo(&["build", "--release", "-p", "monitor-client", "--example", "paced"]))?;
    let data = target().join("bench-page");
    if data.exists() {
        std::fs::remove_dir_all(&data).with_context(|| format!("can't empty {}", data.display()))?;
    }
    let server = Server::start(&target().join("release/monitor"), &data, 0)?;
    let mut bench = command("node", &["browser/bench.mjs"]);
    bench.args(args).current_dir(workspace().join("crates/monitor-web/app")).env("MONITOR_TEST_URL", server.url());
    bench.env("MONITOR_BENCH_PACED", target().join("release/examples/paced"));
    run(&mut bench)
}

/// Runs a command to its end. Without a headline: stdout is the bench's alone, which may be asked for JSON.
fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().display().to_string();
    let status = command.status().with_context(|| format!("can't run {program}"))?;
    if !status.success() {
        bail!("{program} failed ({status})");
    }
    Ok(())
}
