//! Attributes that show a running program as a live tree of its function calls.
//!
//! Put an attribute on the functions that matter, set `MONITOR_ENABLED=1`, and watch the run on the page of a Process Monitor server while
//! the program executes. A *run* is a tree of *processes*: the call that began it, and the calls below it, across threads, tasks and
//! operating-system processes. While `MONITOR_ENABLED` is not set, an attributed function costs one relaxed load and a branch.
//!
//! # Examples
//!
//! A complete program. Start a server with `monitor server`, run the program with `MONITOR_ENABLED=1`, and open <http://127.0.0.1:60010>:
//!
//! ```
//! use monitor_client::{cross_thread, normal_task, root_task};
//!
//! // Begins a run named `nightly build <batch001:…>`.
//! #[root_task("nightly build", "batch")]
//! fn build(batch: &str) -> Result<usize, std::io::Error> {
//!     let parts = ["a", "b"].map(|part| monitor_client::spawn_thread(move || compile(part)));
//!     let total = parts.into_iter().map(|part| part.join().expect("no panic")).sum();
//!     publish(total)?;
//!     Ok(total)
//! }
//!
//! // Runs on another thread, and is a child of `build` nevertheless.
//! #[cross_thread("compile")]
//! fn compile(part: &str) -> usize {
//!     part.len()
//! }
//!
//! // Fails if it returns an `Err`, which is recorded with its causes.
//! #[normal_task]
//! fn publish(total: usize) -> Result<(), std::io::Error> {
//!     if total == 0 { Err(std::io::Error::other("nothing to publish")) } else { Ok(()) }
//! }
//!
//! fn main() {
//!     assert_eq!(build("batch001").unwrap(), 2);
//! }
//! ```
//!
//! # Attributes
//! | attribute | for a function that |
//! |---|---|
//! | [`#[root_task]`](macro@root_task) | begins a run |
//! | [`#[normal_task]`](macro@normal_task) | is called by a recorded function |
//! | [`#[cross_thread]`](macro@cross_thread) | is executed on another thread or task |
//! | [`#[cross_process]`](macro@cross_process) | is called by another program, with its ids |
//! | [`#[monitor_all]`](macro@monitor_all) | is one of many in a module or an impl |
//!
//! All of them accept arguments that record parameters, fields and returned values, set names and timeouts, and mask secrets: see the table
//! at [`macro@normal_task`].
//!
//! # What is recorded
//! Each call is recorded with its start, end, outcome, thread and place in the source. A call fails if it returns an `Err`, panics, or
//! returns an `ExitCode` other than 0; the record of a failure contains its message, causes and place. The content of a returned `Option`
//! or `Poll` is checked in the same way. A future that is dropped before its end is cancelled. With glibc, `process::exit` ends the open
//! calls of the calling thread with an outcome that follows from the exit code. Calls whose outcome can't be determined count as succeeded.
//! This applies to functions with a generic return type and to functions that are `-> !`, `-> impl Trait` (except futures) or
//! `#[track_caller]`: their panics are recorded, but not their returned errors.
//!
//! A running call adds information about itself by [`field`], [`rename`], [`progress()`] and [`fail`], and log lines by [`info!`] and its
//! siblings. A part of a function is recorded by a [`Process`].
//!
//! # Threads, tasks and other programs
//! Each thread has a current process, which is the parent of the calls that it makes. Work that moves elsewhere must carry it along:
//! - Threads are started by [`spawn_thread`] or in a [`scope`].
//! - Tasks of tokio are started by the functions of the module `tokio`, and parallel iterators carry the process by the module `rayon`.
//! - Closures for the pools and callbacks of other crates are wrapped by [`in_current`] or [`in_current_each`], and futures by
//!   [`InCurrent::in_current`].
//! - Messages and headers carry the ids of a [`Context`]: see [`Propagation`], [`inject`] and [`Carrier`]. HTTP and gRPC have layers in the
//!   module `tower`, and tasks of queues have the module [`task`].
//! - Commands are started with [`CommandExt::with_current_process`].
//!
//! # Before the program ends
//! Events are sent in the background. At its end, the program waits for the server up to `MONITOR_EXIT_TIMEOUT`. Events that the server has
//! not stored by then stay in the spool folder, and the next monitored program with this folder sends them. [`flush()`] waits for the server
//! at any other time.
//!
//! # Settings
//! | variable | meaning | default |
//! |---|---|---|
//! | `MONITOR_ENABLED` | enables recording: `1`, `true`, `on` or `yes` | off |
//! | `MONITOR_SERVER_URL` | address of the server, or of its page | `http://127.0.0.1:60010` |
//! | `MONITOR_TOKEN` | token, sent as bearer token | none |
//! | `MONITOR_SERVER_CERT` | with the feature `tls`: file with the server's certificate. The client then trusts only this certificate | certificates trusted by the machine |
//! | `MONITOR_BUFFER_BYTES` | maximum size of the records that wait to be sent: `1000000`, `64MiB` | 64 MiB |
//! | `MONITOR_SPOOL_DIR` | folder in which events that the server has not acknowledged outlive the program; `off` disables it | `monitor/spool` in the user's folder for state |
//! | `MONITOR_SPOOL_BYTES` | maximum size of this program's files in that folder | 256 MiB |
//! | `MONITOR_FOLD_BELOW` | calls instrumented by `cargo monitor` that are shorter than this are only counted; `off` disables it | `off` |
//! | `MONITOR_FOLD_AFTER` | number of recorded children per parent and name; further children are only counted; `off` disables it | 1000 |
//! | `MONITOR_EVENTS` | which starts are reported: `all`, `roots`, `off` or `watched`. Values for kinds (`span:off`) and names (`render*=roots`) can be added, separated by commas; the last matching value applies | `all` |
//! | `MONITOR_FILTER` | which attributed functions are recorded, by module, in the syntax of `tracing`'s `EnvFilter`: `info,my_app::db=off`. Attributed functions have the level `info`. The children of a function that isn't recorded are attached to its nearest recorded caller | all |
//! | `MONITOR_STRAY` | handling of `#[normal_task]` calls without a context: `tree` begins a run for each call; `fold` attaches all calls after the first 100 to a single root of the program; `skip` does not record them | `fold` |
//! | `MONITOR_COMMANDS` | commands that the program executes when the server requests them: `read` allows commands that only return information; `read,cancel,…` allows the listed methods too; `all` allows all commands, including [the program's own](commands); `off` allows none | `read` |
//! | `MONITOR_HEARTBEAT` | interval between heartbeats | `10s` |
//! | `MONITOR_EXIT_TIMEOUT` | maximum time that the program waits for the server when it ends | `2s` |
//! | `MONITOR_LOG` | the client's own messages go to `tracing`; `stderr` prints them to stderr as well; `off` never prints them to stderr | warnings are printed to stderr if there is no subscriber |
//! | `MONITOR_TRACING` | spans and events that the layer for `tracing` records, in the syntax of `EnvFilter` | `info` |
//! | `MONITOR_OTLP_ENDPOINT` | with the feature `otlp`: receiver of OTLP over HTTP. The client sends it processes that have ended as spans, and sends nothing to a server | none |
//! | `MONITOR_OTLP_HEADERS` | headers of these requests, separated by commas: `name=value`, `name=file:PATH`, `name=env:VARIABLE` | none |
//! | `MONITOR_ROOT_ID`, `MONITOR_PARENT_ID` | ids of the process that started this program; see [`CommandExt`] | none |
//!
//! # Features
//! The default features are:
//! - `record` and `ship`: record processes and send them to the server.
//! - `tokio`: carry the current process to tokio's tasks.
//! - `commands`: execute commands that the server requests.
//! - `ids`: ids as types, and the functions that carry them by hand ([`Propagation`], [`inject`], [`CommandExt`] and others).
//!
//! A library depends on this crate without default features (`default-features = false`) and leaves recording to the program. The
//! attributes then check their arguments as before and generate nothing, and only the attributes and the core are compiled. A library that
//! carries ids by hand enables `ids`.
//!
//! The other features are:
//! - `tracing` adds a layer for `tracing`, and `log` a logger for the crate `log`: see the modules of these names.
//! - `batch` adds a module for runs of batch tasks, which send notifications, report their progress, and publish.
//! - `testing` adds a module for tests of a program's own instrumentation.
//! - `http`, `tower`, `axum`, `reqwest-middleware`, `tonic`, `lapin`, `redis`, `rayon` and `tokio-process` carry the current process
//!   through the crate of that name: as a [`Carrier`], or by a module of that name here.
//! - `otlp` sends spans to a receiver of OpenTelemetry, without a Process Monitor server (docs/guides/opentelemetry.md).
//! - `tls` adds https. `zstd` compresses with zstd, which needs a C compiler, instead of gzip: a sixth fewer bytes in a third of the time.
//!
//! A worker of a queue uses the module [`control`], so that operators can pause, limit and revoke its tasks.

