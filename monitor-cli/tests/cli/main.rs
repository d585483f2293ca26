//! The real command against a real server.

mod access;
mod help;
mod logs;
mod reading;
mod server;
mod settings;
mod spool;
mod support;
