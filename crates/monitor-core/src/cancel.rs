//! Processes that must end because their cancellation was requested. This module only stores the requests: running code checks for them,
//! and the code that has started a task or a command ends it.

use std::cell::Cell;
use std::collections::{HashSet, VecDeque};
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::context::Context;
use crate::current;
use crate::own::Own;

/// Maximum number of stored ids. Ids are unique, so the oldest belong to processes that have ended.
const KEPT: usize = 20_000;

/// True after the first request. Until then, no check reads anything else.
static IS_ANY: AtomicBool = AtomicBool::new(false);
static WANTED: Own<RwLock<Wanted>> = Own::new();

/// Processes whose cancellation was requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Meant {
    /// One process and its descendants.
    Process(u64),
    /// A whole tree, by its id.
    Tree(u128),
}

#[derive(Debug, Default)]
struct Wanted {
    meant: HashSet<Meant>,
    /// The elements of `meant` in order of insertion.
    order: VecDeque<Meant>,
}

/// Requests the cancellation of processes of a tree: those with the given ids, or the whole tree for `None`.
pub fn request(root: u128, ids: Option<&[u64]>) {
    if WANTED.get().is_none() {
        WANTED.set(RwLock::default());
    }
    let Some(Ok(mut wanted)) = WANTED.get().map(RwLock::write) else { return };
    let mut note = |meant: Meant| {
        if wanted.meant.insert(meant) {
            wanted.order.push_back(meant);
        }
    };
    match ids {
        Some(ids) => ids.iter().for_each(|id| note(Meant::Process(*id))),
        None => note(Meant::Tree(root)),
    }
    while wanted.order.len() > KEPT
        && let Some(oldest) = wanted.order.pop_front()
    {
        wanted.meant.remove(&oldest);
    }
    drop(wanted);
    IS_ANY.store(true, Ordering::Release);
}

/// Removes the request for a process, because the next attempt of the same task has the same id.
pub fn withdraw(process: u64) {
    let Some(Ok(mut wanted)) = WANTED.get().map(RwLock::write) else { return };
    let meant = Meant::Process(process);
    if wanted.meant.remove(&meant) {
        wanted.order.retain(|other| *other != meant);
    }
}

/// Returns true if the cancellation of this process was requested.
pub fn is_meant(context: Context) -> bool {
    is_any() && among(|wanted| wanted.has(context))
}

/// Returns true if the cancellation of the current process, of a caller on this thread, or of the process that
/// started this program was requested.
pub fn is_requested() -> bool {
    is_any() && among(|wanted| current::any_local(|context| wanted.has(context)))
}

#[inline]
pub(crate) fn is_any() -> bool {
    IS_ANY.load(Ordering::Relaxed)
}

/// Never blocks. If a request is being added, the answer is false, and the next check sees it.
fn among(ask: impl FnOnce(&Wanted) -> bool) -> bool {
    WANTED.get().and_then(|wanted| wanted.try_read().ok()).is_some_and(|wanted| ask(&wanted))
}

/// Removes all requests in a forked child, because another thread of the parent may have been adding one.
pub(crate) fn forget() {
    WANTED.forget();
    IS_ANY.store(false, Ordering::Release);
}

impl Wanted {
    fn has(&self, context: Context) -> bool {
        self.meant.contains(&Meant::Process(context.process())) || self.meant.contains(&Meant::Tree(context.root()))
    }
}

thread_local! {
    static POLLED: Cell<Polled> = const { Cell::new(Polled { depth: 0, outermost: 0, meant: 0 }) };
}

/// State of a task's poll: the nesting depth of processes, and the number of outermost processes, and how many of these are cancelled.
#[derive(Clone, Copy, Default)]
struct Polled {
    depth: u32,
    outermost: u32,
    meant: u32,
}

/// Polls a task. Also returns true if the poll entered processes and all of the outermost processes are cancelled.
pub fn polled<T>(poll: impl FnOnce() -> T) -> (T, bool) {
    if !is_any() {
        return (poll(), false);
    }
    let before = POLLED.replace(Polled::default());
    let _restore = Restore(before);
    let polled = poll();
    let Polled { outermost, meant, .. } = POLLED.get();
    (polled, outermost > 0 && meant == outermost)
}

/// Restores the state of the task that was polled before on the same thread, also after a panic.
struct Restore(Polled);

impl Drop for Restore {
    fn drop(&mut self) {
        POLLED.set(self.0);
    }
}

/// Marks that a process is being polled, until it is dropped.
pub(crate) struct Within(Option<Context>);

impl Within {
    /// Enters a process. `context` returns the process that is polled.
    #[inline]
    pub(crate) fn enter(context: impl FnOnce() -> Option<Context>) -> Option<Self> {
        if is_any() { Some(Self::enter_slowly(context())) } else { None }
    }

    #[cold]
    #[inline(never)]
    fn enter_slowly(context: Option<Context>) -> Self {
        POLLED.set(Polled { depth: POLLED.get().depth + 1, ..POLLED.get() });
        Within(context)
    }
}

impl Drop for Within {
    fn drop(&mut self) {
        let mut polled = POLLED.get();
        polled.depth = polled.depth.saturating_sub(1);
        if polled.depth == 0 {
            polled.outermost += 1;
            polled.meant += u32::from(self.0.is_some_and(is_meant));
        }
        POLLED.set(polled);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(root: u128, id: u64) -> Context {
        Context::new(root, id).unwrap()
    }

    #[test]
    fn a_cancellation_applies_to_the_current_process_and_its_ancestors_only() {
        request(7, Some(&[2, 3]));
        let outer = crate::CurrentGuard::enter(Some(context(7, 1)));
        assert!(!is_requested());
        let meant = crate::CurrentGuard::enter(Some(context(7, 2)));
        assert!(is_requested());
        let inner = crate::CurrentGuard::enter(Some(context(7, 4)));
        assert!(is_requested(), "an ancestor is meant");
        drop(meant);
        assert!(!is_requested());
        drop((inner, outer));
        assert!(is_meant(context(7, 3)) && !is_meant(context(7, 4)));
        request(9, None);
        assert!(is_meant(context(9, 77)), "the whole tree");
        // The oldest of very many are removed.
        request(7, Some(&(1_000..1_000 + KEPT as u64).collect::<Vec<_>>()));
        assert!(!is_meant(context(7, 3)) && is_meant(context(7, 1_000)));

        let both = |first: u64, second: u64| {
            polled(|| {
                drop(Within::enter(|| Some(context(7, first))));
                let _outer = Within::enter(|| Some(context(7, second)));
                drop(Within::enter(|| Some(context(7, 1))));
            })
            .1
        };
        assert!(both(1_000, 1_001) && !both(1_000, 1) && !both(1, 1_000));
        assert!(!polled(|| ()).1, "a task without a process");
    }
}
