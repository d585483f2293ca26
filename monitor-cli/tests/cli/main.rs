//! The real command against a real server.

mod copies;
mod help;
mod reading;
mod server;
mod settings;
mod spool;
mod support;
