//! The data folder of `monitor token`, `monitor user` and `monitor open`.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context;
use monitor_server::access::{Access, Deed, How};

use crate::settings;
use crate::text::{moment, visible};

#[derive(Debug, clap::Args)]
pub(super) struct Folder {
    /// Data folder of the server [default: as in the server's settings]
    #[arg(long, value_name = "DIR", env = "MONITOR_DATA")]
    data: Option<PathBuf>,
}

impl Folder {
    pub(super) fn path(&self) -> anyhow::Result<PathBuf> {
        self.data.clone().map_or_else(settings::data_folder, Ok)
    }

    /// True if an option or variable names the folder.
    #[cfg(unix)]
    pub(super) fn is_named(&self) -> bool {
        self.data.is_some()
    }

    /// Opens the folder's tokens and users.
    pub(super) fn open(&self) -> anyhow::Result<Access> {
        Access::open(&self.path()?).context("could not open the tokens and users of the server's data folder (--data)")
    }

    /// Adds an audit entry and prints the folder, because a change in the wrong folder has no effect on the running server.
    pub(super) fn record(&self, access: &Access, action: &str) {
        let who = user();
        let deed = Deed { who: &who, how: How::Folder, address: None, action, outcome: "done" };
        if let Err(error) = access.record(&deed) {
            eprintln!("monitor: it is done, but could not be recorded: {error}");
        }
        if let Ok(folder) = self.path() {
            let _ = writeln!(anstream::stderr(), "monitor: done in {}", visible(&folder.display().to_string()));
        }
    }
}

/// Name of the user who started this program, from the system's user database. Variables could contain any name.
#[cfg(unix)]
fn user() -> String {
    let uid = nix::unistd::getuid();
    nix::unistd::User::from_uid(uid).ok().flatten().map_or_else(|| format!("uid {uid}"), |user| user.name)
}

#[cfg(not(unix))]
fn user() -> String {
    std::env::var("USERNAME").unwrap_or_else(|_| "unknown".to_owned())
}

/// A time, or `never`.
pub(super) fn when(time_us: Option<u64>) -> String {
    time_us.map_or_else(|| "never".to_owned(), moment)
}
