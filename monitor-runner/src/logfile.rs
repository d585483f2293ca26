//! The file that output is written to as it comes, byte for byte.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use monitor_runs::Held;
use monitor_runs::bounded::Bounded;

/// A file of output, which keeps the first half and the last half of so many bytes.
#[derive(Debug)]
pub(crate) struct LogFile {
    pub(crate) path: PathBuf,
    file: Option<Bounded>,
    /// Bytes that nobody tried to write.
    skipped: u64,
    /// Why nothing more is written.
    pub(crate) failure: Option<io::Error>,
}

impl LogFile {
    /// Creates `NAME/logs/YYYYMM/DD/HHmmss-<id>.log` below `folder`, in local time. Whatever the umask is, the file has the mode 0640 and `logs`
    /// and the folders below it 0750. They belong to `owner`, or to this program's user if there is none.
    pub(crate) fn create(folder: &Path, name: &str, id: &str, longest: u64, owner: Option<(u32, u32)>) -> io::Result<Self> {
        let now = local_now();
        let own = std::path::absolute(folder)?.join(file_name(name));
        fs::create_dir_all(&own)?;
        let names = ["logs".to_owned(), now.strftime("%Y%m").to_string(), now.strftime("%d").to_string()];
        let (mut path, mut held) = (own.clone(), Held::open(&own)?);
        for name in names {
            held = held.below(&name)?;
            held.hand_over(owner, 0o750)?;
            path.push(name);
        }
        let name = format!("{}-{id}.log", now.strftime("%H%M%S"));
        let (in_folder, mut options) = (held.path().join(&name), File::options());
        // At the end it is read to close its gap.
        options.append(true).read(true).mode(0o640).custom_flags(libc::O_NOFOLLOW);
        let file = match options.clone().create_new(true).open(&in_folder) {
            Ok(file) => {
                file.set_permissions(fs::Permissions::from_mode(0o640))?;
                if let Some((uid, gid)) = owner {
                    std::os::unix::fs::fchown(&file, Some(uid), Some(gid))?;
                }
                file
            }
            // A further attempt continues the same file. It is not given away: the user may have put a link to another file there.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => options.open(&in_folder)?,
            Err(error) => return Err(error),
        };
        Ok(Self { path: path.join(name), file: Some(Bounded::new(file, longest)), skipped: 0, failure: None })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        match self.file.as_mut().map(|file| file.write(bytes)) {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                self.skipped += self.file.take().map_or(0, |file| file.missing()) + bytes.len() as u64;
                self.failure = Some(error);
            }
            None => self.skip(bytes.len() as u64),
        }
    }

    /// Nothing more will be written.
    pub(crate) fn is_broken(&self) -> bool {
        self.file.is_none()
    }

    /// Counts what was not even looked at.
    pub(crate) fn skip(&mut self, bytes: u64) {
        self.skipped += bytes;
    }

    /// Bytes that are not in it.
    pub(crate) fn cut(&self) -> u64 {
        self.skipped + self.file.as_ref().map_or(0, Bounded::missing)
    }

    /// Says in the file itself what is missing.
    pub(crate) fn finish(self) {
        // Nobody is left to tell that it could not be written: its end is there all the same.
        let _ = self.file.map(Bounded::close);
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
    fn what_does_not_fit_is_cut_in_the_middle_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = LogFile::create(folder.path(), "n", "1", 8_192, None).unwrap();
        for _ in 0..100 {
            log.write(&[0xff; 1_000]);
        }
        log.write(b"the error");
        let (path, cut) = (log.path.clone(), log.cut());
        assert!(cut > 80_000 && !log.is_broken(), "{cut}");
        log.finish();
        let text = fs::read(&path).unwrap();
        let note = format!("\n(cut: {cut} bytes are left out here)\n").into_bytes();
        assert_eq!((&text[4_096..][..note.len()], text.len() as u64), (&note[..], 100_009 - cut + note.len() as u64));
        assert!(text.ends_with(b"\xff\xffthe error"));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&path), 0o640);
        assert!(path.ancestors().skip(1).take(3).all(|folder| mode(folder) == 0o750));
    }

    #[test]
    fn a_log_belongs_to_the_user_of_the_run() {
        use std::os::unix::fs::MetadataExt as _;

        if !rustix::process::geteuid().is_root() {
            eprintln!("not tried: only root may give a file away");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        // The second one finds the folders of the first one.
        for id in ["1", "2"] {
            let log = LogFile::create(folder.path(), "n", id, 6, Some((65_534, 65_533))).unwrap();
            for path in log.path.ancestors().take(4) {
                let found = fs::metadata(path).unwrap();
                assert_eq!((found.uid(), found.gid()), (65_534, 65_533), "{}", path.display());
            }
        }
    }

    #[test]
    fn a_full_disk_is_counted_and_told_once() {
        let mut log = LogFile {
            path: "/dev/full".into(),
            file: Some(Bounded::new(File::options().write(true).open("/dev/full").unwrap(), 100)),
            skipped: 0,
            failure: None,
        };
        log.write(b"abc");
        log.write(b"d");
        assert_eq!((log.cut(), log.failure.and_then(|error| error.raw_os_error())), (4, Some(libc::ENOSPC)));
    }
}
