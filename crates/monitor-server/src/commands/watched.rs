//! Workers that somebody looks at are told so, again and again while that goes on: some tell everything only then (`MONITOR_EVENTS=watched`).

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

/// A worker goes back so long after it was told last.
const HOLDS: Duration = Duration::from_secs(60);
/// It is told again no sooner.
const AGAIN: Duration = Duration::from_secs(20);
/// While a stream is read, it is looked so often which workers have come.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What somebody looks at.
#[derive(Debug, Clone)]
pub(crate) enum Watched {
    /// All that happens.
    Everything,
    /// What these workers do.
    Worker(WantedWorker),
    /// What happens in these trees.
    Trees(Vec<RootKey>),
}

impl Watched {
    /// What a reader of the stream looks at; none if it is told of roots alone, as those are that show a list of trees.
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
    /// Tells workers that somebody looks at them, until the answer is dropped.
    pub(crate) fn watch_on(self: &Arc<Self>, watched: Watched) -> AbortOnDropHandle<()> {
        let commands = self.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                commands.tell_watched(&watched).await;
                commands.clock.sleep(LOOK_EVERY).await;
            }
        }))
    }

    /// Tells workers that somebody has looked at them.
    pub(crate) fn watch_once(self: &Arc<Self>, watched: Watched) {
        let commands = self.clone();
        drop(tokio::spawn(async move { commands.tell_watched(&watched).await }));
    }

    async fn tell_watched(&self, watched: &Watched) {
        // Whoever was told a moment ago needn't be looked for.
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
            // A store that fails says so to whoever reads it.
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
