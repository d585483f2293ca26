//! The services that the rings need from the rest of the recorder: memory within its limit, a count of the starts without room, and a way
//! to send the message of a failure.

use crate::keep::{Keeper, Memory};
use crate::own::Own;
use crate::record::{Failure, Site};

static HOST: Own<&'static dyn Host> = Own::new();

/// Provides these services. The methods are called by monitored threads, inside the recorder.
pub(crate) trait Host: Sync {
    /// Returns the storage of the rings.
    fn keeper(&self) -> &'static dyn Keeper;

    /// Reserves memory for a part of a ring. Returns false if there is none.
    fn reserve(&self, bytes: usize) -> bool;

    /// Gives back memory that was [`reserve`](Self::reserve)d.
    fn release(&self, bytes: usize);

    /// Adds `count` starts of a tree that found no room; `root` is zero for starts that would have begun a tree.
    /// [`refused`](super::refused) is not read while `replace` is called.
    fn count_refused(&self, root: u128, count: u64, replace: &mut dyn FnMut());

    /// Counts a record that was damaged in memory.
    fn count_unreadable(&self);

    /// Keeps the message of a failure until the end of its process is drained.
    fn keep_words(&self, id: u64, failure: Failure);
}

/// Sets the host. Until then there is no memory.
pub(super) fn set(host: &'static dyn Host) {
    HOST.set(host);
}

/// Leaves the host to the parent of a forked child.
pub(super) fn forget() {
    HOST.forget();
}

pub(super) fn keeper() -> &'static dyn Keeper {
    HOST.get().map_or(&Memory, |host| host.keeper())
}

/// Keeps the description of a callsite for a reader after a crash. Must be called before the rings refer to it.
pub(crate) fn keep_site(number: u32, site: &'static Site) {
    keeper().site(number, site);
}

pub(super) fn reserve(bytes: usize) -> bool {
    HOST.get().is_some_and(|host| host.reserve(bytes))
}

pub(super) fn release(bytes: usize) {
    if let Some(host) = HOST.get() {
        host.release(bytes);
    }
}

pub(super) fn count_refused(root: u128, count: u64, mut replace: impl FnMut()) {
    if let Some(host) = HOST.get() {
        host.count_refused(root, count, &mut replace);
    }
}

#[cold]
pub(super) fn count_unreadable() {
    if let Some(host) = HOST.get() {
        host.count_unreadable();
    }
}

pub(super) fn keep_words(id: u64, failure: Failure) {
    if let Some(host) = HOST.get() {
        host.keep_words(id, failure);
    }
}
