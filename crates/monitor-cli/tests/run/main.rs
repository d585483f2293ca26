//! Tests the binary `monitor run` with real commands, terminals and signals.
#![cfg(target_os = "linux")]

#[path = "../cli/support.rs"]
#[allow(dead_code, reason = "each test program uses its own part of it")]
mod support;

#[path = "../pty/mod.rs"]
mod pty;

mod attempts;
mod detached;
mod harness;
mod inject;
mod killed;
mod leaving;
mod limits;
mod output;
mod plain;
mod prompt;
mod python;
mod report;
mod report_left;
mod secret;
mod spec;
mod terminal;
mod why;
