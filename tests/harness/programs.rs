//! The built programs under test.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use crate::Server;

/// Result of a finished program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Exit code. `None` after a signal.
    pub code: Option<i32>,
    /// Content of stdout.
    pub stdout: String,
    /// Content of stderr.
    pub stderr: String,
}

/// A binary of this workspace, without environment variables that change its behaviour or output.
pub fn command(name: &str) -> Command {
    let mut command = Command::new(folder().join(name));
    for (key, _) in std::env::vars_os() {
        let name = key.to_string_lossy();
        if name.starts_with("MONITOR_") || name.starts_with("GITHUB_") || key == "RUST_BACKTRACE" {
            command.env_remove(key);
        }
    }
    // Only the programs of a server have a spool, in a folder of that server.
    command.env("MONITOR_SPOOL_DIR", "off");
    // A server starts no agent unless the test requires it.
    command.env("MONITOR_AGENT", "off");
    command
}

/// A library that was built as an example.
pub fn library(name: &str) -> PathBuf {
    folder().join("examples").join(format!("{}{}{}", std::env::consts::DLL_PREFIX, name.replace('-', "_"), std::env::consts::DLL_SUFFIX))
}

/// An example that reports to `server`, or that is not monitored.
pub fn example(name: &str, server: Option<&Server>) -> Command {
    let mut command = command(name);
    if let Some(server) = server {
        command.env("MONITOR_ENABLED", "1").env("MONITOR_SERVER_URL", server.url()).env("MONITOR_SPOOL_DIR", server.spool());
    }
    command
}

/// The test worker with these arguments.
pub fn worker(server: &Server, what: &[&str]) -> Command {
    let mut command = example("monitor-test-worker", Some(server));
    command.args(what).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A program in which a panic aborts, compiled with the profile `abort`.
///
/// # Panics
/// If it can't be compiled.
pub fn aborter(server: Option<&Server>) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--profile", "abort", "-p", "monitor-test-aborter"]);
    build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    assert!(build.status().expect("cargo").success(), "the aborter can't be built");
    example("../abort/monitor-test-aborter", server)
}

/// Sends SIGTERM to a program and waits until it has ended successfully.
///
/// # Panics
/// If it ends in another way.
pub fn terminate(child: &mut Child) {
    let told = Command::new("kill").arg(child.id().to_string()).status();
    assert!(told.expect("every Unix has it").success(), "it runs");
    assert!(child.wait().expect("it ends").success(), "it stops well");
}

/// Runs a program and waits for its end.
pub fn run(mut command: Command) -> Finished {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes| String::from_utf8(bytes).expect("our programs write UTF-8");
    Finished { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// Folder of the binaries. `cargo test --workspace` has built them. A test that runs alone builds them itself.
fn folder() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let test = std::env::current_exe().expect("a test has a path");
        let folder = test.ancestors().nth(2).expect("target/debug/deps/test").to_owned();
        if std::env::var_os("MONITOR_TESTS_ARE_BUILT").is_none() {
            let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            let mut build = Command::new(cargo);
            build.args([
                "build",
                "--quiet",
                "--bins",
                "--examples",
                "-p",
                "monitor-cli",
                "-p",
                "cargo-monitor",
                "-p",
                "monitor-examples",
                "-p",
                "monitor-tests",
            ]);
            if !cfg!(debug_assertions) {
                build.arg("--release");
            }
            build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
            assert!(build.status().expect("cargo").success(), "the programs under test can't be built");
        }
        folder
    })
}
