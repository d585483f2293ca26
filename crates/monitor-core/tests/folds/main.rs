//! Tests calls that are counted instead of recorded: each call is either reported individually or counted in the correct fold.

#![cfg(feature = "record")]

mod brief;
mod by_name;
mod calls;
mod property;
mod spans;
mod told;
mod turns;

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::panic::{catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use monitor_core::private::probe::*;
use monitor_core::private::{Guard, How, Site, call, call_simply, run_simply, site};
use monitor_core::{Process, fold, queue, switch};

const AFTER: u64 = 10;

/// A program has one receiver, so its tests take turns.
static RECEIVER: Mutex<Option<queue::Receiver>> = Mutex::new(None);

fn with_receiver<T>(test: impl FnOnce(&mut queue::Receiver) -> T) -> T {
    let mut receiver = RECEIVER.lock().unwrap_or_else(PoisonError::into_inner);
    let receiver = receiver.get_or_insert_with(|| {
        fold::set_after(AFTER);
        fold::set_below(Duration::from_millis(500));
        let mut receiver = queue::open(1 << 30).expect("opened once");
        // From here on the length of a tick is known.
        receiver.look(Duration::ZERO);
        switch::turn_on();
        receiver
    });
    while let Some(entry) = receiver.try_recv() {
        receiver.release(entry.bytes);
    }
    test(receiver)
}

/// Sites of several names.
fn site(number: usize) -> &'static Site {
    match number % 7 {
        0 => site!("a", "normal", 1),
        1 => site!("b", "normal", 1),
        2 => site!("c", "normal", 1),
        3 => site!("d", "normal", 1),
        4 => site!("e", "normal", 1),
        5 => site!("f", "normal", 1),
        _ => site!("g", "normal", 1),
    }
}

thread_local! {
    /// The calls of this thread are as `cargo monitor` makes them.
    static IS_WOVEN: Cell<bool> = const { Cell::new(false) };
}

fn how() -> How {
    if IS_WOVEN.get() { How::Woven } else { How::Normal }
}

fn enter(number: usize) -> Guard {
    Guard::enter(site(number), how())
}

fn fails(number: usize) {
    fails_through(&[number]);
}

/// Calls that call each other and pass on the error of the last one.
fn fails_through(numbers: &[usize]) {
    let Some((first, rest)) = numbers.split_first() else { return };
    let returned = call(site(*first), how(), (), |()| {
        fails_through(rest);
        Err::<(), _>("no".to_owned())
    });
    let _ = returned.finish(|returned| (&&&&Returned(returned)).failure());
}

fn panics(number: usize) {
    let _ = catch_unwind(|| call_simply(site(number), how(), (), |()| resume_unwind(Box::new("a panic"))));
}

fn top() -> monitor_core::Entered {
    Process::builder("top").enter()
}

async fn waits(number: usize, polls: usize) {
    let mut left = polls;
    let work = poll_fn(|_| {
        if left == 0 {
            drop(enter(6));
            return Poll::Ready(());
        }
        left -= 1;
        Poll::Pending
    });
    run_simply(site(number), how(), work).await;
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut std::task::Context::from_waker(Waker::noop()))
}

fn total(counts: [u64; 2]) -> u64 {
    counts[0] + counts[1]
}
