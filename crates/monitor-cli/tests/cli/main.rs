//! Tests the real command with a real server.

mod access;
mod batch;
mod copies;
#[cfg(unix)]
mod crontab;
mod events;
mod export;
mod heartbeat;
mod help;
#[cfg(target_os = "linux")]
mod jobs;
mod logs;
mod manual;
mod migrate;
#[cfg(target_os = "linux")]
#[path = "../pty/mod.rs"]
#[allow(dead_code, reason = "each test program uses its own part of it")]
mod pty;
mod queue;
mod reading;
mod server;
mod settings;
mod shell;
mod spool;
mod support;
mod task;
#[cfg(target_os = "linux")]
mod version;
