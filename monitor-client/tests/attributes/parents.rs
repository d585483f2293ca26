//! Tests which process becomes the parent of a new one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use monitor_client::{Context, Process, normal_task, root_task, spawn_thread};
use monitor_core::record::Attachment;

use crate::support::{check, check_sorted, record};

#[normal_task]
fn leaf() {}

#[test]
fn calls_nest() {
    #[root_task]
    fn top() {
        middle();
        leaf();
    }
    #[normal_task("the middle")]
    fn middle() {
        leaf();
    }
    check(
        top,
        "
        top root
          the middle
            leaf
          leaf
        ",
    );
}

#[test]
fn recursion_is_a_path() {
    #[normal_task]
    fn down(n: u8) -> u8 {
        if n == 0 { 0 } else { down(n - 1) + 1 }
    }
    check(
        || assert_eq!(down(2), 2),
        "
        down
          down
            down
        ",
    );
}

#[test]
fn without_a_context_each_begins_a_tree_and_keeps_its_kind() {
    let trees = record(|| {
        leaf();
        drop(Process::builder("by hand").kind("job").begin());
    });
    assert_eq!(trees.to_string(), "leaf\nby hand job");
    let attachments: Vec<_> = trees.processes.iter().map(|process| process.started.attachment).collect();
    assert_eq!(attachments, [Attachment::Unattached, Attachment::Explicit], "only what is begun by hand is meant to begin a tree");
    assert_ne!(trees.processes[0].started.root, trees.processes[1].started.root);
}

#[test]
fn a_root_inside_a_tree_joins_it() {
    #[root_task]
    fn outer() {
        inner();
    }
    #[root_task(name = "inner", batch = "number")]
    fn inner_root(number: u8) {
        let _ = number;
        leaf();
    }
    fn inner() {
        inner_root(3);
    }
    check(
        outer,
        "
        outer root
          inner root <3> {batch: 3}
            leaf
        ",
    );
}

#[test]
fn a_root_begins_a_tree_after_another_ended() {
    #[root_task]
    fn top() {}
    let trees = record(|| {
        top();
        top();
    });
    assert_ne!(trees.processes[0].started.root, trees.processes[1].started.root);
    assert_eq!(trees.to_string(), "top root\ntop root");
}

#[test]
fn a_panic_leaves_the_caller_current() {
    #[normal_task]
    fn fails() {
        panic!("down")
    }
    #[normal_task]
    fn top() {
        let _ = catch_unwind(fails);
        leaf();
    }
    check(
        top,
        "
        top
          fails panic: down
          leaf
        ",
    );
}

#[test]
fn an_early_return_leaves_the_caller_current() {
    #[normal_task]
    fn early(value: Option<u8>) -> Option<u8> {
        let value = value?;
        Some(value)
    }
    #[normal_task]
    fn top() {
        early(None);
        leaf();
    }
    check(
        top,
        "
        top
          early
          leaf
        ",
    );
}

#[test]
fn guards_may_be_dropped_out_of_order() {
    check(
        || {
            let first = Process::builder("first").enter();
            let second = Process::builder("second").enter();
            let third = Process::builder("third").enter();
            drop(second);
            leaf();
            drop(first);
            leaf();
            drop(third);
            leaf();
        },
        "
        first
          second
            third
              leaf
              leaf
        leaf
        ",
    );
}

#[test]
fn a_carried_context_is_the_parent_on_another_thread() {
    check_sorted(
        || {
            let top = Process::builder("top").enter();
            let context = Context::current().expect("entered");
            thread::scope(|scope| {
                scope.spawn(|| {
                    let _current = context.enter();
                    leaf();
                });
            });
            spawn_thread(|| drop(Process::builder("spawned").begin())).join().expect("no panic");
            drop(top);
        },
        "
        top
          leaf
          spawned
        ",
    );
}

#[test]
fn a_thread_without_a_context_begins_a_tree() {
    check(
        || {
            let _top = Process::builder("top").enter();
            thread::spawn(leaf).join().expect("no panic");
        },
        "
        top
        leaf
        ",
    );
}

#[test]
fn a_context_does_not_survive_a_panic_caught_outside_of_it() {
    let outer = catch_unwind(AssertUnwindSafe(|| {
        let _entered = Context::new(1, 1).expect("not zero").enter();
        panic!("inside")
    }));
    assert!(outer.is_err());
    assert_eq!(Context::current(), None);
}
