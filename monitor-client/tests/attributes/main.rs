//! Tests the records that attributes produce, by running attributed functions.

#![cfg(feature = "record")]

#[path = "../support/mod.rs"]
mod support;

mod all;
mod arguments;
mod batches;
mod cancellation;
mod carried;
mod crossing;
mod drop_order;
mod enriched;
mod futures;
mod outcomes;
mod parents;
mod processes;
mod registered;
mod shapes;
