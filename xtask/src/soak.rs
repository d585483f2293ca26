//! The tests' long cases: the same code as in `cargo xtask test`, more often and with more data.

use std::process::Stdio;

use anyhow::Result;

use crate::run::{cargo, command, step, target, workspace};

/// How many cases a property test tries for each round.
const CASES: u32 = 256;

pub(crate) fn soak(rounds: u32) -> Result<()> {
    let mut properties = cargo(&["test", "-p", "monitor-state", "-p", "monitor-server"]);
    step("property tests, long", properties.env("PROPTEST_CASES", (CASES * rounds).to_string()))?;
    let mut page = command("npm", &["test"]);
    step("a day of the page", page.current_dir(workspace().join("monitor-web/app")).env("MONITOR_SOAK", "1"))?;
    let mut tests = cargo(&["test", "-p", "monitor-tests", "--", "--nocapture"]);
    step("whole-system tests, long", tests.env("MONITOR_SOAK_ROUNDS", rounds.to_string()))
}

/// Batches that come late, twice, cut, or not at all, to a server that is killed meanwhile: from so many seeds that nobody tried before.
pub(crate) fn simulation(seeds: u32) -> Result<()> {
    let mut test = cargo(&["test", "-p", "monitor-tests", "--test", "simulation"]);
    step("simulated networks", test.env("MONITOR_SOAK_ROUNDS", seeds.to_string()))
}

/// In a release build, for it tells what it costs.
pub(crate) fn away(minutes: u64) -> Result<()> {
    let mut test = cargo(&["test", "--release", "-p", "monitor-tests", "--test", "away", "--", "--nocapture"]);
    step("a server that is away", test.env("MONITOR_AWAY_SECONDS", (minutes * 60).to_string()))
}

/// An OpenTelemetry SDK, from its package registry into a folder of its own, against the server.
pub(crate) fn otlp() -> Result<()> {
    let folder = target().join("otlp-python");
    let bin = folder.join(if cfg!(windows) { "Scripts" } else { "bin" });
    step("Python's environment", command("python3", &["-m", "venv"]).arg(&folder))?;
    let requirements = workspace().join("tests/otlp/requirements.txt");
    step("OpenTelemetry's SDK for Python", command(bin.join("pip"), &["install", "--quiet", "-r"]).arg(requirements))?;
    let mut test = cargo(&["test", "-p", "monitor-tests", "--features", "otlp", "--test", "otlp"]);
    step("spans of Python", test.env("MONITOR_OTLP_PYTHON", bin.join("python")))
}

/// The settings for nginx in the documentation, with the machine's own nginx.
pub(crate) fn proxies() -> Result<()> {
    let has_nginx = command("nginx", &["-v"]).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    anyhow::ensure!(has_nginx, "nginx is missing: sudo apt-get install nginx-light, or your system's package");
    step("nginx", &mut cargo(&["test", "-p", "monitor-tests", "--features", "proxies", "--test", "proxies"]))
}
