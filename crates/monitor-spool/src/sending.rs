//! The loop of all senders of batches: fetch the next batch, send it, settle it according to the answer, and wait.
//!
//! Senders are a program's own shipper, the shippers of dead programs' records, the launcher, and a server that reads spools. They differ
//! in the source of the batches ([`Batches`]), in the transport ([`Way`]), and in their patience, which each sender expresses after an
//! answer ([`Answered`], [`Next`]).

use std::cell::RefCell;
use std::time::Duration;

use crate::{Answer, Backoff, Head, Parcel, now_us};

/// Source of batches, oldest first.
pub trait Batches {
    /// Creates a request from the next batch, which stays the next until it is settled. `None` if nothing is pending.
    fn request<T>(&mut self, sent_us: u64, make: impl FnOnce(&Parcel, &Head<'_>) -> T) -> Option<T>;

    /// Settles the next batch according to the server's answer.
    fn settle(&mut self, answer: &Answer) -> Settled;
}

/// Result of settling a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The batch stays the next.
    Waits,
    /// The batch is stored, or its parts are next.
    Taken,
    /// An event of the batch was dropped and counted. The others are next.
    GivenUp,
}

/// Transport to a server.
pub trait Way {
    /// An encoded batch.
    type Request;

    /// Returns the current time in Unix microseconds.
    fn now_us(&self) -> u64 {
        now_us()
    }

    /// Encodes a batch.
    fn request(&self, parcel: &Parcel, head: &Head<'_>) -> Self::Request;

    /// Sends a batch once.
    fn send(&self, request: Self::Request) -> impl Future<Output = Answer>;
}

/// An answer and its effect.
#[derive(Debug)]
pub struct Answered<'a> {
    /// The server's answer.
    pub answer: &'a Answer,
    /// Result of settling the batch.
    pub settled: Settled,
    /// Time to wait before the next request. `None` if a batch can be sent immediately.
    pub wait: Option<Duration>,
}

/// Decision of the sender after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Send the next batch.
    GoOn,
    /// Send the next batch, and reset the backoff.
    GoOnAfresh,
    /// Stop and leave the rest for later.
    Stop,
}

/// Sends batches until none is pending. Calls `then` after each answer, which decides how long to wait. Returns false if `then` stopped the
/// loop.
pub async fn send_all<B: Batches, W: Way>(batches: &mut B, way: &W, mut then: impl AsyncFnMut(&mut B, Answered<'_>) -> Next) -> bool {
    let mut backoff = Backoff::default();
    while let Some(request) = batches.request(way.now_us(), |parcel, head| way.request(parcel, head)) {
        let answer = way.send(request).await;
        let settled = batches.settle(&answer);
        let wait = backoff.after(&answer);
        match then(batches, Answered { answer: &answer, settled, wait }).await {
            Next::GoOn => {}
            Next::GoOnAfresh => backoff.reset(),
            Next::Stop => return false,
        }
    }
    true
}

/// Allows adding batches while one of them is being sent.
impl<B: Batches> Batches for &RefCell<B> {
    fn request<T>(&mut self, sent_us: u64, make: impl FnOnce(&Parcel, &Head<'_>) -> T) -> Option<T> {
        self.borrow_mut().request(sent_us, make)
    }

    fn settle(&mut self, answer: &Answer) -> Settled {
        self.borrow_mut().settle(answer)
    }
}
