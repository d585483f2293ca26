//! The body of a request, which must come at a pace.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

/// The body did not come, or came too slowly.
#[derive(Debug, thiserror::Error)]
#[error("the body came too slowly: {received} bytes in {} s", .after.as_secs())]
pub(in crate::http) struct Stalled {
    received: u64,
    after: Duration,
}

/// A body that ends with [`Stalled`] unless it keeps coming: it may stand still for a while, and of all the time beyond one such while
/// every second must have brought its bytes.
pub(super) struct Received {
    body: Incoming,
    stall: Duration,
    bytes_per_second: u64,
    bytes: u64,
    /// When it was first asked for: until then nobody waits for it.
    begun: Option<(Instant, Instant)>,
    sleep: Pin<Box<Sleep>>,
}

impl Received {
    pub(super) fn new(body: Incoming, stall: Duration, bytes_per_second: usize) -> Self {
        let sleep = Box::pin(sleep_until(Instant::now() + stall));
        Self { body, stall, bytes_per_second: bytes_per_second as u64, bytes: 0, begun: None, sleep }
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let now = Instant::now();
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            let length = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref().map(Bytes::len)).unwrap_or_default();
            self.bytes += length as u64;
            let begun = self.begun.map_or(now, |(begun, _)| begun);
            self.begun = Some((begun, now));
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let (begun, last) = *self.begun.get_or_insert((now, now));
        let is_due = begun + self.stall + Duration::from_secs(self.bytes / self.bytes_per_second);
        let deadline = is_due.min(last + self.stall);
        if self.sleep.deadline() != deadline {
            self.sleep.as_mut().reset(deadline);
        }
        ready!(self.sleep.as_mut().poll(context));
        let stalled = Stalled { received: self.bytes, after: begun.elapsed() };
        Poll::Ready(Some(Err(stalled.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Whether a body broke off because it came too slowly.
pub(in crate::http) fn is_stalled(error: &axum::Error) -> Option<&Stalled> {
    let first: &(dyn Error + 'static) = error;
    std::iter::successors(Some(first), |error| (*error).source()).find_map(|error| error.downcast_ref())
}
