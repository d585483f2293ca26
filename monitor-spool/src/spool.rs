//! The folder of all programs of a user.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use etcetera::BaseStrategy;
use monitor_wire::{Registered, WorkerId};
use serde::Serialize;

use crate::folder::{self, Folder};
use crate::lock::{self, Lock};
use crate::program::{self, About};
use crate::reader::Estate;
use crate::room::Room;
use crate::sys::Dir;
use crate::{ClockSample, Journal, Lane, Pieces, Program, Replay, SpoolError};

/// A folder that is made has a lock by then.
const MADE_WITHIN_US: u64 = 3_600_000_000;

/// Where spools are unless it is said otherwise: `monitor/spool` in the platform's folder for state.
pub fn default_dir() -> Option<PathBuf> {
    let folders = etcetera::base_strategy::choose_native_strategy().ok()?;
    let state = folders.state_dir().unwrap_or_else(|| folders.data_dir());
    Some(state.join("monitor").join("spool"))
}

/// The folder of all programs of a user. It is trusted only if it belongs to the user, is no symbolic link, and nobody else may
/// write to it.
#[derive(Debug, Clone)]
pub struct Spool {
    dir: Arc<Dir>,
}

/// The parts of a new folder.
#[derive(Debug)]
pub struct Begun {
    /// The folder itself; its lock is held until it is dropped.
    pub folder: Arc<Folder>,
    /// Who it is, and how far the server has taken it.
    pub program: Program,
    /// What is numbered.
    pub journal: Journal,
    /// What takes the queue.
    pub lane: Lane,
    /// The memory of rings.
    pub pieces: Pieces,
}

/// Whether a folder's program may still write to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Life {
    /// It runs, or somebody is just shipping what it left.
    Living,
    /// It is gone.
    Dead,
    /// It ran on another machine, which alone can tell.
    Elsewhere,
}

/// A program's folder, as it looks from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Its name.
    pub worker_id: WorkerId,
    /// Where it is.
    pub path: PathBuf,
    /// Who recorded; none if that can't be read.
    pub about: Option<About>,
    /// Whether it still runs.
    pub life: Life,
    /// When anything in it was last written to by way of a file, in Unix microseconds.
    pub changed_us: u64,
    /// Events in the journal that are not acknowledged.
    pub waiting: u64,
    /// Records in the rings and entries in the lane that are not in the journal yet; a record becomes one or two events.
    pub unread: u64,
    /// Bytes on the disk.
    pub bytes: u64,
    /// Batches, entries and records that can't be read.
    pub damaged: u64,
    /// What can't be read at all, and why.
    pub problems: Vec<String>,
}

impl Spool {
    /// The spool in this folder, which is made if it isn't there.
    ///
    /// # Errors
    /// When the folder can't be made, or is not trusted.
    pub fn open(path: &Path) -> Result<Self, SpoolError> {
        Dir::make_all(path).map_err(SpoolError::disk("create", path))?;
        Self::trusted(path)
    }

    /// The spool in this folder, if there is one.
    ///
    /// # Errors
    /// When the folder is not trusted, or can't be read.
    pub fn existing(path: &Path) -> Result<Option<Self>, SpoolError> {
        match path.symlink_metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            _ => Self::trusted(path).map(Some),
        }
    }

    fn trusted(path: &Path) -> Result<Self, SpoolError> {
        let untrusted = |why| SpoolError::Untrusted { path: path.to_owned(), why };
        let dir = Dir::open(path).map_err(|source| match source.raw_os_error() {
            Some(libc::ELOOP | libc::ENOTDIR) => untrusted("it is a symbolic link, or no folder"),
            _ => SpoolError::disk("open", path)(source),
        })?;
        let status = dir.status().map_err(SpoolError::disk("look at", path))?;
        if !status.is_own {
            return Err(untrusted("it belongs to another user"));
        }
        if status.mode & 0o022 != 0 {
            return Err(untrusted("others may write to it"));
        }
        Ok(Self { dir: Arc::new(dir) })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Makes the folder of this program, bounded in bytes. `layout` is the version of what will lie in the pieces.
    ///
    /// # Errors
    /// When the disk refuses, or the bound is too small for the call sites alone.
    pub fn begin(
        &self,
        about: &About,
        sites: impl Iterator<Item = Registered>,
        layout: u64,
        clock: ClockSample,
        limit_bytes: u64,
    ) -> Result<Begun, SpoolError> {
        let worker = about.worker.id;
        // Nobody looks at it before its lock is held and its program is written.
        let (hidden, name) = (format!(".new-{worker}"), worker.to_string());
        self.dir.make_in(&hidden).map_err(SpoolError::disk("create", self.path().join(&hidden)))?;
        let made = self.fill(&hidden, about, sites, layout, clock, limit_bytes).and_then(|(folder, program)| {
            self.dir.rename_in(&hidden, &name).map_err(SpoolError::disk("rename", self.path().join(&hidden)))?;
            Ok((folder, program))
        });
        let (folder, program) = made.inspect_err(|_| {
            if let Ok(dir) = self.dir.open_in(&hidden) {
                let _ = folder::delete(&self.dir, &dir, &hidden);
            }
        })?;
        Ok(Begun {
            journal: Journal::new(folder.clone()),
            lane: Lane::new(folder.clone()),
            pieces: Pieces::new(folder.clone()),
            folder,
            program,
        })
    }

    fn fill(
        &self,
        hidden: &str,
        about: &About,
        sites: impl Iterator<Item = Registered>,
        layout: u64,
        clock: ClockSample,
        limit_bytes: u64,
    ) -> Result<(Arc<Folder>, Program), SpoolError> {
        let dir = self.dir.open_in(hidden).map_err(SpoolError::disk("open", self.path().join(hidden)))?;
        let lock = Lock::make(&dir).map_err(SpoolError::disk("lock", dir.path()))?;
        let dir = dir.renamed(self.path().join(about.worker.id.to_string()));
        let folder = Arc::new(Folder::new(self.dir.clone(), dir, about.worker.id, Room::new(limit_bytes), lock));
        let program = Program::make(&folder, about, sites, layout, clock)?;
        Ok((folder, program))
    }

    /// All folders that are trusted, the oldest first, and whether their programs live. What a living one writes meanwhile may be
    /// counted or not.
    ///
    /// # Errors
    /// When the spool can't be read.
    pub fn list(&self) -> Result<Vec<Found>, SpoolError> {
        todo!()
    }

    /// Takes a dead program's folder, to ship what is in it; `None` if it lives, or somebody else is at it, or it is gone.
    ///
    /// # Errors
    /// When the folder is not trusted, or can't be read.
    pub fn claim(&self, worker: WorkerId) -> Result<Option<Replay>, SpoolError> {
        let _ = worker;
        todo!()
    }
}
