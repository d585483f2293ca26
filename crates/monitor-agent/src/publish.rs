//! The folders of a task: runs write files for other programs to `publish`, and the agent moves these files to the history.
//!
//! ```text
//! <home>/task/NAME/publish/                        files that a run publishes; emptied before each run
//!                 history/YYYYMM/DD_HHmmss/        the files of an ended run, named by its start time
//!                 history/STEM.YYYYMMDDHHmm.EXT    a link to each file at the top level of such a folder
//!                 logs/YYYYMM/DD/HHmmss-<id>.log   the output of a run, named by the same time
//! ```

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Zoned;
use monitor_runs::Held;
use nix::unistd::{Uid, User, getegid, geteuid};
use serde::{Deserialize, Serialize};

use crate::publication::Tree;

/// File in a run's folder that records the history folder of its files.
const NOTE: &str = "publication.json";
/// Maximum number of entries of a history folder that are linked by name and time.
const MOST_LINKS: usize = 1_000;

/// Returns the folder of a task.
pub(crate) fn folder(home: &Path, task: &str) -> PathBuf {
    home.join("task").join(task)
}

/// Creates the folder that a run publishes to, and empties it. An agent that runs as root makes the run's user its owner.
pub(crate) fn prepare(folder: &Path, user: Option<&User>) -> io::Result<()> {
    let publish = folder.join("publish");
    // A run of another user may have replaced the folder with a link.
    if fs::symlink_metadata(&publish).is_ok_and(|there| !there.is_dir()) {
        fs::remove_file(&publish)?;
    }
    fs::create_dir_all(&publish)?;
    let held = File::options().read(true).custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW).open(&publish)?;
    let own = PathBuf::from(format!("/proc/self/fd/{}", held.as_raw_fd()));
    for entry in fs::read_dir(&own)? {
        let entry = entry?;
        // Remove the link itself, not its target.
        if entry.file_type()?.is_dir() { fs::remove_dir_all(entry.path())? } else { fs::remove_file(entry.path())? }
    }
    // Independent of the agent's umask: other users read published files, and the run's user must be able to enter the folder.
    held.set_permissions(fs::Permissions::from_mode(0o755))?;
    if user.is_some() {
        for above in [folder.parent(), Some(folder)].into_iter().flatten() {
            let mode = fs::metadata(above)?.mode() & 0o7777;
            if mode & 0o001 == 0 {
                fs::set_permissions(above, fs::Permissions::from_mode(mode | 0o011))?;
            }
        }
    }
    let (uid, gid) = user.map_or_else(|| (geteuid(), getegid()), |user| (user.uid, user.gid));
    if held.metadata()?.uid() != uid.as_raw() && geteuid().is_root() {
        std::os::unix::fs::fchown(&held, Some(uid.as_raw()), Some(gid.as_raw()))?;
    }
    Ok(())
}

/// Returns the user with this name or number. `None` if there is no such user.
pub(crate) fn user(name: &str) -> Option<User> {
    let found = match name.parse() {
        Ok(uid) => User::from_uid(Uid::from_raw(uid)),
        Err(_) => User::from_name(name),
    };
    found.ok().flatten()
}

/// Returns the number of files in a folder and its subfolders.
pub(crate) fn count(folder: &Path) -> u32 {
    let size = Tree::open(folder).and_then(|tree| tree.size()).unwrap_or_default();
    u32::try_from(size.files).unwrap_or(u32::MAX)
}

/// The files that a run has published, and their folder in the history.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// Number of files.
    pub(crate) files: u32,
    /// The folder in the history. `None` if the run has published nothing.
    pub(crate) folder: Option<PathBuf>,
}

/// Moves the files that a run has published to the history. Records the move in the run's own folder first, so that an agent that is killed
/// during the move completes it after its restart.
pub(crate) fn keep(folder: &Path, run: &Path, began: &Zoned) -> io::Result<Kept> {
    let (publish, note) = (folder.join("publish"), run.join(NOTE));
    let kept = if let Some(noted) = noted(run) {
        noted
    } else {
        // A run of another user may have replaced the folder with a link. The next run removes the link.
        let is_folder = fs::symlink_metadata(&publish).is_ok_and(|there| there.is_dir());
        let is_empty = !is_folder || fs::read_dir(&publish)?.next().is_none();
        let kept = Kept { files: count(&publish), folder: if is_empty { None } else { Some(free_name(folder, began)?) } };
        fs::write(&note, serde_json::to_vec(&kept)?)?;
        kept
    };
    if let Some(to) = &kept.folder {
        let month = Month::open(folder, name_of(to.parent()))?;
        let place = month.folder.path().join(name_of(Some(to)));
        if fs::symlink_metadata(&place).is_err() {
            fs::rename(&publish, &place)?;
            if let Err(error) = month.link(&place, name_of(Some(to)), began) {
                tracing::warn!(folder = %to.display(), %error, "not all files of the history can be linked by name and time");
            }
        }
    }
    Ok(kept)
}

