//! Folders found in a spool: their state, and claiming those of dead programs.

use std::path::{Path, PathBuf};

use monitor_wire::WorkerId;
use serde::Serialize;

use crate::folder::{self, Folder};
use crate::lock::{self, Lock};
use crate::passed_tests::PassedTests;
use crate::program::{self, About};
use crate::reader::Estate;
use crate::reserved::PREFIX;
use crate::room::Room;
use crate::sys::{self, Dir};
use crate::{Replay, Spool, SpoolError};

/// Age after which an unfinished folder without a lock is abandoned, because a folder in creation is locked within that time.
const MADE_WITHIN_US: u64 = 3_600_000_000;

/// State of a folder's program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Life {
    /// The program runs, or another process is shipping its records.
    Living,
    /// The program has ended.
    Dead,
    /// The program ran on another machine, and only that machine can determine its state.
    Elsewhere,
}

/// Description of a program's folder, for display.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Id of the worker, which is the folder's name.
    pub worker_id: WorkerId,
    /// Path of the folder.
    pub path: PathBuf,
    /// Description of the program. `None` if it can't be read.
    pub about: Option<About>,
    /// State of the program.
    pub life: Life,
    /// Time of the last write to a file in the folder, in Unix microseconds.
    pub changed_us: u64,
    /// Number of unacknowledged events in the journal.
    pub waiting: u64,
    /// Number of records in the rings and entries in the lane that are not in the journal yet. A record becomes one or two events.
    pub unread: u64,
    /// Size on disk, in bytes.
    pub bytes: u64,
    /// Number of unreadable batches, entries and records.
    pub damaged: u64,
    /// Files that can't be read, with the reason.
    pub problems: Vec<String>,
}

