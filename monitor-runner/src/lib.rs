//! Runs a command as a process: starts it, watches it, limits it, ends it, and survives the death of whoever asked.
//!
//! [`prepare`] takes a [`Spec`] and gives a [`Launcher`], whose [`run`](Launcher::run) returns the [`Outcome`]. It takes over the
//! signals and the terminal of its program, so that program is to do nothing else: `monitor run` is one. Whoever has other things
//! to do — a scheduler, a job — asks for such a program by [`detached::start`], and finds it again by [`detached::Run`].
//!
//! ```text
//! launcher ── helper ── command ── what it starts
//!    │           └ forked before any thread: starts and ends commands, adopts what they leave behind,
//!    │             and goes on copying output if the launcher is killed
//!    └ records, copies output, keeps the time, passes signals on
//! ```
#![cfg(target_os = "linux")]

pub mod detached;
mod helper;
mod identity;
mod inject;
mod launcher;
mod limits;
mod lines;
mod logfile;
mod mask;
mod messages;
mod outcome;
mod pump;
mod record;
mod sink;
mod spec;
mod streams;
mod sys;
mod tail;
mod terminal;
mod tree;
mod why;
mod work;

pub use identity::Identity;
pub use inject::Inject;
pub use launcher::{Launcher, prepare};
pub use outcome::{Outcome, RunError, Waiting};
pub use spec::{OnDeath, Spec};
