//! Tests processes that are not functions.

use std::panic::catch_unwind;
use std::time::Duration;

use monitor_client::launcher::Exit;
use monitor_client::{Context, Level, Process, log, normal_task};

use crate::support::{check, record, run};

#[test]
fn a_process_ends_explicitly_or_when_dropped() {
    check(
        || {
            Process::builder("succeeds").begin().succeed();
            Process::builder("is given up").begin().cancel();
            Process::builder("fails").begin().fail(std::io::Error::other("broken"));
            Process::builder("fails by words").begin().fail("just words");
            Process::builder("fails by any").enter().fail(anyhow::anyhow!("inner").context("outer"));
            Process::builder("fails by a box").begin().fail(Box::<dyn std::error::Error>::from("boxed"));
            drop(Process::builder("is dropped").begin());
            let _ = catch_unwind(|| {
                let _process = Process::builder("panics").enter();
                panic!("late");
            });
        },
        "
        succeeds
        is given up cancelled
        fails error: broken
        fails by words error: just words
        fails by any error: outer <- inner
        fails by a box error: boxed
        is dropped
        panics panic: late
        ",
    );
}

#[test]
fn a_process_records_its_kind_batch_and_fields() {
    check(
        || {
            let process =
                Process::builder("upload").kind("job").batch("b1").field("bytes", 1024).field("to", "here").field("ratio", 0.5).begin();
            process.field("bytes", u64::MAX);
            process.field("done".to_owned(), true);
        },
        "upload job <b1> {bytes: 1024} {to: here} {ratio: 0.5} {bytes: 18446744073709551615} {done: true}",
    );
}

#[test]
fn log_lines_belong_to_the_process_that_logs_them() {
    #[normal_task]
    fn attributed() {
        log(Level::Info, "from within");
    }
    check(
        || {
            log(Level::Error, "nobody says this");
            let upload = Process::builder("upload").enter();
            upload.log(Level::Warn, "slow");
            log(Level::Debug, String::from("the same"));
            attributed();
            upload.leave().log(Level::Trace, "no longer current");
        },
        "
        upload [warn slow] [debug the same] [trace no longer current]
          attributed [info from within]
        ",
    );
}

#[test]
fn a_process_is_a_parent_only_where_it_is_entered_or_named() {
    check(
        || {
            let begun = Process::builder("begun").begin();
            drop(Process::builder("apart").begin());
            let context = begun.context().expect("recorded");
            drop(Process::builder("named").parent(context).begin());
            {
                let entered = Process::builder("entered").enter();
                drop(Process::builder("inside").begin());
                drop(Process::builder("new tree").root().begin());
                let left = entered.leave();
                drop(Process::builder("outside").begin());
                drop(left);
            }
        },
        "
        begun
          named
        apart
        entered
          inside
        new tree
        outside
        ",
    );
}

#[test]
fn run_records_results_and_panics() {
    check(
        || {
            Process::builder("nothing").run(|process| process.field("seen", true));
            assert_eq!(Process::builder("ok").run(|_| Ok::<_, String>(7)), Ok(7));
            let _ = Process::builder("error").run(|_| std::fs::read("/no/such/file"));
            let _ = Process::builder("any").run(|_| Err::<(), _>(anyhow::anyhow!("any")));
            let _ = Process::builder("text").run(|_| Err::<(), _>("text"));
            let _ = catch_unwind(|| Process::builder("panic").run(|_| assert!(Context::current().is_none(), "inside")));
            assert_eq!(Context::current(), None);
        },
        "
        nothing {seen: true}
        ok
        error error: No such file or directory (os error 2)
        any error: any
        text error: text
        panic panic: inside
        ",
    );
}

#[test]
fn an_instrumented_future_is_below_the_process_that_made_it() {
    check(
        || {
            let future = Process::builder("top").run(|_| {
                Ok::<_, String>(Process::builder("part").instrument(async {
                    tokio::task::yield_now().await;
                    Err::<(), _>("failed".to_owned())
                }))
            });
            run(async { tokio::spawn(future.expect("no error")).await.expect("no panic").expect_err("fails") });
            drop(Process::builder("never polled").instrument(std::future::ready(())));
        },
        "
        top
          part error: failed
        ",
    );
}

#[test]
fn the_place_of_a_process_is_where_it_was_started() {
    let line = line!() + 1;
    let trees = record(|| Process::builder("here").begin().fail("failed"));
    assert_eq!(trees.find("here").failure().place, Some((file!().into(), line)));
}

#[test]
fn a_command_has_an_exit_code_or_a_signal_and_no_place() {
    let trees = record(|| {
        let sort = Process::builder("sort").kind("script").nowhere().timeout(Duration::from_secs(3)).begin();
        sort.exited(Exit { signal: Some(9), reason: Some("timeout".into()), message: Some("killed".to_owned()), ..Exit::default() });
        Process::builder("true").kind("script").nowhere().begin().exited(Exit { code: Some(0), ..Exit::default() });
    });
    let sort = trees.find("sort");
    assert_eq!(sort.started.extra.as_ref().and_then(|extra| extra.timeout_ms), Some(3_000));
    assert_eq!((sort.failure().kind, sort.failure().place.clone()), ("signal", None));
    let extra = |name| trees.find(name).ended.as_ref().and_then(|ended| ended.extra.clone()).expect("what a command has");
    assert_eq!((extra("sort").exit_code, extra("sort").signal, extra("sort").reason.as_deref()), (None, Some(9), Some("timeout")));
    assert_eq!((extra("true").exit_code, extra("true").signal), (Some(0), None));
}

#[test]
fn progress_is_thinned_and_its_last_update_is_sent() {
    const STEPS: u32 = 100_000;
    let trees = record(|| {
        let import = Process::builder("import").begin();
        (1..=STEPS).for_each(|step| import.progress(step, STEPS));
        let unknown = Process::builder("unknown").enter();
        monitor_client::progress(7.5, None::<u64>);
        monitor_client::progress(f64::NAN, 1);
        drop((import, unknown));
    });
    let told = &trees.find("import").progress;
    assert_eq!((told.first(), told.last()), (Some(&(1.0, Some(f64::from(STEPS)))), Some(&(f64::from(STEPS), Some(f64::from(STEPS))))));
    // At most ten updates a second; the duration of the loop depends on the machine.
    assert!(told.len() < 1_000, "{}", told.len());
    assert_eq!(trees.find("unknown").progress, [(7.5, None)]);
}
