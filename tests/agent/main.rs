//! The real agent: it starts tasks when they are due, follows them, and goes on where it was.
#![cfg(target_os = "linux")]

mod harness;
mod killed;
mod own;
mod publish;
mod server;
mod tasks;
mod time;
