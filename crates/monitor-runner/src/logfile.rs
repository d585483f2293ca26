//! Log file of a run, with the output byte for byte.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use monitor_runs::bounded::Bounded;
use monitor_runs::{Held, OutputLog};

/// A log file that keeps the first and the last half of a maximum number of bytes.
#[derive(Debug)]
pub(crate) struct LogFile {
    pub(crate) path: PathBuf,
    kept: Kept,
    /// Number of bytes that were skipped without reading them.
    skipped: u64,
    /// Error that ended the writing.
    pub(crate) failure: Option<io::Error>,
}

/// Place of the bytes.
#[derive(Debug)]
enum Kept {
    /// A separate file.
    Own(Bounded),
    /// The output file of a detached run. The log file is a second name (hard link) of it in `folder`.
    Shared { output: Arc<OutputLog>, folder: Held, name: String },
    /// Writing has failed.
    Broken,
}

/// Name and owner of a log file.
pub(crate) struct Named<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) name: &'a str,
    pub(crate) id: &'a str,
    pub(crate) began: &'a Zoned,
    /// User and group of the file. `None` for those of this program.
    pub(crate) owner: Option<(u32, u32)>,
}

impl LogFile {
    /// Creates `NAME/logs/YYYYMM/DD/HHmmss-<id>.log` below a folder, where date and time are the start of the run. Independent of the
    /// umask, the file has mode 0640, and `logs` and the folders below it 0750. For a detached run, the file is a hard link to `output`,
    /// unless that is on another file system.
    pub(crate) fn create(named: &Named<'_>, longest: u64, output: Option<&Arc<OutputLog>>) -> io::Result<Self> {
        let &Named { folder, name, id, began, owner } = named;
        let own = std::path::absolute(folder)?.join(file_name(name));
        fs::create_dir_all(&own)?;
        let folders = ["logs".to_owned(), began.strftime("%Y%m").to_string(), began.strftime("%d").to_string()];
        let (mut path, mut held) = (own.clone(), Held::open(&own)?);
        for name in folders {
            held = held.below(&name)?;
            held.hand_over(owner, 0o750)?;
            path.push(name);
        }
        let name = format!("{}-{id}.log", began.strftime("%H%M%S"));
        let path = path.join(&name);
        let in_folder = held.path().join(&name);
        if let Some(output) = output
            && output.share(&in_folder, owner)?
        {
            let kept = Kept::Shared { output: output.clone(), folder: held, name };
            return Ok(Self { path, kept, skipped: 0, failure: None });
        }
        let mut options = File::options();
        // Readable, because closing the gap at the end reads the file.
        options.append(true).read(true).mode(0o640).custom_flags(libc::O_NOFOLLOW);
        let file = match options.clone().create_new(true).open(&in_folder) {
            Ok(file) => {
                file.set_permissions(fs::Permissions::from_mode(0o640))?;
                if let Some((uid, gid)) = owner {
                    std::os::unix::fs::fchown(&file, Some(uid), Some(gid))?;
                }
                file
            }
            // A further launcher continues the file. Its owner is not changed, because the user may have replaced it by a link to another
            // file.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => options.open(&in_folder)?,
            Err(error) => return Err(error),
        };
        Ok(Self { path, kept: Kept::Own(Bounded::new(file, longest)), skipped: 0, failure: None })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let file = match &mut self.kept {
            Kept::Own(file) => file,
            Kept::Shared { .. } => return,
            Kept::Broken => return self.skip(bytes.len() as u64),
        };
        if let Err(error) = file.write(bytes) {
            self.skipped += file.missing() + bytes.len() as u64;
            self.kept = Kept::Broken;
            self.failure = Some(error);
        }
    }

    /// Returns true if this program writes no more bytes to the file.
    pub(crate) fn is_idle(&self) -> bool {
        !matches!(self.kept, Kept::Own(_))
    }

    /// Counts bytes that were skipped.
    pub(crate) fn skip(&mut self, bytes: u64) {
        self.skipped += bytes;
    }

    /// Returns the number of bytes that are missing in the file.
    pub(crate) fn cut(&self) -> u64 {
        self.skipped
            + match &self.kept {
                Kept::Own(file) => file.missing(),
                Kept::Shared { output, .. } => output.missing(),
                Kept::Broken => 0,
            }
    }

    /// Adds a line about missing bytes to the file and closes it. If the helper continues a shared file (`is_over` is false), the file is
    /// left as it is.
    pub(crate) fn finish(self, is_over: bool) {
        // At this point an error can't be reported. The end of the output is in the file anyway.
        let _ = match self.kept {
            Kept::Own(file) => file.close(),
            Kept::Shared { output, folder, name } if is_over => output.close(&folder.path().join(name)),
            Kept::Shared { .. } | Kept::Broken => Ok(()),
        };
    }
}

