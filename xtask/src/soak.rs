//! Long-running tests: the same code as in `cargo xtask test`, with more repetitions and more data.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::demo::Server;
use crate::rivals;
use crate::run::{cargo, command, step, target, workspace};

/// Number of cases of each property test for each round.
const CASES: u32 = 1_024;
/// Packages with property tests.
const WITH_PROPERTIES: [&str; 12] = [
    "monitor-client",
    "monitor-core",
    "monitor-duration",
    "monitor-jobs",
    "monitor-receiver",
    "monitor-server",
    "monitor-spool",
    "monitor-state",
    "monitor-store",
    "monitor-store-sqlite",
    "monitor-tasks",
    "monitor-woven",
];

pub(crate) fn soak(rounds: u32) -> Result<()> {
    let mut properties = cargo(&["test"]);
    properties.args(WITH_PROPERTIES.iter().flat_map(|package| ["-p", package]));
    step("property tests, long", properties.env("PROPTEST_CASES", (CASES * rounds).to_string()))?;
    let mut page = command("npm", &["test"]);
    step("a day of the page", page.current_dir(workspace().join("crates/monitor-web/app")).env("MONITOR_SOAK", "1"))?;
    let mut tests = cargo(&["test", "-p", "monitor-tests", "--", "--nocapture"]);
    step("whole-system tests, long", tests.env("MONITOR_SOAK_ROUNDS", rounds.to_string()))
}

/// Delivers batches late, twice, split or not at all, to a server that is killed and restarted, with `seeds` new random seeds.
pub(crate) fn simulation(seeds: u32) -> Result<()> {
    let mut test = cargo(&["test", "-p", "monitor-tests", "--test", "simulation"]);
    step("simulated networks", test.env("MONITOR_SOAK_ROUNDS", seeds.to_string()))
}

/// Simulates months of alerts with new random seeds: runs fail, and machines appear and disappear.
pub(crate) fn month(seeds: u32) -> Result<()> {
    let mut test = cargo(&["test", "-p", "monitor-tests", "--test", "month", "--", "--nocapture"]);
    step("months of alerts", test.env("MONITOR_SOAK_ROUNDS", seeds.to_string()).env("MONITOR_MONTH_DAYS", "30"))
}

/// Runs the model of batch tasks in a release build, because it steps through single seconds.
pub(crate) fn tasks(days: u32) -> Result<()> {
    let mut test = cargo(&[
        "test",
        "--release",
        "-p",
        "monitor-tasks",
        "--test",
        "plan_model",
        "--",
        "--nocapture",
        "plans_of_a_thousand_tasks_match_the_model",
    ]);
    step("a year of batch tasks", test.env("MONITOR_TASKS_DAYS", days.to_string()))
}

/// Runs workers of a queue with receivers, `monitor top` and a browser, while the server is killed and connections are cut.
pub(crate) fn crowd(workers: u32, seconds: u32) -> Result<()> {
    let mut test = cargo(&["test", "-p", "monitor-tests", "--test", "crowd", "--", "--nocapture"]);
    test.env("MONITOR_CROWD_WORKERS", workers.to_string()).env("MONITOR_CROWD_SECONDS", seconds.to_string());
    step("a crowd of workers", &mut test)
}

/// Runs a program while the server is unreachable. A release build, because it prints costs.
pub(crate) fn away(minutes: u64) -> Result<()> {
    let mut test = cargo(&["test", "--release", "-p", "monitor-tests", "--test", "away", "--", "--nocapture"]);
    step("a server that is away", test.env("MONITOR_AWAY_SECONDS", (minutes * 60).to_string()))
}

/// Runs the tests of Celery with other versions of it, which are installed from `PyPI`.
pub(crate) fn celery(versions: &[String]) -> Result<()> {
    let mut failed = Vec::new();
    for version in versions {
        let folder = target().join("soak-celery").join(version);
        let minor = version.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok());
        let minor = minor.with_context(|| format!("{version:?} is no version of Celery such as 5.6.2"))?;
        // A newer kombu needs a newer client of Redis than the one that Celery installs.
        let kombu = format!("kombu<5.{}", minor + 1);
        rivals::python(&folder, &[&format!("celery[redis]=={version}"), &kombu, "flower==2.2.0", "gevent"])?;
        let mut tests = cargo(&["test", "-p", "monitor-tests", "--test", "celery"]);
        if let Err(error) = step(&format!("Celery {version}"), tests.env("MONITOR_CELERY_PYTHON", folder.join("bin"))) {
            failed.push(format!("{version}: {error}"));
        }
    }
    anyhow::ensure!(failed.is_empty(), "tests failed with Celery {}", failed.join("; "));
    Ok(())
}

