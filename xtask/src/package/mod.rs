//! `cargo xtask package`: builds the static program for Linux and its Debian packages, in `target/package/dist`. `cargo xtask package crates` packs the crates.

mod build;
pub(crate) mod crates;
mod debian;
mod measure;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::run::{command, step, target, workspace};
use crate::tools;

/// Optional parts of `cargo xtask package`.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Options {
    /// Also run the program in a folder without any library, and install the packages in a folder with a new Debian. Needs root
    #[arg(long)]
    check: bool,
    /// Only build the newest commit in two folders, and compare the programs byte for byte
    #[arg(long)]
    reproducible: bool,
}

pub(crate) fn package(options: Options) -> Result<()> {
    let path = tools::install_packaging()?;
    let folder = target().join("package");
    if options.reproducible {
        return build::compare(&folder, &path);
    }
    let dist = folder.join("dist");
    if dist.exists() {
        fs::remove_dir_all(&dist)?;
    }
    fs::create_dir_all(&dist)?;
    let program = build::program(&workspace(), &folder.join("build"), &path)?;
    let measured = measure::measure(&program)?;
    let contents = contents(&program, &folder.join("contents"), &path)?;
    let packages = debian::packages(&contents, &folder.join("debian"), &dist)?;
    archive(&contents, &dist)?;
    let image = image(&contents, &folder.join("image"))?;
    sums(&dist)?;
    if options.check {
        script("chroot.sh", &[program])?;
        script("container.sh", &[image])?;
        script("debian.sh", &[debian::base(&folder.join("base"))?, packages])?;
    }
    println!("\n── {}\n{measured}", dist.display());
    Ok(())
}

/// Version of all crates.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Lays out the files of a release: the program with its pages, completions, units, settings and licences.
fn contents(program: &Path, folder: &Path, path: &std::ffi::OsStr) -> Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder.join("completions"))?;
    fs::copy(program, folder.join("monitor"))?;
    step("manual pages", command(program, &["man"]).arg(folder.join("man")))?;
    for (shell, file) in [("bash", "monitor"), ("zsh", "_monitor"), ("fish", "monitor.fish")] {
        let output = command(program, &["completions", shell]).output()?;
        ensure!(output.status.success(), "no completions for {shell}");
        fs::write(folder.join("completions").join(file), output.stdout)?;
    }
    for file in ["LICENSE-APACHE", "LICENSE-MIT"] {
        fs::copy(workspace().join(file), folder.join(file))?;
    }
    for file in ["agent.toml", "monitor-agent.service", "monitor.service", "server.toml"] {
        fs::copy(workspace().join("packaging").join(file), folder.join(file))?;
    }
    build::bill_of_materials(program, folder, path)?;
    Ok(folder.to_owned())
}

/// Packs the files for systems without Debian's packages. The archive depends only on the files and the commit.
fn archive(contents: &Path, dist: &Path) -> Result<()> {
    let name = format!("monitor-{VERSION}-{}", build::TARGET);
    let mut tar = command(
        "tar",
        &["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mode=go=u,go-w", "--use-compress-program=gzip -9n", "-cf"],
    );
    tar.arg(dist.join(format!("{name}.tar.gz"))).arg(format!("--mtime=@{}", commit("%ct")?));
    step("archive", tar.arg(format!("--transform=s,^\\.,{name},")).arg("-C").arg(contents).arg("."))?;
    fs::copy(contents.join("sbom.cdx.json"), dist.join(format!("{name}.cdx.json")))?;
    Ok(())
}

/// Lays out the files that `packaging/Containerfile` copies.
fn image(contents: &Path, folder: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder.join("data"))?;
    fs::copy(workspace().join("packaging/Containerfile"), folder.join("Containerfile"))?;
    fs::copy(contents.join("monitor"), folder.join("monitor"))?;
    Ok(folder.to_owned())
}

/// Writes the SHA-256 sums of all files.
fn sums(dist: &Path) -> Result<()> {
    let mut names: Vec<_> = fs::read_dir(dist)?.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    let output = Command::new("sha256sum").args(&names).current_dir(dist).output()?;
    ensure!(output.status.success(), "sha256sum failed");
    Ok(fs::write(dist.join("SHA256SUMS"), output.stdout)?)
}

/// Returns a property of the newest commit, in git's format.
fn commit(format: &str) -> Result<String> {
    let output = command("git", &["log", "-1", &format!("--format={format}")]).output().context("can't run git")?;
    ensure!(output.status.success(), "git has no commit");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Runs a script of packaging/tests in a network and a process namespace of its own.
fn script(name: &str, arguments: &[PathBuf]) -> Result<()> {
    let is_root = command("id", &["-u"]).output()?.stdout.trim_ascii() == b"0";
    if !is_root {
        bail!("the check needs root");
    }
    let mut unshare = command("unshare", &["--net", "--pid", "--mount", "--fork", "--kill-child", "bash"]);
    step(name, unshare.arg(workspace().join("packaging/tests").join(name)).args(arguments))
}
