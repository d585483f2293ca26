//! Failures that running processes have recorded by [`fail`](crate::fail), until they end.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::own::Own;
use crate::record::{Failure, NOT_KEPT};
use crate::{budget, inside};

/// Maximum number of running processes with a recorded failure. Failures of further processes are ignored.
const MOST: usize = 10_000;

static SAID: Own<Mutex<HashMap<u64, Failure>>> = Own::new();
/// Number of entries, so that an end acquires no lock if there are none.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Stores the failure until the process with this id ends. The latest failure is kept.
pub(crate) fn say(id: u64, mut failure: Failure) {
    let _inside = inside::enter();
    if !budget::reserve(failure.bytes()) {
        NOT_KEPT.clone_into(&mut failure.message);
        failure.chain.clear();
        budget::hold(failure.bytes());
    }
    let mut said = said();
    let refused = if said.len() < MOST || said.contains_key(&id) { said.insert(id, failure) } else { Some(failure) };
    COUNT.store(said.len(), Ordering::Relaxed);
    drop(said);
    if let Some(failure) = refused {
        budget::release(failure.bytes());
    }
}

/// Removes and returns the failure of the process with this id, which ends now.
pub(crate) fn take(id: u64) -> Option<Failure> {
    if COUNT.load(Ordering::Relaxed) == 0 {
        return None;
    }
    let _inside = inside::enter();
    let mut said = said();
    let failure = said.remove(&id)?;
    COUNT.store(said.len(), Ordering::Relaxed);
    budget::release(failure.bytes());
    Some(failure)
}

/// Removes all entries in a forked child, because another thread of the parent may have been changing them.
pub(crate) fn forget() {
    COUNT.store(0, Ordering::Relaxed);
    SAID.forget();
}

fn said() -> MutexGuard<'static, HashMap<u64, Failure>> {
    if SAID.get().is_none() {
        SAID.set(Mutex::default());
    }
    SAID.get().expect("set above").lock().unwrap_or_else(PoisonError::into_inner)
}
