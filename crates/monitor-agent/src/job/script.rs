//! Files of scripts. Each has its own folder, in which no other account than the agent's can create files. Otherwise a script could leave so
//! many nested folders that their removal ends the agent.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use monitor_wire::Language;

use crate::job_policy::{Account, sha256};

/// Folder for scripts of other accounts, which can't enter the agent's folder.
const SHARED: &str = "/run/monitor-agent-jobs";

/// The folders with the folders of scripts.
#[derive(Debug)]
pub(super) struct Scripts {
    /// For scripts of the agent's own account.
    own: PathBuf,
    /// For scripts of other accounts.
    shared: PathBuf,
}

impl Scripts {
    /// Returns the folders of the agent with this data folder.
    pub(super) fn new(data: &Path) -> Self {
        // Another agent of this host may have a run with the same id.
        let name = &sha256(data.as_os_str().as_encoded_bytes())[..16];
        Self { own: data.join("scripts"), shared: Path::new(SHARED).join(name) }
    }

    /// Returns the path of a run's script.
    pub(super) fn path(&self, run: &str, account: &Account, language: Language) -> PathBuf {
        let folder = if account.is_own { &self.own } else { &self.shared };
        // PowerShell refuses other names.
        folder.join(run).join(if language == Language::Powershell { "script.ps1" } else { "script" })
    }

    /// Writes the script of a run to the file [`path`](Self::path). Replaces an existing file.
    ///
    /// # Errors
    /// If the file can't be written, or can't be given to the account.
    pub(super) fn write(&self, path: &Path, account: &Account, text: &str) -> io::Result<()> {
        let run = path.parent().expect("a script is in a folder");
        if account.is_own {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.own)?;
        } else {
            for folder in [Path::new(SHARED), &self.shared] {
                DirBuilder::new().recursive(true).mode(0o711).create(folder)?;
                // Independent of the umask. Fails for the folder of another user.
                fs::set_permissions(folder, Permissions::from_mode(0o711))?;
            }
        }
        remove(run)?;
        DirBuilder::new().mode(0o700).create(run)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o700).open(path)?;
        file.set_permissions(Permissions::from_mode(0o700))?;
        file.write_all(text.as_bytes())?;
        drop(file);
        if account.is_own {
            return Ok(());
        }
        chown(path, Some(account.uid), Some(account.gid))?;
        chown(run, None, Some(account.gid))?;
        fs::set_permissions(run, Permissions::from_mode(0o750))
    }

    /// Removes the script of a run.
    pub(super) fn remove(&self, run: &str) {
        for folder in [&self.own, &self.shared] {
            if let Err(error) = remove(&folder.join(run)) {
                tracing::warn!(run, %error, "the script of a run can't be removed: remove {} by hand", folder.join(run).display());
            }
        }
    }

    /// Removes the scripts of all runs for which `is_open` returns false. A killed agent leaves such scripts.
    pub(super) fn remove_others(&self, is_open: impl Fn(&str) -> bool) {
        for folder in [&self.own, &self.shared] {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                if let Some(run) = entry.file_name().to_str().filter(|run| !is_open(run)) {
                    self.remove(run);
                }
            }
        }
    }
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
