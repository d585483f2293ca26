//! The one loop of everybody who sends batches: take the next one, send it, settle it by the answer, and wait as the answer says.
//!
//! A program's own shipper, those who ship what dead programs left, the launcher, and a server that takes in what it finds differ in where
//! the batches come from ([`Batches`]), in how one gets to the server ([`Way`]), and in how patient they are, which each says after an
//! answer ([`Answered`], [`Next`]).

use std::cell::RefCell;
use std::time::Duration;

use crate::{Answer, Backoff, Head, Parcel, now_us};

/// Batches that wait to be sent, oldest first.
pub trait Batches {
    /// Makes a request of the batch that is next, which stays the next one until it is settled; `None` when nothing waits.
    fn request<T>(&mut self, sent_us: u64, make: impl FnOnce(&Parcel, &Head<'_>) -> T) -> Option<T>;

    /// Takes the server's answer to the batch that was next.
    fn settle(&mut self, answer: &Answer) -> Settled;
}

/// What an answer made of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The batch is the next one again.
    Waits,
    /// The batch is stored, or its parts are next.
    Taken,
    /// An event of the batch was given up, and counted. The others are next.
    GivenUp,
}

/// The way to a server.
pub trait Way {
    /// A batch as it is sent.
    type Request;

    /// Returns the time of day in Unix microseconds.
    fn now_us(&self) -> u64 {
        now_us()
    }

    /// Makes a batch what is sent.
    fn request(&self, parcel: &Parcel, head: &Head<'_>) -> Self::Request;

    /// Sends a batch once.
    fn send(&self, request: Self::Request) -> impl Future<Output = Answer>;
}

/// An answer, and what became of the batch.
#[derive(Debug)]
pub struct Answered<'a> {
    /// The server's answer.
    pub answer: &'a Answer,
    /// What the answer made of the batch.
    pub settled: Settled,
    /// How long to wait before the batch is sent again; `None` if there is something to be sent at once.
    pub wait: Option<Duration>,
}

/// What is done after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Sends the batch that is next.
    GoOn,
    /// Sends the batch that is next; later waits are brief again.
    GoOnAfresh,
    /// Leaves the rest for another time.
    Stop,
}

/// Sends batches until none waits, and calls `then` after each answer, which waits for as long as it likes. Returns false if it stopped
/// before.
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

/// Batches that others add to while one of them is on its way.
impl<B: Batches> Batches for &RefCell<B> {
    fn request<T>(&mut self, sent_us: u64, make: impl FnOnce(&Parcel, &Head<'_>) -> T) -> Option<T> {
        self.borrow_mut().request(sent_us, make)
    }

    fn settle(&mut self, answer: &Answer) -> Settled {
        self.borrow_mut().settle(answer)
    }
}
