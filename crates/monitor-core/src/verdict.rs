//! Failures that running processes said of themselves by [`fail`](crate::fail), until they end.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::own::Own;
use crate::record::{Failure, NOT_KEPT};
use crate::{budget, inside};

/// Most processes that may have said so and still run. Beyond, further ones end as if they had said nothing.
const MOST: usize = 10_000;

static SAID: Own<Mutex<HashMap<u64, Failure>>> = Own::new();
/// Number of entries, so that an end with nothing to find takes no lock.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Keeps the words until the process of this id ends. The latest ones count.
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

/// The words of the process of this id, which ends now.
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

/// Leaves all of it to the parent of a forked child, where another thread may be in the middle of it.
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
