//! State of a connection: idle, receiving the head of a request, or answering a request. Only the last may take any amount of time; the
//! others are limited by [`Limits`].

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::room::RoomSlot;
use crate::access::Grant;

/// Time limits of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Time for the head of a request, from its first byte; also for the first byte of the connection.
    pub head: Duration,
    /// Time between two requests.
    pub idle: Duration,
}

/// State of a connection. It is shared by the task that reads from the socket, by the tasks that answer requests, and by [`super::room`],
/// which looks for idle connections to close.
pub(super) struct Phase {
    state: Mutex<State>,
    evicted: CancellationToken,
    _place: RoomSlot,
}

struct State {
    /// Number of requests being answered, or more precisely of live [`Busy`] values.
    busy: usize,
    /// Right that admitted the current request, if it had a token or a login.
    grant: Option<Grant>,
    waits: Waits,
    since: Instant,
    /// Waker of the reading task. It computes a new deadline when the connection is no longer busy.
    reader: Option<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// The first byte of the connection.
    First,
    /// The rest of a head.
    Head,
    /// The first byte of another request.
    Next,
}

impl Phase {
    pub(super) fn new(place: RoomSlot) -> Self {
        let state = State { busy: 0, grant: None, waits: Waits::First, since: Instant::now(), reader: None };
        Self { state: Mutex::new(state), evicted: CancellationToken::new(), _place: place }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks the connection as busy until the returned value is dropped.
    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        self.lock().busy += 1;
        Busy(self.clone())
    }

    /// Returns the time since when the connection is not busy. `None` while it is busy.
    pub(super) fn waits_since(&self) -> Option<Instant> {
        let state = self.lock();
        (state.busy == 0).then_some(state.since)
    }

    /// Returns the right that admitted the current request.
    pub(super) fn granted(&self) -> Option<Grant> {
        self.lock().grant.clone()
    }

    /// Records that a right is still valid at a version of the access database, or closes the connection if it is not. Does nothing if
    /// another request has been admitted in the meantime.
    pub(super) fn settle(&self, grant: &Grant, version: u64, holds: bool) {
        let mut state = self.lock();
        if let Some(own) = state.grant.as_mut().filter(|own| *own == grant) {
            if holds {
                own.version = version;
            } else {
                self.evicted.cancel();
            }
        }
    }

    /// Closes the connection.
    pub(super) fn evict(&self) {
        self.evicted.cancel();
    }

    pub(super) fn evicted(&self) -> CancellationToken {
        self.evicted.clone()
    }

    fn read_some(&self) {
        let mut state = self.lock();
        if state.busy == 0 && state.waits != Waits::Head {
            (state.waits, state.since) = (Waits::Head, Instant::now());
        }
    }

    /// Returns the deadline for receiving more data. `None` while the connection is busy; the reader is then woken when it is not.
    fn deadline(&self, limits: Limits, reader: &Waker) -> Option<Instant> {
        let mut state = self.lock();
        if state.busy > 0 {
            state.reader = Some(reader.clone());
            return None;
        }
        Some(state.since + if state.waits == Waits::Next { limits.idle } else { limits.head })
    }
}

/// Marks a connection as busy while it exists. A busy connection is not closed for being idle, and keeps its slot in the [`super::room`].
pub(in crate::http) struct Busy(Arc<Phase>);

impl Busy {
    /// Sets the right that admitted the current request.
    pub(in crate::http) fn grant(&self, grant: Option<Grant>) {
        self.0.lock().grant = grant;
    }

    /// Returns the token that is cancelled when the connection must close.
    pub(in crate::http) fn evicted(&self) -> CancellationToken {
        self.0.evicted()
    }
}

impl Clone for Busy {
    fn clone(&self) -> Self {
        self.0.busy()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.busy -= 1;
        if state.busy == 0 {
            (state.waits, state.since, state.grant) = (Waits::Next, Instant::now(), None);
            let reader = state.reader.take();
            drop(state);
            reader.into_iter().for_each(Waker::wake);
        }
    }
}

/// Socket whose reads fail with a timeout when a [`Phase`] exceeds its limit.
pub(super) struct Watched<S> {
    socket: S,
    phase: Arc<Phase>,
    limits: Limits,
    sleep: Pin<Box<Sleep>>,
}

impl<S> Watched<S> {
    pub(super) fn new(socket: S, phase: Arc<Phase>, limits: Limits) -> Self {
        let sleep = Box::pin(sleep_until(Instant::now() + limits.head));
        Self { socket, phase, limits, sleep }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let filled = buffer.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut self.socket).poll_read(context, buffer) {
            if buffer.filled().len() > filled {
                self.phase.read_some();
            }
            return Poll::Ready(read);
        }
        let Some(deadline) = self.phase.deadline(self.limits, context.waker()) else { return Poll::Pending };
        if self.sleep.deadline() != deadline {
            self.sleep.as_mut().reset(deadline);
        }
        match self.sleep.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
