//! Attributes that show a running program as one live tree.
//!
//! Put an attribute on the functions that matter, set `MONITOR_ENABLED=1`, and watch the run on the server's page, while it
//! runs: across threads, tasks and operating-system processes.
//!
//! ```
//! use monitor_client::{cross_thread, normal_task, root_task};
//!
//! #[root_task("nightly build", "batch")]
//! fn build(batch: &str) -> Result<usize, std::io::Error> {
//!     let sizes = ["a", "b"].map(|part| monitor_client::spawn_thread(move || compile(part)));
//!     let total = sizes.into_iter().map(|size| size.join().expect("no panic")).sum();
//!     publish(total)?;
//!     Ok(total)
//! }
//!
//! #[cross_thread("compile")]
//! fn compile(part: &str) -> usize {
//!     part.len()
//! }
//!
//! #[normal_task]
//! fn publish(total: usize) -> Result<(), std::io::Error> {
//!     if total == 0 { Err(std::io::Error::other("nothing to publish")) } else { Ok(()) }
//! }
//!
//! assert_eq!(build("batch001").unwrap(), 2);
//! ```
//!
//! # What is recorded
//! Start, end and outcome of each call, with its thread and its place in the source. A returned `Err` and a panic are failures,
//! with message, causes and place; so is an `ExitCode` other than 0, and what `Option` or `Poll` hold is looked into. A future dropped
//! before its end is cancelled. `process::exit` ends what its thread is in the middle of by its code (with glibc). What can't be told
//! counts as succeeded: a return type that is generic, and functions that are `-> !`, `-> impl Trait` (futures apart) or
//! `#[track_caller]`, whose panics are seen, but not their returned errors.
//!
//! Arguments, fields, returned values, timeouts and names made of these are recorded where an attribute asks for them:
//! [`macro@normal_task`] has the table. A running call says more of itself by [`field`], [`rename`] and [`fail`].
//!
//! # Settings
//! | variable | meaning | default |
//! |---|---|---|
//! | `MONITOR_ENABLED` | `1`, `true`, `on`, `yes`: record | off |
//! | `MONITOR_SERVER_URL` | where the server is; its page's address will do | `http://127.0.0.1:60010` |
//! | `MONITOR_TOKEN` | sent as bearer token | none |
//! | `MONITOR_SERVER_CERT` | with the feature `tls`: the file of the server's certificate, the only one that is trusted then | what the machine trusts |
//! | `MONITOR_BUFFER_BYTES` | bound of what waits to be sent: `1000000`, `64MiB` | 64 MiB |
//! | `MONITOR_SPOOL_DIR` | where what the server hasn't got yet outlives the program; `off`: nowhere | `monitor/spool` in the user's folder for state |
//! | `MONITOR_SPOOL_BYTES` | bound of what this program keeps there | 256 MiB |
//! | `MONITOR_FOLD_BELOW` | calls woven by `cargo monitor` that took less are counted; `off`: none | `off` |
//! | `MONITOR_FOLD_AFTER` | beyond so many children of one parent and name, further ones are counted; `off`: never | 1000 |
//! | `MONITOR_EVENTS` | how much is told of what begins: `all`, `roots`, `off` or `watched`, also for kinds (`span:off`) and names (`render*=roots`), between commas; the last one that fits decides | `all` |
//! | `MONITOR_FILTER` | which attributed functions are recorded, by module, as `tracing`'s `EnvFilter` writes it: `info,my_app::db=off`. They are of the level `info`; what is called by one that isn't recorded hangs below the next one up | all |
//! | `MONITOR_STRAY` | what becomes of `#[normal_task]` calls without a context: `tree`, each begins one; `fold`, beyond the first 100 they hang below one root of the program; `skip`, they are not recorded | `fold` |
//! | `MONITOR_COMMANDS` | what the program does when it is asked over the server: `read`, what only tells something; `read,cancel,…`, these methods too; `all`, all, [its own](commands) among them; `off`, nothing | `read` |
//! | `MONITOR_HEARTBEAT` | how often the server hears that the program is alive | `10s` |
//! | `MONITOR_EXIT_TIMEOUT` | how long the end of the program may wait for the server | `2s` |
//! | `MONITOR_LOG` | the client's own messages go to `tracing`; `stderr`: there as well; `off`: there not at all | warnings go to stderr where no subscriber listens |
//! | `MONITOR_TRACING` | which spans and events the layer for `tracing` takes, as `EnvFilter` has it | `info` |
//! | `MONITOR_OTLP_ENDPOINT` | with the feature `otlp`: what has ended goes as spans to this receiver of OTLP over HTTP, and nothing to a server | none |
//! | `MONITOR_OTLP_HEADERS` | headers of these requests: `name=value`, `name=file:PATH`, `name=env:VARIABLE`, with commas between them | none |
//! | `MONITOR_ROOT_ID`, `MONITOR_PARENT_ID` | the process that started this program; see [`CommandExt`] | none |
//!
//! # Features
//! On by default are `record` and `ship`: processes are recorded, and sent to the server; `tokio`, for its tasks; `commands`; and `ids`:
//! ids as types, and what carries them by hand ([`Propagation`], [`inject`], [`CommandExt`] and the like). A library depends on this crate
//! with none of them (`default-features = false`) and leaves recording to the program: then the attributes check the same and do nothing,
//! and only they and the core are compiled. One that carries ids by hand asks for `ids` besides.
//! `tracing` adds a layer for `tracing`, and `log` a logger for the crate `log`: see the modules of these names.
//! A worker of a queue is put [under control](control) by one call before each task.
//! `batch` adds a module for runs of batch tasks, which notify, tell how far they are, and publish.
//! `testing` adds a module of this name, for tests of a program's own instrumentation.
//! `http`, `tower`, `axum`, `reqwest-middleware`, `tonic`, `lapin`, `redis`, `rayon` and `tokio-process` carry what is current through the
//! crate of that name: as a [`Carrier`], or by a module of that name here. None is on by default.
//! `otlp` lets a program send spans to a receiver of OpenTelemetry without a server of ours (docs/otlp.md).
//! `tls` adds https. `zstd` compresses by zstd, which needs a C compiler, instead of gzip: a sixth fewer bytes in a third of the time.

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

/// What generated code calls.
#[doc(hidden)]
pub mod __private {
    pub use crate::remote::remote;
    pub use monitor_core::private::*;
    pub use monitor_core::{Line, log_line};
}

/// The recipes of docs/propagation.md, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/propagation.md")]
struct Recipes;

/// Whether this program is monitored.
///
/// ```
/// assert!(!monitor_client::enabled()); // MONITOR_ENABLED is not set
/// ```
pub fn enabled() -> bool {
    monitor_core::switch::is_on()
}

/// The tree that what runs here and now belongs to; none when nothing is monitored.
///
/// ```
/// let tree = monitor_client::root_id().map_or_else(|| "none".to_owned(), |id| id.to_string());
/// assert_eq!(tree, "none"); // nothing is monitored
/// ```
#[cfg(feature = "ids")]
pub fn root_id() -> Option<RootId> {
    Context::current().and_then(|context| RootId::new(context.root()))
}

/// The process that runs here and now; none when nothing is monitored.
///
/// ```
/// let process = monitor_client::current_id().map(|id| id.to_string());
/// assert_eq!(process, None); // nothing is monitored
/// ```
#[cfg(feature = "ids")]
pub fn current_id() -> Option<ProcessId> {
    Context::current().and_then(|context| ProcessId::new(context.process()))
}

/// All attributed functions linked into the program, called or not; none without the feature `record`.
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
