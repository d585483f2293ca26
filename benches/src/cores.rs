//! Assigns threads to cores: the calling thread on one core, all background work on another.

use std::process::{Child, Command};
use std::sync::OnceLock;

use anyhow::{Context, Result};
use core_affinity::CoreId;

/// The core of the calling thread and the one of everything else; none on a machine that has but one.
pub(crate) fn pair() -> Option<(CoreId, CoreId)> {
    static PAIR: OnceLock<Option<(CoreId, CoreId)>> = OnceLock::new();
    *PAIR.get_or_init(|| {
        let cores = core_affinity::get_core_ids()?;
        (cores.len() > 1).then(|| (cores[0], cores[cores.len() - 1]))
    })
}

/// Starts a program on the core for background work.
pub(crate) fn spawn_behind(command: &mut Command) -> Result<Child> {
    let spawn = || {
        // A child inherits the cores of the thread that starts it.
        if let Some((_, behind)) = pair() {
            core_affinity::set_for_current(behind);
        }
        command.spawn()
    };
    let child = std::thread::scope(|scope| scope.spawn(spawn).join().expect("starting a program doesn't panic"));
    child.with_context(|| format!("can't start {}", command.get_program().display()))
}

/// Returns a command without environment variables that affect the client.
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MONITOR_")) {
        command.env_remove(name);
    }
    command
}
