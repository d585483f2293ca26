//! Records tasks of [apalis](https://docs.rs/apalis) in Process Monitor. Each task is one process below its sender, from the sending
//! program to the end of its last attempt in any worker.
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
//! **Position among the layers**: after the layers that decide if and where a task runs (`.parallelize(…)`, `.retry(…)`, limits), so that
//! each attempt is recorded; after `.catch_panic()`, so that a panic is recorded as such; and before `.timeout(…)` and other layers that
//! belong to the attempt.
//!
//! Nothing is recorded unless `MONITOR_ENABLED=1`. Without it, and without a control, the cost per task is one load and a branch. Arguments
//! and results are recorded only with [`Outgoing::show_args`], [`WorkerLayer::show_args`] and [`WorkerLayer::show_result`].
//!
//! With the feature `redis`, `RedisQueue` lets operators start tasks in a Redis queue, purge waiting tasks, rerun tasks and count them, and
//! `WorkerLayer::redis` counts attempts that were lost together with their workers.
//!
//! Senders that are not monitored, or use an OpenTelemetry tracer, are supported: apalis' `TracingContext` or a `traceparent` in the
//! metadata is used as the parent of the task.

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

/// Extension for monitored workers.
pub trait MonitorExt<Args, B, M>: Sized {
    /// Records each task of the worker as configured by the layer. Unlike `.layer(…)`, it also observes the start and end of the worker, so
    /// that `monitor control shutdown` can stop an idle worker, and waiting tasks are returned to the queue.
    fn monitored<A, R>(self, layer: WorkerLayer<A, R>) -> WorkerBuilder<Args, B, Monitored<A, R, M>>;
}

/// Layers of a monitored worker.
pub type Monitored<A, R, M> = Stack<WorkerLayer<A, R>, Stack<EventListenerLayer, M>>;

impl<Args, B: Backend, M> MonitorExt<Args, B, M> for WorkerBuilder<Args, B, M> {
    fn monitored<A, R>(self, layer: WorkerLayer<A, R>) -> WorkerBuilder<Args, B, Monitored<A, R, M>> {
        // A layer may be cloned for several workers, which end independently.
        let watch = Arc::<Watch>::default();
        let hearing = watch.clone();
        self.on_event(move |worker, event| hearing.hears(worker, event)).layer(WorkerLayer { watch, ..layer })
    }
}
