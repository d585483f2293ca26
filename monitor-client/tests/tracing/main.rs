//! Tests `tracing` spans that the layer records as processes.
#![cfg(feature = "tracing")]

#[path = "../support/mod.rs"]
mod support;

mod hostile;
mod outcomes;
mod trees;

use monitor_client::tracing::{MonitorLayer, layer};
use tracing::Dispatch;
use tracing_subscriber::Registry;
use tracing_subscriber::prelude::*;

/// Runs `work` with a subscriber that has the layer alone.
fn traced(work: impl FnOnce()) {
    traced_by(layer(), work);
}

fn traced_by(layer: MonitorLayer<Registry>, work: impl FnOnce()) {
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
}

fn subscriber() -> Dispatch {
    Dispatch::new(tracing_subscriber::registry().with(layer()))
}
