//! Integration tests of the real agent: it starts tasks when they are due, follows their runs, and continues after a restart.
#![cfg(target_os = "linux")]

mod ahead;
mod alarms;
mod alerts;
mod assistant;
mod away;
mod bucket;
mod channels;
mod defaults;
mod explained;
mod harness;
mod hold;
mod killed;
mod known;
mod lost;
mod mistakes;
mod output;
mod own;
mod paused;
mod publish;
mod published;
#[path = "../month/receivers.rs"]
#[expect(dead_code, reason = "the month asks for more of it")]
mod receivers;
mod results;
mod server;
mod tasks;
mod time;
mod unstarted;
mod user;
