//! What is planned: each policy by itself, on a day of an agent.

mod overlap;
mod time;
mod world;
