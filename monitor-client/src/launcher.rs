//! What a launcher of commands needs besides: how a command ended, whether it is tried again, and an end that doesn't wait for the server.

pub use monitor_core::{Exit, Retry};

#[cfg(feature = "ship")]
pub use crate::ship::{Left, leave, without_calls};
