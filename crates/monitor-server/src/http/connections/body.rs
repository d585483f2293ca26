//! Bodies of requests, with a minimum rate at which they must be received.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

/// Error of a body that was not received in time.
#[derive(Debug, thiserror::Error)]
#[error("the body came too slowly: {received} bytes in {} s", .after.as_secs())]
pub(in crate::http) struct Stalled {
    received: u64,
    after: Duration,
}

/// Body that ends with [`Stalled`] if it is received too slowly.
pub(super) struct Received {
    body: Incoming,
    bytes: u64,
    /// Time at which the body was first polled. Before that, no handler waits for it, so the time does not count.
    begun: Option<Instant>,
    pace: Pace,
    sleep: Pin<Box<Sleep>>,
}

/// Required rate of a body. A body may pause for `stall`, and each further second must be earned by `bytes_per_second` received bytes. A
/// fast body earns time that it can use later, but never more than one additional `stall`; otherwise a client could send a large piece
/// quickly and then hold the connection for hours.
#[derive(Debug)]
struct Pace {
    stall: Duration,
    bytes_per_second: u64,
    last: Instant,
    due: Instant,
}

impl Pace {
    fn new(stall: Duration, bytes_per_second: u64, now: Instant) -> Self {
        Self { stall, bytes_per_second, last: now, due: now + stall }
    }

    fn take(&mut self, bytes: usize, now: Instant) {
        let earned = Duration::from_nanos((bytes as u64).saturating_mul(1_000_000_000) / self.bytes_per_second);
        self.due = (self.due + earned).min(now + 2 * self.stall);
        self.last = now;
    }

    /// Returns the time at which the body is too slow unless more data arrives.
    fn deadline(&self) -> Instant {
        self.due.min(self.last + self.stall)
    }
}

impl Received {
    pub(super) fn new(body: Incoming, stall: Duration, bytes_per_second: usize) -> Self {
        let pace = Pace::new(stall, bytes_per_second as u64, Instant::now());
        let sleep = Box::pin(sleep_until(pace.deadline()));
        Self { body, bytes: 0, begun: None, pace, sleep }
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let now = Instant::now();
        if self.begun.is_none() {
            self.pace = Pace::new(self.pace.stall, self.pace.bytes_per_second, now);
        }
        let begun = *self.begun.get_or_insert(now);
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            let length = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref().map(Bytes::len)).unwrap_or_default();
            self.bytes += length as u64;
            self.pace.take(length, now);
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let deadline = self.pace.deadline();
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

/// Returns the cause if a body ended because it was received too slowly.
pub(in crate::http) fn is_stalled(error: &axum::Error) -> Option<&Stalled> {
    let first: &(dyn Error + 'static) = error;
    std::iter::successors(Some(first), |error| (*error).source()).find_map(|error| error.downcast_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_client_may_be_slow_for_a_limited_time() {
        let begun = Instant::now();
        let (second, stall) = (Duration::from_secs(1), Duration::from_secs(15));
        let mut pace = Pace::new(stall, 1_000, begun);
        assert_eq!(pace.deadline(), begun + stall);
        pace.take(1, begun + 10 * second);
        assert_eq!(pace.deadline(), begun + stall + Duration::from_millis(1), "a byte buys a millisecond");
        pace.take(2_000, begun + 10 * second);
        assert_eq!(pace.deadline(), begun + stall + 2 * second + Duration::from_millis(1));
        // Nine hours' worth of bytes at once.
        pace.take(32 << 20, begun + 11 * second);
        let mut now = begun + 11 * second;
        while pace.deadline() > now + second {
            now += second;
            pace.take(1, now);
        }
        assert!(now - (begun + 11 * second) <= 2 * stall + second, "{:?}", now - begun);
    }
}
