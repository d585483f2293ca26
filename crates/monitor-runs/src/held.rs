//! Folders that stay the ones that were opened, whatever stands at their path later.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// A folder that is held open. The folder of a task may belong to the user whose runs it has, who may put a link anywhere below: what this
/// program does there as root must not be done elsewhere. So below another user's folder no link is followed, and each folder is opened in
/// the one above it.
#[derive(Debug)]
pub struct Held {
    file: File,
    /// It, or one above it, is another user's.
    is_others: bool,
}

impl Held {
    /// Opens a folder by its path, links and all.
    ///
    /// # Errors
    /// When it can't be opened, or is no folder.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(folder)?;
        Ok(Self { is_others: is_others(&file)?, file })
    }

    /// Opens the folder of this name in it, which is made if it isn't there.
    ///
    /// # Errors
    /// When it can be neither made nor opened, is no folder, or is a link below another user's folder.
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

    /// A path to it that is good while this lives.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }

    /// Gives a folder of this program's user to another user, with this mode, whatever the umask is. A folder of another user stays as it is.
    ///
    /// # Errors
    /// When this program may not.
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

    /// Who may read, write and enter it, whatever the program's umask is.
    ///
    /// # Errors
    /// When it belongs to another user.
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
        // Whatever is put into its place, it is the one that was opened.
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
        // Nor further below, in a folder that is ours.
        let ours = held.below("ours").unwrap();
        std::os::unix::fs::symlink(&elsewhere, ours.path().join("202611")).unwrap();
        assert!(ours.below("202611").is_err());
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    }
}
