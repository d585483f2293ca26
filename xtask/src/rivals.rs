//! Installs the tools that ours are compared with into `target/rivals`, with fixed versions.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::run::{command, step, target};

/// The npm package, in addition to Node's own `spawn`.
const NODE: &str = "node-schedule@2.1.1";
/// `APScheduler` stores its jobs with `SQLAlchemy`.
const PYTHON: &[&str] = &["apscheduler==3.11.3", "sqlalchemy==2.1.9"];

const CELERY: &[&str] = &["celery[redis]==5.7.0"];

const FLOWER: &[&str] = &["celery[redis]==5.7.0", "flower==2.2.0"];

const ANSIBLE: &[&str] = &["ansible-core==2.19.14"];
const CLUSH: &[&str] = &["ClusterShell==1.10.1"];
/// The package of Salt on `PyPI` does not declare its dependencies.
const SALT: &[&str] = &[
    "salt==3007.14",
    "tornado==6.4.2",
    "pyyaml==6.0.4",
    "jinja2==3.1.6",
    "msgpack==1.2.4",
    "pyzmq==26.4.0",
    "distro==1.9.0",
    "psutil==7.2.2",
    "requests==2.34.2",
    "jmespath==1.1.0",
    "looseversion==1.3.0",
    "packaging==26.4",
    "cryptography==44.0.3",
    "networkx==3.6.1",
    "aiohttp==3.14.5",
    "setproctitle==1.3.8",
    "setuptools==65.5.0",
];

/// Installs other schedulers: node-schedule in `node`, `APScheduler` in `python`, Debian's cron in `cron`.
pub(crate) fn schedulers() -> Result<PathBuf> {
    let folder = target().join("rivals");
    let node = folder.join("node");
    once(&node, NODE, || {
        let npm = &["install", "--no-audit", "--no-fund", "--no-save", "--loglevel=error", "--prefix"];
        step(&format!("install {NODE}"), command("npm", npm).arg(&node).arg(NODE))
    })?;
    python(&folder.join("python"), PYTHON)?;
    debian(&folder.join("cron"), "cron")?;
    Ok(folder)
}

/// Installs another alert sender: Debian's Alertmanager in `alertmanager`.
pub(crate) fn tellers() -> Result<PathBuf> {
    let folder = target().join("rivals");
    debian(&folder.join("alertmanager"), "prometheus-alertmanager")?;
    Ok(folder)
}

/// Installs Celery in `celery`, for comparing task events and commands to workers. Redis is already installed for the tests.
pub(crate) fn queues() -> Result<PathBuf> {
    let folder = target().join("rivals");
    python(&folder.join("celery"), CELERY)?;
    Ok(folder)
}

/// Installs Flower in `flower`. Returns the interpreter.
pub(crate) fn flower() -> Result<PathBuf> {
    let folder = target().join("rivals/flower");
    python(&folder, FLOWER)?;
    Ok(folder.join("bin/python"))
}

/// Installs Ansible in `ansible`.
pub(crate) fn ansible() -> Result<()> {
    python(&target().join("rivals/ansible"), ANSIBLE)
}

/// Installs `ClusterShell` with its command `clush` in `clush`.
pub(crate) fn clush() -> Result<()> {
    python(&target().join("rivals/clush"), CLUSH)
}

/// Installs Salt in `salt`.
pub(crate) fn salt() -> Result<()> {
    python(&target().join("rivals/salt"), SALT)
}

/// Creates a Python environment with these packages in a folder.
pub(crate) fn python(folder: &Path, packages: &[&str]) -> Result<()> {
    let words = packages.join(" ");
    once(folder, &words, || {
        step("a Python of its own", command("python3", &["-m", "venv"]).arg(folder))?;
        let mut install = command(folder.join("bin/pip"), &["install", "--quiet", "--disable-pip-version-check"]);
        step(&format!("install {words} from PyPI"), install.args(packages))
    })
}

/// Unpacks a Debian package into a folder, without installing it on the machine.
fn debian(folder: &Path, package: &str) -> Result<()> {
    once(folder, package, || {
        step(&format!("fetch {package} from Debian"), command("apt-get", &["download", package]).current_dir(folder))
            .with_context(|| format!("{package} can't be had: it wants Debian or Ubuntu, after apt-get update"))?;
        for entry in fs::read_dir(folder)? {
            let file = entry?.path();
            if file.extension().is_some_and(|extension| extension == "deb") {
                step(&format!("unpack {}", file.display()), command("dpkg-deb", &["--extract"]).arg(file).arg(folder))?;
            }
        }
        Ok(())
    })
}

/// Fills a folder, unless it was already filled with the same `words`.
fn once(folder: &Path, words: &str, fill: impl FnOnce() -> Result<()>) -> Result<()> {
    let done = folder.join(".has");
    if fs::read_to_string(&done).is_ok_and(|has| has == words) {
        return Ok(());
    }
    fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
    fill()?;
    Ok(fs::write(done, words)?)
}
