//! Tests of the planner: each policy separately, on one day of an agent.

mod overlap;
mod time;
mod world;
