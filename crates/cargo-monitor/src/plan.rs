//! The plan of a build: a file that `cargo monitor` writes and the compiler wrapper reads. An environment variable contains its path.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::config::Rule;

/// Environment variable with the path of the plan. If it is set, this program acts as the compiler wrapper.
pub(crate) const VARIABLE: &str = "MONITOR_WEAVE";

/// Settings for all crates of a build.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// The woven runtime; `None` if the project uses monitor-client itself.
    pub(crate) runtime: Option<Runtime>,
    /// Folder of the rules: `<folder>/<crate>.json`.
    pub(crate) slices: PathBuf,
    /// Folder of the reports: `<folder>/<crate>-<hash>.json`. The next build reads the refusals in them.
    pub(crate) reports: PathBuf,
    /// Folder of the woven files.
    pub(crate) shadows: PathBuf,
    /// Root files of test crates.
    pub(crate) tests: BTreeSet<PathBuf>,
    /// `RUSTC_WORKSPACE_WRAPPER` that the project used before.
    pub(crate) inner: Option<PathBuf>,
    /// `RUSTC_WRAPPER` that the project used before, such as sccache. cargo calls this program in its place, which passes on the crates
    /// that are not woven.
    pub(crate) outer: Option<PathBuf>,
    /// True if the build is for an explicitly selected target. Crates that rustc compiles for the host are only tools then, and are not
    /// woven.
    pub(crate) is_cross: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Runtime {
    /// `libmonitor_woven-….rlib`
    pub(crate) library: PathBuf,
    /// Folders of the runtime and its dependencies: libraries for the target, and macros for the host.
    pub(crate) folders: Vec<PathBuf>,
}

impl Plan {
    pub(crate) fn read(path: &OsString) -> anyhow::Result<Self> {
        read(Path::new(path))?.context("there is none")
    }

    /// Returns the path of the file with the rules of a crate.
    pub(crate) fn slice(&self, name: &str) -> PathBuf {
        self.slices.join(format!("{name}.json"))
    }

    pub(crate) fn rules(&self, name: &str) -> Vec<Rule> {
        read(&self.slice(name)).ok().flatten().unwrap_or_default()
    }
}

/// Returns the first bytes of a digest in hexadecimal, for file names.
pub(crate) fn short(digest: &[u8], bytes: usize) -> String {
    digest.iter().take(bytes).fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// Reads a JSON file; `None` if it does not exist.
pub(crate) fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> anyhow::Result<Option<T>> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        text => text.with_context(|| format!("{} can't be read", path.display()))?,
    };
    serde_json::from_slice(&text).map(Some).with_context(|| format!("{} can't be read", path.display()))
}

/// Writes a JSON file, unless its content is already the same: cargo rebuilds crates when the modification time changes.
pub(crate) fn write(path: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_vec(value)?;
    if fs::read(path).is_ok_and(|before| before == text) {
        return Ok(());
    }
    let failed = || format!("{} can't be written", path.display());
    fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).with_context(failed)?;
    // Replaced atomically, because several processes of a build may write it at the same time.
    let new = path.with_extension(format!("new-{}", std::process::id()));
    fs::write(&new, text).and_then(|()| fs::rename(&new, path)).with_context(failed)
}
