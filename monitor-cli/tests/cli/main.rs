//! The real command against a real server.

mod access;
mod batch;
mod copies;
#[cfg(unix)]
mod crontab;
mod events;
mod export;
mod heartbeat;
mod help;
mod logs;
mod manual;
mod migrate;
mod reading;
mod server;
mod settings;
mod shell;
mod spool;
mod support;
mod task;