#[cfg(feature = "batch")]
pub mod batch;
pub mod cancel;
mod carried;
#[cfg(feature = "ids")]
mod carrier;
#[cfg(feature = "commands")]
pub mod commands;
#[cfg(feature = "commands")]
pub mod control;
mod flush;
#[cfg(feature = "ids")]
mod foreign;
pub mod launcher;
mod lines;
#[cfg(feature = "log")]
pub mod log;
#[cfg(feature = "ids")]
mod propagation;
#[cfg(feature = "rayon")]
pub mod rayon;
mod remote;
#[cfg(feature = "reqwest-middleware")]
pub mod reqwest_middleware;
mod spawn;
#[cfg(feature = "ids")]
pub mod task;
#[cfg(feature = "tokio")]
pub mod tokio;
#[cfg(feature = "tower")]
pub mod tower;

#[cfg(feature = "testing")]
pub mod testing;

#[cfg(feature = "ship")]
mod report;
#[cfg(feature = "ship")]
mod settings;
#[cfg(feature = "ship")]
mod ship;
#[cfg(feature = "ship")]
mod silence;
#[cfg(feature = "tracing")]
pub mod tracing;

pub use monitor_core::{
    Amount, Context, CurrentGuard, Entered, InCurrent, Level, Process, ProcessBuilder, Value, fail, field, log, progress, rename,
};
pub use monitor_macros::{cross_process, cross_thread, monitor_all, normal_task, root_task};
#[cfg(feature = "ids")]
pub use monitor_wire::{Kind, ProcessId, Registered, RootId, Source};

