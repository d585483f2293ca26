//! `cargo xtask bench`: measures the cost of a monitored call compared with other tools, the throughput of the server, the punctuality of
//! batch tasks, the throughput of event receivers, the time of jobs on many hosts, and the cost of the page in a browser.
//!
//! The benchmarks of client, server and agent are a separate workspace (`benches/Cargo.toml`). The benchmark of the page is a script next
//! to the page's browser tests.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::demo::Server;
use crate::rivals;
use crate::run::{cargo, command, target, workspace};

pub(crate) fn bench(args: &[String]) -> Result<()> {
    if let Some(("jobs", rest)) = args.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return crate::bench_jobs::bench(rest);
    }
    if let Some(("celery", rest)) = args.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return crate::bench_celery::bench(rest);
    }
    run(&mut cargo(&["build", "--release", "-p", "monitor-cli", "-p", "cargo-monitor"]))?;
    if let Some(("page", rest)) = args.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return page(rest);
    }
    if let Some(("run", rest)) = args.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return crate::bench_run::bench(rest);
    }
    // A separate target folder, because this workspace has its own Cargo.lock.
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

/// Measures the page in the browser of the tests, against a server with an empty data folder.
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

/// Runs a command to its end. Prints no headline, because the benchmark may be asked to print JSON on stdout.
fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().display().to_string();
    let status = command.status().with_context(|| format!("can't run {program}"))?;
    if !status.success() {
        bail!("{program} failed ({status})");
    }
    Ok(())
}
