//! Tasks of [apalis](https://docs.rs/apalis) for Process Monitor: each is one process, from the program that sends it to the end of its last
//! attempt in whatever worker, below whoever sent it.
//!
//! The sender:
//!
//! ```
//! use apalis_core::backend::memory::MemoryStorage;
//! use apalis_core::task::builder::TaskBuilder;
//!
//! # async fn example(mut storage: MemoryStorage<u32>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! monitor_apalis::send("render", TaskBuilder::new(7)).queue("video").to(&mut storage).await?;
//! # Ok(())
//! # }
//! ```
//!
//! The worker:
//!
//! ```
//! use apalis_core::backend::memory::MemoryStorage;
//! use apalis_core::worker::builder::WorkerBuilder;
//! use monitor_apalis::{MonitorExt as _, WorkerLayer};
//! use monitor_client::control::TaskControl;
//!
//! async fn render(film: u32) -> Result<u32, std::io::Error> {
//!     Ok(film)
//! }
//!
//! # async fn example(storage: MemoryStorage<u32>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let control = TaskControl::new(4).register();       // for `monitor control`; leave it out if nobody is to
//! WorkerBuilder::new("renderer")
//!     .backend(storage)
//!     .monitored(WorkerLayer::new().named("render").queue("video").control(&control))
//!     .build(render)
//!     .run()
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! **Where it stands among the layers**: after those that decide whether and where a task runs (`.parallelize(…)`, `.retry(…)`, limits), so
//! that each attempt is told; after `.catch_panic()`, so that a panic is told as one; and before `.timeout(…)` and what else belongs to the attempt.
//!
//! Nothing is recorded unless `MONITOR_ENABLED=1`; without it, and without a control, a task costs one load and a branch. Arguments and results
//! are recorded only by [`Outgoing::show_args`], [`WorkerLayer::show_args`] and [`WorkerLayer::show_result`].
//!
//! With the feature `redis`, `RedisQueue` lets operators start tasks of a queue in Redis, throw away what waits there, have tasks run again and count
//! them; and `WorkerLayer::redis` counts attempts that were lost with their workers.
//!
//! A sender that isn't monitored, or has a tracer of OpenTelemetry, is understood as well: apalis' `TracingContext` or a `traceparent` in the
//! metadata is the parent of the task.

mod attempt;
mod carried;
mod layer;
#[cfg(feature = "redis")]
mod redis;
mod send;
mod service;
mod show;
mod watch;

use std::sync::Arc;

use apalis_core::backend::Backend;
use apalis_core::worker::builder::WorkerBuilder;
use apalis_core::worker::ext::event_listener::{EventListenerExt as _, EventListenerLayer};
use tower_layer::Stack;

pub use self::layer::WorkerLayer;
#[cfg(feature = "redis")]
pub use self::redis::RedisQueue;
pub use self::send::{Outgoing, send};
pub use self::service::{TaskFuture, TaskService};
pub use self::show::{Hidden, Show, Shown};
use self::watch::Watch;

/// Workers whose tasks are monitored.
pub trait MonitorExt<Args, B, M>: Sized {
    /// Makes a process of each task of the worker, as the layer says. Unlike `.layer(…)` it hears when the worker starts and ends, so that
    /// `monitor control shutdown` ends one that has nothing to do, and tasks that wait for their turn are given back.
    fn monitored<A, R>(self, layer: WorkerLayer<A, R>) -> WorkerBuilder<Args, B, Monitored<A, R, M>>;
}

/// The layers of a worker that is monitored.
pub type Monitored<A, R, M> = Stack<WorkerLayer<A, R>, Stack<EventListenerLayer, M>>;

impl<Args, B: Backend, M> MonitorExt<Args, B, M> for WorkerBuilder<Args, B, M> {
    fn monitored<A, R>(self, layer: WorkerLayer<A, R>) -> WorkerBuilder<Args, B, Monitored<A, R, M>> {
        // A layer may be cloned for several workers, each of which ends by itself.
        let watch = Arc::<Watch>::default();
        let hearing = watch.clone();
        self.on_event(move |worker, event| hearing.hears(worker, event)).layer(WorkerLayer { watch, ..layer })
    }
}
