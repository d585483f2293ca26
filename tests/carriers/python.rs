//! A Python module that is written in Rust with attributes (`tests/python`), loaded by the system's Python.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use expect_test::expect;
use monitor_tests::{Finished, Server, outline, run};

const PROJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python");
const TARGET: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/python");

fn cargo(what: &str) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args([what, "--locked", "--color", "never", "--manifest-path"]).arg(Path::new(PROJECT).join("Cargo.toml"));
    for name in ["CARGO_INCREMENTAL", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER"] {
        cargo.env_remove(name);
    }
    cargo.env("CARGO_TARGET_DIR", TARGET).env("CARGO_NET_RETRY", "2");
    cargo
}

/// Builds the module in a folder that is kept for later runs. `None` if pyo3 can't be downloaded.
fn module() -> Option<PathBuf> {
    let fetched = run(cargo("fetch"));
    if fetched.code != Some(0) {
        // Write to the real standard error, because the test harness hides the output of successful tests.
        let _ = writeln!(std::io::stderr(), "a module for Python was NOT tried, for its crates can't be had here: {}", fetched.stderr);
        return None;
    }
    let mut build = cargo("build");
    build.arg("--offline");
    let finished = run(build);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let file = format!("debug/{}monitor_test_python{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    Some(Path::new(TARGET).join(file))
}

/// Runs Python with the module, monitored by a server or not monitored.
fn python(module: &Path, server: Option<&Server>) -> Finished {
    let mut python = Command::new("python3");
    python.arg(Path::new(PROJECT).join("script.py")).arg(module).env_remove("MONITOR_ENABLED");
    if let Some(server) = server {
        python.env("MONITOR_ENABLED", "1").env("MONITOR_SERVER_URL", server.url()).env("MONITOR_SPOOL_DIR", server.spool());
        // All events arrive even on a busy machine.
        python.env("MONITOR_EXIT_TIMEOUT", "60s");
    }
    let is_there = Command::new("python3").arg("--version").output().is_ok();
    assert!(is_there, "python3 is not installed: on Debian, `apt install python3`");
    run(python)
}

#[test]
fn a_module_for_python_keeps_the_tree_over_threads_of_both_languages() {
    let Some(module) = module() else { return };
    let server = Server::start();
    let said = Finished { code: Some(0), stdout: "[2, 4] 16\nValueError: nonsense can't be handled\n".into(), stderr: String::new() };
    assert_eq!(python(&module, None), said);
    assert_eq!(server.roots().len(), 0);
    assert_eq!(python(&module, Some(&server)), said);
    let mut tree = outline(&server.tree(&server.finished_root()));
    // Two threads run concurrently, so their order varies.
    let work = "  work\n    part\n    part\n";
    assert_eq!(tree.matches(work).count(), 2, "{tree}");
    tree = tree.replace(work, "");
    expect![[r#"
        night
          calls_back
            square
          handle [failed]: ValueError: nonsense can't be handled
    "#]]
    .assert_eq(&tree);
}
