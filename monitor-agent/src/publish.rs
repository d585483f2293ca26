//! The folders of a task: where its runs leave files for others, and where these are kept.
//!
//! ```text
//! <home>/task/NAME/publish/                        what a run leaves: empty when it begins
//!                 history/YYYYMM/DD_HHmmss/        moved there when it has ended
//!                 logs/YYYYMM/DD/HHmmss-<id>.log   the output of a run
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Zoned;

/// The folder of a task.
pub(crate) fn folder(home: &Path, task: &str) -> PathBuf {
    home.join("task").join(task)
}

/// Makes the folder that a run publishes into, and empties it.
pub(crate) fn prepare(folder: &Path) -> io::Result<()> {
    let publish = folder.join("publish");
    fs::create_dir_all(&publish)?;
    for entry in fs::read_dir(&publish)? {
        let entry = entry?;
        // A link is removed, and not what it points to.
        if entry.file_type()?.is_dir() { fs::remove_dir_all(entry.path())? } else { fs::remove_file(entry.path())? }
    }
    Ok(())
}

/// Number of files that a run has left, in its folder and those below.
pub(crate) fn count(folder: &Path) -> u32 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| if entry.file_type().is_ok_and(|kind| kind.is_dir()) { count(&entry.path()) } else { 1 }).sum()
}

/// Moves what a run has left to the history. Returns the folder there, or None if there was nothing.
pub(crate) fn keep(folder: &Path, ended: &Zoned) -> io::Result<Option<PathBuf>> {
    let publish = folder.join("publish");
    let is_empty = match fs::read_dir(&publish) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        entries => entries?.next().is_none(),
    };
    if is_empty {
        return Ok(None);
    }
    let month = folder.join("history").join(ended.strftime("%Y%m").to_string());
    fs::create_dir_all(&month)?;
    let name = ended.strftime("%d_%H%M%S").to_string();
    let names = std::iter::once(name.clone()).chain((2..).map(|number| format!("{name}-{number}")));
    let mut free = names.map(|name| month.join(name)).filter(|kept| fs::symlink_metadata(kept).is_err());
    let kept = free.next().unwrap_or_else(|| month.join(name));
    fs::rename(&publish, &kept)?;
    fs::create_dir(&publish)?;
    Ok(Some(kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_leaves_is_kept_and_the_next_one_begins_with_nothing() {
        let home = tempfile::tempdir().unwrap();
        let task = folder(home.path(), "gold");
        let at: Zoned = "2017-11-23T21:38:54+08:00[Asia/Shanghai]".parse().unwrap();
        assert_eq!(keep(&task, &at).unwrap(), None);
        for (text, kept) in [("1", "201711/23_213854"), ("2", "201711/23_213854-2"), ("3", "201711/23_213854-3")] {
            prepare(&task).unwrap();
            assert_eq!(keep(&task, &at).unwrap(), None, "nothing was published");
            fs::create_dir(task.join("publish/day")).unwrap();
            fs::write(task.join("publish/price.json"), text).unwrap();
            fs::write(task.join("publish/day/a"), text).unwrap();
            assert_eq!(count(&task.join("publish")), 2);
            assert_eq!(keep(&task, &at).unwrap(), Some(task.join("history").join(kept)));
            assert_eq!(fs::read_to_string(task.join("history").join(kept).join("price.json")).unwrap(), text);
        }
        fs::write(home.path().join("precious"), "").unwrap();
        std::os::unix::fs::symlink(home.path(), task.join("publish/link")).unwrap();
        fs::create_dir_all(task.join("publish/old/er")).unwrap();
        prepare(&task).unwrap();
        assert!(count(&task.join("publish")) == 0 && home.path().join("precious").exists());
    }
}