pub use carried::{in_current, in_current_each};
#[cfg(feature = "ids")]
pub use carrier::Carrier;
pub use flush::{FlushError, flush};
#[cfg(feature = "ids")]
pub use foreign::broken_callers;
#[cfg(feature = "ids")]
pub use propagation::{CommandExt, ContextExt, Propagation, extract, inject, traceparent};
pub use remote::{AsProcessId, AsRootId};
#[allow(deprecated, reason = "the name stays")]
pub use spawn::spawn;
pub use spawn::{Scope, scope, spawn_thread};
#[cfg(feature = "tokio")]
pub use spawn::{spawn_blocking, spawn_task};

/// Items that generated code uses.
#[doc(hidden)]
pub mod __private {
    pub use crate::remote::remote;
    pub use monitor_core::private::*;
    pub use monitor_core::{Line, log_line};
}

/// The recipes of docs/guides/propagation.md, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/guides/propagation.md")]
struct Recipes;

/// The programs of docs/start/install.md and docs/reference/attributes.md, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/start/install.md")]
#[doc = include_str!("../../docs/reference/attributes.md")]
struct FirstPrograms;

/// Returns true if this program is monitored, that is, if `MONITOR_ENABLED` is set.
///
/// # Examples
///
/// ```
/// assert!(!monitor_client::enabled()); // MONITOR_ENABLED is not set
/// ```
pub fn enabled() -> bool {
    monitor_core::switch::is_on()
}

/// Returns the id of the current process's run. `None` if no process is current.
///
/// # Examples
///
/// ```
/// let run = monitor_client::root_id().map_or_else(|| "none".to_owned(), |id| id.to_string());
/// assert_eq!(run, "none"); // nothing is monitored
/// ```
#[cfg(feature = "ids")]
pub fn root_id() -> Option<RootId> {
    Context::current().and_then(|context| RootId::new(context.root()))
}

/// Returns the id of the current process. `None` if no process is current.
///
/// # Examples
///
/// ```
/// let process = monitor_client::current_id().map(|id| id.to_string());
/// assert_eq!(process, None); // nothing is monitored
/// ```
#[cfg(feature = "ids")]
pub fn current_id() -> Option<ProcessId> {
    Context::current().and_then(|context| ProcessId::new(context.process()))
}

/// Returns all attributed functions linked into the program, called or not. Empty without the feature `record`.
///
/// # Examples
///
/// ```
/// #[monitor_client::normal_task("load row")]
/// fn load() {}
///
/// let load = monitor_client::registered().find(|function| function.name == "load row").unwrap();
/// assert_eq!(load.kind, monitor_client::Kind::NORMAL);
/// ```
#[cfg(feature = "ids")]
pub fn registered() -> impl Iterator<Item = Registered> {
    monitor_core::registered().iter().map(|site| Registered {
        name: site.name.to_owned(),
        kind: Kind::from(site.kind),
        source: Source { file: site.file.to_owned(), line: site.line },
    })
}
