//! Tests work that is executed by other threads, pools and executors: it stays in the tree of its caller.

use std::thread;

use monitor_client::rayon::ParallelIteratorExt;
use monitor_client::tokio::JoinSet;
use monitor_client::{
    CommandExt, Context, ContextExt, InCurrent, Process, Propagation, in_current, in_current_each, normal_task, scope, spawn_thread,
};
use rayon::prelude::*;

use crate::support::{check, check_sorted, run};

#[normal_task]
fn work() {}

#[normal_task]
async fn await_work() {
    tokio::task::yield_now().await;
}

/// Pool threads of no process of ours, so that nothing is inferred.
fn pool() -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("threads")
}

#[test]
fn threads_of_a_scope_belong_to_their_spawning_process() {
    check_sorted(
        || {
            let _top = Process::builder("top").enter();
            let words = ["a", "b"];
            scope(|scope| {
                scope.spawn(|| {
                    assert_eq!(words.len(), 2);
                    work();
                });
                scope.spawn(move || {
                    let _inner = Process::builder("inner").enter();
                    scope.spawn(work).join().expect("no panic");
                });
            });
            spawn_thread(work).join().expect("no panic");
        },
        "
        top
          inner
            work
          work
          work
        ",
    );
}

#[test]
fn closures_keep_the_tree_wherever_they_are_called() {
    check_sorted(
        || {
            let top = Process::builder("top").enter();
            let once = in_current(work);
            let each = in_current_each(|n: u32| {
                work();
                n + 1
            });
            drop(top);
            thread::spawn(once).join().expect("no panic");
            assert_eq!(thread::spawn(move || each(1) + each(2)).join().expect("no panic"), 5);
        },
        "
        top
          work
          work
          work
        ",
    );
}

#[test]
fn rayon_keeps_the_tree() {
    let pool = pool();
    check_sorted(
        || {
            let _top = Process::builder("top").enter();
            pool.install(in_current(|| {
                let texts = ["a", "b", "c"];
                let lengths: Vec<usize> =
                    texts.par_iter().in_current().map(|text| Process::builder("map").run_any(|_| text.len())).collect();
                assert_eq!(lengths, [1, 1, 1]);
                let kept = texts.par_iter().enumerate().in_current().filter(|_| Process::builder("filter").run_any(|_| true));
                assert_eq!(kept.map(|(n, _)| n).reduce(|| 0, |a, b| a + b), 3);
                monitor_client::rayon::join(work, work);
                monitor_client::rayon::scope(|scope| {
                    scope.spawn(|scope| {
                        let _inner = Process::builder("inner").enter();
                        scope.spawn(|_| work());
                    });
                });
                let (tell, told) = std::sync::mpsc::channel();
                monitor_client::rayon::spawn(move || {
                    work();
                    tell.send(()).expect("waited for");
                });
                while told.try_recv().is_err() {
                    rayon::yield_now();
                }
            }));
        },
        "
        top
          filter
          filter
          filter
          inner
            work
          map
          map
          map
          work
          work
          work
        ",
    );
}

#[test]
fn a_parallel_iterator_that_panics_leaves_nothing_current_behind() {
    let pool = pool();
    check(
        || {
            let top = Process::builder("top").enter();
            let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                pool.install(in_current(|| (0..8).into_par_iter().in_current().for_each(|n| assert!(n > 8, "told so"))));
            }));
            assert!(panicked.is_err());
            drop(top);
            pool.broadcast(|_| assert_eq!(Context::current(), None));
        },
        "top",
    );
}

#[test]
fn tasks_keep_the_tree() {
    check_sorted(
        || {
            let _top = Process::builder("top").enter();
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
            let handle = runtime.handle();
            let _entered = handle.enter();
            let mut tasks = JoinSet::new();
            // The usual form.
            tasks.spawn(async move { await_work().await });
            tasks.spawn_on(await_work(), handle);
            tasks.spawn_blocking(work);
            assert_eq!(tasks.len(), 3);
            let task = monitor_client::tokio::spawn(async move { await_work().await });
            handle.block_on(async {
                tasks.join_all().await;
                task.await.expect("no panic");
            });
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, async {
                let mut tasks = JoinSet::new();
                tasks.spawn_local(async move { await_work().await });
                tasks.join_next().await.expect("one").expect("no panic");
                monitor_client::tokio::spawn_local(async move { await_work().await }).await.expect("no panic");
            });
        },
        "
        top
          await_work
          await_work
          await_work
          await_work
          await_work
          work
        ",
    );
}

#[test]
fn a_future_runs_in_the_context_that_it_is_given() {
    check(
        || {
            let first = Process::builder("first").begin();
            let second = Process::builder("second").enter();
            run(await_work().in_context(first.context()));
            run(await_work().in_context(second.context().expect("recorded")));
            run(await_work().in_context(None));
        },
        "
        first
          await_work
        second
          await_work
          await_work
        ",
    );
}

#[test]
fn any_output_type_may_be_run_or_instrumented() {
    struct Anything;
    check(
        || {
            let Anything = Process::builder("run").run_any(|_| Anything);
            let Anything = run(Process::builder("instrumented").instrument_any(async { Anything }));
            let panicked = std::panic::catch_unwind(|| Process::builder("panics").run_any(|_| -> Anything { panic!("told so") }));
            assert!(panicked.is_err());
            drop(Process::builder("dropped").instrument_any(std::future::pending::<Anything>()));
        },
        "
        run
        instrumented
        panics panic: told so
        ",
    );
}

#[test]
fn a_propagation_becomes_a_context_again() {
    check(
        || {
            let sent = {
                let _top = Process::builder("top").enter();
                Propagation::current()
            };
            let _received = sent.context().expect("recorded").enter();
            work();
        },
        "
        top
          work
        ",
    );
    let (root, other) = ("0199a3ce929d0e0e47360199a3ce929d".to_owned(), "so ein Käse".to_owned());
    let own = Propagation { root_id: Some(root.clone()), parent_id: None }.context();
    assert_eq!(own, Context::new(0x0199_a3ce_929d_0e0e_4736_0199_a3ce_929d, 0x4736_0199_a3ce_929d));
    assert_eq!(Propagation { root_id: Some(root), parent_id: Some(other.clone()) }.context(), own);
    assert_eq!(Propagation { root_id: Some(other), parent_id: None }.context(), None);
}

#[test]
fn commands_of_tokio_know_their_parent() {
    check(
        || {
            let _top = Process::builder("top").enter();
            let mut command = tokio::process::Command::new("worker");
            command.with_current_process();
            assert_eq!(Context::extract(command.as_std()), Context::current());
        },
        "top",
    );
}
