//! Output of a detached run: one file in order of arrival, and an index of the streams.
//!
//! `output.streams` has a line for each offset in `output.log` at which the other stream continues: the offset, and `stdout` or `stderr`.
//! The line is written before the output, so that no output is attributed to the wrong stream. Offsets are those at the time of writing. If
//! the file was closed since then (see [`bounded`](crate::bounded)), `output.gap` describes the missing part.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::bounded::{Bounded, Gap, Part, part};
use crate::folder::replace;

/// Name of the output file in a run's folder.
pub const LOG: &str = "output.log";
const STREAMS: &str = "output.streams";
const GAP: &str = "output.gap";
/// Maximum number of bytes read at once.
const AT_ONCE: u64 = 1 << 20;

/// Stream that output was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Stdout.
    Stdout,
    /// Stderr.
    Stderr,
}

impl Origin {
    fn word(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }

    fn of(word: &str) -> Option<Self> {
        [Self::Stdout, Self::Stderr].into_iter().find(|origin| origin.word() == word)
    }
}

/// Writer for the output of a run. Can be used by several threads.
#[derive(Debug)]
pub struct OutputLog(Mutex<Writer>);

#[derive(Debug)]
struct Writer {
    folder: PathBuf,
    log: Bounded,
    streams: Bounded,
    last: Option<Origin>,
}

impl OutputLog {
    /// Opens the output files in `folder`. At most `most` bytes are kept.
    ///
    /// # Errors
    /// If the files can't be opened.
    pub fn open(folder: &Path, most: u64) -> io::Result<Self> {
        let bounded = |name| Ok::<_, io::Error>(Bounded::new(open(folder, name)?, most));
        let (log, streams) = (bounded(LOG)?, bounded(STREAMS)?);
        Ok(Self(Mutex::new(Writer { folder: folder.to_owned(), log, streams, last: None })))
    }

    /// Appends output.
    ///
    /// # Errors
    /// If writing fails.
    pub fn write(&self, origin: Origin, bytes: &[u8]) -> io::Result<()> {
        let mut writer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.last != Some(origin) {
            // Other programs may have written, too: a failing launcher writes its error to this file.
            let at = writer.log.file().seek(SeekFrom::End(0))?;
            writer.streams.write(format!("{at} {}\n", origin.word()).as_bytes())?;
            writer.last = Some(origin);
        }
        writer.log.write(bytes)
    }

    /// Returns the number of bytes that are not kept.
    pub fn missing(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).log.missing()
    }

    /// Creates a hard link to the file and changes its owner to `owner`, whose group may read it. Returns false if the file system does not
    /// support links, or `path` is on another file system.
    ///
    /// # Errors
    /// If the owner can't be changed, or the name can't be created.
    pub fn share(&self, path: &Path, owner: Option<(u32, u32)>) -> io::Result<bool> {
        let mut writer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = link(&writer.folder.join(LOG), path) {
            let is_impossible = matches!(error.kind(), io::ErrorKind::CrossesDevices | io::ErrorKind::PermissionDenied);
            return if is_impossible || error.kind() == io::ErrorKind::Unsupported { Ok(false) } else { Err(error) };
        }
        let file = writer.log.file();
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o640))?;
        owner.map_or(Ok(()), |(uid, gid)| fchown(&*file, Some(uid), Some(gid)))?;
        Ok(true)
    }

    /// Replaces a hole in the file by a note, under its own name and under the [shared](Self::share) name. No program may write to it
    /// afterwards.
    ///
    /// # Errors
    /// If writing fails. The file is not changed in that case.
    pub fn close(&self, path: &Path) -> io::Result<()> {
        let mut writer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (log, whole) = (writer.folder.join(LOG), writer.folder.join("output.whole"));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&whole)?;
        let made = writer.log.close_into(&mut file).and_then(|gap| {
            let Some(gap) = gap else { return fs::remove_file(&whole) };
            let was = writer.log.file().metadata()?;
            file.set_permissions(was.permissions())?;
            if (was.uid(), was.gid()) != (file.metadata()?.uid(), file.metadata()?.gid()) {
                fchown(&file, Some(was.uid()), Some(was.gid()))?;
            }
            replace(&writer.folder, GAP, &gap)?;
            fs::rename(&whole, &log)?;
            link(&log, path)
        });
        made.inspect_err(|_| drop(fs::remove_file(&whole)))
    }
}

/// Creates a hard link, replacing an existing file of that name.
fn link(file: &Path, name: &Path) -> io::Result<()> {
    let mut aside = name.as_os_str().to_owned();
    aside.push(".new");
    let _ = fs::remove_file(&aside);
    fs::hard_link(file, &aside)?;
    let linked = fs::rename(&aside, name);
    // Renaming between two links of the same file has no effect and leaves the first name.
    let _ = fs::remove_file(&aside);
    linked
}

/// Reader of a run's output, addressed by the offsets at which it was written.
#[derive(Debug)]
pub struct Output {
    file: File,
    /// Gap, and the offset after its note in the file.
    gap: Option<(Gap, u64)>,
    /// Number of bytes that were written.
    pub length: u64,
}

