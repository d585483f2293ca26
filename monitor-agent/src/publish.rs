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
use serde::{Deserialize, Serialize};

/// File of a run's folder that says where its files are kept.
const NOTE: &str = "publication.json";

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

/// What a run has left, and where it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// Number of files.
    pub(crate) files: u32,
    /// The folder of history; none if there was nothing.
    pub(crate) folder: Option<PathBuf>,
}

/// Moves what a run has left to the history. What is about to be moved is noted in the run's own folder first, so that an agent that is
/// killed in between goes on with it.
pub(crate) fn keep(folder: &Path, run: &Path, ended: &Zoned) -> io::Result<Kept> {
    let (publish, note) = (folder.join("publish"), run.join(NOTE));
    let noted = fs::read(&note).ok().and_then(|text| serde_json::from_slice::<Kept>(&text).ok());
    let kept = if let Some(noted) = noted {
        noted
    } else {
        let is_empty = match fs::read_dir(&publish) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            entries => entries?.next().is_none(),
        };
        let kept = Kept { files: count(&publish), folder: if is_empty { None } else { Some(free_name(folder, ended)?) } };
        fs::write(&note, serde_json::to_vec(&kept)?)?;
        kept
    };
    if let Some(to) = kept.folder.as_ref().filter(|to| fs::symlink_metadata(to).is_err()) {
        fs::rename(&publish, to)?;
    }
    Ok(kept)
}

/// A folder of history that is not there yet.
fn free_name(folder: &Path, ended: &Zoned) -> io::Result<PathBuf> {
    let month = folder.join("history").join(ended.strftime("%Y%m").to_string());
    fs::create_dir_all(&month)?;
    let name = ended.strftime("%d_%H%M%S").to_string();
    let is_free = |name: &str| fs::symlink_metadata(month.join(name)).is_err();
    let numbered = (2..=u32::MAX).map(|number| format!("{name}-{number}"));
    let free = std::iter::once(name.clone()).chain(numbered).find(|name| is_free(name));
    Ok(month.join(free.unwrap_or(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_leaves_is_kept_and_the_next_one_begins_with_nothing() {
        let home = tempfile::tempdir().unwrap();
        let task = folder(home.path(), "gold");
        let at: Zoned = "2017-11-23T21:38:54+08:00[Asia/Shanghai]".parse().unwrap();
        for (text, kept) in [("1", "201711/23_213854"), ("2", "201711/23_213854-2"), ("3", "201711/23_213854-3")] {
            let run = tempfile::tempdir().unwrap();
            prepare(&task).unwrap();
            fs::create_dir(task.join("publish/day")).unwrap();
            fs::write(task.join("publish/price.json"), text).unwrap();
            fs::write(task.join("publish/day/a"), text).unwrap();
            let expected = Kept { files: 2, folder: Some(task.join("history").join(kept)) };
            assert_eq!(keep(&task, run.path(), &at).unwrap(), expected);
            assert_eq!(keep(&task, run.path(), &at).unwrap(), expected, "an agent that was killed asks again");
            assert_eq!(fs::read_to_string(task.join("history").join(kept).join("price.json")).unwrap(), text);
        }
        for is_there in [false, true] {
            let run = tempfile::tempdir().unwrap();
            if is_there {
                prepare(&task).unwrap();
            }
            assert_eq!(keep(&task, run.path(), &at).unwrap(), Kept::default(), "nothing was published");
        }
        fs::write(home.path().join("precious"), "").unwrap();
        std::os::unix::fs::symlink(home.path(), task.join("publish/link")).unwrap();
        fs::create_dir_all(task.join("publish/old/er")).unwrap();
        prepare(&task).unwrap();
        assert!(count(&task.join("publish")) == 0 && home.path().join("precious").exists());
    }
}
