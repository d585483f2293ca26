//! Tests the receiver of the queue.

#![cfg(feature = "record")]

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use monitor_core::private::{Guard, How, site};
use monitor_core::record::Record;
use monitor_core::{Process, progress, queue, switch};

/// A program has one queue, so its tests take turns.
static RECEIVER: Mutex<Option<queue::Receiver>> = Mutex::new(None);

fn with_receiver(test: impl FnOnce(&mut queue::Receiver)) {
    let mut receiver = RECEIVER.lock().unwrap_or_else(PoisonError::into_inner);
    let receiver = receiver.get_or_insert_with(|| {
        let receiver = queue::open(1 << 20).expect("opened once");
        assert!(queue::open(1).is_none(), "there is one drainer");
        switch::turn_on();
        receiver
    });
    test(receiver);
    while let Some(entry) = receiver.try_recv() {
        receiver.release(entry.bytes);
    }
}

struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_waiting_receiver_is_woken_once_by_the_next_record() {
    with_receiver(|receiver| {
        let count = Arc::new(Wakes(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&count));
        let cx = &mut Context::from_waker(&waker);
        assert!(receiver.poll_recv(cx).is_pending());
        thread::spawn(|| Process::builder("work").begin().succeed()).join().expect("no panic");
        assert_eq!(count.0.load(Ordering::SeqCst), 1, "the second record found nobody waiting");

        let mut kinds = Vec::new();
        while let Poll::Ready(entry) = receiver.poll_recv(cx) {
            kinds.push(matches!(entry.record, Record::Started(_)));
            receiver.release(entry.bytes);
        }
        assert_eq!(kinds, [true, false]);
    });
}

#[test]
fn the_last_progress_of_a_process_is_sent_before_its_end() {
    with_receiver(|receiver| {
        let import = Process::builder("import").begin();
        (0..=10).for_each(|done| import.progress(done, 10));
        import.succeed();
        {
            let _call = Guard::enter(site!("call", "normal", 1), How::Normal);
            (0..=10).for_each(|done| progress(done, 10));
        }
        // The last update of a running process is delayed by a tenth of a second.
        receiver.look(Duration::from_millis(5));
        let entries: Vec<_> = std::iter::from_fn(|| receiver.take()).collect();
        let told: Vec<_> = entries
            .iter()
            .map(|entry| match &entry.record {
                Record::Started(_) => "started".to_owned(),
                Record::Progressed(progressed) => progressed.done.to_string(),
                Record::Ended(_) => "ended".to_owned(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(told, ["started", "0", "10", "ended", "started", "0", "10", "ended"]);
        for entry in entries {
            receiver.release(entry.bytes);
        }
    });
}

#[test]
fn nothing_is_lost_between_threads() {
    with_receiver(|receiver| {
        let seen = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| (0..50).for_each(|_| drop(Process::builder("work").begin())))).collect();
            let mut seen = Vec::new();
            let mut running = true;
            while running {
                running = threads.iter().any(|thread| !thread.is_finished());
                while let Some(entry) = receiver.try_recv() {
                    receiver.release(entry.bytes);
                    seen.push(match entry.record {
                        Record::Started(started) => (started.id, true),
                        Record::Ended(ended) => (ended.id, false),
                        other => panic!("{other:?}"),
                    });
                }
            }
            seen
        });
        assert_eq!(seen.len(), 400);
        assert_eq!(seen.iter().collect::<HashSet<_>>().len(), 400);
    });
}

#[test]
fn the_drops_of_a_thousand_trees_are_counted_separately() {
    with_receiver(|_| {
        let mut kept = Vec::new();
        loop {
            let process = Process::builder("kept").root().begin();
            if process.context().is_none() {
                break;
            }
            kept.push(process);
        }
        for _ in 0..2_000 {
            drop(Process::builder("dropped").root().begin());
        }
        let dropped = queue::dropped();
        let trees = dropped.iter().filter(|(drop, _)| drop.root.is_some()).count();
        let rest = dropped.iter().find(|(drop, _)| drop.root.is_none()).expect("more than are counted apart").1;
        assert_eq!(trees, 1_000);
        assert_eq!(rest, 1_001);
    });
}
