//! A process identified by its ids, as it is carried between threads and programs. The module `current` keeps the current one.

use std::num::{NonZeroU64, NonZeroU128};
use std::sync::atomic::{AtomicU64, Ordering};

/// A process that can be the parent of others, identified by the id of its run and its own id.
///
/// It can be carried to another thread, or in a message to another program.
///
/// # Examples
///
/// ```
/// use monitor_client::{Context, Process};
///
/// let import = Process::builder("import").enter();
/// let context = Context::current();
/// std::thread::spawn(move || {
///     let _current = context.map(Context::enter);
///     let _chunk = Process::builder("chunk").enter(); // a child of `import`
/// });
/// # drop(import);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Context {
    root: NonZeroU128,
    process: NonZeroU64,
}

impl Context {
    /// Creates a context from ids. `None` if one of them is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::Context;
    ///
    /// assert!(Context::new(7, 8).is_some());
    /// assert!(Context::new(0, 8).is_none());
    /// ```
    pub fn new(root: u128, process: u64) -> Option<Self> {
        Some(Context { root: NonZeroU128::new(root)?, process: NonZeroU64::new(process)? })
    }

    /// Returns the id of the run.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::Context;
    ///
    /// assert_eq!(Context::new(7, 8).unwrap().root(), 7);
    /// ```
    pub fn root(self) -> u128 {
        self.root.get()
    }

    /// Returns the id of the process.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::Context;
    ///
    /// assert_eq!(Context::new(7, 8).unwrap().process(), 8);
    /// ```
    pub fn process(self) -> u64 {
        self.process.get()
    }
}

/// How the parent of a process was determined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attachment {
    /// By a context, or by ids passed to the process.
    Explicit,
    /// Without a context, because exactly one run was active in this program.
    Inferred,
    /// There was no context and no single active run. The process begins a run.
    Unattached,
}

/// The place of a new process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attached {
    /// Parent. `None` for the root of a tree.
    pub(crate) parent: Option<Context>,
    pub(crate) attachment: Attachment,
    /// True if threads without a context may attach to this process's tree.
    pub(crate) entry: bool,
}

/// Identifies an entry of a thread's stack of current processes: a frame of its ring by its number plus one, or an entry of the stack in
/// memory by the highest bit and a unique number.
pub(crate) type Token = NonZeroU64;

/// A context of the whole program. Stored in atomics instead of behind a lock, because a forked child sets it again and must
/// not wait for a thread of its parent.
pub(crate) struct OfProgram {
    root_high: AtomicU64,
    root_low: AtomicU64,
    process: AtomicU64,
}

impl OfProgram {
    pub(crate) const fn new() -> Self {
        Self { root_high: AtomicU64::new(0), root_low: AtomicU64::new(0), process: AtomicU64::new(0) }
    }

    pub(crate) fn set(&self, context: Context) {
        self.root_high.store((context.root() >> 64) as u64, Ordering::Relaxed);
        self.root_low.store(context.root() as u64, Ordering::Relaxed);
        self.process.store(context.process(), Ordering::Release);
    }

    pub(crate) fn get(&self) -> Option<Context> {
        let process = self.process.load(Ordering::Acquire);
        let root = u128::from(self.root_high.load(Ordering::Relaxed)) << 64 | u128::from(self.root_low.load(Ordering::Relaxed));
        Context::new(root, process)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_no_id() {
        assert_eq!(Context::new(0, 1), None);
        assert_eq!(Context::new(1, 0), None);
    }
}
