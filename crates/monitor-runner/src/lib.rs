//! Runs a command as a process: starts it, watches it, limits it, ends it, records it, and survives the death of whoever asked.
//!
//! [`prepare`] takes a [`Spec`](monitor_runs::Spec) and gives a [`Launcher`], whose [`run`](Launcher::run) returns the
//! [`Outcome`](monitor_runs::Outcome). It takes over the signals and the terminal of its program, so that program is to do nothing else:
//! `monitor run` is one. Whoever has other things to do — a scheduler, a job — asks for such a program by [`monitor_runs::start`]; that
//! program calls [`launch`].
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

pub use launcher::{Launcher, flush, launch, prepare};
