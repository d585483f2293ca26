//! The camera that writes to a file.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::{Camera, Picture, Result};
use crate::state::{Mark, State};

/// Default size at which a new file is started.
const MAX_BYTES: u64 = 64 << 20;
/// Default number of older files to keep.
const KEPT_FILES: u32 = 5;

/// Writes each [`Picture`] as a line of JSON. A file that has reached 64 MiB is renamed: `pictures.json` to `pictures.json.1`, that file to
/// `.2`, and so on. Five older files are kept.
///
/// ```
/// use monitor_receiver::{Camera, State, camera::FileCamera};
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("pictures.json");
/// let mut camera = FileCamera::new(&path).max_bytes(1 << 20).kept_files(2);
/// camera.shutter(&State::default())?;
/// assert_eq!(std::fs::read_to_string(&path)?.lines().count(), 1);
/// # Ok::<(), monitor_receiver::camera::Failure>(())
/// ```
#[derive(Debug)]
pub struct FileCamera {
    path: PathBuf,
    max_bytes: u64,
    kept_files: u32,
    mark: Mark,
}

impl FileCamera {
    /// Creates a camera that appends to this file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), max_bytes: MAX_BYTES, kept_files: KEPT_FILES, mark: Mark::default() }
    }

    /// Sets the size at which a new file is started.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Sets the number of older files to keep.
    #[must_use]
    pub fn kept_files(mut self, files: u32) -> Self {
        self.kept_files = files;
        self
    }

    fn write(&self, line: &[u8]) -> io::Result<()> {
        let mut file = self.open()?;
        let mut length = file.metadata()?.len();
        if length > 0 && length + line.len() as u64 > self.max_bytes {
            drop(file);
            self.rotate()?;
            file = self.open()?;
            length = 0;
        }
        file.write_all(line).inspect_err(|_| {
            // Remove a partly written line, which would corrupt the next one.
            let _ = file.set_len(length);
        })
    }

    fn open(&self) -> io::Result<File> {
        let mut options = File::options();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&self.path)
    }

    /// Renames the files to make room for a new one.
    fn rotate(&self) -> io::Result<()> {
        let older = |number: u32| {
            let mut name = OsString::from(&self.path);
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        if self.kept_files == 0 {
            return fs::remove_file(&self.path);
        }
        for number in (1..self.kept_files).rev() {
            rename_if_there(&older(number), &older(number + 1))?;
        }
        rename_if_there(&self.path, &older(1))
    }
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

impl Camera for FileCamera {
    fn shutter(&mut self, state: &State) -> Result {
        let mut line = serde_json::to_vec(&Picture::since(state, self.mark))?;
        line.push(b'\n');
        self.write(&line).map_err(|error| format!("could not write {}: {error}", self.path.display()))?;
        self.mark = state.mark();
        Ok(())
    }

    fn name(&self) -> String {
        format!("file:{}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_rotated_and_the_configured_number_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pictures");
        let mut camera = FileCamera::new(&path).max_bytes(1).kept_files(2);
        for taken in 1..=5 {
            camera.shutter(&State::default()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), taken.min(3));
        }
        let mut none = FileCamera::new(&path).max_bytes(1).kept_files(0);
        none.shutter(&State::default()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut camera = FileCamera::new(folder.path().join("none").join("pictures"));
        let error = camera.shutter(&State::default()).unwrap_err().to_string();
        assert!(error.contains("none/pictures"), "{error}");
    }
}
