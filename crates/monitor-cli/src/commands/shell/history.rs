//! What was typed before, in a file.

use etcetera::BaseStrategy as _;
use reedline::{FileBackedHistory, History};

/// So many lines are kept.
const MOST_LINES: usize = 1_000;

/// The history of this user; none if it can't be kept.
pub(super) fn open() -> Option<Box<dyn History>> {
    let folders = etcetera::base_strategy::choose_native_strategy().ok()?;
    let folder = folders.state_dir().unwrap_or_else(|| folders.data_dir()).join("monitor");
    std::fs::create_dir_all(&folder).ok()?;
    let file = folder.join("history");
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    // A token may have been typed.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(&file).ok()?;
    Some(Box::new(FileBackedHistory::with_file(MOST_LINES, file).ok()?))
}