/// Reads the record of the move from a run's folder. `None` if [`keep`] has not been called for the run.
pub(crate) fn noted(run: &Path) -> Option<Kept> {
    serde_json::from_slice(&fs::read(run.join(NOTE)).ok()?).ok()
}

fn name_of(path: Option<&Path>) -> &str {
    path.and_then(|path| path.file_name()?.to_str()).unwrap_or_default()
}

/// The folder of a month in the history.
struct Month<'a> {
    name: &'a str,
    history: Held,
    folder: Held,
}

impl<'a> Month<'a> {
    /// Opens the folder, and creates it if it doesn't exist. Other users can read it, whatever the agent's umask is.
    fn open(folder: &Path, name: &'a str) -> io::Result<Self> {
        let is_new = !folder.join("history").join(name).exists();
        let history = Held::open(folder)?.below("history")?;
        let month = history.below(name)?;
        if is_new {
            // Setting the mode fails for a folder of another user, which then keeps its mode.
            for made in [&history, &month] {
                let _ = made.set_mode(0o755);
            }
        }
        Ok(Self { name, history, folder: month })
    }

    /// Links each file by its name and the minute of the run's start, such as `price.202611211030.json`. If two runs start in the same minute,
    /// the link points to the file of the later run.
    fn link(&self, place: &Path, kept: &str, began: &Zoned) -> io::Result<()> {
        // A run of another user may have replaced the moved folder with a link.
        if !fs::symlink_metadata(place)?.is_dir() {
            return Ok(());
        }
        let target = Path::new(self.name).join(kept);
        let minute = began.strftime("%Y%m%d%H%M").to_string();
        for entry in fs::read_dir(place)?.take(MOST_LINKS) {
            let entry = entry?;
            let name = PathBuf::from(entry.file_name());
            if !entry.file_type()?.is_file() {
                continue;
            }
            let mut timed = name.file_stem().unwrap_or_default().to_owned();
            timed.push(format!(".{minute}"));
            if let Some(extension) = name.extension() {
                timed.push(".");
                timed.push(extension);
            }
            let link = self.history.path().join(timed);
            if fs::symlink_metadata(&link).is_ok_and(|there| there.is_symlink()) {
                fs::remove_file(&link)?;
            }
            std::os::unix::fs::symlink(target.join(&name), link)?;
        }
        Ok(())
    }

    /// Returns a folder name that is not in use yet.
    fn free_name(&self, began: &Zoned) -> String {
        let name = began.strftime("%d_%H%M%S").to_string();
        let is_free = |name: &String| fs::symlink_metadata(self.folder.path().join(name)).is_err();
        let numbered = (2..=u32::MAX).map(|number| format!("{name}-{number}"));
        std::iter::once(name.clone()).chain(numbered).find(is_free).unwrap_or(name)
    }
}

/// Returns the path of a history folder that doesn't exist yet.
fn free_name(folder: &Path, began: &Zoned) -> io::Result<PathBuf> {
    let month = began.strftime("%Y%m").to_string();
    let name = Month::open(folder, &month)?.free_name(began);
    Ok(folder.join("history").join(month).join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_files_are_kept_and_the_next_run_starts_with_an_empty_folder() {
        let home = tempfile::tempdir().unwrap();
        let task = folder(home.path(), "gold");
        let at: Zoned = "2017-11-23T21:38:54+08:00[Asia/Shanghai]".parse().unwrap();
        for (text, kept) in [("1", "201711/23_213854"), ("2", "201711/23_213854-2"), ("3", "201711/23_213854-3")] {
            let run = tempfile::tempdir().unwrap();
            prepare(&task, None).unwrap();
            fs::create_dir(task.join("publish/day")).unwrap();
            fs::write(task.join("publish/price.json"), text).unwrap();
            fs::write(task.join("publish/LICENSE"), text).unwrap();
            fs::write(task.join("publish/day/a"), text).unwrap();
            let expected = Kept { files: 3, folder: Some(task.join("history").join(kept)) };
            assert_eq!(keep(&task, run.path(), &at).unwrap(), expected);
            assert_eq!(keep(&task, run.path(), &at).unwrap(), expected, "an agent that was killed asks again");
            assert_eq!(fs::read_to_string(task.join("history").join(kept).join("price.json")).unwrap(), text);
            assert_eq!(fs::read_to_string(task.join("history/price.201711232138.json")).unwrap(), text, "by name and time");
            assert_eq!(fs::read_to_string(task.join("history/LICENSE.201711232138")).unwrap(), text);
        }
        for is_there in [false, true] {
            let run = tempfile::tempdir().unwrap();
            if is_there {
                prepare(&task, None).unwrap();
            }
            assert_eq!(keep(&task, run.path(), &at).unwrap(), Kept::default(), "nothing was published");
        }
        fs::write(home.path().join("precious"), "").unwrap();
        std::os::unix::fs::symlink(home.path(), task.join("publish/link")).unwrap();
        fs::create_dir_all(task.join("publish/old/er")).unwrap();
        prepare(&task, None).unwrap();
        assert!(count(&task.join("publish")) == 0 && home.path().join("precious").exists());
    }
}
