//! Limits on the number of connections, in total and per client. When a limit is reached, a new connection replaces an idle one.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::phase::Phase;
use crate::access::{Grant, network};

/// Fraction of idle connections to close at once: one of 16. Closing several means that a flood of connections does not scan all of them
/// each time.
const SHARE: usize = 16;

pub(crate) struct Room {
    slots: Arc<Semaphore>,
    max_of_client: usize,
    inside: Arc<Mutex<Inside>>,
}

#[derive(Default)]
struct Inside {
    next: u64,
    connections: HashMap<u64, (Option<IpAddr>, Weak<Phase>)>,
    clients: HashMap<IpAddr, usize>,
}

/// Slot of a connection, returned on drop.
pub(super) struct RoomSlot {
    inside: Arc<Mutex<Inside>>,
    key: u64,
    client: Option<IpAddr>,
    _slot: OwnedSemaphorePermit,
}

impl Room {
    pub(crate) fn new(max: usize, max_of_client: usize) -> Self {
        Self { slots: Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS))), max_of_client, inside: Arc::default() }
    }

    /// Waits for a slot and returns the state of the new connection. Returns `None` if the client has reached its limit and all of its
    /// connections are busy. `client` is `None` for proxies, which have no limit of their own.
    pub(super) async fn enter(&self, client: Option<IpAddr>) -> Option<Arc<Phase>> {
        let client = client.map(network);
        let of_client = client.and_then(|client| self.lock().clients.get(&client).copied()).unwrap_or_default();
        if of_client >= self.max_of_client && self.evict(|of| of == client) == 0 {
            tracing::debug!(?client, "refused a connection: its client has too many");
            return None;
        }
        if self.slots.available_permits() == 0 {
            self.evict(|_| true);
        }
        let slot = self.slots.clone().acquire_owned().await.ok()?;
        let mut inside = self.lock();
        inside.next += 1;
        let key = inside.next;
        if let Some(client) = client {
            *inside.clients.entry(client).or_default() += 1;
        }
        let place = RoomSlot { inside: self.inside.clone(), key, client, _slot: slot };
        let phase = Arc::new(Phase::new(place));
        inside.connections.insert(key, (client, Arc::downgrade(&phase)));
        Some(phase)
    }

    /// Closes some of the idle connections, those first that have been idle longest. Returns the number of closed connections.
    fn evict(&self, is_meant: impl Fn(Option<IpAddr>) -> bool) -> usize {
        // The `Arc`s are collected while the lock is held and dropped after it is released: dropping the last reference to a phase returns
        // its slot, which takes the same lock.
        let phases: Vec<Arc<Phase>> =
            self.lock().connections.values().filter(|(of, _)| is_meant(*of)).filter_map(|(_, phase)| phase.upgrade()).collect();
        let mut idle: Vec<(Instant, &Arc<Phase>)> = phases.iter().filter_map(|phase| Some((phase.waits_since()?, phase))).collect();
        idle.sort_unstable_by_key(|(since, _)| *since);
        let count = idle.len().div_ceil(SHARE);
        idle.iter().take(count).for_each(|(_, phase)| phase.evict());
        count
    }

    /// Returns the connections whose current request was admitted by a token or a login, with that right.
    pub(super) fn granted(&self) -> Vec<(Arc<Phase>, Grant)> {
        let phases: Vec<Arc<Phase>> = self.lock().connections.values().filter_map(|(_, phase)| phase.upgrade()).collect();
        phases.into_iter().filter_map(|phase| phase.granted().map(|grant| (phase, grant))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RoomSlot {
    fn drop(&mut self) {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.connections.remove(&self.key);
        if let Some(client) = self.client
            && let Some(count) = inside.clients.get_mut(&client)
        {
            *count -= 1;
            if *count == 0 {
                inside.clients.remove(&client);
            }
        }
    }
}
