//! Tests of jobs on the real agent: a server in the test offers orders, and gets reports and output.
#![cfg(target_os = "linux")]

mod host;
mod kills;
mod orders;
mod scripts;
mod server;
