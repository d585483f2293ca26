//! The static program, and the lists of its crates and their licences.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::run::{cargo, command, step};

/// Target of the program. The name is given to cargo even if it is the host, so that the flags don't apply to build scripts and macros.
pub(super) const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Builds the program from `source`, and returns its path. Its bytes depend neither on the folder nor on the time.
pub(super) fn program(source: &Path, build: &Path, path: &OsStr) -> Result<PathBuf> {
    let home = cargo_home()?;
    let source_text = source.to_str().context("the folder has a name in UTF-8")?;
    let folders = [(source_text, "/monitor"), (home.as_str(), "/cargo"), (build.to_str().context("UTF-8")?, "/build")];
    let remapped = folders.iter().map(|(from, to)| format!("--remap-path-prefix={from}={to}"));
    let rust: Vec<String> = std::iter::once("-Ctarget-feature=+crt-static".to_owned()).chain(remapped).collect();
    let c: Vec<String> = folders.iter().map(|(from, to)| format!("-ffile-prefix-map={from}={to}")).collect();
    let mut cargo = cargo(&["auditable", "build", "--release", "--locked", "--package", "monitor-cli", "--target", TARGET]);
    cargo.arg("--target-dir").arg(build).current_dir(source).env("PATH", path);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", rust.join("\x1f")).env("CFLAGS", c.join(" ")).env("CARGO_PROFILE_RELEASE_STRIP", "symbols");
    step("static program", &mut cargo)?;
    let program = build.join(TARGET).join("release/monitor");
    let kind = command("readelf", &["--program-headers"]).arg(&program).output().context("can't run readelf")?;
    ensure!(!String::from_utf8_lossy(&kind.stdout).contains("INTERP"), "the program needs libraries");
    Ok(program)
}

/// Returns the folder in which cargo keeps downloaded packages.
pub(super) fn cargo_home() -> Result<String> {
    env::var("CARGO_HOME").or_else(|_| env::var("HOME").map(|home| format!("{home}/.cargo"))).context("there is no HOME")
}

/// Builds the newest commit in two folders, and compares the programs.
pub(super) fn compare(folder: &Path, path: &OsStr) -> Result<()> {
    let mut programs = Vec::new();
    for name in ["first", "second/copy"] {
        let copy = folder.join(name);
        if copy.exists() {
            fs::remove_dir_all(&copy)?;
        }
        step("clone", command("git", &["clone", "--quiet", "."]).arg(copy.join("source")))?;
        programs.push(fs::read(program(&copy.join("source"), &copy.join("build"), path)?)?);
    }
    ensure!(programs[0] == programs[1], "the programs differ: compare target/package/first and target/package/second/copy");
    println!("\n── both programs are the same {} bytes", programs[0].len());
    Ok(())
}

/// Writes the list of all crates in the program, which it contains (`CycloneDX`), and the texts of their licences.
pub(super) fn bill_of_materials(program: &Path, folder: &Path, path: &OsStr) -> Result<()> {
    let list = command("auditable2cdx", &[]).arg(program).env("PATH", path).output().context("can't run auditable2cdx")?;
    ensure!(list.status.success(), "no list of crates: {}", String::from_utf8_lossy(&list.stderr));
    fs::write(folder.join("sbom.cdx.json"), list.stdout)?;
    let mut licences = cargo(&["about", "generate", "--frozen", "--fail", "--target", TARGET, "--config", "packaging/licences.toml"]);
    licences.args(["--manifest-path", "crates/monitor-cli/Cargo.toml", "packaging/licences.hbs", "--output-file"]);
    step("licences", licences.arg(folder.join("LICENCES.txt")).env("PATH", path))
}
