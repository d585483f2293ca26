//! Helpers that run commands and print them.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// Returns the folder with the workspace's Cargo.toml.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace").to_owned()
}

/// Returns cargo's target folder.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), |folder| workspace().join(folder))
}

/// Returns a command that runs in the workspace's folder.
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(workspace());
    command
}

/// Returns a command for the cargo that started this program.
pub(crate) fn cargo(args: &[&str]) -> Command {
    command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), args)
}

/// Runs a command to its end. Prints a headline before it and the elapsed time after it.
pub(crate) fn step(name: &str, command: &mut Command) -> Result<()> {
    println!("\n── {name}");
    let begin = Instant::now();
    let status = command.status().with_context(|| format!("{name}: can't run {}", command.get_program().display()))?;
    if !status.success() {
        bail!("{name} failed ({status}): {}", shown(command));
    }
    println!("── {name}: {:.0} s", begin.elapsed().as_secs_f64());
    Ok(())
}

fn shown(command: &Command) -> String {
    std::iter::once(command.get_program()).chain(command.get_args()).map(|part| part.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
