//! Tests of one's own instrumentation: what a closure records, as a tree in text, without a server.
//!
//! Each [`record`] has a root of its own, so tests may run in parallel. Nothing is sent, whatever the environment says, as long as `record`
//! is called before any other monitored call, or `MONITOR_ENABLED` is not set.
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

/// Calls `work` below a root of its own, and gives back what was recorded in it. A panic goes on.
///
/// What other threads do belongs to it if the context is carried there, and is complete if they have ended by then.
///
/// # Panics
/// If the program records for a server already.
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

/// Like [`record`], for a future.
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
///
/// # Panics
/// If the program records for a server already.
pub async fn record_async<F: Future>(work: F) -> Recorded {
    let session = Session::begin();
    let work = {
        let _current = session.context().enter();
        work.in_current()
    };
    let _ = work.await;
    session.end()
}

/// Asserts that a tree was recorded: a line for each process, indented by two spaces below its parent, siblings in the order of their
/// starts, without ids and times. Siblings that follow each other and are alike, with all below them, are one line with their number
/// (`compile ×4`). After a colon stands how one ended that did not succeed: `failed: words`, `cancelled`, or that it is `running`.
///
/// Empty lines around the text, and the indentation that all lines share, don't count. [`testing`](crate::testing) has an example.
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

/// Does what [`assert_tree!`](crate::assert_tree) says.
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
