//! Notifications to workers while clients watch them. Some programs report everything only while they are watched
//! (`MONITOR_EVENTS=watched`).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use monitor_store::RootKey;
use monitor_wire::WorkerId;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::Commands;
use super::channels::Channel;
use crate::live::{Wanted, WantedWorker};

/// Time after the last notification until a worker no longer counts as watched.
const HOLDS: Duration = Duration::from_secs(60);
/// Minimum time between two notifications of a worker.
const AGAIN: Duration = Duration::from_secs(20);
/// Interval at which new workers are searched for while a stream is read.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Subject that a client watches.
#[derive(Debug, Clone)]
pub(crate) enum Watched {
    /// All events.
    Everything,
    /// These workers.
    Worker(WantedWorker),
    /// These runs.
    Trees(Vec<RootKey>),
}

impl Watched {
    /// Returns the subject of a stream with this filter. `None` if it contains only roots, as for a list of runs.
    pub(crate) fn of(wanted: &Wanted) -> Option<Self> {
        let Wanted { roots, each_root, worker, .. } = wanted;
        match worker {
            Some(worker) => Some(Self::Worker(worker.clone())),
            None if !roots.is_empty() => Some(Self::Trees(roots.iter().copied().map(RootKey::Id).collect())),
            None if *each_root => None,
            None => Some(Self::Everything),
        }
    }
}

impl Commands {
    /// Notifies workers that they are watched, until the returned handle is dropped.
    pub(crate) fn watch_on(self: &Arc<Self>, watched: Watched) -> AbortOnDropHandle<()> {
        let commands = self.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                commands.tell_watched(&watched).await;
                commands.clock.sleep(LOOK_EVERY).await;
            }
        }))
    }

    /// Notifies workers once that they are watched.
    pub(crate) fn watch_once(self: &Arc<Self>, watched: Watched) {
        let commands = self.clone();
        drop(tokio::spawn(async move { commands.tell_watched(&watched).await }));
    }

    async fn tell_watched(&self, watched: &Watched) {
        // Workers that were notified recently are left out.
        let mut due: BTreeSet<WorkerId> = {
            let hub = self.hub();
            let is_named = |id: &WorkerId, channel: &Channel| match watched {
                Watched::Worker(WantedWorker::Id(worker)) => worker == id,
                Watched::Worker(WantedWorker::Named(pattern)) => channel.identity.is_like(pattern),
                Watched::Everything | Watched::Trees(_) => true,
            };
            let due = hub.channels.iter().filter(|(id, channel)| channel.is_watch_due() && is_named(id, channel));
            due.map(|(id, _)| *id).collect()
        };
        if let Watched::Trees(roots) = watched
            && !due.is_empty()
        {
            let (store, roots) = (self.store.clone(), roots.clone());
            let look = move || -> Result<BTreeSet<WorkerId>, monitor_store::StoreError> {
                let due: Vec<WorkerId> = due.into_iter().collect();
                let mut found = BTreeSet::new();
                for root in roots {
                    found.extend(store.running_in(root, &due)?);
                }
                Ok(found)
            };
            // A failing store is reported to the clients that read from it.
            due = tokio::task::spawn_blocking(look).await.map(Result::unwrap_or_default).unwrap_or_default();
        }
        let mut hub = self.hub();
        for worker in due {
            if let Some(channel) = hub.channels.get_mut(&worker) {
                channel.tell_watched();
            }
        }
    }
}

impl Channel {
    fn is_watch_due(&self) -> bool {
        self.watched.is_none_or(|told| told.elapsed() >= AGAIN)
    }

    fn tell_watched(&mut self) {
        self.watched = Some(Instant::now());
        self.send(&Bytes::from(format!("event: watched\ndata: {{\"for_ms\":{}}}\n\n", HOLDS.as_millis())));
    }
}
