//! Publishes to a folder. The target is a symbolic link to the newest of several copies next to it.
//!
//! ```text
//! /srv/gold                      -> .gold.published/gold@20261121T023000Z.1
//! /srv/.gold.published/ID/       a complete copy, which never changes
//! ```
//! A rename replaces the link after the copy is complete and flushed to the disk. A reader therefore sees either all old files or all new
//! files, even if this program is killed at any point.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use super::tree::{Kind, Tree};

/// Number of copies to keep per target. A folder also keeps the copy that its link points to.
pub(super) const KEPT: usize = 30;

/// Number of files, and their total size in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

/// The copies of a target. Holds a lock, so that no other publisher changes the copies or the link.
#[derive(Debug)]
pub(super) struct Copies {
    target: PathBuf,
    folder: PathBuf,
    _lock: File,
}

impl Copies {
    /// Locks a target. Creates the folder of its copies if it doesn't exist.
    pub(super) fn open(target: &Path) -> io::Result<Self> {
        if !target.is_absolute() {
            return Err(io::Error::other("the folder of a target is to be an absolute path, such as /srv/gold"));
        }
        let invalid = || io::Error::other("this is no path of a folder");
        let (parent, name) = (target.parent().ok_or_else(invalid)?, target.file_name().ok_or_else(invalid)?);
        check(target)?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(".published");
        let folder = parent.join(hidden);
        if !folder.is_dir() {
            fs::create_dir_all(&folder)?;
            // Other users must be able to read the copies, whatever the agent's umask is.
            fs::set_permissions(&folder, Permissions::from_mode(0o755))?;
        }
        let lock = File::options().create(true).append(true).open(folder.join(".lock"))?;
        lock.lock()?;
        // Check again: the target may have changed while this waited for the lock.
        check(target)?;
        Ok(Self { target: parent.join(name), folder, _lock: lock })
    }

    /// Copies `source`, and returns the path and size of the copy. Doesn't change the link.
    pub(super) fn add(&self, source: &Tree, id: &str) -> io::Result<(PathBuf, Size)> {
        let numbered = (2..).map(|number| format!("{id}-{number}"));
        let is_free = |name: &String| fs::symlink_metadata(self.folder.join(name)).is_err();
        let name = std::iter::once(id.to_owned()).chain(numbered).find(is_free).expect("numbers don't end");
        let part = self.folder.join(".part");
        // A publisher that was killed may have left an incomplete copy.
        remove(&part)?;
        let size = copy(source, &part).inspect_err(|_| drop(remove(&part)))?;
        let copy = self.folder.join(name);
        fs::rename(&part, &copy)?;
        sync(&self.folder)?;
        Ok((copy, size))
    }

    /// Points the target's link to a copy.
    pub(super) fn switch(&self, copy: &Path) -> io::Result<()> {
        let relative = copy.strip_prefix(self.target.parent().unwrap_or(&self.target)).unwrap_or(copy);
        let next = self.folder.join(".next");
        remove(&next)?;
        // A relative link is resolved from the folder of the target.
        symlink(relative, &next)?;
        fs::rename(&next, &self.target)?;
        sync(self.target.parent().unwrap_or(&self.folder))
    }

    /// Removes the oldest copies. A copy that can't be removed stays, and a warning is logged.
    pub(super) fn tidy(&self) {
        let now = linked(&self.target);
        let mut copies: Vec<(std::time::SystemTime, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let is_copy = !entry.file_name().to_string_lossy().starts_with('.') && entry.file_type().is_ok_and(|kind| kind.is_dir());
            if let Ok(time) = entry.metadata().and_then(|about| about.modified())
                && is_copy
                && Some(entry.path()) != now
            {
                copies.push((time, entry.path()));
            }
        }
        copies.sort();
        let old = copies.len().saturating_sub(KEPT);
        for (_, copy) in copies.drain(..old) {
            if let Err(error) = fs::remove_dir_all(&copy) {
                tracing::warn!(copy = %copy.display(), %error, "an old publication can't be removed");
            }
        }
    }
}

