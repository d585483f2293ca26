//! Checks the dependency requirements of the client: it must compile with the lowest versions that it allows, and no dependency may need a
//! newer Rust version.
//!
//! A project with an older Cargo.lock may use exactly these versions, so the requirements must be correct. They are resolved in a copy of
//! the client's crates, so that the workspace's own Cargo.lock does not change.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::run::{cargo, step, target, workspace};

/// Folders of the client and of our own crates that it depends on.
const CRATES: [&str; 9] = [
    "crates/monitor-duration",
    "crates/monitor-wire",
    "crates/monitor-http",
    "crates/monitor-core",
    "crates/monitor-state",
    "crates/monitor-otlp",
    "crates/monitor-spool",
    "monitor-macros",
    "monitor-client",
];
/// Compiled features: the default features and the most used ones.
const FEATURES: &str = "batch,log,rayon,testing,tokio-process,tracing";

pub(crate) fn lowest() -> Result<()> {
    let copy = target().join("lowest");
    copy_crates(&copy)?;
    let in_copy = |args: &[&str]| {
        let mut line = cargo(args);
        // Both options are unstable; `RUSTC_BOOTSTRAP` enables them in the installed stable compiler.
        line.current_dir(&copy).env("RUSTC_BOOTSTRAP", "1").env("CARGO_TARGET_DIR", copy.join("target"));
        line
    };
    for (name, option) in [("newest", None), ("lowest", Some("-Zdirect-minimal-versions"))] {
        remove(&copy.join("Cargo.lock"))?;
        let mut resolve = in_copy(&["generate-lockfile", "--quiet"]);
        step(&format!("the {name} versions of the client's dependencies"), resolve.args(option))?;
        check_rust_versions(&mut in_copy(&["metadata", "--format-version=1", "--all-features", "--locked"]))?;
    }
    let mut check = in_copy(&["check", "--quiet", "--locked", "--package", "monitor-client", "--features", FEATURES]);
    step("the client with the lowest versions of its dependencies", &mut check)
}

/// Copies manifests and sources without the parts for tests, because development dependencies would raise the versions.
fn copy_crates(copy: &Path) -> Result<()> {
    let read = |path: PathBuf| fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()));
    let root = read(workspace().join("Cargo.toml"))?;
    let (_, rest) = root.split_once("\n[workspace.package]").context("Cargo.toml has no [workspace.package]")?;
    fs::create_dir_all(copy)?;
    fs::write(copy.join("Cargo.toml"), format!("[workspace]\nresolver = \"3\"\nmembers = {CRATES:?}\n\n[workspace.package]{rest}"))?;
    for folder in CRATES {
        let (from, to) = (workspace().join(folder), copy.join(folder));
        if to.join("src").exists() {
            fs::remove_dir_all(to.join("src"))?;
        }
        copy_folder(&from.join("src"), &to.join("src"))?;
        for file in ["build.rs", "README.md"].into_iter().filter(|file| from.join(file).exists()) {
            fs::copy(from.join(file), to.join(file))?;
        }
        fs::write(to.join("Cargo.toml"), without_tests(&read(from.join("Cargo.toml"))?))?;
    }
    Ok(())
}

pub(crate) fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let path = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &path)?;
        } else {
            fs::copy(entry.path(), path)?;
        }
    }
    Ok(())
}

/// Returns a manifest without the tables for tests.
pub(crate) fn without_tests(manifest: &str) -> String {
    let mut is_of_tests = false;
    let mut lines = String::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            is_of_tests = line.ends_with("dev-dependencies]") || ["[[test]]", "[[bench]]", "[[example]]"].contains(&line);
        }
        if !is_of_tests {
            lines.push_str(line);
            lines.push('\n');
        }
    }
    lines
}

fn remove(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Fails if a package declares a newer Rust version than the client does.
fn check_rust_versions(metadata: &mut Command) -> Result<()> {
    let output = metadata.output()?;
    ensure!(output.status.success(), "cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let own = packages.iter().find(|package| package["name"] == "monitor-client").context("monitor-client is not listed")?;
    let declared = own["rust_version"].as_str().context("monitor-client declares no rust-version")?;
    let newer: Vec<String> = packages
        .iter()
        .filter_map(|package| Some((package, package["rust_version"].as_str()?)))
        .filter(|(_, version)| numbers(version) > numbers(declared))
        .map(|(package, version)| format!("{} {} ({version})", text(&package["name"]), text(&package["version"])))
        .collect();
    if !newer.is_empty() {
        bail!("the client declares Rust {declared}, and these need a newer one: {}", newer.join(", "));
    }
    println!("{} packages compile with Rust {declared}, as far as they declare it", packages.len());
    Ok(())
}

fn numbers(version: &str) -> Vec<u64> {
    let mut numbers: Vec<u64> = version.split('.').map_while(|part| part.parse().ok()).collect();
    numbers.resize(3, 0);
    numbers
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert!(numbers("1.89") == numbers("1.89.0") && numbers("1.100") > numbers("1.89") && numbers("1.9.2") < numbers("1.89"));
    }

    #[test]
    fn tables_about_tests_are_left_out() {
        let manifest =
            "[package]\nname = \"a\"\n[target.'cfg(x)'.dev-dependencies]\nb = \"1\"\n[[test]]\nname = \"t\"\n[lints]\nworkspace = true\n";
        assert_eq!(without_tests(manifest), "[package]\nname = \"a\"\n[lints]\nworkspace = true\n");
    }
}