/// Converts to local time. The zone is read from `/etc/localtime`, because jiff would first list all zones of the system, which takes 1 ms.
pub(crate) fn on_the_wall(time: Timestamp) -> Zoned {
    let is_named = std::env::var_os("TZ").is_some();
    let own = || TimeZone::tzif("", &fs::read("/etc/localtime").ok()?).ok();
    let zone = if is_named { None } else { own() };
    time.to_zoned(zone.unwrap_or_else(TimeZone::system))
}

/// Makes a name safe as a folder name.
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

    fn create(folder: &Path, id: &str, longest: u64, owner: Option<(u32, u32)>, output: Option<&Arc<OutputLog>>) -> LogFile {
        let began = on_the_wall(Timestamp::now());
        LogFile::create(&Named { folder, name: "n", id, began: &began, owner }, longest, output).unwrap()
    }

    #[test]
    fn any_name_becomes_a_single_folder_name() {
        for (name, expected) in
            [("nightly build", "nightly build"), ("../../etc/passwd", ".._.._etc_passwd"), ("..", "_"), ("", "_"), ("a\nb", "a_b")]
        {
            assert_eq!(file_name(name), expected);
        }
        assert!(file_name(&"ü".repeat(300)).len() <= 100);
    }

    #[test]
    fn output_above_the_limit_is_cut_in_the_middle_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = create(folder.path(), "1", 8_192, None, None);
        for _ in 0..100 {
            log.write(&[0xff; 1_000]);
        }
        log.write(b"the error");
        let (path, cut) = (log.path.clone(), log.cut());
        assert!(cut > 80_000 && log.failure.is_none(), "{cut}");
        log.finish(true);
        let text = fs::read(&path).unwrap();
        let note = format!("\n(cut: {cut} bytes are left out here)\n").into_bytes();
        assert_eq!((&text[4_096..][..note.len()], text.len() as u64), (&note[..], 100_009 - cut + note.len() as u64));
        assert!(text.ends_with(b"\xff\xffthe error"));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&path), 0o640);
        assert!(path.ancestors().skip(1).take(3).all(|folder| mode(folder) == 0o750));
    }

    #[test]
    fn the_output_of_a_detached_run_is_one_file_with_two_names() {
        use std::os::unix::fs::MetadataExt as _;

        use monitor_runs::{LOG, Origin, Output};

        let (folder, run) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino(), found.mode() & 0o777)).unwrap();
        for is_cut in [false, true] {
            let output = Arc::new(OutputLog::open(run.path(), 8_192).unwrap());
            let mut log = create(folder.path(), &is_cut.to_string(), 8_192, None, Some(&output));
            for line in 0..if is_cut { 10_000 } else { 3 } {
                output.write(Origin::Stdout, format!("{line:08}\n").as_bytes()).unwrap();
                log.write(b"nothing: it is there already");
            }
            assert_eq!(log.cut() > 0, is_cut);
            let (path, missing) = (log.path.clone(), log.cut());
            let before = Output::open(run.path()).unwrap().length;
            // A reader that reads while the gap is closed.
            let (mut reader, mut position) = (Output::open(run.path()).unwrap(), 0);
            reader.part(&mut position, before, 4_096).unwrap();
            log.finish(true);
            assert_eq!(file(&path), file(&run.path().join(LOG)), "it is one file");
            assert_eq!(file(&path).2, 0o640);
            let text = fs::read_to_string(&path).unwrap();
            assert_eq!(text.contains(&format!("\n(cut: {missing} bytes are left out here)\n")), is_cut);
            assert!(!text.contains('\0') && text.ends_with(if is_cut { "00009999\n" } else { "00000002\n" }));
            // A reader that was interrupted continues at the same position.
            let (mut reader, mut all) = (Output::open(run.path()).unwrap(), text.as_bytes()[..position as usize].to_vec());
            assert_eq!(reader.length, before);
            loop {
                let end = reader.length;
                let more = reader.part(&mut position, end, 1_000).unwrap().shown();
                if more.is_empty() {
                    break;
                }
                all.extend(more);
            }
            assert_eq!((String::from_utf8(all).unwrap(), position), (text, before));
        }
    }

    #[test]
    fn a_log_belongs_to_the_user_of_the_run() {
        use std::os::unix::fs::MetadataExt as _;

        if !rustix::process::geteuid().is_root() {
            eprintln!("not tried: only root may give a file away");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        // The second run reuses the folders of the first run.
        for id in ["1", "2"] {
            let log = create(folder.path(), id, 6, Some((65_534, 65_533)), None);
            for path in log.path.ancestors().take(4) {
                let found = fs::metadata(path).unwrap();
                assert_eq!((found.uid(), found.gid()), (65_534, 65_533), "{}", path.display());
            }
        }
    }

    #[test]
    fn a_full_disk_is_counted_and_kept_as_the_failure() {
        let mut log = LogFile {
            path: "/dev/full".into(),
            kept: Kept::Own(Bounded::new(File::options().write(true).open("/dev/full").unwrap(), 100)),
            skipped: 0,
            failure: None,
        };
        log.write(b"abc");
        log.write(b"d");
        assert_eq!((log.cut(), log.failure.and_then(|error| error.raw_os_error())), (4, Some(libc::ENOSPC)));
    }
}
