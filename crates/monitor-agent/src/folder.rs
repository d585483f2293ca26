//! The agent's folder. Only its owner can read it, and only one agent can use it at a time.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use etcetera::BaseStrategy as _;

use crate::error::AgentError;

/// Name of the database in an agent's folder.
pub const DATABASE: &str = "agent.db";
/// Name of the file next to the database that survives the loss of the database.
pub(crate) const MARK: &str = "agent.db.mark";
const LOCK: &str = "agent.lock";
/// Maximum time to wait for the lock. If an agent is killed while it starts a launcher, the launcher inherits the lock and keeps it until it
/// executes its program.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time between two attempts to take the lock.
const LOOK: Duration = Duration::from_millis(20);

/// Returns the default folder of an agent: `MONITOR_AGENT_DATA` if set, otherwise `monitor/agent` in the user's folder for state.
pub fn default_data() -> Option<PathBuf> {
    if let Some(data) = std::env::var_os("MONITOR_AGENT_DATA").filter(|data| !data.is_empty()) {
        return std::path::absolute(PathBuf::from(data)).ok();
    }
    let folders = etcetera::base_strategy::choose_native_strategy().ok()?;
    Some(folders.state_dir().unwrap_or_else(|| folders.data_dir()).join("monitor").join("agent"))
}

/// Returns true if an agent uses this folder.
pub fn is_running(data: &Path) -> bool {
    File::open(data.join(LOCK)).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// The lock of an agent's folder. The system releases it if the agent dies.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Creates the folder if it doesn't exist, and locks it.
pub(crate) fn lock(data: &Path) -> Result<Lock, AgentError> {
    create_private(data).map_err(AgentError::disk("create the folder", data))?;
    let path = data.join(LOCK);
    let file = open_private(&path).map_err(AgentError::disk("open", &path))?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) if begun.elapsed() < PATIENCE => std::thread::sleep(LOOK),
            Err(TryLockError::WouldBlock) => return Err(AgentError::Locked { path: data.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(AgentError::disk("lock", &path)(source)),
        }
    }
}

/// Opens a file for writing, and creates it if it doesn't exist. Only its owner can read a new file.
pub(crate) fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)
}

/// Creates a folder that only its owner can enter, if it doesn't exist.
pub(crate) fn create_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_agent_is_refused_until_the_first_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("agent");
        assert!(!is_running(&data));
        let first = lock(&data).unwrap();
        assert!(is_running(&data));
        assert!(lock(&data).unwrap_err().to_string().contains("another agent works with"));
        drop(first);
        assert!(!is_running(&data) && lock(&data).is_ok());
    }
}
