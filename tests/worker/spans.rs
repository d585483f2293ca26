//! Programs that use `tracing` or `log`, with a layer or logger of the client.

use monitor_client::tracing::layer;
use monitor_client::{normal_task, root_task};
use tracing::{Instrument, error, info, info_span, instrument};
use tracing_subscriber::prelude::*;

use crate::{read_line, say};

/// A usual program with `tracing` that writes lines.
pub(crate) fn plain() {
    tracing_subscriber::registry().with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false)).init();
    serves();
}

/// The same program with one changed line.
pub(crate) fn monitored() {
    tracing_subscriber::registry()
        .with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false))
        .with(layer())
        .init();
    serves();
}

fn serves() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let request = info_span!("request", path = "/orders");
    runtime.block_on(
        async {
            let saved = tokio::spawn(saves(17).in_current_span());
            assert!(loads("orders").await.is_err());
            saved.await.expect("no panic");
            info!(status = 502, "answered");
        }
        .instrument(request),
    );
}

#[instrument(err)]
async fn loads(table: &str) -> Result<(), std::io::Error> {
    queries(table).await;
    tracing::debug!("too fine to be taken");
    Err(std::io::Error::other("no such table"))
}

#[instrument(skip_all)]
async fn queries(table: &str) {
    tokio::task::yield_now().await;
    info!(target: "noisy::driver", table, "a row");
}

#[instrument]
async fn saves(rows: u32) {
    tokio::task::yield_now().await;
    checks();
}

#[normal_task]
fn checks() {
    info_span!("rule").in_scope(|| ());
}

/// Runs within spans until it is killed.
pub(crate) fn hang() {
    tracing_subscriber::registry().with(layer()).init();
    let _request = info_span!("request", path = "/orders").entered();
    drop(info_span!("over").entered());
    let _query = info_span!("query").entered();
    say("hangs");
    read_line();
}

/// Prints the enabled callsites.
pub(crate) fn off() {
    tracing_subscriber::registry().with(layer()).init();
    say(&format!("{} {}", !info_span!("request").is_disabled(), tracing::enabled!(tracing::Level::ERROR)));
    error!("of nobody");
}

/// Logs by the crate `log` and by the client's macros.
pub(crate) fn log_lines() {
    monitor_client::log::Logger::new().init().expect("the first logger");
    speaks();
}

#[root_task]
fn speaks() {
    log::warn!(target: "app::disk", "{} left", "1 GiB");
    log::debug!("too fine");
    let lost = 3;
    monitor_client::error!("lost {lost}", rows = lost, table = "orders");
}
