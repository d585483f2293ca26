//! Groups that have not ended, in a file that outlives the bridge. Each line is a change.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::outbox::FolderError;
use crate::groups::Change;

const NAME: &str = "groups";

/// The file of a bridge.
#[derive(Debug)]
pub(super) struct GroupFile(File);

impl GroupFile {
    /// Opens the file, and replaces its changes by those that `remember` returns for them.
    pub(super) fn open(folder: &Path, remember: impl FnOnce(&[Change]) -> Vec<Change>) -> Result<Self, FolderError> {
        let path = folder.join(NAME);
        let failed = |source| FolderError::Io { path: path.clone(), source };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(failed(error)),
        };
        // The last line of a killed bridge may be incomplete.
        let changes: Vec<Change> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let former = path.with_extension("tmp");
        let mut file = Self(OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&former).map_err(failed)?);
        file.add(&remember(&changes)).and_then(|()| fs::rename(&former, &path)).map_err(failed)?;
        Ok(file)
    }

    /// Adds changes.
    pub(super) fn add(&mut self, changes: &[Change]) -> io::Result<()> {
        let mut lines = Vec::new();
        for change in changes {
            serde_json::to_writer(&mut lines, change)?;
            lines.push(b'\n');
        }
        self.0.write_all(&lines)
    }
}

#[cfg(test)]
mod tests {
    use monitor_wire::Outcome;

    use super::*;

    #[test]
    fn complete_lines_of_a_killed_bridge_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let end = |task: &str| Change::Ended { task: task.to_owned(), outcome: Outcome::FAILED, time_us: 7 };
        let mut file = GroupFile::open(folder.path(), <[Change]>::to_vec).unwrap();
        file.add(&[end("a"), end("b")]).unwrap();
        let path = folder.path().join(NAME);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}{{\"ended\": {{\"ta")).unwrap();
        let mut known = Vec::new();
        GroupFile::open(folder.path(), |changes| {
            known.extend_from_slice(changes);
            vec![end("b")]
        })
        .unwrap();
        assert_eq!(known, [end("a"), end("b")]);
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1, "the file holds only what is left");
    }
}
