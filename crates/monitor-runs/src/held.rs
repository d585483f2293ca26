//! Folders held open by descriptor, so that later changes to their path have no effect.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// A folder that is held open. The folder of a task may belong to the user of its runs, who can place symlinks anywhere below it. If this
/// program runs as root, it must not follow them. Below another user's folder, no symlink is followed, and each folder is opened relative
/// to its parent's descriptor.
#[derive(Debug)]
pub struct Held {
    file: File,
    /// True if this folder or an ancestor belongs to another user.
    is_others: bool,
}

impl Held {
    /// Opens a folder by path, following symlinks.
    ///
    /// # Errors
    /// If it can't be opened, or is not a folder.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(folder)?;
        Ok(Self { is_others: is_others(&file)?, file })
    }

    /// Opens a subfolder by name, and creates it if it does not exist.
    ///
    /// # Errors
    /// If it can neither be created nor opened, is not a folder, or is a symlink below another user's folder.
    pub fn below(&self, name: &str) -> io::Result<Self> {
        let path = self.path().join(name);
        match fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(io::Error::new(error.kind(), format!("the folder {name} can't be made: {error}")));
            }
            _ => {}
        }
        let follow = if self.is_others { libc::O_NOFOLLOW } else { 0 };
        let opened = OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY | follow).open(&path);
        let why = if path.is_symlink() { "a link" } else { "no folder" };
        let file = opened.map_err(|error| match error.raw_os_error() {
            Some(libc::ENOTDIR | libc::ELOOP) => {
                io::Error::new(error.kind(), format!("{name} is {why}, where this user needs a folder: remove it"))
            }
            _ => error,
        })?;
        Ok(Self { is_others: self.is_others || is_others(&file)?, file })
    }

    /// Returns a path that refers to the folder as long as this object exists.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }

    /// Sets owner and mode of a folder that belongs to this program's user, independent of the umask. A folder of another user is not
    /// changed.
    ///
    /// # Errors
    /// If this program lacks the permission.
    pub fn hand_over(&self, owner: Option<(u32, u32)>, mode: u32) -> io::Result<()> {
        if is_others(&self.file)? {
            return Ok(());
        }
        self.set_mode(mode)?;
        if let Some((uid, gid)) = owner {
            std::os::unix::fs::fchown(&self.file, Some(uid), Some(gid))?;
        }
        Ok(())
    }

    /// Sets the mode, independent of the umask.
    ///
    /// # Errors
    /// If the folder belongs to another user.
    pub fn set_mode(&self, mode: u32) -> io::Result<()> {
        self.file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))
    }
}

fn is_others(folder: &File) -> io::Result<bool> {
    Ok(folder.metadata()?.uid() != rustix::process::geteuid().as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_made_and_links_of_our_own_are_followed() {
        let home = tempfile::tempdir().unwrap();
        let elsewhere = home.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, home.path().join("history")).unwrap();
        let held = Held::open(home.path()).unwrap();
        let month = held.below("history").unwrap().below("202611").unwrap();
        fs::write(month.path().join("file"), "1").unwrap();
        assert_eq!(fs::read_to_string(elsewhere.join("202611/file")).unwrap(), "1");
        // The open folder stays the same if its path is replaced.
        fs::rename(elsewhere.join("202611"), elsewhere.join("before")).unwrap();
        fs::write(month.path().join("file"), "2").unwrap();
        assert_eq!(fs::read_to_string(elsewhere.join("before/file")).unwrap(), "2");
        fs::write(home.path().join("text"), "").unwrap();
        let error = held.below("text").unwrap_err();
        assert!(error.to_string().contains("text is no folder"), "{error}");
        std::os::unix::fs::symlink("/none", home.path().join("nowhere")).unwrap();
        assert!(held.below("nowhere").is_err() && Held::open(&home.path().join("none")).is_err());
    }

    #[test]
    fn below_another_users_folder_no_link_is_followed() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("not tried: only root may give a folder away");
            return;
        }
        let home = tempfile::tempdir().unwrap();
        let (own, elsewhere) = (home.path().join("own"), home.path().join("elsewhere"));
        for folder in [&own, &elsewhere] {
            fs::create_dir(folder).unwrap();
        }
        std::os::unix::fs::chown(&own, Some(65_534), None).unwrap();
        std::os::unix::fs::symlink(&elsewhere, own.join("history")).unwrap();
        let held = Held::open(&own).unwrap();
        let error = held.below("history").unwrap_err();
        assert!(error.to_string().contains("history is a link"), "{error}");
        // The rule also applies in our own folder below another user's folder.
        let ours = held.below("ours").unwrap();
        std::os::unix::fs::symlink(&elsewhere, ours.path().join("202611")).unwrap();
        assert!(ours.below("202611").is_err());
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    }
}