impl Output {
    /// Opens the output of the run in `folder`.
    ///
    /// # Errors
    /// If there is none, or it can't be read.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let mut file = File::open(folder.join(LOG))?;
        let length = file.metadata()?.len();
        // The description of the gap is written before the closed file replaces the open one, so check that the note exists.
        let gap: Option<Gap> = fs::read(folder.join(GAP)).ok().and_then(|json| serde_json::from_slice(&json).ok());
        let gap = gap.and_then(|gap| Some((gap, gap.end_in(&mut file).ok()??)));
        Ok(Self { file, gap, length: gap.map_or(length, |(gap, end)| length - end + gap.at + gap.missing) })
    }

    /// Reads at `position` and advances it: up to the next gap, up to `end`, or at most `most` bytes.
    ///
    /// # Errors
    /// If the file can't be read.
    pub fn part(&mut self, position: &mut u64, end: u64, most: u64) -> io::Result<Part> {
        let Some((gap, after)) = self.gap else { return part(&mut self.file, position, end, most) };
        let gap_end = gap.at + gap.missing;
        if *position < gap.at {
            return part(&mut self.file, position, end.min(gap.at), most);
        }
        if *position < gap_end.min(end) {
            let missing = gap_end.min(end) - *position;
            *position += missing;
            return Ok(Part::Missing(missing));
        }
        let shift = gap_end - after;
        let mut place = position.saturating_sub(shift);
        let found = part(&mut self.file, &mut place, end.saturating_sub(shift), most)?;
        *position += place - position.saturating_sub(shift);
        Ok(found)
    }
}

pub(crate) fn open(folder: &Path, name: &str) -> io::Result<File> {
    OpenOptions::new().append(true).read(true).create(true).mode(0o600).open(folder.join(name))
}

/// Reads output at `position` and advances it. If `origin` is set, only that stream is read. Empty at the end.
pub(crate) fn read(folder: &Path, position: &mut u64, origin: Option<Origin>) -> io::Result<Vec<u8>> {
    let mut log = Output::open(folder)?;
    let length = log.length;
    let Some(origin) = origin else {
        return Ok(log.part(position, length, AT_ONCE)?.shown());
    };
    // Read the index after the length: output beyond `length` may not be in the index yet.
    let turns = turns(folder);
    while *position < length {
        let next = turns.iter().map(|(at, _)| *at).find(|at| at > position).unwrap_or(length).min(length);
        // Without an index, output is shown as stdout.
        let whose = turns.iter().rev().find(|(at, _)| at <= position).map_or(Origin::Stdout, |(_, whose)| *whose);
        if whose == origin {
            return Ok(log.part(position, next, AT_ONCE)?.shown());
        }
        *position = next;
    }
    Ok(Vec::new())
}

/// Returns the offsets at which a stream continues. Invalid lines are ignored.
fn turns(folder: &Path) -> Vec<(u64, Origin)> {
    let text = String::from_utf8(kept(&folder.join(STREAMS)).unwrap_or_default()).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let line = |line: &str| line.split_once(' ').and_then(|(at, word)| Some((at.parse().ok()?, Origin::of(word)?)));
    whole.lines().filter_map(line).collect()
}

/// Returns the kept bytes of a file.
fn kept(path: &Path) -> io::Result<Vec<u8>> {
    let (mut file, mut position, mut all) = (File::open(path)?, 0, Vec::new());
    let length = file.metadata()?.len();
    loop {
        match part(&mut file, &mut position, length, u64::MAX)? {
            Part::Bytes(bytes) if bytes.is_empty() => return Ok(all),
            Part::Bytes(bytes) => all.extend(bytes),
            Part::Missing(_) => all.push(b'\n'),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn all(folder: &Path, origin: Option<Origin>) -> String {
        let (mut position, mut text) = (0, Vec::new());
        loop {
            let more = read(folder, &mut position, origin).unwrap();
            if more.is_empty() {
                return String::from_utf8(text).unwrap();
            }
            text.extend(more);
        }
    }

    #[test]
    fn streams_are_separated_and_stay_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let log = OutputLog::open(folder.path(), 1 << 20).unwrap();
        for (origin, text) in [(Origin::Stdout, "a\n"), (Origin::Stdout, "b\n"), (Origin::Stderr, "c\n"), (Origin::Stdout, "d\n")] {
            log.write(origin, text.as_bytes()).unwrap();
        }
        // A second writer does not know the last stream.
        OutputLog::open(folder.path(), 1 << 20).unwrap().write(Origin::Stderr, b"e\n").unwrap();
        let seen = [None, Some(Origin::Stdout), Some(Origin::Stderr)].map(|origin| all(folder.path(), origin));
        assert_eq!(seen, ["a\nb\nc\nd\ne\n", "a\nb\nd\n", "c\ne\n"]);
    }

    #[test]
    fn a_damaged_or_absent_list_of_streams_loses_no_output() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(LOG), "abcdef").unwrap();
        assert_eq!(all(folder.path(), Some(Origin::Stdout)), "abcdef");
        fs::write(folder.path().join(STREAMS), "x y\n-1 stderr\n2 stderr\n\n4 stdin\n99 stdout\n3 st").unwrap();
        assert_eq!(all(folder.path(), None), "abcdef");
        assert_eq!((all(folder.path(), Some(Origin::Stdout)), all(folder.path(), Some(Origin::Stderr))), ("ab".into(), "cdef".into()));
    }
}
