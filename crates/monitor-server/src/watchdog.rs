//! Notifications to systemd, if it requests them (`Type=notify`): that the server is ready, that it is stopping, and at the interval of
//! `WatchdogSec=` that it works.
//!
//! The server works if its writer thread executes a task and a reader answers a query. Both may be slow, but if one takes longer than
//! `WatchdogSec=`, systemd restarts the server.

use std::sync::Arc;

use monitor_store::{Changes, Queries};
use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::duties::Duty;
use crate::ingest::Ingest;

/// True if systemd requests notifications.
pub(crate) fn is_asked() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// Notifies systemd that the server is ready, and then at an interval that it works, until it stops.
pub(crate) async fn run(ingest: &Ingest, store: Arc<dyn Queries>, clock: &Clock, duty: &Duty, stopping: &CancellationToken) {
    tell(NotifyState::Ready);
    if let Some(limit) = sd_notify::watchdog_enabled() {
        let beats = async {
            loop {
                if works(ingest, &store).await {
                    tell(NotifyState::Watchdog);
                    duty.ran(Ok(()), limit / 4);
                } else {
                    duty.ran(
                        Err("the writer or a reader broke off: systemd is told nothing, and will begin the server anew".to_owned()),
                        limit / 4,
                    );
                }
                clock.sleep(limit / 4).await;
            }
        };
        let _: Option<()> = stopping.run_until_cancelled(beats).await;
    }
    stopping.cancelled().await;
    tell(NotifyState::Stopping);
}

/// Waits until the writer thread and a reader have answered. Returns false if one of them never will.
pub(crate) async fn works(ingest: &Ingest, store: &Arc<dyn Queries>) -> bool {
    let store = store.clone();
    // A failing database is reported by `/healthz`. A restart would not repair it, so it does not count as a failure here.
    let read = tokio::task::spawn_blocking(move || store.workers(1, None).map(drop));
    let (wrote, read) = tokio::join!(ingest.change(|_| Ok(((), Changes::none()))), read);
    wrote.is_ok() && read.is_ok()
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "could not send the server's state to systemd");
    }
}
