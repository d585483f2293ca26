//! Tests the records in rings: none is lost or reported twice, and dropped records are counted.

#![cfg(feature = "record")]

use std::collections::{HashMap, HashSet};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use monitor_core::private::{Guard, How, Site, call_simply, run_simply};
use monitor_core::record::{Origin, Outcome, Record};
use monitor_core::{InCurrent, Process, queue, switch};

const LIMIT: usize = 4 << 20;

/// A program has one receiver, so its tests take turns.
static RECEIVER: Mutex<Option<queue::Receiver>> = Mutex::new(None);

fn with_receiver(test: impl FnOnce(&mut queue::Receiver)) {
    let mut receiver = RECEIVER.lock().unwrap_or_else(PoisonError::into_inner);
    let receiver = receiver.get_or_insert_with(|| {
        let receiver = queue::open(LIMIT).expect("opened once");
        switch::turn_on();
        receiver
    });
    drain(receiver);
    test(receiver);
    drain(receiver);
}

/// Received records by process.
#[derive(Debug, Default)]
struct Seen {
    starts: HashMap<u64, (u64, String)>,
    ends: HashMap<u64, (u64, Outcome)>,
}

impl Seen {
    fn add(&mut self, record: Record) {
        match record {
            Record::Started(started) => {
                let name = match &started.origin {
                    Origin::Site(site) => site.name,
                    Origin::Named(named) => &named.name,
                };
                let before = self.starts.insert(started.id, (started.parent, name.to_owned()));
                assert!(before.is_none(), "started twice");
            }
            Record::Ended(ended) => {
                assert!(
                    self.ends.insert(ended.id, (ended.elapsed_ns.expect("a call knows its start"), ended.outcome)).is_none(),
                    "ended twice"
                );
            }
            other => panic!("{other:?}"),
        }
    }

    fn count(&self, name: &str) -> usize {
        self.starts.values().filter(|(_, other)| other == name).count()
    }
}

fn drain(receiver: &mut queue::Receiver) -> Seen {
    let mut seen = Seen::default();
    while let Some(entry) = receiver.try_recv() {
        receiver.release(entry.bytes);
        seen.add(entry.record);
    }
    seen
}

fn dropped() -> u64 {
    queue::dropped().iter().map(|(_, count)| count).sum()
}

fn site() -> &'static Site {
    monitor_core::private::site!("leaf", "normal", 1)
}

fn enter() -> Guard {
    Guard::enter(site(), How::Normal)
}

fn leaf() {
    drop(enter());
}

