//! The server over real sockets, with its real database.

mod bodies;
mod guard;
mod keeping;
mod lifecycle;
mod logs;
mod openapi;
mod page;
mod parameters;
mod reading;
mod spool;
mod stream;
mod support;
