//! Finds the files to read.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use ignore::WalkBuilder;
use monitor_client::normal_task;

/// All files below `folder`, relative to it and sorted, without those that .gitignore names.
#[normal_task]
pub(crate) fn discover(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    ensure!(folder.is_dir(), "{} is no folder", folder.display());
    let mut files = Vec::new();
    for entry in WalkBuilder::new(folder).hidden(false).filter_entry(|entry| entry.file_name() != ".git").build() {
        let entry = entry.context("can't walk the folder")?;
        if entry.file_type().is_some_and(|kind| kind.is_file()) {
            files.push(entry.path().strip_prefix(folder)?.to_owned());
        }
    }
    files.sort();
    Ok(files)
}
