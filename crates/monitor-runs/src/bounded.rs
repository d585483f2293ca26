//! Output files with a maximum size: the first half and the last half of the output are kept.
//!
//! The bytes in between are replaced by a hole in the file. The hole uses no disk space, and all kept bytes stay at their offsets, so a
//! reader can continue while the file is written. When the output has ended, the hole is replaced by a note, because other programs would
//! read the hole as zeros.

use std::fs::File;
use std::io::{self, Read as _, Seek, SeekFrom, Write as _};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// Holes start and end at block boundaries.
const BLOCK: u64 = 4_096;

/// A file that output is appended to.
#[derive(Debug)]
pub struct Bounded {
    file: File,
    /// Maximum number of bytes to keep.
    most: u64,
    /// End of the hole, or end of the first half if there is no hole.
    kept_from: u64,
    /// Number of bytes written since the file's length was last checked.
    fresh: u64,
    /// Set if the file system does not support holes. Then only the first bytes are kept, and this is the number of bytes left out.
    left_out: Option<u64>,
}

impl Bounded {
    /// Bounds a file that is open for appending.
    pub fn new(file: File, most: u64) -> Self {
        Self { file, most, kept_from: half(most), fresh: u64::MAX, left_out: None }
    }

    /// Appends bytes. Removes bytes between the first and the last half if the maximum is exceeded.
    ///
    /// # Errors
    /// If writing fails.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(left_out) = &mut self.left_out {
            *left_out += bytes.len() as u64;
            return Ok(());
        }
        self.file.write_all(bytes)?;
        self.fresh = self.fresh.saturating_add(bytes.len() as u64);
        // Only after many writes, because punching a hole costs more than a write.
        if self.fresh >= half(self.most) / 8 {
            self.fresh = 0;
            self.make_hole()?;
        }
        Ok(())
    }

    /// Returns the underlying file.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    fn make_hole(&mut self) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        let to = length.saturating_sub(half(self.most)) / BLOCK * BLOCK;
        if to <= self.kept_from {
            return Ok(());
        }
        match fallocate(&self.file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, self.kept_from, to - self.kept_from) {
            Ok(()) => self.kept_from = to,
            Err(Errno::OPNOTSUPP | Errno::NOSYS) if length >= self.most => self.left_out = Some(0),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Returns the number of bytes that are not kept.
    pub fn missing(&self) -> u64 {
        self.left_out.unwrap_or(self.kept_from - half(self.most))
    }

    /// Replaces the hole by a note about the missing bytes. No program may read or write the file at the same time.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn close(mut self) -> io::Result<()> {
        let flags = rustix::fs::fcntl_getfl(&self.file)?;
        rustix::fs::fcntl_setfl(&self.file, flags - rustix::fs::OFlags::APPEND)?;
        let Some(gap) = self.gap_or_note()? else { return Ok(()) };
        let mut to = self.file.try_clone()?;
        let length = close_gap(&mut self.file, &mut to, gap)?;
        self.file.set_len(length)
    }

    /// Writes the content that [`close`](Self::close) would produce to another, empty file. No program may write to this file at the same
    /// time; readers of this file are not affected. Returns `None` and writes nothing if there is no hole.
    ///
    /// # Errors
    /// If reading or writing fails.
    pub fn close_into(&mut self, to: &mut File) -> io::Result<Option<Gap>> {
        let Some(gap) = self.gap_or_note()? else { return Ok(None) };
        self.file.seek(SeekFrom::Start(0))?;
        io::copy(&mut (&self.file).take(gap.at), to)?;
        close_gap(&mut self.file, to, gap)?;
        Ok(Some(gap))
    }

    /// Returns the gap that the hole represents. On a file system without holes, appends the note at the end instead.
    fn gap_or_note(&mut self) -> io::Result<Option<Gap>> {
        let missing = self.missing();
        if self.left_out.is_some() && missing > 0 {
            self.file.seek(SeekFrom::End(0))?;
            self.file.write_all(&note(missing))?;
            return Ok(None);
        }
        Ok((missing > 0).then(|| Gap { at: half(self.most), missing }))
    }
}

/// A gap in a closed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Offset of the missing bytes. In a closed file, a note is at this offset.
    pub at: u64,
    /// Number of missing bytes.
    pub missing: u64,
}

impl Gap {
    /// Returns the offset after the note. `None` if the file was not closed and has no note.
    pub(crate) fn end_in(self, file: &mut File) -> io::Result<Option<u64>> {
        let note = note(self.missing);
        let mut found = Vec::new();
        file.seek(SeekFrom::Start(self.at))?;
        file.take(note.len() as u64).read_to_end(&mut found)?;
        Ok((found == note).then_some(self.at + note.len() as u64))
    }
}

