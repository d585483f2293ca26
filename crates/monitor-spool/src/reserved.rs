//! A launch whose programs one process ships: while it lives, nobody else takes what they left.
//!
//! Whoever ships knows what others can't, such as which rows of tests are left out. The kernel's lock of a folder `.launch-ID` says that it
//! lives: if it is killed, what is left is for everybody.

use crate::folder;
use crate::lock::{self, Lock};
use crate::program::About;
use crate::{Spool, SpoolError};

/// Held by the process that ships the programs of a launch.
#[derive(Debug)]
pub struct Reserved {
    spool: Spool,
    name: String,
    _lock: Lock,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if let Ok(dir) = self.spool.dir.open_in(&self.name) {
            // Otherwise it is cleared away once it is old.
            let _ = folder::delete(&self.spool.dir, &dir, &self.name);
        }
    }
}

impl Spool {
    /// Reserves the programs of a [launch](About::launch) for this process.
    ///
    /// # Errors
    /// When the disk refuses, or another process has reserved them.
    pub fn reserve(&self, launch: &str) -> Result<Reserved, SpoolError> {
        let name = name(launch);
        let failed = |action| SpoolError::disk(action, self.path().join(&name));
        self.dir.make_in(&name).map_err(failed("create"))?;
        let dir = self.dir.open_in(&name).map_err(failed("open"))?;
        let lock = Lock::make(&dir).map_err(failed("lock"))?;
        Ok(Reserved { spool: self.clone(), name, _lock: lock })
    }

    /// Returns true if another process ships what this program left.
    pub(crate) fn is_reserved(&self, about: Option<&About>) -> bool {
        let launch = about.and_then(|about| about.launch.as_deref());
        launch.and_then(|launch| self.dir.open_in(&name(launch)).ok()).is_some_and(|dir| lock::is_taken(&dir).unwrap_or(false))
    }
}

/// Name of the folder; what a program says of its launch may be anything.
fn name(launch: &str) -> String {
    let id: String = launch.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
    format!("{PREFIX}{id}")
}

/// What the names of these folders begin with.
pub(crate) const PREFIX: &str = ".launch-";
