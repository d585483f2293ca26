//! Tests folds of interleaved parents: on one thread, on several, and one parent on several threads at once.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Barrier, mpsc};
use std::task::Poll;
use std::thread;

use monitor_core::private::{How, run_simply, site};
use monitor_core::{Context, InCurrent, Process};

use crate::told::Told;
use crate::{AFTER, enter, poll, top, total, with_receiver};

/// A loop of calls that yields after each hundred. Each call has a child.
async fn in_turns(calls: usize) {
    let mut left = calls;
    let work = poll_fn(|_| {
        for _ in 0..left.min(100) {
            let _outer = enter(0);
            drop(enter(1));
        }
        left -= left.min(100);
        if left == 0 { Poll::Ready(()) } else { Poll::Pending }
    });
    run_simply(site!("loop", "normal", 1), How::Normal, work).await;
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Polls all tasks on `threads` threads in turn until they have ended. Each poll is on another thread than the previous one.
fn work_off(tasks: Vec<Task>, threads: usize) {
    let (ways_in, ways_out): (Vec<_>, Vec<_>) = (0..threads).map(|_| mpsc::channel::<Task>()).unzip();
    let (done, all_done) = mpsc::channel();
    let count = tasks.len();
    for (number, task) in tasks.into_iter().enumerate() {
        ways_in[number % threads].send(task).expect("it waits");
    }
    for (number, tasks) in ways_out.into_iter().enumerate() {
        let (next, done) = (ways_in[(number + 1) % threads].clone(), done.clone());
        thread::spawn(move || {
            for mut task in tasks {
                if poll(task.as_mut()).is_ready() {
                    done.send(()).expect("somebody counts");
                } else if next.send(task).is_err() {
                    return;
                }
            }
        });
    }
    for _ in 0..count {
        all_done.recv().expect("it ends");
    }
    drop(ways_in);
}

#[test]
fn alternating_loops_fold_like_a_single_loop() {
    const CALLS: usize = 3_000;
    with_receiver(|receiver| {
        for (loops, threads) in [(1, 1), (2, 1), (16, 1), (300, 1), (2, 2), (16, 4), (16, 8)] {
            let mut told = Told::default();
            {
                let _top = top();
                work_off((0..loops).map(|_| Box::pin(in_turns(CALLS).in_current()) as Task).collect(), threads);
            }
            told.drain(receiver);
            let (loops, threads) = (loops as u64, threads as u64);
            assert_eq!(total(told.of("top/loop", "succeeded")), loops, "{threads} threads");
            for (name, parents) in [("top/loop/a", loops), ("top/loop/a/b", loops)] {
                let [singly, counted] = told.of(name, "succeeded");
                assert_eq!(singly + counted, loops * CALLS as u64, "{name}: {loops} loops on {threads} threads");
                // A slow call is reported individually.
                let most = parents * (AFTER * 2 + threads + 30);
                assert!(singly <= most, "{name}: {singly} singly of {counted}, {loops} loops on {threads} threads");
            }
        }
    });
}

#[test]
fn a_parent_on_several_threads_folds_like_a_parent_on_one_thread() {
    const THREADS: u64 = 8;
    const CALLS: u64 = 1_000;
    with_receiver(|receiver| {
        let mut told = Told::default();
        {
            let _top = top();
            let context = Context::current().expect("current");
            let together = Arc::new(Barrier::new(THREADS as usize));
            let threads: Vec<_> = (0..THREADS)
                .map(|_| {
                    let together = Arc::clone(&together);
                    thread::spawn(move || {
                        let _current = context.enter();
                        together.wait();
                        for _ in 0..CALLS {
                            let _outer = enter(0);
                            drop(enter(1));
                        }
                    })
                })
                .collect();
            for thread in threads {
                thread.join().expect("no panic");
            }
        }
        told.drain(receiver);
        let [singly, counted] = told.of("top/a", "succeeded");
        assert_eq!(singly + counted, THREADS * CALLS);
        // Slow calls are reported individually.
        assert!(singly <= AFTER + THREADS + 30, "{singly}");
        let [singly, counted] = told.of("top/a/b", "succeeded");
        assert_eq!(singly + counted, THREADS * CALLS);
        // Ends of the calls that were reported individually, and of their fold.
        assert!(singly <= 2 * (AFTER + THREADS + 30), "{singly}");
    });
}

#[test]
fn a_call_between_many_others_is_counted() {
    with_receiver(|receiver| {
        let mut told = Told::default();
        {
            let _top = top();
            for _ in 0..200 {
                drop(enter(0));
                let _other = Process::builder("other").enter();
                for _ in 0..500 {
                    let _outer = enter(1);
                    drop(enter(2));
                }
            }
        }
        told.drain(receiver);
        let [singly, counted] = told.of("top/a", "succeeded");
        assert_eq!(singly + counted, 200);
        assert!(counted > 150, "{singly} singly, {counted} counted");
    });
}
