//! What systemd is told where it asked to be (`Type=notify`): that the server serves, that it stops, and, as often as `WatchdogSec=`
//! wants it, that it works.
//!
//! It works as long as its writer gets around to a task and its readers answer a question. Either may take its time, but if one of them
//! takes longer than `WatchdogSec=`, systemd restarts the server.

use std::sync::Arc;

use monitor_store::{Changes, Queries};
use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::duties::Duty;
use crate::ingest::Ingest;

/// Returns true if somebody asked to be told.
pub(crate) fn is_asked() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// Tells that the server serves, and then that it works, until it stops.
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

/// Waits until the writer and a reader have answered; false if one of them never will.
pub(crate) async fn works(ingest: &Ingest, store: &Arc<dyn Queries>) -> bool {
    let store = store.clone();
    // A database that fails is told by `/healthz`: to begin anew would not mend it.
    let read = tokio::task::spawn_blocking(move || store.workers(1, None).map(drop));
    let (wrote, read) = tokio::join!(ingest.change(|_| Ok(((), Changes::none()))), read);
    wrote.is_ok() && read.is_ok()
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "could not tell systemd how the server is");
    }
}