/// Returns the folder that a target's link points to.
pub(super) fn linked(target: &Path) -> Option<PathBuf> {
    let link = fs::read_link(target).ok()?;
    Some(target.parent()?.join(link))
}

/// Returns an error if `target` exists and is not a symbolic link.
fn check(target: &Path) -> io::Result<()> {
    match fs::symlink_metadata(target) {
        Ok(about) if about.is_symlink() => Ok(()),
        Ok(about) => {
            let what = if about.is_dir() { "a real folder" } else { "a file" };
            Err(io::Error::other(format!("{} is {what}: move it away, so that a link can take its place", target.display())))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Copies a folder recursively and flushes the copy to the disk. Copies links as links.
fn copy(from: &Tree, to: &Path) -> io::Result<Size> {
    fs::create_dir(to)?;
    let (mut size, mut folders) = (Size::default(), vec![(to.to_owned(), from.mode()?)]);
    from.walk(&mut |entry| {
        let new = to.join(entry.path);
        size.files += u64::from(entry.kind != Kind::Folder);
        match entry.kind {
            Kind::Folder => {
                fs::create_dir(&new)?;
                folders.push((new, entry.mode));
            }
            Kind::File => {
                let mut copy = File::create_new(&new)?;
                size.bytes += io::copy(&mut entry.open()?, &mut copy)?;
                copy.set_permissions(Permissions::from_mode(entry.mode))?;
                copy.sync_all()?;
            }
            Kind::Link => symlink(entry.link()?, &new)?,
            Kind::Other => return Err(entry.wrong("is no file, folder or link")),
        }
        Ok(true)
    })?;
    // Set the folders' modes last, because a folder's mode may not permit writing to it.
    for (folder, mode) in folders.iter().rev() {
        sync(folder)?;
        fs::set_permissions(folder, Permissions::from_mode(*mode))?;
    }
    Ok(size)
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(about) if about.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_leads_to_the_newest_copy_and_a_real_folder_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let (source, target) = (home.path().join("publish"), home.path().join("srv/gold"));
        fs::create_dir_all(source.join("day")).unwrap();
        symlink("day/price", source.join("newest")).unwrap();
        for text in ["old", "new"] {
            fs::write(source.join("day/price"), text).unwrap();
            let copies = Copies::open(&target).unwrap();
            let (copy, size) = copies.add(&Tree::open(&source).unwrap(), "gold@20261121T023000Z.1").unwrap();
            assert_eq!(size, Size { files: 2, bytes: 3 });
            copies.switch(&copy).unwrap();
            assert_eq!(linked(&target), Some(copy));
            assert_eq!(fs::read_to_string(target.join("newest")).unwrap(), text);
        }
        assert!(!fs::read_link(&target).unwrap().is_absolute(), "it may be moved with its folder");
        // Leftovers of a publisher that was killed are replaced.
        fs::create_dir_all(home.path().join("srv/.gold.published/.part/day")).unwrap();
        symlink("/nowhere", home.path().join("srv/.gold.published/.next")).unwrap();
        let copies = Copies::open(&target).unwrap();
        for number in 0..KEPT + 5 {
            copies.add(&Tree::open(&source).unwrap(), &format!("x{number}")).unwrap();
        }
        copies.tidy();
        let left = fs::read_dir(home.path().join("srv/.gold.published")).unwrap().flatten();
        let left = left.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.')).count();
        assert_eq!((left, fs::read_to_string(target.join("newest")).unwrap()), (KEPT + 1, "new".to_owned()));
        drop(copies);
        fs::remove_file(&target).unwrap();
        fs::create_dir(&target).unwrap();
        assert!(Copies::open(&target).unwrap_err().to_string().contains("is a real folder: move it away"));
        assert!(Copies::open(Path::new("srv/gold")).unwrap_err().to_string().contains("absolute"));
        assert!(Copies::open(Path::new("/")).is_err());
    }
}
