//! The real command against a real server.

mod help;
mod logs;
mod reading;
mod server;
mod spool;
mod support;
