//! The file that output is written to as it comes, byte for byte.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use monitor_runs::Held;

/// A file of output, up to its bound.
#[derive(Debug)]
pub(crate) struct LogFile {
    pub(crate) path: PathBuf,
    file: Option<File>,
    left: u64,
    /// Bytes that are not in it.
    pub(crate) cut: u64,
    /// Why nothing more is written.
    pub(crate) failure: Option<io::Error>,
}

impl LogFile {
    /// `NAME/logs/YYYYMM/DD/HHmmss-<id>.log` below `folder`, in local time.
    pub(crate) fn create(folder: &Path, name: &str, id: &str, longest: u64) -> io::Result<Self> {
        let now = local_now();
        let own = std::path::absolute(folder)?.join(file_name(name));
        fs::create_dir_all(&own)?;
        let names = ["logs".to_owned(), now.strftime("%Y%m").to_string(), now.strftime("%d").to_string()];
        let (mut path, mut held) = (own.clone(), Held::open(&own)?);
        for name in names {
            held = held.below(&name)?;
            path.push(name);
        }
        let name = format!("{}-{id}.log", now.strftime("%H%M%S"));
        // A further attempt goes on in the same file.
        let file = File::options().append(true).create(true).custom_flags(libc::O_NOFOLLOW).open(held.path().join(&name))?;
        Ok(Self { path: path.join(name), file: Some(file), left: longest, cut: 0, failure: None })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let fits = usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
        let written = match &mut self.file {
            None => 0,
            Some(file) => match file.write_all(&bytes[..fits]) {
                Ok(()) => fits,
                Err(error) => {
                    self.file = None;
                    self.failure = Some(error);
                    0
                }
            },
        };
        self.left -= written as u64;
        self.cut += (bytes.len() - written) as u64;
    }

    /// Nothing more will be written.
    pub(crate) fn is_full(&self) -> bool {
        self.left == 0 || self.file.is_none()
    }

    /// Counts what was not even looked at.
    pub(crate) fn skip(&mut self, bytes: u64) {
        self.cut += bytes;
    }

    /// Says in the file itself what is missing.
    pub(crate) fn finish(&mut self) {
        if let Some(file) = self.file.as_mut().filter(|_| self.cut > 0) {
            let _ = writeln!(file, "\n(cut: {} bytes more)", self.cut);
        }
    }
}

/// The time on the wall. The zone is read from its file where jiff would first make a list of all zones there are, which takes 1 ms.
fn local_now() -> Zoned {
    let is_named = std::env::var_os("TZ").is_some();
    let own = || TimeZone::tzif("", &fs::read("/etc/localtime").ok()?).ok();
    let zone = if is_named { None } else { own() };
    Timestamp::now().to_zoned(zone.unwrap_or_else(TimeZone::system))
}

/// A name as the name of a folder.
fn file_name(name: &str) -> String {
    let safe = |c: char| if c == '/' || c == '\0' || c.is_control() { '_' } else { c };
    let mut name: String = name.chars().map(safe).collect();
    while name.len() > 100 {
        name.pop();
    }
    match name.trim().trim_matches('.') {
        "" => "_".to_owned(),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_folder_below_the_other() {
        for (name, expected) in
            [("nightly build", "nightly build"), ("../../etc/passwd", ".._.._etc_passwd"), ("..", "_"), ("", "_"), ("a\nb", "a_b")]
        {
            assert_eq!(file_name(name), expected);
        }
        assert!(file_name(&"ü".repeat(300)).len() <= 100);
    }

    #[test]
    fn what_does_not_fit_is_cut_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = LogFile::create(folder.path(), "n", "1", 6).unwrap();
        log.write(b"abc\xff");
        log.write(b"defgh");
        log.skip(10);
        assert_eq!((log.cut, log.is_full()), (13, true));
        log.finish();
        assert_eq!(fs::read(&log.path).unwrap(), b"abc\xffde\n(cut: 13 bytes more)\n");
    }

    #[test]
    fn a_full_disk_is_counted_and_told_once() {
        let mut log = LogFile {
            path: "/dev/full".into(),
            file: Some(File::options().write(true).open("/dev/full").unwrap()),
            left: 100,
            cut: 0,
            failure: None,
        };
        log.write(b"abc");
        log.write(b"d");
        assert_eq!((log.cut, log.failure.and_then(|error| error.raw_os_error())), (4, Some(libc::ENOSPC)));
    }
}
