//! Rayon's functions for parallel work. The work belongs to the process that is current at the call.
//!
//! ```
//! use monitor_client::rayon::ParallelIteratorExt;
//! use rayon::prelude::*;
//!
//! #[monitor_client::normal_task]
//! fn measure(text: &str) -> usize {
//!     text.len()
//! }
//!
//! let total: usize = ["a", "bb"].par_iter().in_current().map(|text| measure(text)).sum();
//! let (one, two) = monitor_client::rayon::join(|| measure("a"), || measure("bb"));
//! assert_eq!((total, one + two), (3, 3));
//! ```
//!
//! For `ThreadPool::install` and similar functions, use [`in_current`].

use monitor_core::{Context, CurrentGuard};
use rayon::iter::ParallelIterator;
use rayon::iter::plumbing::{Consumer, Folder, Reducer, UnindexedConsumer};

use crate::carried::in_current;

/// Calls [`rayon::join`]. Both closures belong to the process that is current at the call.
///
/// # Examples
///
/// ```
/// assert_eq!(monitor_client::rayon::join(|| 1 + 1, || 2 + 2), (2, 4));
/// ```
pub fn join<A: Send, B: Send>(a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B + Send) -> (A, B) {
    rayon::join(in_current(a), in_current(b))
}

/// Calls [`rayon::spawn`]. The closure belongs to the process that is current at the call.
///
/// # Examples
///
/// ```
/// let (sender, receiver) = std::sync::mpsc::channel();
/// monitor_client::rayon::spawn(move || sender.send(1 + 1).unwrap());
/// assert_eq!(receiver.recv(), Ok(2));
/// ```
pub fn spawn(work: impl FnOnce() + Send + 'static) {
    rayon::spawn(in_current(work));
}

/// Calls [`rayon::scope`]. `work` belongs to the process that is current at the call, and each closure that it spawns to the process that
/// is current at the spawn.
///
/// # Examples
///
/// ```
/// let mut halves = [0, 0];
/// monitor_client::rayon::scope(|scope| {
///     for half in &mut halves {
///         scope.spawn(move |_| *half = 1);
///     }
/// });
/// assert_eq!(halves, [1, 1]);
/// ```
pub fn scope<'scope, T: Send>(work: impl FnOnce(Scope<'_, 'scope>) -> T + Send) -> T {
    let context = Context::current();
    rayon::scope(|scope| {
        let _current = context.map(Context::enter);
        work(Scope(scope))
    })
}

/// A scope whose spawned work ends before [`scope`] returns.
///
/// # Examples
///
/// ```
/// use monitor_client::rayon::{Scope, scope};
///
/// fn count<'scope>(scope: Scope<'_, 'scope>, to: &'scope std::sync::atomic::AtomicU32) {
///     scope.spawn(|_| drop(to.fetch_add(1, std::sync::atomic::Ordering::Relaxed)));
/// }
///
/// let counted = std::sync::atomic::AtomicU32::new(0);
/// scope(|scope| (0..3).for_each(|_| count(scope, &counted)));
/// assert_eq!(counted.into_inner(), 3);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a, 'scope>(&'a rayon::Scope<'scope>);

impl<'scope> Scope<'_, 'scope> {
    /// Calls [`rayon::Scope::spawn`]. The closure belongs to the process that is current at the call.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut size = 0;
    /// monitor_client::rayon::scope(|scope| scope.spawn(|_| size = "text".len()));
    /// assert_eq!(size, 4);
    /// ```
    pub fn spawn(&self, work: impl FnOnce(Scope<'_, 'scope>) + Send + 'scope) {
        let context = Context::current();
        self.0.spawn(move |scope| {
            let _current = context.map(Context::enter);
            work(Scope(scope));
        });
    }
}

