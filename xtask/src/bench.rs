//! What a monitored call costs, beside the rivals. The bench is a workspace of its own: see benches/Cargo.toml.

use anyhow::Result;

use crate::run::{cargo, command, step, target};

pub(crate) fn bench(args: &[String]) -> Result<()> {
    step("build the server", &mut cargo(&["build", "--release", "-p", "monitor-cli"]))?;
    // Apart, for its dependencies are locked apart.
    let folder = target().join("benches");
    let mut build = cargo(&["build", "--release", "--manifest-path", "benches/Cargo.toml", "--target-dir"]);
    step("build the bench", build.arg(&folder))?;
    let mut bench = command(folder.join("release/monitor-benches"), &[]);
    bench.args(args).arg("--monitor").arg(target().join("release/monitor"));
    step("bench", &mut bench)
}
