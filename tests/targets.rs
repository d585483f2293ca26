//! Compilation for other systems, by `cargo check`, if the standard library of the target is installed. Otherwise the test prints a message
//! and passes.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use monitor_tests::{Finished, run};

fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for name in ["CARGO_INCREMENTAL", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER"] {
        cargo.env_remove(name);
    }
    cargo
}

/// True if rustc has this target's standard library. Otherwise prints a message.
fn is_installed(target: &str) -> bool {
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "target-libdir", "--target", target]).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let folder = run(rustc).stdout;
    let mut entries = std::fs::read_dir(Path::new(folder.trim())).into_iter().flatten().flatten();
    let is_there = entries.any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"));
    if !is_there {
        // Write to the real standard error, because the test harness hides the output of successful tests.
        let _ = writeln!(std::io::stderr(), "{target}: not tried, for its standard library is not installed (rustup target add {target})");
    }
    is_there
}

/// Runs `cargo check` of monitor-client for a target, in a folder that is kept for later runs.
fn check(target: &str, arguments: &[&str]) -> Finished {
    let mut check = cargo();
    check.args(["check", "--locked", "--color", "never", "-p", "monitor-client", "--target", target]).args(arguments);
    check.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).env("CARGO_TARGET_DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/targets"));
    run(check)
}

#[test]
fn attributes_without_a_recorder_compile_for_webassembly() {
    for target in ["wasm32-unknown-unknown", "wasm32-wasip1"] {
        if is_installed(target) {
            let checked = check(target, &["--no-default-features"]);
            assert_eq!(checked.code, Some(0), "{target}: {}", checked.stderr);
        }
    }
}

#[test]
fn a_recorder_for_webassembly_is_a_single_error_with_a_remedy() {
    if !is_installed("wasm32-unknown-unknown") {
        return;
    }
    // Whichever crate is compiled first, only crates of this workspace may fail.
    let checked = check("wasm32-unknown-unknown", &["--keep-going"]);
    let errors: Vec<&str> = checked.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(checked.code, Some(101));
    let [error, could_not_compile] = errors[..] else { panic!("{}", checked.stderr) };
    let words = "Process Monitor can't record in WebAssembly, which has neither threads, files nor signals as it needs them: depend on \
                 monitor-client with default-features = false there, and the attributes do nothing";
    assert_eq!(error.strip_prefix("error: "), Some(words));
    assert!(could_not_compile.contains("monitor-core"), "{could_not_compile}");
}

#[test]
fn the_client_compiles_for_windows_and_macos() {
    for target in ["x86_64-pc-windows-msvc", "x86_64-pc-windows-gnu", "x86_64-apple-darwin", "aarch64-apple-darwin"] {
        if is_installed(target) {
            for arguments in [&["--no-default-features"][..], &[]] {
                let checked = check(target, arguments);
                assert_eq!(checked.code, Some(0), "{target} {arguments:?}: {}", checked.stderr);
            }
        }
    }
}
