//! Cache of worker names, for readers that select workers by a pattern.

use std::sync::{Arc, Mutex, PoisonError};

use foldhash::HashMap;
use monitor_store::{Queries, StoreError};
use monitor_wire::WorkerId;

use super::wanted::Pattern;

/// Maximum number of cached names. Beyond it, the cache is cleared.
const MOST: usize = 100_000;

/// Names of workers. The name of a worker never changes.
pub(super) struct Names {
    store: Option<Arc<dyn Queries>>,
    known: Mutex<HashMap<WorkerId, Arc<Name>>>,
}

struct Name {
    /// `program@host`
    plain: String,
    /// `program@host:pid`
    with_pid: String,
}

impl Names {
    pub(super) fn new(store: Option<Arc<dyn Queries>>) -> Self {
        Self { store, known: Mutex::default() }
    }

    /// True if the worker's name matches the pattern.
    ///
    /// # Errors
    /// Returns an error if the store can't be read.
    pub(super) fn is_like(&self, id: WorkerId, pattern: &Pattern) -> Result<bool, StoreError> {
        let name = self.of(id)?;
        Ok(name.is_some_and(|name| pattern.matches(&name.plain) || pattern.matches(&name.with_pid)))
    }

    fn of(&self, id: WorkerId) -> Result<Option<Arc<Name>>, StoreError> {
        let lock = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = lock().get(&id) {
            return Ok(Some(name.clone()));
        }
        let Some(store) = &self.store else { return Ok(None) };
        let Some(worker) = store.worker(id)? else { return Ok(None) };
        let plain = format!("{}@{}", worker.program, worker.hostname);
        let name = Arc::new(Name { with_pid: format!("{plain}:{}", worker.pid), plain });
        let mut known = lock();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(id, name.clone());
        Ok(Some(name))
    }
}
