//! The history of the shell, in a file.

use etcetera::BaseStrategy as _;
use reedline::{FileBackedHistory, History};

/// Maximum number of lines in the history.
const MOST_LINES: usize = 1_000;

/// Opens the user's history. `None` if it can't be stored.
pub(super) fn open() -> Option<Box<dyn History>> {
    let folders = etcetera::base_strategy::choose_native_strategy().ok()?;
    let folder = folders.state_dir().unwrap_or_else(|| folders.data_dir()).join("monitor");
    std::fs::create_dir_all(&folder).ok()?;
    let file = folder.join("history");
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    // A line may contain a token.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(&file).ok()?;
    Some(Box::new(FileBackedHistory::with_file(MOST_LINES, file).ok()?))
}
