//! What the tests need beside Rust, Node and a C compiler: installed where that can be done, named where it can't.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::run::{cargo, command, step, target};

/// Cargo's tools, at the versions that the tests were written against.
const CARGO_TOOLS: &[(&str, &str)] = &[("cargo-expand", "1.0.127"), ("cargo-deny", "0.20.2")];
/// The browser's names.
const BROWSERS: &[&str] = &["chromium", "chromium-browser", "google-chrome"];
/// Chinese text is part of the tests; without a font for it a screenshot shows boxes.
const OF_THE_BROWSER: &[&str] = &["chromium", "fonts-noto-cjk"];
/// Servers that the tests start for themselves; their packages have the same names. That of RabbitMQ brings Erlang along.
const BROKERS: &[&str] = &["redis-server", "rabbitmq-server"];

/// Programs that the examples of the documentation are run with, and a mail server, with their packages.
const PROGRAMS: &[(&str, &str)] = &[("curl", "curl"), ("jq", "jq"), ("python3", "python3"), ("aiosmtpd", "python3-aiosmtpd")];

/// PATH with the tools in front, everything installed.
pub(crate) fn install() -> Result<OsString> {
    let root = target().join("tools");
    for (tool, version) in CARGO_TOOLS {
        let stamp = root.join(format!(".{tool}-{version}"));
        if !stamp.exists() {
            let mut install = cargo(&["install", tool, "--locked", "--version", version, "--force", "--root"]);
            // Built beside our own crates, so that an interrupted build goes on where it was.
            install.arg(&root).env("CARGO_TARGET_DIR", root.join("build"));
            step(&format!("install {tool} {version}"), &mut install)?;
            std::fs::write(&stamp, "")?;
        }
    }
    if find("npm").is_none() {
        bail!("Node is missing: the tests of the page want Node 20.19 or newer with npm (nodejs.org, or your system's packages)");
    }
    if browser().is_none() {
        let by_hand = format!("the browser tests want Chromium: sudo apt-get install {}", OF_THE_BROWSER.join(" "));
        install_packages(OF_THE_BROWSER, &by_hand)?;
        browser().map(|_| ()).context(by_hand)?;
    }
    // Not everybody has the folder of servers in PATH.
    let is_there = |broker: &&str| find(broker).is_some() || Path::new("/usr/sbin").join(broker).is_file();
    let has_brokers = || BROKERS.iter().all(is_there);
    if !has_brokers() {
        let by_hand = format!("the tests of queues want Redis and RabbitMQ: sudo apt-get install {}", BROKERS.join(" "));
        install_packages(BROKERS, &by_hand)?;
        ensure!(has_brokers(), by_hand);
    }
    let has_programs = || PROGRAMS.iter().all(|(program, _)| find(program).is_some());
    if !has_programs() {
        let packages: Vec<&str> = PROGRAMS.iter().map(|(_, package)| *package).collect();
        let by_hand = format!("the examples of the documentation and the tests of mails want: sudo apt-get install {}", packages.join(" "));
        install_packages(&packages, &by_hand)?;
        ensure!(has_programs(), by_hand);
    }
    let mut path = vec![root.join("bin")];
    path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    Ok(env::join_paths(path)?)
}

/// The browser, if there is one.
pub(crate) fn browser() -> Option<PathBuf> {
    BROWSERS.iter().find_map(|name| find(name))
}

/// Installs packages of Debian where that may be done; else says how it is done by hand.
fn install_packages(packages: &[&str], by_hand: &str) -> Result<()> {
    let is_root = command("id", &["-u"]).output().is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    let may_sudo = || Command::new("sudo").args(["-n", "true"]).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
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

fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|candidate| candidate.is_file())
}
