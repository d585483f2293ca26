//! Accounts that scripts run as.

use std::io;
use std::path::PathBuf;

use nix::unistd::{Uid, User, geteuid};

/// A user of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) home: PathBuf,
    /// True for the user that the agent runs as.
    pub(crate) is_own: bool,
}

impl Account {
    /// Returns the account with this name, or the agent's own. `None` if this host has no such account.
    ///
    /// # Errors
    /// When the host's users can't be read.
    pub(crate) fn find(name: Option<&str>) -> io::Result<Option<Self>> {
        let own = geteuid();
        let user = match name.map(|name| (name, name.parse())) {
            None => User::from_uid(own)?,
            Some((_, Ok(uid))) => User::from_uid(Uid::from_raw(uid))?,
            Some((name, Err(_))) => User::from_name(name)?,
        };
        Ok(user.map(|user| Self {
            is_own: user.uid == own,
            name: user.name,
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
            home: user.dir,
        }))
    }

    pub(crate) fn is_root(&self) -> bool {
        self.uid == 0
    }
}
