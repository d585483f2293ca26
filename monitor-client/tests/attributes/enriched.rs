//! Tests the data that a running call adds to itself: fields, another name, a failure.

use std::io;

use monitor_client::{Context, Process, fail, field, normal_task, rename, root_task};

use crate::support::{check, run};

/// A response that is no `Result`, as those of handlers are.
struct Response {
    status: u16,
}

fn refuse() -> Response {
    let response = Response { status: 502 };
    field("status", response.status);
    fail("upstream refused");
    response
}

#[test]
fn a_call_that_recorded_a_failure_and_returns_ok_has_failed() {
    #[normal_task]
    fn plain() -> Response {
        refuse()
    }
    #[root_task("marked", "batch")]
    fn marked(batch: u8) -> Response {
        refuse()
    }
    #[normal_task]
    async fn pending() -> Response {
        tokio::task::yield_now().await;
        let response = refuse();
        tokio::task::yield_now().await;
        response
    }
    check(
        || {
            assert_eq!(plain().status, 502);
            assert_eq!(marked(1).status, 502);
            assert_eq!(run(pending()).status, 502);
            Process::builder("entered").run(|_| {
                refuse();
            });
            let entered = Process::builder("dropped").enter();
            refuse();
            drop(entered);
        },
        "
        plain {status: 502} error: upstream refused
        marked root <1> {status: 502} error: upstream refused
        pending {status: 502} error: upstream refused
        entered {status: 502} error: upstream refused
        dropped {status: 502} error: upstream refused
        ",
    );
}

#[test]
fn a_later_error_or_panic_replaces_the_recorded_failure() {
    #[normal_task]
    fn returned() -> io::Result<()> {
        fail("said before");
        Err(io::Error::other("returned"))
    }
    #[normal_task]
    fn panicked() {
        fail("said before");
        panic!("at last");
    }
    #[normal_task]
    fn twice() {
        fail(io::Error::other("first"));
        fail("second");
    }
    check(
        || {
            drop(returned());
            drop(std::panic::catch_unwind(panicked));
            twice();
            // The data does not affect the next process.
            drop(Process::builder("after").enter());
        },
        "
        returned error: returned
        panicked panic: at last
        twice error: second
        after
        ",
    );
}

#[test]
fn only_the_current_process_is_changed() {
    #[normal_task]
    fn outer() {
        inner();
        field("rows", 2);
    }
    #[normal_task]
    fn inner() {
        rename("the inner one");
        fail("inner");
    }
    check(outer, "\n        outer {rows: 2}\n          inner -> the inner one error: inner\n        ");
}

#[test]
fn a_thread_that_entered_the_call_adds_data_to_it() {
    #[normal_task]
    fn outer() {
        let context = Context::current().expect("recorded");
        std::thread::spawn(move || {
            let _current = context.enter();
            field("part", "b");
            fail("a part failed");
        })
        .join()
        .expect("no panic");
    }
    check(outer, "outer {part: b} error: a part failed");
}

#[test]
fn a_dropped_future_has_failed_if_it_recorded_a_failure() {
    #[normal_task]
    async fn waits() {
        fail("no answer");
        std::future::pending::<()>().await;
    }
    check(
        || {
            run(async {
                let waiting = tokio::time::timeout(std::time::Duration::from_millis(1), waits());
                assert!(waiting.await.is_err());
            });
        },
        "waits error: no answer",
    );
}

#[test]
fn data_without_a_current_process_is_ignored() {
    check(
        || {
            field("nobody", 1);
            rename("nobody");
            fail("nobody");
            drop(Process::builder("one").enter());
        },
        "one",
    );
}
