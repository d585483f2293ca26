//! Items that only launchers of commands need: exit status of a command, retries, and an end that doesn't wait for the server.

pub use monitor_core::{Exit, Retry};

#[cfg(feature = "ship")]
pub use crate::ship::{Left, leave, without_calls};