/// Writes the note of a gap and the bytes after it. Returns the final length of the file.
fn close_gap(file: &mut File, to: &mut File, gap: Gap) -> io::Result<u64> {
    let note = note(gap.missing);
    let mut piece = vec![0; 1 << 20];
    to.seek(SeekFrom::Start(gap.at))?;
    to.write_all(&note)?;
    let (mut end, mut from) = (gap.at + note.len() as u64, gap.at + gap.missing);
    loop {
        file.seek(SeekFrom::Start(from))?;
        let read = file.read(&mut piece)?;
        if read == 0 {
            return Ok(end);
        }
        to.seek(SeekFrom::Start(end))?;
        to.write_all(&piece[..read])?;
        (from, end) = (from + read as u64, end + read as u64);
    }
}

/// Returns the size of the first half: whole blocks, at least one.
fn half(most: u64) -> u64 {
    (most / 2).div_ceil(BLOCK).max(1) * BLOCK
}

/// Text that replaces missing bytes.
fn note(missing: u64) -> Vec<u8> {
    format!("\n(cut: {missing} bytes are left out here)\n").into_bytes()
}

/// Content of a file at a position.
#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    /// Bytes. Empty at the end of the file.
    Bytes(Vec<u8>),
    /// A hole of this size.
    Missing(u64),
}

impl Part {
    /// Returns the bytes, or the note for a hole.
    pub fn shown(self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Missing(missing) => note(missing),
        }
    }
}

