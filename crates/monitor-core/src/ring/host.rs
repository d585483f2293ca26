//! What the rings need of the rest of the recorder: room within its bound, memory, a count of what found no room, and a way for the
//! words of a failure.

use crate::keep::{Keeper, Memory};
use crate::own::Own;
use crate::record::{Failure, Site};

static HOST: Own<&'static dyn Host> = Own::new();

/// Lends the rings what they need. It is called by monitored threads, inside the recorder.
pub(crate) trait Host: Sync {
    /// Where rings lie.
    fn keeper(&self) -> &'static dyn Keeper;

    /// Takes room for a part of a ring. Returns false if there is none.
    fn reserve(&self, bytes: usize) -> bool;

    /// Gives back what was [`reserve`](Self::reserve)d.
    fn release(&self, bytes: usize);

    /// Adds as many starts of a tree that found no room, of no tree for zero. While `replace` is called nobody reads
    /// [`refused`](super::refused).
    fn count_refused(&self, root: u128, count: u64, replace: &mut dyn FnMut());

    /// Adds a record that was damaged in memory.
    fn count_unreadable(&self);

    /// Keeps the words of a failure, until the end of its process is drained.
    fn keep_words(&self, id: u64, failure: Failure);
}

/// Sets who lends it. Until then nothing has room.
pub(super) fn set(host: &'static dyn Host) {
    HOST.set(host);
}

/// Leaves it to the parent of a forked child.
pub(super) fn forget() {
    HOST.forget();
}

pub(super) fn keeper() -> &'static dyn Keeper {
    HOST.get().map_or(&Memory, |host| host.keeper())
}

/// Keeps what a callsite is for whoever reads the rings after a crash, before anything of it stands there.
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
