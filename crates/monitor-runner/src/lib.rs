//! Runs a command as a process: starts, watches, limits, ends and records it. The command survives the death of its launcher.
//!
//! [`prepare`] takes a [`Spec`](monitor_runs::Spec) and returns a [`Launcher`], whose [`run`](Launcher::run) returns the
//! [`Outcome`](monitor_runs::Outcome). The launcher takes over the signals and the terminal of its program, so the program, such as
//! `monitor run`, must have no other job. A scheduler or another program with several jobs starts such a program by
//! [`monitor_runs::start`], which then calls [`launch`].
//!
//! ```text
//! launcher ── helper ── command ── what it starts
//!    │           └ forked before any thread: starts and ends commands, adopts what they leave behind,
//!    │             and goes on copying output if the launcher is killed
//!    └ records, copies output, keeps the time, passes signals on
//! ```
#![cfg(target_os = "linux")]

mod account;
mod environment;
mod failure;
mod helper;
mod hooks;
mod inject;
mod launcher;
mod limits;
mod lines;
mod logfile;
mod messages;
mod pump;
mod readers;
mod record;
mod secrets;
mod sink;
mod streams;
mod sys;
mod tail;
mod terminal;
mod why;
mod work;

pub use inject::CELERY_MODULE;
pub use launcher::{Launcher, flush, launch, prepare};
