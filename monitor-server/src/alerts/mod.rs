//! Alerts: what is told to people, in which words, and by which channels.

pub mod channels;
pub mod text;
