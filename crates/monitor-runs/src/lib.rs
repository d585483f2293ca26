//! Runs as files and processes: specification, claim by a launcher, steps, outcome, and ending a run.
//!
//! [`start`] begins a run with a separate launcher, the program `monitor`. The launcher claims the run by [`Claim::take`] and records each
//! step. Other programs open a [`Run`] by [`list`] or [`find`]. This crate neither records processes nor communicates with a server.
#![cfg(target_os = "linux")]

mod accounts;
pub mod bounded;
mod claim;
mod error;
mod folder;
mod follow;
mod held;
mod identity;
mod kill;
pub mod mask;
mod outcome;
mod output;
mod plain;
mod run;
mod secret;
mod signals;
mod spec;
mod start;
mod steps;
pub mod tree;

pub use accounts::KNOWN_ACCOUNTS;
pub use claim::{Claim, Steps};
pub use error::RunError;
pub use folder::{default_dir, forget_unasked, now_us};
pub use follow::Follower;
pub use held::Held;
pub use identity::{Identity, Stat};
pub use outcome::{Outcome, Waiting};
pub use output::{LOG, Origin, Output, OutputLog};
pub use run::{Life, Run, State, find, list};
pub use secret::Secret;
pub use signals::{end_tree, kill, kill_tree, signal_by_file};
pub use spec::{CLEAN, Inject, Link, OnDeath, ProcessIds, Spec, Verdict};
pub use start::{LAUNCH, ask, launch, launch_with_log, start};
pub use steps::Step;
