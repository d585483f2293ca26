//! Runs as files and processes: what is to be run, who has taken it, what has become of it, and how it is ended.
//!
//! [`start`] begins a run by a launcher of its own, which is the program `monitor`; the launcher takes the run by [`Claim::take`]
//! and writes down each step. [`list`] and [`find`] give each [`Run`] to whoever comes later. Nothing here records or talks to a server.
#![cfg(target_os = "linux")]

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
pub use start::{LAUNCH, ask, launch, start};
pub use steps::Step;
