//! The service that runs each task through the layer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use apalis_core::error::{AbortError, BoxDynError, DeferredError};
use apalis_core::task::Task;
use apalis_core::task::status::Status;
use apalis_core::worker::context::WorkerContext;
use futures_util::future::BoxFuture;
use monitor_client::control::{Held, Permit, Stop};
use monitor_client::task::{Received, Work};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::attempt::Attempt;
use crate::layer::WorkerLayer;
use crate::show::Show;
use crate::watch::Watch;

/// Service of a [`WorkerLayer`].
#[derive(Debug, Clone)]
pub struct TaskService<S, A, R> {
    pub(crate) inner: S,
    pub(crate) layer: WorkerLayer<A, R>,
    /// True if there was no room for a task at the last poll.
    pub(crate) was_full: bool,
}

impl<S, Args, A, R> Service<Task<Args>> for TaskService<S, A, R>
where
    S: Service<Task<Args>, Response: Send, Error: Into<BoxDynError>, Future: Send + 'static> + Clone + Send + 'static,
    Args: Send + 'static,
    A: Show<Args>,
    R: Show<S::Response>,
{
    type Response = S::Response;
    type Error = BoxDynError;
    type Future = TaskFuture<S::Future, S::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxDynError>> {
        let about = &self.layer.about;
        if let Some(control) = &about.control {
            let room = control.poll_room(about.queue.as_deref(), cx);
            if control.is_stopping() {
                self.layer.watch.stop();
            }
            if room.is_pending() {
                self.was_full = true;
                return Poll::Pending;
            }
            // While there was no room, timers of the backend may have elapsed, and a fetch may have found no tasks. The backend then waits
            // for tasks without a timer, and its worker would sleep permanently (apalis-core 1.0, `IntervalStrategy`). A second poll sets
            // the timers.
            if std::mem::take(&mut self.was_full) {
                cx.waker().wake_by_ref();
            }
        }
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, task: Task<Args>) -> Self::Future {
        let layer = &self.layer;
        if layer.about.control.is_none() && !monitor_client::enabled() {
            return TaskFuture::Plain { future: self.inner.call(task) };
        }
        if let Some(worker) = task.data().get::<WorkerContext>() {
            layer.watch.knows(worker);
        }
        let (receive, noting) = (layer.receive(task.ctx(), &task.args), layer.note_losses(task.ctx()));
        let turn = match &layer.about.control {
            Some(control) => Turn::Held(control.accept(receive)),
            None => Turn::Now(receive.accept()),
        };
        // The service instance that was polled ready is used when the task has its turn.
        let next = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, next);
        let working = work(inner, layer.watch.clone(), layer.result.clone(), task, turn);
        let future = async {
            if let Some(noting) = noting {
                noting.await;
            }
            working.await
        };
        TaskFuture::Monitored { future: Box::pin(future) }
    }
}

/// A received task: it either waits for its turn, or starts immediately.
enum Turn {
    Held(Held),
    Now(Received),
}

impl Turn {
    async fn begin(self, watch: &Watch) -> Result<(Work, Option<Permit>), Stop> {
        match self {
            Self::Now(received) => Ok((received.begin(), None)),
            Self::Held(held) => {
                let (work, permit) = held.ready_unless(|waker| watch.is_ending(waker)).await?.begin();
                Ok((work, Some(permit)))
            }
        }
    }
}

async fn work<S, Args, R>(mut inner: S, watch: Arc<Watch>, result: R, task: Task<Args>, turn: Turn) -> Result<S::Response, BoxDynError>
where
    S: Service<Task<Args>, Error: Into<BoxDynError>>,
    R: Show<S::Response>,
{
    let status = task.raw_status().clone();
    let (work, permit) = match turn.begin(&watch).await {
        Ok(begun) => begun,
        Err(why) => {
            let (next, error) = not_run(why);
            status.store(next);
            return Err(error);
        }
    };
    if let Some(worker) = task.data().get::<WorkerContext>() {
        work.field("apalis.worker", worker.name().to_owned());
    }
    let mut attempt = Attempt::new(work, &task);
    let done = attempt.until_done(permit.as_ref(), || inner.call(task)).await;
    // Free its place in the pool before the end becomes visible.
    drop(permit);
    match done {
        Ok(Ok(returned)) => {
            attempt.succeed(result.show(&returned));
            Ok(returned)
        }
        Ok(Err(error)) => {
            let error = error.into();
            attempt.fail(&error);
            Err(error)
        }
        Err(why) => {
            attempt.stop(why);
            let (next, error) = not_run(why);
            status.store(next);
            Err(error)
        }
    }
}

/// Returns apalis' status and error for a task that must not run or continue. At a shutdown of the worker, the task stays pending.
fn not_run(why: Stop) -> (Status, BoxDynError) {
    match why {
        Stop::Shutdown => (Status::Pending, Box::new(DeferredError::new(why))),
        _ => (Status::Killed, Box::new(AbortError::new(why))),
    }
}

pin_project! {
    /// Future of a task.
    #[project = Projected]
    #[allow(missing_debug_implementations)]
    pub enum TaskFuture<F, T> {
        #[doc(hidden)]
        Plain { #[pin] future: F },
        #[doc(hidden)]
        Monitored { future: BoxFuture<'static, Result<T, BoxDynError>> },
    }
}

impl<F: Future<Output = Result<T, E>>, T, E: Into<BoxDynError>> Future for TaskFuture<F, T> {
    type Output = Result<T, BoxDynError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            Projected::Plain { future } => future.poll(cx).map_err(Into::into),
            Projected::Monitored { future } => future.as_mut().poll(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use monitor_client::commands::{Order, TaskSource as _};
    use monitor_client::control::TaskControl;
    use tower_layer::Layer as _;

    use super::*;

    #[derive(Clone)]
    struct Nothing;

    impl Service<Task<()>> for Nothing {
        type Response = ();
        type Error = BoxDynError;
        type Future = std::future::Ready<Result<(), BoxDynError>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxDynError>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Task<()>) -> Self::Future {
            std::future::ready(Ok(()))
        }
    }

    /// Counts the wake-ups of a worker.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_worker_is_polled_once_more_after_it_had_no_room() {
        let control = TaskControl::new(1);
        let mut service = WorkerLayer::new().control(&control).layer(Nothing);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let mut is_ready = || Service::<Task<()>>::poll_ready(&mut service, &mut Context::from_waker(&waker)).is_ready();
        let count = || woken.0.load(Ordering::Relaxed);
        assert!(is_ready() && count() == 0);
        control.handle(Order::Pause { hold: None }).unwrap();
        let before = count();
        assert!(!is_ready());
        control.handle(Order::Resume).unwrap();
        assert_eq!(count(), before + 1, "there is room");
        assert!(is_ready());
        assert_eq!(count(), before + 2, "its backend sets its timers with the next poll");
        assert!(is_ready());
        assert_eq!(count(), before + 2);
    }
}
