//! The data folder that `monitor token`, `monitor user` and `monitor open` work on.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context;
use monitor_server::access::{Access, Deed, How};

use crate::settings;
use crate::text::{moment, visible};

#[derive(Debug, clap::Args)]
pub(super) struct Folder {
    /// The server's data folder [default: as the server has it]
    #[arg(long, value_name = "DIR", env = "MONITOR_DATA")]
    data: Option<PathBuf>,
}

impl Folder {
    pub(super) fn path(&self) -> anyhow::Result<PathBuf> {
        self.data.clone().map_or_else(settings::data_folder, Ok)
    }

    /// Opens the tokens and users of it.
    pub(super) fn open(&self) -> anyhow::Result<Access> {
        Access::open(&self.path()?).context("could not open the tokens and users of the server's data folder (--data)")
    }

    /// Records what was done, and says where: another folder's server would know nothing of it.
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

/// Name of the user who started this program, as the system knows it: what the environment says may be anything.
#[cfg(unix)]
fn user() -> String {
    let uid = nix::unistd::getuid();
    nix::unistd::User::from_uid(uid).ok().flatten().map_or_else(|| format!("uid {uid}"), |user| user.name)
}

#[cfg(not(unix))]
fn user() -> String {
    std::env::var("USERNAME").unwrap_or_else(|_| "unknown".to_owned())
}

/// A time, or that there is none.
pub(super) fn when(time_us: Option<u64>) -> String {
    time_us.map_or_else(|| "never".to_owned(), moment)
}
