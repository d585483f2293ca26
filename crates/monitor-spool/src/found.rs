//! What programs left in a spool, and who may take it.

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

/// A folder that is made has a lock by then.
const MADE_WITHIN_US: u64 = 3_600_000_000;

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

    /// All folders that are trusted, the oldest first, and whether their programs live. What a living one writes meanwhile may be
    /// counted or not.
    ///
    /// # Errors
    /// When the spool can't be read.
    pub fn list(&self) -> Result<Vec<Found>, SpoolError> {
        let workers = self.workers()?;
        // One that goes away meanwhile is shipped.
        let mut found: Vec<Found> = workers.into_iter().filter_map(|worker| self.look_at(worker).ok()).collect();
        found.sort_by_key(|found| (found.about.as_ref().map_or(found.changed_us, |about| about.started_us), found.worker_id));
        Ok(found)
    }

    /// The dead folders, the oldest first, which is less to read than [`list`](Self::list).
    ///
    /// # Errors
    /// When the spool can't be read.
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

    /// Takes the folder of a program that doesn't live, to ship what is in it; `None` if it lives, or somebody else is at it or has
    /// [reserved](Self::reserve) it, or it is gone.
    ///
    /// # Errors
    /// When the folder is not trusted, or can't be read.
    pub fn claim(&self, worker: WorkerId) -> Result<Option<Replay>, SpoolError> {
        if self.folder(worker).is_ok_and(|dir| self.is_reserved(about(&dir, worker).as_ref())) {
            return Ok(None);
        }
        self.claim_behind(worker, 0)
    }

    /// As [`claim`](Self::claim), of one that was [followed](Self::follow): the server has all events up to this number.
    ///
    /// # Errors
    /// When the folder is not trusted, or can't be read.
    pub fn claim_behind(&self, worker: WorkerId, acknowledged: u64) -> Result<Option<Replay>, SpoolError> {
        let Some(folder) = self.take(worker)? else { return Ok(None) };
        Ok(Some(Replay::open(folder, acknowledged, None, None)))
    }

    /// As [`claim_behind`](Self::claim_behind), of a program of a launch of tests. Before anything is sent, [`Replay::decide`] must have
    /// returned true.
    ///
    /// # Errors
    /// When the folder is not trusted, or can't be read.
    pub fn claim_of_tests(&self, worker: WorkerId, acknowledged: u64, tests: &mut PassedTests) -> Result<Option<Replay>, SpoolError> {
        let Some(folder) = self.take(worker)? else { return Ok(None) };
        Ok(Some(Replay::open(folder, acknowledged, None, Some(tests))))
    }

    /// As [`claim`](Self::claim), of a program of which is known when it ended of its own accord (in Unix microseconds), but that did
    /// not say so: it is said for it.
    ///
    /// # Errors
    /// When the folder is not trusted, or can't be read.
    pub fn claim_ended(&self, worker: WorkerId, ended_us: u64) -> Result<Option<Replay>, SpoolError> {
        let Some(folder) = self.take(worker)? else { return Ok(None) };
        Ok(Some(Replay::open(folder, 0, Some(ended_us), None)))
    }

    /// Removes the folder of a program that doesn't live, with all that is in it; whether it did.
    ///
    /// # Errors
    /// When the folder is not trusted, or the disk refuses.
    pub fn clear(&self, worker: WorkerId) -> Result<bool, SpoolError> {
        let Some(folder) = self.take(worker)? else { return Ok(false) };
        folder.delete().map(|()| true)
    }

    /// Removes a folder whether its program lives or not: a living one goes on in memory that nobody will find.
    ///
    /// # Errors
    /// When the folder is not trusted, or the disk refuses.
    pub fn clear_living(&self, worker: WorkerId) -> Result<(), SpoolError> {
        let dir = self.folder(worker)?;
        folder::delete(&self.dir, &dir, &worker.to_string())
    }

    /// Gives up what dead programs left, the oldest first, until all folders together hold no more than so many bytes. What is given
    /// up is counted, and told when the rest is shipped. Also clears away what was begun and broken off. Bytes that were freed.
    ///
    /// # Errors
    /// When the spool can't be read.
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

    /// Removes what has no name of a program's, and nobody's lock, for an hour. That is by the clock of the file system alone, in which the
    /// spool is as young as what was made or removed there last: this program's clock may have been set since.
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

    /// A folder that nobody else can have made, nor look into.
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

    /// A folder whose program doesn't live, with its lock.
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
        // It may have been shipped and removed in between; what is left of it has another name.
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
        // A folder that was shipped and removed during the reading looks empty.
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

/// Whether a folder's program lives, and when it began to record.
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

/// A program that has closed all its descriptors has lost its lock, but not its memory: it still has the file mapped. One that was
/// replaced by `exec` has the same number and start, but not the file.
fn is_witnessed(about: Option<&About>, worker: WorkerId) -> bool {
    let Some(about) = about.filter(|about| about.process_start != 0 && about.boot_id == program::boot_id()) else {
        return false;
    };
    let pid = about.worker.pid;
    let file = format!("/{worker}/{}", program::NAME);
    program::process_start(pid) == Some(about.process_start)
        && match std::fs::read(format!("/proc/{pid}/maps")) {
            Ok(maps) => String::from_utf8_lossy(&maps).lines().any(|line| line.ends_with(&file)),
            // It has ended since it was looked at; else others may not look, and it is there.
            Err(error) => !matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)),
        }
}

/// Who a folder says that it is from.
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
    fn one_that_has_ended_is_no_witness_whether_somebody_has_waited_for_it_or_not() {
        let worker = WorkerId::new(7).unwrap();
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let who = WorkerRef { id: worker, hostname: sys::hostname(), pid: child.id(), program: "cat".to_owned() };
        let about = About::this(who, "0", 0);
        assert_ne!(about.process_start, 0);
        drop(child.stdin.take());
        // Its end is seen here, and it stays for whoever waits for it.
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