/// Reads at `position` and advances it: up to the next hole, up to `end`, or at most `most` bytes.
///
/// # Errors
/// If the file can't be read.
pub fn part(file: &mut File, position: &mut u64, end: u64, most: u64) -> io::Result<Part> {
    if *position >= end {
        return Ok(Part::Bytes(Vec::new()));
    }
    let next = |position| match rustix::fs::seek(&*file, position) {
        Ok(next) => Ok(Some(next)),
        // Only a hole follows.
        Err(Errno::NXIO) => Ok(None),
        // The file system does not report holes.
        Err(Errno::INVAL) => Ok(Some(u64::MAX)),
        Err(error) => Err(io::Error::from(error)),
    };
    let data = match next(rustix::fs::SeekFrom::Data(*position))? {
        Some(u64::MAX) => *position,
        Some(data) => data.min(end),
        None => end,
    };
    if data > *position {
        let missing = data - *position;
        *position = data;
        return Ok(Part::Missing(missing));
    }
    let hole = next(rustix::fs::SeekFrom::Hole(*position))?.unwrap_or(end).min(end);
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(*position))?;
    file.take((hole - *position).min(most)).read_to_end(&mut bytes)?;
    *position += bytes.len() as u64;
    Ok(Part::Bytes(bytes))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;
    use std::path::Path;

    use super::*;

    /// Returns the bytes of a file, and the sizes of its holes.
    fn read(path: &Path, most: u64) -> (Vec<u8>, Vec<u64>) {
        let (mut file, mut position, mut bytes, mut missing) = (File::open(path).unwrap(), 0, Vec::new(), Vec::new());
        let end = file.metadata().unwrap().len();
        loop {
            match part(&mut file, &mut position, end, most).unwrap() {
                Part::Bytes(more) if more.is_empty() => return (bytes, missing),
                Part::Bytes(more) => bytes.extend(more),
                Part::Missing(count) => missing.push(count),
            }
        }
    }

    fn open(path: &Path) -> File {
        File::options().create(true).read(true).append(true).open(path).unwrap()
    }

    #[test]
    fn the_first_and_the_last_half_are_kept_and_the_gap_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let most = 16 * BLOCK;
        let mut log = Bounded::new(open(&path), most);
        let line = |number: usize| format!("line {number:08}\n");
        let whole: Vec<u8> = (0..100_000).flat_map(|number| line(number).into_bytes()).collect();
        for piece in whole.chunks(1_000) {
            log.write(piece).unwrap();
        }
        let missing = log.missing();
        let (kept, gaps) = read(&path, 1_000);
        assert_eq!(gaps, [missing], "it is read as it is while more is written");
        assert_eq!(kept.len() as u64 + missing, whole.len() as u64);
        assert!(kept.len() as u64 <= most + most / 8 + BLOCK, "{}", kept.len());
        let (first, last) = kept.split_at(half(most) as usize);
        assert!(whole.starts_with(first) && whole.ends_with(last));
        let on_disk = path.metadata().unwrap().blocks() * 512;
        assert!(on_disk <= 2 * most, "{on_disk} bytes on the disk");
        // A second writer continues the same file.
        let mut log = Bounded::new(open(&path), most);
        log.write(b"end\n").unwrap();
        let missing = log.missing();
        log.close().unwrap();
        let text = std::fs::read(&path).unwrap();
        let note = note(missing);
        // The second writer checked the length once. The first had not done so for an eighth of its half.
        assert!(text.starts_with(first) && text.ends_with(&[last, &b"end\n"[..]].concat()[2 * BLOCK as usize..]), "{missing}");
        assert_eq!(&text[first.len()..][..note.len()], note);
        assert_eq!(read(&path, 1 << 20), (text, Vec::new()), "it has no hole any more");
    }

    /// Folder on a file system without holes. Set in the copy of this test that runs in a separate mount namespace.
    const NO_HOLES: &str = "MONITOR_TEST_NO_HOLES";

    #[test]
    fn without_sparse_files_the_first_bytes_are_kept_and_the_rest_is_counted() {
        if let Some(folder) = std::env::var_os(NO_HOLES) {
            return without_holes(Path::new(&folder));
        }
        // ramfs does not support holes. Unprivileged users can mount it in a namespace, if the system permits user namespaces.
        let folder = tempfile::tempdir().unwrap();
        let apart = |script: &str| {
            let mut command = std::process::Command::new("unshare");
            command.args(["--map-root-user", "--mount", "sh", "-c", &format!("mount -t ramfs ramfs \"$0\" && {script}")]);
            command.arg(folder.path());
            command
        };
        match apart("true").output() {
            Ok(output) if output.status.success() => {}
            Ok(output) => return println!("NOT TESTED: no ramfs can be mounted here: {}", String::from_utf8_lossy(&output.stderr)),
            Err(error) => return println!("NOT TESTED: unshare can't be started: {error}"),
        }
        let (_, module) = module_path!().split_once("::").unwrap();
        let name = format!("{module}::without_sparse_files_the_first_bytes_are_kept_and_the_rest_is_counted");
        let mut again = apart("exec \"$@\"");
        again.arg(std::env::current_exe().unwrap()).args(["--exact", &name, "--nocapture"]).env(NO_HOLES, folder.path());
        let output = again.output().unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
    }

    fn without_holes(folder: &Path) {
        let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let probe = open(&folder.join("probe"));
        assert_eq!(fallocate(&probe, punch, 0, BLOCK), Err(Errno::OPNOTSUPP), "or nothing of this is tested");
        let (path, most) = (folder.join("log"), 16 * BLOCK);
        let mut log = Bounded::new(open(&path), most);
        let whole: Vec<u8> = (0..100_000).flat_map(|number| format!("line {number:08}\n").into_bytes()).collect();
        for piece in whole.chunks(1_000) {
            log.write(piece).unwrap();
        }
        let missing = log.missing();
        let (kept, gaps) = read(&path, 1_000);
        assert_eq!((kept.len() as u64 + missing, gaps), (whole.len() as u64, Vec::new()));
        assert!(whole.starts_with(&kept) && kept.len() as u64 >= most, "{}", kept.len());
        assert!(kept.len() as u64 <= most + most / 8 + BLOCK, "{}", kept.len());
        // The note is appended at the end, where bytes are missing.
        let mut copy = open(&folder.join("copy"));
        assert_eq!(log.close_into(&mut copy).unwrap(), None, "there is no hole to close");
        assert_eq!(std::fs::read(&path).unwrap(), [&kept[..], &note(missing)].concat());
        assert_eq!(copy.metadata().unwrap().len(), 0);
        // A file below the maximum has no note.
        let mut log = Bounded::new(open(&folder.join("short")), most);
        log.write(b"short\n").unwrap();
        log.close().unwrap();
        assert_eq!(std::fs::read(folder.join("short")).unwrap(), b"short\n");
    }

    #[test]
    fn output_below_the_limit_is_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = Bounded::new(open(&path), 1);
        log.write(b"\0\0a").unwrap();
        log.write(&[b'b'; 5_000]).unwrap();
        assert_eq!(log.missing(), 0, "a block at each end is kept at least");
        log.close().unwrap();
        let (kept, gaps) = read(&path, 10);
        assert_eq!((kept.len(), gaps.len()), (5_003, 0));
        assert_eq!(part(&mut File::open(&path).unwrap(), &mut 9_999, 5_003, 10).unwrap(), Part::Bytes(Vec::new()));
    }
}
