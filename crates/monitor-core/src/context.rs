//! A process by its ids, as it is carried from one thread or program to another. Which one is current is said in
//! `current`.

use std::num::{NonZeroU64, NonZeroU128};
use std::sync::atomic::{AtomicU64, Ordering};

/// A process that others can be started under: its tree and its id.
///
/// It is what is carried to another thread, or by any message to another program.
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
    /// A process known by its ids; `None` if one of them is zero.
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

    /// The id of its tree.
    ///
    /// ```
    /// use monitor_client::Context;
    ///
    /// assert_eq!(Context::new(7, 8).unwrap().root(), 7);
    /// ```
    pub fn root(self) -> u128 {
        self.root.get()
    }

    /// Its own id.
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

/// How a process came by its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attachment {
    /// By its context, or by ids handed to it.
    Explicit,
    /// No context, and exactly one tree was running in this program.
    Inferred,
    /// No context and no single tree to join: a root of its own.
    Unattached,
}

/// The place that was found for a new process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attached {
    /// None: it begins a tree.
    pub(crate) parent: Option<Context>,
    pub(crate) attachment: Attachment,
    /// Threads without a context may take it for the tree that they belong to.
    pub(crate) entry: bool,
}

/// Names what is current in one place of a thread: a frame of its ring by its number and one more, one of its stack by the highest bit and
/// a number of its own.
pub(crate) type Token = NonZeroU64;

/// A context of the whole program. In parts, and not behind a lock: a forked child sets it again, and must not wait for a thread that
/// it has not.
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