async fn waits(polls: usize) {
    let mut left = polls;
    let work = poll_fn(|_| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        Poll::Pending
    });
    run_simply(site(), How::Normal, work).await;
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[test]
fn several_threads_and_a_reader_lose_nothing_and_repeat_nothing() {
    const CALLS: usize = 20_000;
    with_receiver(|receiver| {
        let before = dropped();
        let mut seen = Seen::default();
        let threads: Vec<_> = (0..3)
            .map(|_| {
                thread::spawn(|| {
                    let _top = Process::builder("top").enter();
                    for n in 0..CALLS {
                        let _outer = enter();
                        leaf();
                        if n % 64 == 0 {
                            thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        while threads.iter().any(|thread| !thread.is_finished()) {
            receiver.look(Duration::from_micros(50));
            while let Some(entry) = receiver.take() {
                receiver.release(entry.bytes);
                seen.add(entry.record);
            }
        }
        for thread in threads {
            thread.join().expect("no panic");
        }
        while let Some(entry) = receiver.try_recv() {
            receiver.release(entry.bytes);
            seen.add(entry.record);
        }
        assert_eq!(seen.starts.len(), seen.ends.len());
        assert_eq!(seen.count("leaf") as u64 + dropped() - before, 3 * 2 * CALLS as u64);
        for (id, (parent, name)) in &seen.starts {
            assert!(seen.ends.contains_key(id));
            assert!(*parent == 0 && name == "top" || seen.starts.contains_key(parent), "parents are there");
        }
    });
}

#[test]
fn a_full_ring_drops_starts_and_no_ends() {
    with_receiver(|receiver| {
        let before = dropped();
        {
            let _top = Process::builder("top").enter();
            let mut open: Vec<_> = (0..100).map(|_| enter()).collect();
            for _ in 0..200_000 {
                leaf();
            }
            while let Some(guard) = open.pop() {
                drop(guard);
            }
        }
        let lost = dropped() - before;
        let seen = drain(receiver);
        assert!(lost > 0, "4 MiB hold less");
        assert!(seen.count("leaf") > 20_000, "the ring has grown: {}", seen.count("leaf"));
        assert_eq!(seen.count("leaf") as u64 + lost, 200_100);
        assert_eq!(seen.starts.len(), seen.ends.len());
        // There is room again.
        {
            let _top = Process::builder("top").enter();
            leaf();
        }
        assert_eq!(drain(receiver).count("leaf"), 1);
    });
}

#[test]
fn dropped_records_are_counted_by_tree() {
    with_receiver(|receiver| {
        let of = |context: monitor_core::Context| {
            let dropped = queue::dropped();
            dropped.iter().find(|(drop, _)| drop.root == Some(context.root())).map_or(0, |(_, count)| *count)
        };
        // More than a thread counts by itself.
        let trees: Vec<_> = (0..40).map(|_| Process::builder("top").root().begin()).collect();
        let contexts: Vec<_> = trees.iter().map(|tree| tree.context().expect("recorded")).collect();
        let before = dropped();
        {
            let _full = contexts[0].enter();
            while dropped() == before {
                leaf();
            }
        }
        for _ in 0..3 {
            for (calls, tree) in contexts.iter().enumerate().skip(1) {
                let _current = tree.enter();
                (0..calls).for_each(|_| leaf());
            }
        }
        let counts: Vec<u64> = contexts.iter().map(|tree| of(*tree)).collect();
        assert_eq!(counts, [1].into_iter().chain((1..40).map(|calls| 3 * calls)).collect::<Vec<u64>>());
        assert_eq!(dropped() - before, counts.iter().sum::<u64>());
        // A dropped process that would have started a tree belongs to no tree.
        let none = |dropped: Vec<(queue::DropKey, u64)>| {
            dropped.iter().filter(|(drop, _)| drop.root.is_none()).map(|(_, count)| *count).sum::<u64>()
        };
        let (before, all_before) = (none(queue::dropped()), dropped());
        (0..3).for_each(|_| leaf());
        let more = none(queue::dropped()) - before;
        assert!(more >= 2 && more == dropped() - all_before, "the ring has room for one at the most: {more}");
        drain(receiver);
    });
}

#[test]
fn a_long_call_is_reported_while_it_runs_and_again_at_its_end() {
    with_receiver(|receiver| {
        let _top = Process::builder("top").enter();
        let running = enter();
        drain_ready(receiver, Duration::from_secs(60)).starts.values().for_each(|(_, name)| assert_eq!(name, "top"));
        let long = Duration::from_millis(1);
        let seen = loop {
            let seen = drain_ready(receiver, long);
            if !seen.starts.is_empty() {
                break seen;
            }
        };
        assert_eq!((seen.count("leaf"), seen.starts.len(), seen.ends.len()), (1, 1, 0));
        drop(running);
        let seen = drain_ready(receiver, Duration::from_secs(60));
        assert_eq!((seen.starts.len(), seen.ends.len()), (0, 1));
        let (elapsed_ns, _) = seen.ends.values().next().expect("one");
        assert!(u128::from(*elapsed_ns) >= long.as_nanos(), "{elapsed_ns}");
    });
}

fn drain_ready(receiver: &mut queue::Receiver, running_for: Duration) -> Seen {
    let mut seen = Seen::default();
    receiver.look(running_for);
    while let Some(entry) = receiver.take() {
        receiver.release(entry.bytes);
        seen.add(entry.record);
    }
    seen
}

#[test]
fn guards_that_end_out_of_order_end_once() {
    with_receiver(|receiver| {
        {
            let _top = Process::builder("top").enter();
            let (first, second, third) = (enter(), enter(), enter());
            drop(second);
            leaf();
            drop(first);
            drop(third);
            leaf();
        }
        let seen = drain(receiver);
        assert_eq!((seen.count("leaf"), seen.ends.len()), (5, 6));
        let top = seen.starts.iter().find(|(_, (_, name))| name == "top").expect("recorded").0;
        assert_eq!(seen.starts.values().filter(|(parent, _)| parent == top).count(), 2, "the first and the last");
    });
}

#[test]
fn the_newest_remaining_guard_is_current_in_any_drop_order() {
    let current = || monitor_core::Context::current().map(monitor_core::Context::process);
    with_receiver(|_| {
        let _top = Process::builder("top").enter();
        let top = current();
        for mut order in 0..24 {
            let mut guards: Vec<_> = (0..4).map(|_| enter()).map(|guard| (current(), guard)).collect();
            while !guards.is_empty() {
                let next = order % guards.len();
                order /= guards.len();
                drop(guards.remove(next));
                leaf();
                assert_eq!(current(), guards.last().map_or(top, |(id, _)| *id));
            }
        }
    });
}

#[test]
fn a_recursion_deeper_than_the_frames_is_recorded_completely() {
    fn down(n: usize) {
        call_simply(site(), How::Normal, (), |()| {
            if n > 0 {
                down(n - 1);
            }
        });
    }
    with_receiver(|receiver| {
        {
            let _top = Process::builder("top").enter();
            down(1_200);
            leaf();
        }
        let seen = drain(receiver);
        assert_eq!((seen.starts.len(), seen.ends.len()), (1_203, 1_203));
        let parents: HashSet<_> = seen.starts.values().map(|(parent, _)| *parent).collect();
        // Each process is the parent of one, the top of two; the last nested call and the leaf have no children.
        assert_eq!(parents.len(), 1_202);
    });
}

#[test]
fn a_thousand_futures_end_on_another_thread_with_a_full_ring() {
    with_receiver(|receiver| {
        let before = dropped();
        let mut futures: Vec<Pin<Box<dyn Future<Output = ()> + Send>>> = Vec::new();
        {
            let _top = Process::builder("top").enter();
            futures.extend((0..1_000).map(|_| Box::pin(waits(2)) as _));
            for future in &mut futures {
                assert!(poll(future.as_mut()).is_pending());
            }
        }
        let mut seen = drain(receiver);
        assert_eq!(seen.count("leaf") as u64 + dropped() - before, 1_000);
        thread::spawn(move || {
            let _other = Process::builder("other").enter();
            let before = dropped();
            while dropped() == before {
                leaf();
            }
            for future in &mut futures[..900] {
                while poll(future.as_mut()).is_pending() {}
            }
            drop(futures);
        })
        .join()
        .expect("no panic");
        while let Some(entry) = receiver.try_recv() {
            receiver.release(entry.bytes);
            seen.add(entry.record);
        }
        assert_eq!(seen.starts.len(), seen.ends.len());
        let cancelled = seen.ends.values().filter(|(_, outcome)| matches!(outcome, Outcome::Cancelled)).count();
        assert_eq!(cancelled, 100);
    });
}

#[test]
fn a_ring_grows_for_the_ends_of_futures() {
    with_receiver(|receiver| {
        let before = dropped();
        {
            let _top = Process::builder("top").enter();
            // Their slots would not have room: three times the size of a record.
            for _ in 0..20_000 {
                assert!(poll(Box::pin(waits(0)).as_mut()).is_ready());
            }
        }
        assert_eq!((dropped() - before, drain(receiver).count("leaf")), (0, 20_000));
    });
}

/// Bytes that rings take.
fn ring_bytes() -> usize {
    let (mut least, mut most) = (0, 64 << 20);
    while least < most {
        let middle = usize::midpoint(least, most) + 1;
        (least, most) = if queue::has_room(middle) { (middle, most) } else { (least, middle - 1) };
    }
    LIMIT - least
}

#[test]
fn a_ring_that_has_grown_is_small_again_for_the_next_thread() {
    with_receiver(|receiver| {
        let work = |calls: usize| {
            thread::spawn(move || {
                let _top = Process::builder("top").enter();
                (0..calls).for_each(|_| leaf());
            })
            .join()
            .expect("no panic");
        };
        // So that there is a region to be used again.
        work(1);
        drain(receiver);
        for _ in 0..3 {
            let before = ring_bytes();
            work(8_000);
            assert!(ring_bytes() > before + (256 << 10), "it has grown");
            let count = drain(receiver).count("leaf");
            // The thread's region is given back by the look after the one that took its records.
            assert_eq!((count, drain(receiver).count("leaf")), (8_000, 0));
            // Regions of other tests' threads may be freed at the same time.
            assert!(ring_bytes() <= before);
        }
    });
}

#[test]
fn slots_of_ended_futures_are_used_again() {
    with_receiver(|receiver| {
        let before = dropped();
        let mut count = 0;
        for _ in 0..100 {
            let top = Process::builder("top").enter();
            let mut futures: Vec<_> = (0..100).map(|_| Box::pin(waits(1).in_current())).collect();
            for future in &mut futures {
                assert!(poll(future.as_mut()).is_pending());
            }
            let mut futures = futures.into_iter();
            let here: Vec<_> = futures.by_ref().take(50).collect();
            let there: Vec<_> = futures.collect();
            for mut future in here {
                assert!(poll(future.as_mut()).is_ready());
            }
            thread::scope(|scope| {
                scope.spawn(|| there.into_iter().for_each(|mut future| assert!(poll(future.as_mut()).is_ready())));
            });
            drop(top);
            count += drain(receiver).ends.len();
        }
        assert_eq!((count, dropped() - before), (100 * 101, 0));
    });
}

#[test]
fn a_thousand_threads_one_after_the_other_share_few_rings() {
    with_receiver(|receiver| {
        let before = dropped();
        let mut count = 0;
        for _ in 0..1_000 {
            thread::spawn(|| {
                let _top = Process::builder("top").enter();
                leaf();
            })
            .join()
            .expect("no panic");
            count += drain(receiver).count("leaf");
        }
        assert_eq!((count, dropped() - before), (1_000, 0));
    });
}

#[test]
fn a_destructor_of_an_ending_thread_ends_its_calls() {
    struct Holder(std::cell::RefCell<Vec<Guard>>);
    thread_local!(static HOLDER: Holder = const { Holder(std::cell::RefCell::new(Vec::new())) });
    struct Late;
    impl Drop for Late {
        fn drop(&mut self) {
            leaf();
        }
    }
    thread_local!(static LATE: Late = const { Late });
    with_receiver(|receiver| {
        thread::spawn(|| {
            LATE.with(|_| ());
            HOLDER.with(|_| ());
            let top = Process::builder("top").enter();
            HOLDER.with(|holder| holder.0.borrow_mut().push(enter()));
            drop(top);
        })
        .join()
        .expect("no destructor panics");
        let seen = drain(receiver);
        assert_eq!((seen.count("leaf"), seen.starts.len()), (2, seen.ends.len()));
    });
}

#[test]
fn a_sleeping_receiver_is_woken_by_a_start_and_by_an_end() {
    with_receiver(|receiver| {
        let go = Arc::new(AtomicBool::new(false));
        let until = |flag: &AtomicBool| {
            while !flag.load(Ordering::SeqCst) {
                thread::yield_now();
            }
        };
        let is_waiting = Arc::new(AtomicBool::new(false));
        let worker = thread::spawn({
            let (go, is_waiting) = (Arc::clone(&go), Arc::clone(&is_waiting));
            let pause = move || {
                is_waiting.store(true, Ordering::SeqCst);
                until(&go);
                go.store(false, Ordering::SeqCst);
            };
            move || {
                let _top = Process::builder("top").enter();
                for _ in 0..4 {
                    pause();
                    let guard = enter();
                    pause();
                    drop(guard);
                }
                pause();
            }
        });
        let count = Arc::new(Wakes(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&count));
        // The thread has started its top process.
        until(&is_waiting);
        for _ in 0..8 {
            while receiver.poll_recv(&mut Context::from_waker(&waker)).is_ready() {}
            let before = count.0.load(Ordering::SeqCst);
            is_waiting.store(false, Ordering::SeqCst);
            go.store(true, Ordering::SeqCst);
            until(&is_waiting);
            assert_eq!(count.0.load(Ordering::SeqCst), before + 1, "woken once");
        }
        go.store(true, Ordering::SeqCst);
        worker.join().expect("no panic");
    });
}

#[test]
fn parking_loses_no_wake_up() {
    const CALLS: usize = 20_000;
    with_receiver(|receiver| {
        let worker = thread::spawn(|| {
            let _top = Process::builder("top").enter();
            for n in 0..CALLS {
                leaf();
                if n % 8 == 0 {
                    thread::yield_now();
                }
            }
        });
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let (mut ends, before) = (0, dropped());
        while (ends as u64) < CALLS as u64 + 1 - (dropped() - before) {
            match receiver.poll_recv(&mut Context::from_waker(&waker)) {
                Poll::Ready(entry) => {
                    receiver.release(entry.bytes);
                    ends += usize::from(matches!(entry.record, Record::Ended(_)));
                }
                Poll::Pending => {
                    let begun = std::time::Instant::now();
                    thread::park_timeout(Duration::from_secs(10));
                    assert!(begun.elapsed() < Duration::from_secs(9), "nobody woke who sleeps");
                }
            }
        }
        worker.join().expect("no panic");
    });
}
