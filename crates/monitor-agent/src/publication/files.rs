//! Lists, reads and compares the files of publications and of the history. Links are listed but not followed, because a run can create links to
//! any path.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::tree::{Kind, Tree};

/// Maximum number of files listed per folder.
const MOST_FILES: usize = 100_000;
/// Buffer size for comparing files, in bytes.
const PIECE: usize = 64 << 10;

/// A file below a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRow {
    /// Size in bytes. For a link, the length of its target path.
    pub bytes: u64,
    /// Target path, if it is a link.
    pub link: Option<PathBuf>,
}

/// Files below a folder, by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// Up to 100,000 files.
    pub files: BTreeMap<String, FileRow>,
    /// True if the folder contains more files.
    pub is_cut: bool,
}

/// A file that differs between two folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Path below the folders.
    pub path: String,
    /// `added`, `removed`, `changed` or `unknown`. `unknown` means that the sizes are equal, and comparing the contents would exceed the
    /// budget.
    pub what: &'static str,
    /// Size in the first folder.
    pub before: Option<u64>,
    /// Size in the second folder.
    pub after: Option<u64>,
}

/// Lists the files below a folder.
///
/// # Errors
/// Returns an error if a folder can't be read.
pub fn files(folder: &Path) -> io::Result<Files> {
    let mut found = Files::default();
    Tree::open(folder)?.walk(&mut |entry| {
        if entry.kind == Kind::Folder {
            return Ok(true);
        }
        if found.files.len() == MOST_FILES {
            found.is_cut = true;
            return Ok(false);
        }
        let link = if entry.kind == Kind::Link { entry.read_link().ok() } else { None };
        found.files.insert(entry.path.to_string_lossy().into_owned(), FileRow { bytes: entry.bytes, link });
        Ok(true)
    })?;
    Ok(found)
}

/// Returns the first bytes of a file below a folder, at most `most`, and the size of the file.
///
/// # Errors
/// Returns an error if there is no such file, it is not a regular file, or its path contains a link.
pub(crate) fn beginning(folder: &Path, path: &str, most: u64) -> io::Result<(Vec<u8>, u64)> {
    let file = Tree::open(folder)?.file(path)?;
    let size = file.metadata()?.len();
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok((bytes, size))
}

/// Returns the files that differ between two folders, sorted by path, and true if the lists were cut. Compares the contents of files that have
/// the same size, up to `budget` bytes in total.
///
/// # Errors
/// Returns an error if a file can't be read.
pub fn compare(one: &Path, other: &Path, budget: u64) -> io::Result<(Vec<Change>, bool)> {
    let (before, after) = (files(one)?, files(other)?);
    let (one, other) = (Tree::open(one)?, Tree::open(other)?);
    let paths: BTreeSet<&String> = before.files.keys().chain(after.files.keys()).collect();
    let (mut changes, mut left) = (Vec::new(), budget);
    for path in paths {
        let what = match (before.files.get(path), after.files.get(path)) {
            (Some(_), None) => "removed",
            (None, Some(_)) => "added",
            (Some(a), Some(b)) if a != b => "changed",
            (Some(a), Some(_)) if a.link.is_some() => continue,
            (Some(a), Some(_)) if a.bytes > left => "unknown",
            (Some(a), Some(_)) => {
                left -= a.bytes;
                if is_same(one.file(path)?, other.file(path)?)? {
                    continue;
                }
                "changed"
            }
            (None, None) => continue,
        };
        let size = |of: &Files| of.files.get(path).map(|file| file.bytes);
        changes.push(Change { path: path.clone(), what, before: size(&before), after: size(&after) });
    }
    Ok((changes, before.is_cut || after.is_cut))
}

fn is_same(mut one: File, mut other: File) -> io::Result<bool> {
    let (mut a, mut b) = (vec![0; PIECE], vec![0; PIECE]);
    loop {
        let length = one.read(&mut a)?;
        if length == 0 {
            return Ok(other.read(&mut b)? == 0);
        }
        if other.read_exact(&mut b[..length]).is_err() || a[..length] != b[..length] {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use nix::sys::stat::Mode;

    use super::*;

    #[test]
    fn files_are_listed_read_and_compared_and_no_link_is_followed() {
        let home = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| home.path().join(name));
        for folder in [&one, &other] {
            fs::create_dir_all(folder.join("day")).unwrap();
            fs::write(folder.join("same"), "same").unwrap();
            fs::write(folder.join("day/size"), "12").unwrap();
            symlink("/etc", folder.join("etc")).unwrap();
            symlink("/etc/passwd", folder.join("passwd")).unwrap();
        }
        fs::write(one.join("gone"), "1").unwrap();
        fs::write(other.join("new"), "123").unwrap();
        fs::write(one.join("day/text"), "old").unwrap();
        fs::write(other.join("day/text"), "new").unwrap();
        fs::write(other.join("day/size"), "123").unwrap();
        let told = |budget| {
            let (changes, is_cut) = compare(&one, &other, budget).unwrap();
            assert!(!is_cut);
            changes.into_iter().map(|of| format!("{} {} {:?} {:?}", of.what, of.path, of.before, of.after)).collect::<Vec<_>>()
        };
        let sized =
            ["changed day/size Some(2) Some(3)", "changed day/text Some(3) Some(3)", "removed gone Some(1) None", "added new None Some(3)"];
        assert_eq!(told(u64::MAX), sized);
        assert_eq!(told(0)[1], "unknown day/text Some(3) Some(3)");
        assert!(compare(&one, &one, u64::MAX).unwrap().0.is_empty());
        let listed = files(&one).unwrap();
        assert_eq!(listed.files["etc"].link, Some("/etc".into()));
        assert_eq!(listed.files.keys().collect::<Vec<_>>(), ["day/size", "day/text", "etc", "gone", "passwd", "same"]);
        assert_eq!(beginning(&one, "day/text", 2).unwrap(), (b"ol".to_vec(), 3));
        for wrong in ["", "day", "../other/new", "/etc/passwd", "passwd", "etc/passwd", "day/../same", "none", "a\0b", &"x".repeat(5_000)] {
            let error = beginning(&one, wrong, 10).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{wrong:?}: {error}");
        }
        nix::unistd::mkfifo(&one.join("pipe"), Mode::S_IRWXU).unwrap();
        assert!(beginning(&one, "pipe", 10).is_err(), "nobody waits for a pipe");
    }
}
