//! What `monitor token` and `monitor user` work on.

use std::path::PathBuf;

use anyhow::Context;
use monitor_server::access::{Access, Deed, How};

use crate::settings;
use crate::text::moment;

#[derive(Debug, clap::Args)]
pub(super) struct Folder {
    /// The server's data folder [default: as the server has it]
    #[arg(long, value_name = "DIR", env = "MONITOR_DATA")]
    data: Option<PathBuf>,
}

impl Folder {
    /// Opens the tokens and users of it.
    pub(super) fn open(&self) -> anyhow::Result<Access> {
        let folder = self.data.clone().map_or_else(settings::data_folder, Ok)?;
        Access::open(&folder).context("could not open the tokens and users of the server's data folder (--data)")
    }

    /// Records what was done.
    #[allow(clippy::unused_self, reason = "who has the folder did it")]
    pub(super) fn record(&self, access: &Access, action: &str) {
        let who = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "unknown".to_owned());
        let deed = Deed { who: &who, how: How::Folder, address: None, action, outcome: "done" };
        if let Err(error) = access.record(&deed) {
            eprintln!("monitor: it is done, but could not be recorded: {error}");
        }
    }
}

/// A time, or that there is none.
pub(super) fn when(time_us: Option<u64>) -> String {
    time_us.map_or_else(|| "never".to_owned(), moment)
}
