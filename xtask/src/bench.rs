//! What a monitored call costs, beside the rivals, and what a server takes in. The bench is a workspace of its own: see benches/Cargo.toml.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run::{cargo, command, target};

pub(crate) fn bench(args: &[String]) -> Result<()> {
    run(&mut cargo(&["build", "--release", "-p", "monitor-cli"]))?;
    // Apart, for its dependencies are locked apart.
    let folder = target().join("benches");
    run(cargo(&["build", "--release", "--manifest-path", "benches/Cargo.toml", "--target-dir"]).arg(&folder))?;
    let mut bench = command(folder.join("release/monitor-benches"), &[]);
    run(bench.args(args).arg("--monitor").arg(target().join("release/monitor")))
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
