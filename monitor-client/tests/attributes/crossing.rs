//! Tests functions that run on another thread, or for a caller in another program.

use std::thread;

use monitor_client::{Context, Process, ProcessId, RootId, cross_process, cross_thread, current_id, root_id, root_task, spawn_thread};

use crate::support::{check, check_sorted, record, run, warnings};

const ROOT: &str = "019a9c1e4b3c00000000000000000001";
const PARENT: &str = "a3ce929d0e0e4736";

#[cross_thread]
fn part() {}

fn on_another_thread(work: impl FnOnce() + Send + 'static) {
    thread::spawn(work).join().expect("no panic");
}

#[test]
fn a_stray_thread_belongs_to_the_only_running_tree() {
    #[root_task]
    fn top() {
        on_another_thread(part);
        part();
    }
    check(
        top,
        "
        top root
          part cross_thread inferred
          part cross_thread
        ",
    );
}

#[test]
fn with_several_trees_or_none_it_is_unattached_unless_its_context_is_carried() {
    check(
        || {
            let first = Process::builder("first").begin();
            let second = Process::builder("second").begin();
            on_another_thread(part);
            let context = second.context().expect("recorded");
            on_another_thread(move || {
                let _current = context.enter();
                part();
            });
            drop(first);
            on_another_thread(part);
            drop(second);
            on_another_thread(part);
        },
        "
        first
        second
          part cross_thread
          part cross_thread inferred
        part cross_thread unattached
        part cross_thread unattached
        ",
    );
    let warnings: Vec<_> = warnings().into_iter().filter(|text| text.contains("function \"part\"")).collect();
    assert_eq!(warnings.len(), 1, "once each");
    let words = ["#[cross_thread]", "tests/attributes/crossing.rs:", "monitor_client::spawn"];
    assert!(words.iter().all(|word| warnings[0].contains(word)), "{warnings:?}");
}

#[test]
fn other_threads_do_not_join_an_unattached_tree() {
    #[cross_thread]
    fn outer() {
        on_another_thread(part);
    }
    check(
        || on_another_thread(outer),
        "
        outer cross_thread unattached
        part cross_thread unattached
        ",
    );
}

#[test]
fn spawned_threads_carry_the_context() {
    check_sorted(
        || {
            let _other = Process::builder("another tree").begin();
            let _top = Process::builder("top").enter();
            spawn_thread(part).join().expect("no panic");
        },
        "
        another tree
        top
          part cross_thread
        ",
    );
}

#[test]
fn a_call_from_another_program_continues_its_tree() {
    #[cross_process("judge")]
    fn by_text(root_id: &str, parent_id: String) {}
    #[cross_process("judge")]
    fn by_option(root_id: Option<String>, parent_id: Option<&str>) {}
    #[cross_process("judge")]
    async fn by_id(root_id: RootId, parent_id: Option<ProcessId>) -> Result<(), String> {
        on_another_thread(part);
        Err("no".to_owned())
    }
    let trees = record(|| {
        by_text(ROOT, PARENT.to_owned());
        by_option(Some(ROOT.to_owned()), Some(PARENT));
        assert!(run(by_id(ROOT.parse().expect("an id"), PARENT.parse().ok())).is_err());
    });
    assert_eq!(
        trees.to_string(),
        "(a3ce929d0e0e4736) judge cross_process\n(a3ce929d0e0e4736) judge cross_process\n\
         (a3ce929d0e0e4736) judge cross_process error: no\n  part cross_thread inferred"
    );
    for process in &trees.processes {
        assert_eq!(format!("{:032x}", process.started.root), ROOT);
    }
}

#[test]
fn missing_or_malformed_ids_disturb_nothing() {
    #[cross_process]
    fn judged(root_id: &str, parent_id: &str) -> usize {
        root_id.len()
    }
    #[cross_process]
    fn by_option(root_id: Option<RootId>, parent_id: Option<ProcessId>) {}
    check(
        || {
            assert_eq!(judged("so ein Käse", PARENT), 12);
            judged("", "");
            judged("", PARENT);
            by_option(None, None);
        },
        "
        judged cross_process unattached
        judged cross_process unattached
        judged cross_process unattached
        by_option cross_process unattached
        ",
    );
    let warnings: Vec<_> = warnings().into_iter().filter(|text| text.contains("#[cross_process]")).collect();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("so ein Käse"), "{warnings:?}");
}

#[test]
fn an_edge_continues_the_tree_of_its_caller_or_begins_a_tree_silently() {
    #[cross_process("edge", begin)]
    fn edge(traceparent: Option<String>) {
        on_another_thread(part);
    }
    #[cross_process("edge", begin)]
    fn by_ids(root_id: &str, parent_id: &str) {}
    let broken = monitor_client::broken_callers();
    let trees = record(|| {
        edge(Some(format!("00-{ROOT}-{PARENT}-00")));
        edge(None);
        edge(Some("so ein Käse am Rand".to_owned()));
        by_ids("", "");
    });
    assert_eq!(
        trees.to_string(),
        "(a3ce929d0e0e4736) edge cross_process\n  part cross_thread inferred\nedge cross_process\n  part cross_thread inferred\n\
         edge cross_process\n  part cross_thread inferred\nedge cross_process"
    );
    assert_eq!(format!("{:032x}", trees.processes[0].started.root), ROOT);
    assert!(!warnings().iter().any(|text| text.contains("am Rand")), "{:?}", warnings());
    assert!(monitor_client::broken_callers() > broken);
}

#[test]
fn the_root_id_alone_means_the_process_that_began_the_tree() {
    #[cross_process]
    fn called(root_id: Option<String>, parent_id: Option<String>) {}
    let trees = record(|| {
        let _top = Process::builder("top").enter();
        let step = Process::builder("step").enter();
        let root = root_id().map(|id| id.to_string());
        called(root.clone(), root.clone());
        called(root.clone(), None);
        called(root, Some("so ein Käse".to_owned()));
        drop(step);
    });
    assert_eq!(trees.to_string(), "top\n  step\n  called cross_process\n  called cross_process\n  called cross_process");
}

#[test]
fn ids_handed_on_in_the_same_program_join_the_caller() {
    #[cross_process]
    fn called(root_id: Option<RootId>, parent_id: Option<ProcessId>) {
        on_another_thread(part);
    }
    check(
        || {
            let _top = Process::builder("top").enter();
            called(root_id(), current_id());
            assert_eq!(Context::current().map(Context::process), current_id().map(ProcessId::get));
        },
        "
        top
          called cross_process
          part cross_thread inferred
        ",
    );
}
