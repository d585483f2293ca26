//! The terminal monitor: shows trees, errors, workers, queues and logs live, and handles keys to navigate them.
//!
//! `app` is the state without drawing, `data/` queries the server, `screens/` draws, and `run` is the loop that connects them.
#![forbid(unsafe_code)]

mod app;
mod command;
mod data;
mod list;
mod pace;
mod prompt;
mod replay;
mod run;
mod screens;
mod signals;
mod source;
#[cfg(test)]
mod support;
mod terminal;
mod theme;

use monitor_api::Client;

use crate::app::Setting;
pub use crate::replay::Replay;
use crate::replay::{Player, shown};
pub use crate::run::Error;
use crate::source::Source;

/// Start options of the monitor.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Number or id of the tree to open first.
    pub root: Option<String>,
    /// True to disable cancellations and other changes.
    pub is_readonly: bool,
}

/// Shows the data of a server until the user quits or a signal arrives. Returns the exit code. Requires a tokio runtime with time and I/O.
///
/// # Errors
/// If there is no terminal, or it can't be used.
pub async fn show(client: Client, options: Options) -> Result<u8, Error> {
    let url = client.url().as_str().trim_end_matches('/').to_owned();
    let setting = Setting { page: Some(format!("{url}/tasks")), source: url, is_readonly: options.is_readonly };
    run::run(Source::live(client), setting, options.root).await
}

/// Replays a file of events, with the same display as [`show`].
///
/// # Errors
/// If there is no terminal, it can't be used, or the file can't be read.
pub async fn replay(replay: Replay, options: Options) -> Result<u8, Error> {
    let player = Player::open(&replay).map_err(|source| Error::Replay { path: replay.path.clone(), source })?;
    let setting = Setting { page: None, source: shown(&replay.path), is_readonly: true };
    run::run(Source::Replay(player), setting, options.root).await
}
