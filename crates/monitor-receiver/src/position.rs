//! The position file, which stores the number of the last handled event.
//!
//! It contains one line of constant length. Each new number overwrites the old one with a single system call. If the program is killed, the
//! file contains either the old or the new number, and a full disk does not matter. A lock prevents other receivers from using the file at
//! the same time.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use crate::Error;

/// Length of the line: the maximum number of digits and the newline.
const LENGTH: usize = 21;

/// An open position file.
#[derive(Debug)]
pub(crate) struct Position {
    path: PathBuf,
    file: File,
    number: Option<u64>,
}

impl Position {
    /// Opens or creates the file.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let wrong = |action| move |source| Error::Position { action, path: path.to_owned(), source };
        let foreign = |why| Error::Foreign { path: path.to_owned(), why };
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path).map_err(wrong("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(foreign("another receiver uses it")),
            Err(TryLockError::Error(source)) => return Err(wrong("lock")(source)),
        }
        let mut text = String::new();
        let unreadable = |error: io::Error| match error.kind() {
            io::ErrorKind::InvalidData => foreign("it holds no position: name another file, or delete this one"),
            _ => wrong("read")(error),
        };
        (&file).take(LENGTH as u64 + 1).read_to_string(&mut text).map_err(unreadable)?;
        let number = match text.as_str() {
            "" => None,
            line => {
                let digits =
                    line.strip_suffix('\n').filter(|digits| digits.len() + 1 == LENGTH && digits.bytes().all(|b| b.is_ascii_digit()));
                let number = digits.and_then(|digits| digits.parse().ok());
                Some(number.ok_or_else(|| foreign("it holds no position: name another file, or delete this one"))?)
            }
        };
        Ok(Self { path: path.to_owned(), file, number })
    }

    /// Returns the number in the file.
    pub(crate) fn number(&self) -> Option<u64> {
        self.number
    }

    /// Writes a number, if it differs from the stored one.
    pub(crate) fn keep(&mut self, number: u64) -> Result<(), Error> {
        if self.number == Some(number) {
            return Ok(());
        }
        let line = format!("{number:020}\n");
        let written = self.file.seek(SeekFrom::Start(0)).and_then(|_| self.file.write_all(line.as_bytes()));
        written.map_err(|source| Error::Position { action: "write", path: self.path.clone(), source })?;
        self.number = Some(number);
        Ok(())
    }
}

impl Drop for Position {
    /// Unlocks the file. Closing it would not be enough, because a child process being started by another thread has a copy of the
    /// descriptor.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_the_open_file_does_not_lock_the_position() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("position");
        let position = Position::open(&path).unwrap();
        let copy = position.file.try_clone().unwrap();
        drop(position);
        assert_eq!(Position::open(&path).unwrap().number(), None);
        drop(copy);
    }

    #[test]
    fn a_kept_position_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("position");
        for (before, number) in [(None, 0), (Some(0), 41), (Some(41), u64::MAX), (Some(u64::MAX), 7)] {
            let mut position = Position::open(&path).unwrap();
            assert_eq!(position.number(), before);
            position.keep(number).unwrap();
            assert!(matches!(Position::open(&path), Err(Error::Foreign { why: "another receiver uses it", .. })));
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "00000000000000000007\n");
    }

    #[test]
    fn an_invalid_position_is_refused_and_left_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("position");
        for text in
            ["41", "41\n", "x\n", "00000000000000000041", "99999999999999999999\n", "00000000000000000041\n\n", "+0000000000000000041\n"]
        {
            std::fs::write(&path, text).unwrap();
            let error = Position::open(&path).unwrap_err().to_string();
            assert!(error.contains("holds no position") && error.contains("position: "), "{text:?}: {error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        std::fs::write(&path, [0xff; 21]).unwrap();
        assert!(Position::open(&path).unwrap_err().to_string().contains("holds no position"));
        assert!(Position::open(folder.path()).unwrap_err().to_string().contains("could not open"));
    }
}
