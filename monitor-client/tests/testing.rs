//! Tests the support for users who test their own instrumentation: tests run in parallel, with `MONITOR_ENABLED` unset.

use std::panic::catch_unwind;
use std::thread;

use monitor_client::testing::{record, record_async};
use monitor_client::{Level, Process, assert_tree, cross_thread, fail, field, log, normal_task, root_task};

#[root_task(batch = batch)]
fn build(batch: &str) -> Result<usize, String> {
    let parts: Vec<_> = (0..4).map(|n| monitor_client::spawn_thread(move || compile(n))).collect();
    let total = parts.into_iter().map(|part| part.join().expect("no panic")).sum();
    publish(total)
}

#[cross_thread(args(n))]
fn compile(n: usize) -> usize {
    n
}

#[normal_task(ret)]
fn publish(total: usize) -> Result<usize, String> {
    field("total", total);
    log(Level::Warn, "the table is gone");
    Err("no such\ntable".to_owned())
}

#[test]
fn a_tree_is_text_without_ids_and_times() {
    let recorded = record(|| build("batch001"));
    assert_tree!(
        recorded,
        r"
        build <batch001>: failed: no such\ntable
          compile ×4
          publish: failed: no such\ntable
        "
    );
    let publish = recorded.find("publish");
    assert_eq!((publish.kind(), publish.state(), publish.failure()), ("normal", "failed", Some("no such\ntable")));
    assert_eq!(publish.fields()["total"], 6.into());
    assert_eq!(publish.fields()["return"], "Err(\"no such\\ntable\")".into());
    assert_eq!(publish.logs().iter().map(|line| (line.level, &*line.message)).collect::<Vec<_>>(), [(Level::Warn, "the table is gone")]);
    assert_eq!(recorded.find("build").batch(), Some("batch001"));
    assert_eq!(recorded.processes().len(), 6);
}

#[test]
fn endings_and_siblings_are_shown_in_the_order_of_their_starts() {
    #[normal_task]
    fn step(n: u8) {
        if n == 2 {
            fail("two");
        }
        if n == 3 {
            inner();
        }
    }
    #[normal_task]
    fn inner() {}
    let mut still = None;
    let recorded = record(|| {
        [1, 1, 2, 2, 3, 1].into_iter().for_each(step);
        Process::builder("given up").begin().cancel();
        still = Some(Process::builder("goes on").begin());
    });
    assert_tree!(
        recorded,
        "
        step ×2
        step ×2: failed: two
        step
          inner
        step
        given up: cancelled
        goes on: running
        "
    );
}

#[test]
fn parallel_tests_have_trees_of_their_own() {
    thread::scope(|scope| {
        for test in 0..8_usize {
            scope.spawn(move || {
                for round in 0..20 {
                    let count = 1 + (test + round) % 5;
                    let recorded = record(|| {
                        let outer = Process::builder(format!("test {test}")).enter();
                        (0..count).for_each(|n| assert_eq!(compile(n), n));
                        publish(0).expect_err("fails");
                        drop(outer);
                    });
                    let counted = if count > 1 { format!(" ×{count}") } else { String::new() };
                    assert_tree!(recorded, &format!("test {test}\n  compile{counted}\n  publish: failed: no such\\ntable"));
                }
            });
        }
    });
}

#[test]
fn futures_that_move_between_threads_belong_to_their_test() {
    #[normal_task]
    async fn fetch(n: u8) -> u8 {
        tokio::task::yield_now().await;
        store();
        n
    }
    #[normal_task]
    fn store() {}
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    let recorded = runtime.block_on(async {
        let work = async {
            for n in 0..3 {
                monitor_client::spawn_task(fetch(n)).await.expect("no panic");
            }
        };
        record_async(work).await
    });
    assert_tree!(recorded, "fetch ×3\n  store");
    assert_eq!(recorded.to_string(), "fetch ×3\n  store");
}

#[test]
fn a_failed_comparison_shows_the_lines_and_processes_outside_of_roots() {
    #[normal_task("alone on its thread")]
    fn alone() {}
    let recorded = record(|| {
        compile(1);
        thread::spawn(alone).join().expect("no panic");
    });
    let panic = catch_unwind(|| assert_tree!(recorded, "compile\nalone on its thread")).expect_err("another tree");
    let text = panic.downcast_ref::<String>().expect("words");
    assert!(text.contains("  compile\n- alone on its thread\n"), "{text}");
    assert!(text.contains("outside of any root") && text.contains("alone on its thread (") && text.contains("tests/testing.rs:"), "{text}");
    let panic = catch_unwind(|| recorded.find("nobody").name().to_owned()).expect_err("not there");
    assert!(panic.downcast_ref::<String>().expect("words").starts_with("no process \"nobody\" was recorded, but:\ncompile"));
}

#[test]
fn a_panic_goes_on_and_leaves_other_tests_alone() {
    let panic = catch_unwind(|| record(|| panic!("as ever"))).expect_err("panics");
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"as ever"));
    assert_tree!(record(|| compile(1)), "compile");
    assert_tree!(record(|| ()), "");
}