/// Tests the server with an OpenTelemetry SDK.
pub(crate) fn otlp() -> Result<()> {
    let bin = python("otlp")?;
    let mut test = cargo(&["test", "-p", "monitor-tests", "--features", "otlp", "--test", "otlp"]);
    step("spans of Python", test.env("MONITOR_OTLP_PYTHON", bin.join("python")))
}

/// Tests the documented settings for nginx and Caddy with the installed nginx and Caddy.
pub(crate) fn proxies() -> Result<()> {
    for (program, version, package) in [("nginx", "-v", "nginx-light"), ("caddy", "version", "caddy")] {
        let found = command(program, &[version]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        anyhow::ensure!(
            found.is_ok_and(|status| status.success()),
            "{program} is missing: sudo apt-get install {package}, or your system's package"
        );
    }
    step("nginx and Caddy", &mut cargo(&["test", "-p", "monitor-tests", "--features", "proxies", "--test", "proxies"]))
}

/// Sends valid and invalid requests that are generated from the API description. Fails if a response doesn't match the description.
pub(crate) fn api(seconds: u32) -> Result<()> {
    let bin = python("api")?;
    step("build", &mut cargo(&["build", "-p", "monitor-cli"]))?;
    let data = target().join("soak-api");
    if data.exists() {
        std::fs::remove_dir_all(&data).with_context(|| format!("can't empty {}", data.display()))?;
    }
    let server = Server::start(&target().join("debug/monitor"), &data, 0)?;
    // The tree of the description's examples. It is running, so that only requests that explicitly delete running trees delete it.
    let sample = |name| -> Result<Value> {
        let path = workspace().join("crates/monitor-wire/fixtures").join(name);
        Ok(serde_json::from_slice(&std::fs::read(&path).with_context(|| format!("can't read {}", path.display()))?)?)
    };
    let mut batch = sample("batch.json")?;
    batch["events"] = json!([sample("process-started.json")?]);
    send(server.url(), &batch)?;
    // The file contains the address, and a token with all rights.
    let local = std::fs::read_to_string(data.join("local.token")).context("the server has no token")?;
    let token = local.lines().nth(1).context("the server's token has two lines")?;
    let mut run = command(bin.join("st"), &["--config-file"]);
    run.arg(workspace().join("tests/api/schemathesis.toml")).arg("run").arg(format!("{}/api/openapi.json", server.url()));
    // schemathesis writes its report into the working folder.
    run.args(["--max-time", &seconds.to_string()]).env("MONITOR_TOKEN", token).current_dir(target());
    step("requests by the API's description", &mut run)
}

/// Sends a batch to a server, which must accept it.
fn send(url: &str, batch: &Value) -> Result<()> {
    let (address, body) = (url.trim_start_matches("http://"), batch.to_string());
    let mut socket = TcpStream::connect(address)?;
    let length = body.len();
    write!(
        socket,
        "POST /api/v1/events HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    anyhow::ensure!(answer.starts_with("HTTP/1.1 200"), "the server did not take a batch: {answer}");
    Ok(())
}

/// Creates a Python environment with the packages of `tests/NAME/requirements.txt`, and returns its folder of programs.
fn python(name: &str) -> Result<PathBuf> {
    let folder = target().join(format!("{name}-python"));
    let bin = folder.join(if cfg!(windows) { "Scripts" } else { "bin" });
    step("Python's environment", command("python3", &["-m", "venv"]).arg(&folder))?;
    let requirements = workspace().join("tests").join(name).join("requirements.txt");
    step("its packages", command(bin.join("pip"), &["install", "--quiet", "-r"]).arg(requirements))?;
    Ok(bin)
}
