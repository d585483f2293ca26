//! Reservation of a launch: while the process that ships the launch's programs is alive, no other process claims their folders.
//!
//! The shipping process has information that others lack, such as which rows of tests to omit. The lock of a folder `.launch-ID` indicates
//! that it is alive. If it is killed, any process may ship the records.

use crate::folder;
use crate::lock::{self, Lock};
use crate::program::About;
use crate::{Spool, SpoolError};

/// Reservation held by the process that ships the programs of a launch.
#[derive(Debug)]
pub struct Reserved {
    spool: Spool,
    name: String,
    _lock: Lock,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if let Ok(dir) = self.spool.dir.open_in(&self.name) {
            // If this fails, the folder is removed once it is old.
            let _ = folder::delete(&self.spool.dir, &dir, &self.name);
        }
    }
}

impl Spool {
    /// Reserves the programs of a [launch](About::launch) for this process.
    ///
    /// # Errors
    /// If a file operation fails, or another process has reserved them.
    pub fn reserve(&self, launch: &str) -> Result<Reserved, SpoolError> {
        let name = name(launch);
        let failed = |action| SpoolError::disk(action, self.path().join(&name));
        self.dir.make_in(&name).map_err(failed("create"))?;
        let dir = self.dir.open_in(&name).map_err(failed("open"))?;
        let lock = Lock::make(&dir).map_err(failed("lock"))?;
        Ok(Reserved { spool: self.clone(), name, _lock: lock })
    }

    /// Returns true if another process ships the records of this program.
    pub(crate) fn is_reserved(&self, about: Option<&About>) -> bool {
        let launch = about.and_then(|about| about.launch.as_deref());
        launch.and_then(|launch| self.dir.open_in(&name(launch)).ok()).is_some_and(|dir| lock::is_taken(&dir).unwrap_or(false))
    }
}

/// Returns the folder name of a launch, sanitized because the launch id of a program may be any text.
fn name(launch: &str) -> String {
    let id: String = launch.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
    format!("{PREFIX}{id}")
}

/// Prefix of these folder names.
pub(crate) const PREFIX: &str = ".launch-";
