//! Output of scripts, in files below the data folder: `job-output/JOB/STEP-ATTEMPT-HOST.log`.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use monitor_store_sqlite::{create_private, open_private};
use monitor_wire::JobRunKey;

const FOLDER: &str = "job-output";
/// Number of bytes by which a file may exceed the limit of a run's output: the line that counts the omitted bytes.
const MARGIN: u64 = 4 << 10;

/// The files of a data folder.
#[derive(Debug, Clone)]
pub(super) struct Outputs {
    folder: PathBuf,
    /// Maximum number of bytes of a run.
    most: u64,
}

/// Reason why a part can't be written.
#[derive(Debug)]
pub(super) enum Unwritten {
    /// The part begins after the end of the file, which has this length.
    Gap(u64),
    /// The part ends after the limit.
    TooLong(u64),
    Disk(io::Error),
}

impl Outputs {
    pub(super) fn new(data: &Path, most: u64) -> Self {
        Self { folder: data.join(FOLDER), most }
    }

    fn path(&self, JobRunKey { job, step, host, attempt }: &JobRunKey) -> PathBuf {
        self.folder.join(job.to_string()).join(format!("{step}-{attempt}-{host}.log"))
    }

    /// Writes a part durably. A part that is written again changes nothing.
    pub(super) fn write(&self, key: &JobRunKey, offset: u64, bytes: &[u8]) -> Result<(), Unwritten> {
        let most = self.most.saturating_add(MARGIN);
        if offset.saturating_add(bytes.len() as u64) > most {
            return Err(Unwritten::TooLong(most));
        }
        let path = self.path(key);
        let written = || {
            create_private(path.parent().unwrap_or(&self.folder))?;
            let mut file = open_private(&path)?;
            let length = file.metadata()?.len();
            if offset > length {
                return Ok(Some(length));
            }
            file.seek(SeekFrom::Start(offset))?;
            file.write_all(bytes)?;
            file.sync_data()?;
            Ok(None)
        };
        match written() {
            Ok(None) => Ok(()),
            Ok(Some(length)) => Err(Unwritten::Gap(length)),
            Err(error) => Err(Unwritten::Disk(error)),
        }
    }

    /// Returns the number of bytes of a run.
    pub(super) fn length(&self, key: &JobRunKey) -> u64 {
        std::fs::metadata(self.path(key)).map_or(0, |data| data.len())
    }

    /// Returns up to `limit` bytes from an offset on, and the total number of bytes. A run without output has none.
    pub(super) fn read(&self, key: &JobRunKey, offset: u64, limit: u64) -> io::Result<(Vec<u8>, u64)> {
        let mut file = match File::open(self.path(key)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
            Err(error) => return Err(error),
        };
        let length = file.metadata()?.len();
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(offset.min(length)))?;
        file.take(limit).read_to_end(&mut bytes)?;
        Ok((bytes, length))
    }

    /// Removes the output of a job.
    pub(super) fn remove(&self, job: u64) -> io::Result<()> {
        match std::fs::remove_dir_all(self.folder.join(job.to_string())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_may_be_repeated_and_leave_no_gap() {
        let folder = tempfile::tempdir().unwrap();
        let outputs = Outputs::new(folder.path(), 8);
        let key = JobRunKey { job: 1, step: 2, host: 3, attempt: 1 };
        assert_eq!(outputs.read(&key, 0, 9).unwrap(), (Vec::new(), 0));
        outputs.write(&key, 0, b"one\n").unwrap();
        outputs.write(&key, 0, b"one\n").unwrap();
        assert!(matches!(outputs.write(&key, 5, b"x"), Err(Unwritten::Gap(4))));
        outputs.write(&key, 4, b"two\xff").unwrap();
        assert_eq!(outputs.read(&key, 4, 2).unwrap(), (b"tw".to_vec(), 8));
        for after in [99, u64::MAX] {
            assert_eq!(outputs.read(&key, after, 2).unwrap(), (Vec::new(), 8));
        }
        assert!(matches!(outputs.write(&key, 8, &[0; 5_000]), Err(Unwritten::TooLong(_))));
        assert_eq!(outputs.length(&key), 8);
        outputs.remove(1).unwrap();
        outputs.remove(1).unwrap();
        assert_eq!(outputs.length(&key), 0);
    }
}
