//! Items for programs that start commands and record each as a [`Process`](crate::Process): the exit status of a command, retries, and an end
//! that does not wait for the server.
//!
//! ```
//! use std::process::Command;
//!
//! use monitor_client::launcher::Exit;
//! use monitor_client::{CommandExt, Process};
//!
//! # if cfg!(unix) {
//! let sort = Process::builder("sort").kind("script").enter();
//! let status = Command::new("true").with_current_process().status().expect("the command was started");
//! sort.leave().exited(Exit { code: status.code(), ..Exit::default() });
//! # }
//! ```

pub use monitor_core::{Exit, Retry};

#[cfg(feature = "ship")]
pub use crate::ship::{Left, leave, without_calls};