impl Spool {
    /// Opens the spool in a folder. `None` if the folder does not exist.
    ///
    /// # Errors
    /// If the folder is not trusted, or can't be read.
    pub fn existing(path: &Path) -> Result<Option<Self>, SpoolError> {
        match path.symlink_metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            _ => Self::trusted(path).map(Some),
        }
    }

    /// Lists all trusted folders, oldest first, with their state. Records written at the same time may be missing in the counts.
    ///
    /// # Errors
    /// If the spool can't be read.
    /// When the spool can't be read.
    pub fn list(&self) -> Result<Vec<Found>, SpoolError> {
        let workers = self.workers()?;
        // A folder that disappears in the meantime was shipped.
        let mut found: Vec<Found> = workers.into_iter().filter_map(|worker| self.look_at(worker).ok()).collect();
        found.sort_by_key(|found| (found.about.as_ref().map_or(found.changed_us, |about| about.started_us), found.worker_id));
        Ok(found)
    }

    /// Lists the folders of dead programs, oldest first. Reads less than [`list`](Self::list).
    ///
    /// # Errors
    /// If the spool can't be read.
    pub fn dead(&self) -> Result<Vec<WorkerId>, SpoolError> {
        let mut dead = Vec::new();
        for worker in self.workers()? {
            let Ok(dir) = self.folder(worker) else { continue };
            if let Ok((Life::Dead, started_us)) = life(&dir, worker) {
                dead.push((started_us, worker));
            }
        }
        dead.sort_unstable();
        Ok(dead.into_iter().map(|(_, worker)| worker).collect())
    }

    /// Claims the folder of a dead program in order to ship its records. `None` if the program is alive, another process has claimed or
    /// [reserved](Self::reserve) the folder, or the folder does not exist.
    ///
    /// # Errors
    /// If the folder is not trusted, or can't be read.
    pub fn claim(&self, worker: WorkerId) -> Result<Option<Replay>, SpoolError> {
        if self.folder(worker).is_ok_and(|dir| self.is_reserved(about(&dir, worker).as_ref())) {
            return Ok(None);
        }
        self.claim_behind(worker, 0)
    }

    /// Like [`claim`](Self::claim), for a program that was [followed](Self::follow). The server has all events up to the number
    /// `acknowledged`.
    ///
    /// # Errors
    /// If the folder is not trusted, or can't be read.
    pub fn claim_behind(&self, worker: WorkerId, acknowledged: u64) -> Result<Option<Replay>, SpoolError> {
        let Some(folder) = self.take(worker)? else { return Ok(None) };
        Ok(Some(Replay::open(folder, acknowledged, None, None)))
    }

    /// Like [`claim_behind`](Self::claim_behind), for a program of a test launch. Events may be sent only after [`Replay::decide`] has
    /// returned true.
    ///
    /// # Errors
    /// If the folder is not trusted, or can't be read.
    pub fn claim_of_tests(&self, worker: WorkerId, acknowledged: u64, tests: &mut PassedTests) -> Result<Option<Replay>, SpoolError> {
        let Some(folder) = self.take(worker)? else { return Ok(None) };
        Ok(Some(Replay::open(folder, acknowledged, None, Some(tests))))
    }

    /// Like [`claim`](Self::claim), for a program that is known to have exited at `ended_us` (in Unix microseconds) without a goodbye. The
    /// replay sends the goodbye for it.
    ///
    /// # Errors
    /// If the folder is not trusted, or can't be read.
    pub fn claim_ended(&self, worker: WorkerId, ended_us: u64) -> Result<Option<Replay>, SpoolError> {
        let Some(folder) = self.take(worker)? else { return Ok(None) };
        Ok(Some(Replay::open(folder, 0, Some(ended_us), None)))
    }

    /// Removes the folder of a dead program. Returns false if the program is alive or claimed.
    ///
    /// # Errors
    /// If the folder is not trusted, or can't be removed.
    pub fn clear(&self, worker: WorkerId) -> Result<bool, SpoolError> {
        let Some(folder) = self.take(worker)? else { return Ok(false) };
        folder.delete().map(|()| true)
    }

    /// Removes a folder even if its program is alive. A living program continues to record into memory that no process can find.
    ///
    /// # Errors
    /// If the folder is not trusted, or can't be removed.
    pub fn clear_living(&self, worker: WorkerId) -> Result<(), SpoolError> {
        let dir = self.folder(worker)?;
        folder::delete(&self.dir, &dir, &worker.to_string())
    }

    /// Drops records of dead programs, oldest first, until all folders together use at most `limit_bytes`. The dropped events are counted,
    /// and the counts are sent with the remaining records. Also removes abandoned folders. Returns the number of bytes freed.
    ///
    /// # Errors
    /// If the spool can't be read.
    pub fn keep_within(&self, limit_bytes: u64) -> Result<u64, SpoolError> {
        self.clear_away()?;
        let sizes: Vec<u64> = self.workers()?.into_iter().filter_map(|worker| self.folder(worker).ok()).map(|dir| size(&dir)).collect();
        let mut over = sizes.iter().sum::<u64>().saturating_sub(limit_bytes);
        let mut freed = 0;
        if over > 0 {
            for worker in self.dead()? {
                if over == 0 {
                    break;
                }
                let before = self.folder(worker).map_or(0, |dir| size(&dir));
                let Ok(Some(replay)) = self.claim(worker) else { continue };
                replay.give_up()?;
                let bytes = before.saturating_sub(self.folder(worker).map_or(0, |dir| size(&dir)));
                over = over.saturating_sub(bytes);
                freed += bytes;
            }
        }
        Ok(freed)
    }

    /// Removes unfinished folders that are unlocked and older than an hour. The age is measured by timestamps of the file system only,
    /// relative to the last change of the spool, because this program's clock may have been set since.
    fn clear_away(&self) -> Result<(), SpoolError> {
        let now_us = self.dir.status().map_err(SpoolError::disk("look at", self.path()))?.changed_us;
        for name in self.names()?.into_iter().filter(|name| [".new-", ".gone-", PREFIX].iter().any(|prefix| name.starts_with(prefix))) {
            let Ok(dir) = self.dir.open_in(&name) else { continue };
            let is_old = dir.status().is_ok_and(|status| status.is_own && now_us.saturating_sub(status.changed_us) > MADE_WITHIN_US);
            if is_old && !lock::is_taken(&dir).unwrap_or(false) {
                let _ = folder::delete(&self.dir, &dir, &name);
            }
        }
        Ok(())
    }

    fn names(&self) -> Result<Vec<String>, SpoolError> {
        self.dir.names().map_err(SpoolError::disk("read", self.path()))
    }

    pub(crate) fn workers(&self) -> Result<Vec<WorkerId>, SpoolError> {
        Ok(self.names()?.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Opens a folder, and checks that no other user could have created or read it.
    pub(crate) fn folder(&self, worker: WorkerId) -> Result<Dir, SpoolError> {
        let path = self.path().join(worker.to_string());
        let untrusted = |why| SpoolError::Untrusted { path: path.clone(), why };
        let dir = self.dir.open_in(&worker.to_string()).map_err(|source| match source.raw_os_error() {
            Some(libc::ELOOP | libc::ENOTDIR) => untrusted("it is a symbolic link, or no folder"),
            _ => SpoolError::disk("open", &path)(source),
        })?;
        let status = dir.status().map_err(SpoolError::disk("look at", &path))?;
        if !status.is_own {
            return Err(untrusted("it belongs to another user"));
        }
        if status.mode & 0o077 != 0 {
            return Err(untrusted("others may look into it"));
        }
        Ok(dir)
    }

    /// Claims the folder of a dead program.
    fn take(&self, worker: WorkerId) -> Result<Option<Folder>, SpoolError> {
        let dir = match self.folder(worker) {
            Err(SpoolError::Disk { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            dir => dir?,
        };
        let locked = match Lock::claim(&dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Lock::make(&dir).map(Some),
            locked => locked,
        };
        let Some(lock) = locked.map_err(SpoolError::disk("lock", dir.path()))? else { return Ok(None) };
        // The folder may have been shipped and removed in the meantime. Its remains have another name.
        let file_of = |dir: &Dir| dir.status().ok().map(|status| status.file);
        let is_there = self.folder(worker).is_ok_and(|again| file_of(&again) == file_of(&dir));
        if !is_there || is_witnessed(about(&dir, worker).as_ref(), worker) {
            return Ok(None);
        }
        Ok(Some(Folder::new(self.dir.clone(), dir, worker, Room::new(u64::MAX), lock)))
    }

    fn look_at(&self, worker: WorkerId) -> Result<Found, SpoolError> {
        let dir = self.folder(worker)?;
        let (life, _) = life(&dir, worker).map_err(SpoolError::disk("look at", dir.path()))?;
        let estate = Estate::read(&dir, worker);
        // A folder that was shipped and removed during the reading would look empty.
        self.folder(worker)?;
        let acknowledged = estate.acknowledged();
        let waits = |place: &&crate::journal::BatchPlace| place.last() > acknowledged;
        let waiting = estate.journal.places.iter().filter(waits).fold(0_u64, |sum, place| sum.saturating_add(place.count));
        Ok(Found {
            worker_id: worker,
            path: dir.path().to_owned(),
            life,
            changed_us: estate.changed_us,
            waiting,
            unread: estate.unread(),
            bytes: estate.bytes,
            damaged: if life == Life::Living { estate.damaged_of_living() } else { estate.damaged() },
            about: estate.program.about,
            problems: estate.problems,
        })
    }
}

/// Returns the state of a folder's program, and the start of its recording.
pub(crate) fn life(dir: &Dir, worker: WorkerId) -> std::io::Result<(Life, u64)> {
    let is_locked = match lock::is_taken(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        is_locked => is_locked?,
    };
    let about = about(dir, worker);
    let started_us = about.as_ref().map_or(0, |about| about.started_us);
    let life = match &about {
        _ if is_locked || is_witnessed(about.as_ref(), worker) => Life::Living,
        Some(about) if about.boot_id != program::boot_id() && about.worker.hostname != sys::hostname() => Life::Elsewhere,
        _ => Life::Dead,
    };
    Ok((life, started_us))
}

/// Returns true if the program is alive according to its mapped memory. A program that has closed all its descriptors has lost its lock,
/// but still has the file mapped. A program replaced by `exec` has the same pid and start time, but not the mapping.
fn is_witnessed(about: Option<&About>, worker: WorkerId) -> bool {
    let Some(about) = about.filter(|about| about.process_start != 0 && about.boot_id == program::boot_id()) else {
        return false;
    };
    let pid = about.worker.pid;
    let file = format!("/{worker}/{}", program::NAME);
    program::process_start(pid) == Some(about.process_start)
        && match std::fs::read(format!("/proc/{pid}/maps")) {
            Ok(maps) => String::from_utf8_lossy(&maps).lines().any(|line| line.ends_with(&file)),
            // Either the program has ended in the meantime, or it is alive and its maps are not readable for this user.
            Err(error) => !matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)),
        }
}

/// Reads the description of the program from a folder.
pub(crate) fn about(dir: &Dir, worker: WorkerId) -> Option<About> {
    let file = dir.file(program::NAME, false).ok()?;
    let mut bytes = vec![0; program::HEAD];
    let read = sys::read_at(&file, &mut bytes, 0).ok()?;
    program::Written::read(worker, &bytes[..read]).about
}

fn size(dir: &Dir) -> u64 {
    let names = dir.names().unwrap_or_default();
    names.iter().filter_map(|name| dir.status_in(name).ok()).map(|status| status.bytes).sum()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use monitor_wire::WorkerRef;

    use super::*;

    #[test]
    fn an_ended_process_is_no_witness_before_and_after_it_is_reaped() {
        let worker = WorkerId::new(7).unwrap();
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let who = WorkerRef { id: worker, hostname: sys::hostname(), pid: child.id(), program: "cat".to_owned() };
        let about = About::this(who, "0", 0);
        assert_ne!(about.process_start, 0);
        drop(child.stdin.take());
        // Detect the end by the closed pipe. The child stays a zombie until it is waited for.
        std::io::read_to_string(child.stdout.take().unwrap()).unwrap();
        let stat = format!("/proc/{}/stat", child.id());
        while !std::fs::read_to_string(&stat).unwrap().contains(") Z ") {
            std::thread::yield_now();
        }
        assert!(!is_witnessed(Some(&about), worker));
        child.wait().unwrap();
        assert!(!is_witnessed(Some(&about), worker));
    }
}
