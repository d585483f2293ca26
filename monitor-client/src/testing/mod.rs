//! Tests of a program's own instrumentation: records a closure without a server and shows the processes as a tree in text.
//!
//! Each [`record`] has a root of its own, so tests can run in parallel. Nothing is sent if `record` is called before any other monitored
//! call, or if `MONITOR_ENABLED` is not set.
//!
//! ```
//! use monitor_client::testing::record;
//! use monitor_client::{assert_tree, normal_task, root_task};
//!
//! #[root_task(batch = batch)]
//! fn build(batch: &str) -> Result<(), &'static str> {
//!     (0..4).for_each(|_| compile());
//!     publish()
//! }
//!
//! #[normal_task]
//! fn compile() {}
//!
//! #[normal_task(fields(table = "orders"))]
//! fn publish() -> Result<(), &'static str> {
//!     monitor_client::log(monitor_client::Level::Warn, "the table is gone");
//!     Err("no such table")
//! }
//!
//! let recorded = record(|| build("batch001"));
//! assert_tree!(
//!     recorded,
//!     "
//!     build <batch001>: failed: no such table
//!       compile ×4
//!       publish: failed: no such table
//!     "
//! );
//! assert_eq!(recorded.find("publish").logs()[0].message, "the table is gone");
//! assert_eq!(recorded.find("publish").fields()["table"], "\"orders\"".into());
//! ```

mod diff;
mod drainer;
mod recorded;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::InCurrent;

use self::drainer::Session;

#[cfg(feature = "ship")]
pub(crate) use self::drainer::is_wanted;
pub use self::recorded::{LogLine, Recorded, RecordedProcess};

/// Calls `work` below a root of its own and returns everything recorded below it. A panic of `work` is propagated.
///
/// Work on other threads belongs to the root if the context is carried there. It is complete only if those threads have ended.
///
/// # Panics
///
/// Panics if the program already records for a server.
///
/// # Examples
///
/// ```
/// let recorded = monitor_client::testing::record(|| drop(monitor_client::Process::builder("import").begin()));
/// assert_eq!(recorded.to_string(), "import");
/// ```
pub fn record<R>(work: impl FnOnce() -> R) -> Recorded {
    let session = Session::begin();
    let result = {
        let _current = session.context().enter();
        catch_unwind(AssertUnwindSafe(work))
    };
    let recorded = session.end();
    match result {
        Ok(_) => recorded,
        Err(panic) => resume_unwind(panic),
    }
}

/// Calls a future below a root of its own, like [`record`].
///
/// # Panics
///
/// Panics if the program already records for a server.
///
/// # Examples
///
/// ```
/// use monitor_client::testing::record_async;
/// use monitor_client::{assert_tree, normal_task};
///
/// #[normal_task]
/// async fn fetch() {}
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let recorded = record_async(async {
///     fetch().await;
/// })
/// .await;
/// assert_tree!(recorded, "fetch");
/// # });
/// ```
pub async fn record_async<F: Future>(work: F) -> Recorded {
    let session = Session::begin();
    let work = {
        let _current = session.context().enter();
        work.in_current()
    };
    let _ = work.await;
    session.end()
}

/// Asserts that a tree was recorded. The text has a line for each process, without ids and times, indented by two spaces below its parent.
/// Siblings are in the order of their starts. Consecutive siblings that are equal, including their descendants, are one line with their
/// number (`compile ×4`). A process that did not succeed has its end after a colon: `failed: message`, `cancelled` or `running`.
///
/// Empty lines around the text and the indentation shared by all lines are ignored. [`testing`](crate::testing) has an example.
///
/// # Examples
///
/// ```
/// use monitor_client::{Process, assert_tree, testing::record};
///
/// let recorded = record(|| Process::builder("import").run_any(|_| drop(Process::builder("read").begin())));
/// assert_tree!(
///     recorded,
///     "
///     import
///       read
///     "
/// );
/// ```
#[macro_export]
macro_rules! assert_tree {
    ($recorded:expr, $expected:expr $(,)?) => {
        $crate::testing::assert_tree(&$recorded, $expected)
    };
}

/// Implementation of [`assert_tree!`](crate::assert_tree).
#[doc(hidden)]
#[track_caller]
pub fn assert_tree(recorded: &Recorded, expected: &str) {
    let (expected, tree) = (diff::unindent(expected), recorded.to_string());
    assert!(
        tree == expected,
        "another tree was recorded (-: expected, +: recorded)\n{}{}",
        diff::lines(&expected, &tree),
        recorded.remarks()
    );
}