/// Extension of parallel iterators that carries the current process to their closures.
///
/// # Examples
///
/// ```
/// use monitor_client::rayon::ParallelIteratorExt;
/// use rayon::prelude::*;
///
/// let squares: Vec<u32> = [1, 2, 3].par_iter().in_current().map(|n| n * n).collect();
/// assert_eq!(squares, [1, 4, 9]);
/// ```
pub trait ParallelIteratorExt: ParallelIterator {
    /// Runs the closures of all later adapters and consumers (`map`, `filter`, `for_each`) in the process that is
    /// current at this call, on any thread.
    ///
    /// Call adapters that need positions, such as `enumerate` and `zip`, before this method.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::rayon::ParallelIteratorExt;
    /// use rayon::prelude::*;
    ///
    /// let words = ["a", "bb"];
    /// let total: usize = words.par_iter().enumerate().in_current().map(|(at, word)| at * word.len()).sum();
    /// assert_eq!(total, 2);
    /// ```
    fn in_current(self) -> InCurrent<Self> {
        InCurrent { base: self, context: Context::current() }
    }
}

impl<I: ParallelIterator> ParallelIteratorExt for I {}

/// Parallel iterator returned by [`ParallelIteratorExt::in_current`].
///
/// # Examples
///
/// ```
/// use monitor_client::rayon::{InCurrent, ParallelIteratorExt};
/// use rayon::prelude::*;
///
/// fn total(numbers: InCurrent<rayon::range::Iter<u32>>) -> u32 {
///     numbers.map(|n| 2 * n).sum()
/// }
///
/// assert_eq!(total((1..4_u32).into_par_iter().in_current()), 12);
/// ```
#[derive(Debug, Clone)]
#[must_use = "iterators do nothing until they are used"]
pub struct InCurrent<I> {
    base: I,
    context: Option<Context>,
}

impl<I: ParallelIterator> ParallelIterator for InCurrent<I> {
    type Item = I::Item;

    fn drive_unindexed<C: UnindexedConsumer<I::Item>>(self, consumer: C) -> C::Result {
        self.base.drive_unindexed(Carried { base: consumer, context: self.context })
    }

    fn opt_len(&self) -> Option<usize> {
        self.base.opt_len()
    }
}

/// A consumer, folder or reducer whose closures are called in a context.
struct Carried<T> {
    base: T,
    context: Option<Context>,
}

impl<T> Carried<T> {
    fn with<U>(&self, base: U) -> Carried<U> {
        Carried { base, context: self.context }
    }

    fn enter(&self) -> Option<CurrentGuard> {
        self.context.map(Context::enter)
    }
}

impl<T, C: Consumer<T>> Consumer<T> for Carried<C> {
    type Folder = Carried<C::Folder>;
    type Reducer = Carried<C::Reducer>;
    type Result = C::Result;

    fn split_at(self, index: usize) -> (Self, Self, Self::Reducer) {
        let context = self.context;
        let carried = |base| Carried { base, context };
        let (left, right, reducer) = self.base.split_at(index);
        (carried(left), carried(right), Carried { base: reducer, context })
    }

    fn into_folder(self) -> Self::Folder {
        let _current = self.enter();
        Carried { context: self.context, base: self.base.into_folder() }
    }

    fn full(&self) -> bool {
        self.base.full()
    }
}

impl<T, C: UnindexedConsumer<T>> UnindexedConsumer<T> for Carried<C> {
    fn split_off_left(&self) -> Self {
        self.with(self.base.split_off_left())
    }

    fn to_reducer(&self) -> Self::Reducer {
        self.with(self.base.to_reducer())
    }
}

impl<T, F: Folder<T>> Folder<T> for Carried<F> {
    type Result = F::Result;

    fn consume(self, item: T) -> Self {
        let _current = self.enter();
        Carried { context: self.context, base: self.base.consume(item) }
    }

    fn complete(self) -> F::Result {
        let _current = self.enter();
        self.base.complete()
    }

    fn full(&self) -> bool {
        self.base.full()
    }
}

impl<R, T: Reducer<R>> Reducer<R> for Carried<T> {
    fn reduce(self, left: R, right: R) -> R {
        let _current = self.enter();
        self.base.reduce(left, right)
    }
}
