//! Senders of messages: by mail, by HTTP, and to the standard input of a command. The server's channels of alerts, the agent's orders about alerts
//! and the receiver's cameras use them. Callers write the messages, read secrets, and decide when to send a message again.
#![forbid(unsafe_code)]

pub mod command;
#[cfg(feature = "mail")]
pub mod mail;
#[cfg(feature = "http")]
pub mod post;
