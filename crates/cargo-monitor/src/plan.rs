//! What the front tells the wrapper: a file, named by an environment variable.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::config::Rule;

/// Names the file. With it this program is rustc's wrapper.
pub(crate) const VARIABLE: &str = "MONITOR_WEAVE";

/// What holds for all crates of a build.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// The woven runtime, as rustc is to be told of it; none if the project brings monitor-client along.
    pub(crate) runtime: Option<Runtime>,
    /// `<folder>/<crate>.json`: the rules of a crate.
    pub(crate) slices: PathBuf,
    /// `<folder>/<crate>-<hash>.json`: what became of a crate, and what is remembered of it.
    pub(crate) reports: PathBuf,
    /// Where woven files lie.
    pub(crate) shadows: PathBuf,
    /// Roots of crates that are tests.
    pub(crate) tests: BTreeSet<PathBuf>,
    /// A wrapper that the project had before for the crates of its workspace.
    pub(crate) inner: Option<PathBuf>,
    /// And one for all crates, as sccache: this program is called in its place, and leaves it those that are not woven.
    pub(crate) outer: Option<PathBuf>,
    /// What is built runs elsewhere: what rustc makes for this machine are only tools.
    pub(crate) is_cross: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Runtime {
    /// `libmonitor_woven-….rlib`
    pub(crate) library: PathBuf,
    /// Where it and all that it needs are: libraries of the target, and macros of this machine.
    pub(crate) folders: Vec<PathBuf>,
}

impl Plan {
    pub(crate) fn read(path: &OsString) -> anyhow::Result<Self> {
        read(Path::new(path))?.context("there is none")
    }

    /// The rules of a crate, and where they stand.
    pub(crate) fn slice(&self, name: &str) -> PathBuf {
        self.slices.join(format!("{name}.json"))
    }

    pub(crate) fn rules(&self, name: &str) -> Vec<Rule> {
        read(&self.slice(name)).ok().flatten().unwrap_or_default()
    }
}

/// The first bytes of a digest, as text: for names of files.
pub(crate) fn short(digest: &[u8], bytes: usize) -> String {
    digest.iter().take(bytes).fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// A file of JSON; `None` if it isn't there.
pub(crate) fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> anyhow::Result<Option<T>> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        text => text.with_context(|| format!("{} can't be read", path.display()))?,
    };
    serde_json::from_slice(&text).map(Some).with_context(|| format!("{} can't be read", path.display()))
}

/// Writes a file of JSON, unless it holds that already: who depends on it goes by its time.
pub(crate) fn write(path: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_vec(value)?;
    if fs::read(path).is_ok_and(|before| before == text) {
        return Ok(());
    }
    let failed = || format!("{} can't be written", path.display());
    fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).with_context(failed)?;
    // In one piece: several of a build may do so at once.
    let new = path.with_extension(format!("new-{}", std::process::id()));
    fs::write(&new, text).and_then(|()| fs::rename(&new, path)).with_context(failed)
}
