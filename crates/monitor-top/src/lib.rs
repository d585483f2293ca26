//! The terminal monitor: trees, errors, workers, queues and logs, while they happen, and keys to go through them.
//!
//! `app` is the state without drawing, `data/` what is asked and heard, `screens/` what is drawn, `run` the loop that joins them.
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

/// What the monitor is started with.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The tree that is opened first: its number, or its id.
    pub root: Option<String>,
    /// Nothing can be cancelled.
    pub is_readonly: bool,
}

/// Shows what a server tells, until somebody quits or a signal comes. Returns the exit code. Runs on a tokio runtime with time and I/O.
///
/// # Errors
/// When there is no terminal, or it can't be used.
pub async fn show(client: Client, options: Options) -> Result<u8, Error> {
    let url = client.url().as_str().trim_end_matches('/').to_owned();
    let setting = Setting { page: Some(format!("{url}/tasks")), source: url, is_readonly: options.is_readonly };
    run::run(Source::live(client), setting, options.root).await
}

/// Shows what a file of events tells, as [`show`] does what a server tells.
///
/// # Errors
/// When there is no terminal, it can't be used, or the file can't be read.
pub async fn replay(replay: Replay, options: Options) -> Result<u8, Error> {
    let player = Player::open(&replay).map_err(|source| Error::Replay { path: replay.path.clone(), source })?;
    let setting = Setting { page: None, source: shown(&replay.path), is_readonly: true };
    run::run(Source::Replay(player), setting, options.root).await
}
