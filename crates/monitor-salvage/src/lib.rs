//! SQLite databases that are damaged: moved aside with their logs, and read row by row. For the databases of the server and of the agent.
#![forbid(unsafe_code)]

mod aside;
mod copy;
mod rows;

pub use aside::{beside, move_aside};
pub use copy::Copy;
pub use rows::{copy_named_table, copy_table};
