//! Compares the server with other servers for spans and runs on the same machine: throughput, and the data that remains after `kill -9`.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::rivals;
use crate::run::{cargo, command, step, target, workspace};

/// Name of the Python environment, and the packages installed in it.
const PHOENIX: (&str, &[&str]) = ("phoenix", &["arize-phoenix==20.26.1"]);
/// Pins `FastAPI`, because Prefect doesn't start with version 0.165, which pip would choose: its `Body` rejects Prefect's arguments.
const PREFECT: (&str, &[&str]) = ("prefect", &["prefect==3.8.8", "fastapi==0.139.2"]);
/// Ports on which the measured servers listen.
const PORT: &str = "61980";
const OTHER_PORT: &str = "61981";

pub(crate) fn peers() -> Result<()> {
    step("the server", &mut cargo(&["build", "--release", "-p", "monitor-cli"]))?;
    let folder = target().join("peers");
    for (name, packages) in [PHOENIX, PREFECT] {
        rivals::python(&folder.join(name), packages)?;
    }
    let monitor = target().join("release/monitor").display().to_string();
    let data = |name: &str| folder.join(format!("{name}-data"));
    let ours = data("ours").display().to_string();
    let listen = format!("127.0.0.1:{PORT}");
    // Phoenix's Python environment includes the OTLP packages.
    let rows = [
        measure(&folder, "ours", PHOENIX.0, &[&monitor, "server", "--agent", "off", "--listen", &listen, "--data", &ours])?,
        measure(&folder, "phoenix", PHOENIX.0, &[&bin(&folder, PHOENIX.0), "serve"])?,
        measure(&folder, "prefect", PREFECT.0, &[&bin(&folder, PREFECT.0), "server", "start", "--port", PORT])?,
    ];
    println!("\n{:<24}{:>16}{:>16}{:>16}{:>12}", "", "taken in /s", "acknowledged", "there after it", "lost, %");
    for (name, row) in ["ours, OTLP spans", "Phoenix, OTLP spans", "Prefect, task runs"].iter().zip(&rows) {
        let number = |key: &str| row[key].as_f64().unwrap_or(f64::NAN);
        let lost = 100.0 * (1.0 - number("stored") / number("acknowledged")).max(0.0);
        let (taken, acknowledged, stored) = (number("per_second"), number("acknowledged"), number("stored"));
        println!("{name:<24}{taken:>16.0}{acknowledged:>16}{stored:>16}{lost:>12.2}");
    }
    println!(
        "\nSpans in traces of 200, a request each, over 4 connections; runs one by one, for Prefect takes no more. Then kill -9 while more come."
    );
    Ok(())
}

/// Returns the path of a server's command in its Python environment.
fn bin(folder: &Path, name: &str) -> String {
    folder.join(name).join("bin").join(name).display().to_string()
}

/// Runs the measuring script against a server with an empty folder, and returns its result.
fn measure(folder: &Path, name: &str, python: &str, server: &[&str]) -> Result<Value> {
    println!("\n── {name}");
    let data = folder.join(format!("{name}-data"));
    if data.exists() {
        std::fs::remove_dir_all(&data).with_context(|| format!("can't empty {}", data.display()))?;
    }
    std::fs::create_dir_all(&data)?;
    let mut script = command(folder.join(python).join("bin/python"), &[]);
    script.arg(workspace().join("xtask/peers.py")).arg(name).args(server).env("PORT", PORT).env("FOLDER", &data);
    script.env("MONITOR_SPOOL_DIR", "off");
    // Ignores the user's own configuration, and disables telemetry.
    script
        .env("PHOENIX_PORT", PORT)
        .env("PHOENIX_GRPC_PORT", OTHER_PORT)
        .env("PHOENIX_WORKING_DIR", &data)
        .env("PHOENIX_TELEMETRY_ENABLED", "false");
    script.env("PREFECT_HOME", &data).env("PREFECT_SERVER_ANALYTICS_ENABLED", "false").env("DO_NOT_TRACK", "1");
    let output = script.stderr(std::process::Stdio::inherit()).output().context("can't run Python")?;
    ensure!(output.status.success(), "{name} could not be measured ({})", output.status);
    serde_json::from_slice(&output.stdout).context("the script prints JSON")
}
