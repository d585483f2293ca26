//! Tests the outcomes of functions, which depend on their return types.

use std::error::Error;
use std::fmt;
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::task::Poll;

use anyhow::Context as _;
use monitor_client::{Process, normal_task};

use crate::support::{check, record, run};

#[derive(Debug)]
struct QueryFailed(std::num::ParseIntError);

impl fmt::Display for QueryFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("query failed")
    }
}

impl Error for QueryFailed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

fn no_number() -> std::num::ParseIntError {
    "x".parse::<u8>().expect_err("x is no number")
}

type Alias<T> = Result<T, QueryFailed>;

#[test]
fn an_err_of_any_alias_is_a_failure_with_its_sources() {
    #[normal_task]
    fn alias() -> Alias<u8> {
        Err(QueryFailed(no_number()))
    }
    #[normal_task]
    fn io() -> std::io::Result<()> {
        std::fs::read("/no/such/file").map(drop)
    }
    #[normal_task]
    fn questioned() -> Result<u8, std::num::ParseIntError> {
        let number = "y".parse::<u8>()?;
        Ok(number)
    }
    check(
        || {
            let _ = (alias(), io(), questioned());
        },
        "
        alias error: query failed <- invalid digit found in string
        io error: No such file or directory (os error 2)
        questioned error: invalid digit found in string
        ",
    );
}

#[test]
fn anyhow_and_boxed_errors_are_recorded_with_their_sources() {
    #[normal_task]
    fn any() -> anyhow::Result<u8> {
        let number = "x".parse::<u8>().context("inner").context("outer")?;
        Ok(number)
    }
    #[normal_task]
    fn bail() -> anyhow::Result<()> {
        anyhow::bail!("gave up")
    }
    #[normal_task]
    fn boxed() -> Result<(), Box<dyn Error>> {
        Err(QueryFailed(no_number()))?
    }
    #[normal_task]
    fn sendable() -> Result<(), Box<dyn Error + Send + Sync>> {
        Err("just words")?
    }
    #[normal_task]
    fn shared() -> Result<(), std::sync::Arc<dyn Error>> {
        Err(std::sync::Arc::new(QueryFailed(no_number())))
    }
    check(
        || {
            let _ = (any(), bail(), boxed(), sendable(), shared());
        },
        "
        any error: outer <- inner <- invalid digit found in string
        bail error: gave up
        boxed error: query failed <- invalid digit found in string
        sendable error: just words
        shared error: query failed <- invalid digit found in string
        ",
    );
}

#[test]
fn values_that_are_no_errors_are_recorded_by_display_debug_or_type() {
    struct NoDebug;
    #[derive(Debug)]
    #[expect(dead_code, reason = "read by Debug")]
    struct OnlyDebug(u8);

    #[normal_task]
    fn text() -> Result<(), String> {
        Err("text".to_owned())
    }
    #[normal_task]
    fn borrowed(words: &str) -> Result<(), &str> {
        Err(words)
    }
    #[normal_task]
    fn debug() -> Result<(), OnlyDebug> {
        Err(OnlyDebug(7))
    }
    #[normal_task]
    fn bare() -> Result<(), NoDebug> {
        Err(NoDebug)
    }
    #[normal_task]
    fn generic<T, E: fmt::Debug>(result: Result<T, E>) -> Result<T, E> {
        result
    }
    let trees = record(|| {
        let _ = (text(), borrowed("borrowed"), debug(), bare(), generic::<(), _>(Err(QueryFailed(no_number()))));
    });
    assert_eq!(trees.find("text").failure().message, "text");
    assert_eq!(trees.find("borrowed").failure().message, "borrowed");
    assert_eq!(trees.find("debug").failure().message, "OnlyDebug(7)");
    assert!(trees.find("bare").failure().message.ends_with("NoDebug"));
    assert_eq!(trees.find("generic").failure().message, "QueryFailed(ParseIntError { kind: InvalidDigit })");
}

#[test]
fn an_error_that_panics_while_it_describes_itself_harms_nothing() {
    #[derive(Debug)]
    struct Rude;
    impl fmt::Display for Rude {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("no words")
        }
    }
    #[normal_task]
    fn rude() -> Result<(), Rude> {
        Err(Rude)
    }
    check(|| assert!(rude().is_err()), "rude error: (its own description panicked)");
}

#[test]
fn generic_and_tracked_results_count_as_successes() {
    #[normal_task]
    fn generic<T>(value: T) -> T {
        value
    }
    #[normal_task]
    #[track_caller]
    fn tracked() -> Result<(), String> {
        Err("not seen".to_owned())
    }
    check(
        || {
            let _ = (generic(Err::<(), _>("not seen")), tracked());
        },
        "
        generic
        tracked
        ",
    );
}

#[test]
fn an_exit_code_other_than_0_is_a_failure() {
    #[normal_task]
    fn code(code: u8) -> ExitCode {
        ExitCode::from(code)
    }
    #[normal_task]
    async fn later(code: u8) -> ExitCode {
        ExitCode::from(code)
    }
    #[normal_task]
    fn held(code: u8) -> anyhow::Result<ExitCode> {
        let code = Ok::<_, fmt::Error>(code).context("never")?;
        anyhow::ensure!(code != 9, "nine");
        Ok(ExitCode::from(code))
    }
    let trees = record(|| {
        let _ = (code(0), code(3), held(0), held(255), held(9));
        let _ = (run(later(0)), run(later(4)));
        Process::builder("by hand").run(|_| ExitCode::from(5));
    });
    assert_eq!(
        trees.to_string(),
        "code\ncode exit: exit code 3\nheld\nheld exit: exit code 255\nheld error: nine\nlater\nlater exit: exit code 4\n\
         by hand exit: exit code 5"
    );
    assert_eq!(trees.processes[1].failure().exit_code, Some(3));
}

#[test]
fn an_option_and_a_poll_have_the_outcome_of_their_content() {
    #[normal_task]
    fn some() -> Option<Result<u8, QueryFailed>> {
        Some(Err(QueryFailed(no_number())))
    }
    #[normal_task]
    fn ready() -> Poll<anyhow::Result<()>> {
        Poll::Ready(Err(anyhow::anyhow!("gave up")))
    }
    #[normal_task]
    fn next() -> Poll<Option<Result<(), String>>> {
        Poll::Ready(Some(Err("no next".to_owned())))
    }
    #[normal_task]
    fn pending() -> Poll<Result<(), String>> {
        Poll::Pending
    }
    #[normal_task]
    fn none() -> Option<Alias<u8>> {
        None
    }
    check(
        || {
            let _ = (some(), ready(), next(), pending(), none());
            let _ = Process::builder("by hand").run(|_| Some(Err::<(), _>("held")));
        },
        "
        some error: query failed <- invalid digit found in string
        ready error: gave up
        next error: no next
        pending
        none
        by hand error: held
        ",
    );
}

#[test]
fn an_error_is_placed_at_the_name_of_its_function() {
    #[normal_task]
    fn placed() -> Result<(), String> {
        let _ = line!();
        Err("here".to_owned())
    }
    let line = line!() - 4;
    let trees = record(|| assert!(placed().is_err()));
    let failure = trees.find("placed").failure();
    assert_eq!(failure.place, Some((file!().into(), line)));
    assert_eq!(failure.type_name.as_deref(), Some("alloc::string::String"));
}

#[test]
fn a_panic_is_a_failure_with_its_place_and_goes_on_unchanged() {
    #[normal_task]
    fn outer() {
        inner();
    }
    #[normal_task]
    fn inner() {
        let number = 7;
        panic!("number {number}")
    }
    #[normal_task]
    fn odd() {
        std::panic::panic_any(7_u8);
    }
    #[normal_task]
    fn never() -> ! {
        panic!("without an end")
    }
    let line = line!() - 10;
    let mut payloads = Vec::new();
    let trees = record(|| {
        payloads.push(catch_unwind(outer).expect_err("panics"));
        payloads.push(catch_unwind(odd).expect_err("panics"));
        payloads.push(catch_unwind(|| never()).expect_err("panics"));
    });
    assert_eq!(payloads[0].downcast_ref::<String>().map(String::as_str), Some("number 7"));
    assert_eq!(payloads[1].downcast_ref::<u8>(), Some(&7));
    assert_eq!(payloads[2].downcast_ref::<&str>(), Some(&"without an end"));
    assert_eq!(
        trees.to_string(),
        "outer panic: number 7\n  inner panic: number 7\nodd panic: panicked with a value that is no text\nnever panic: without an end"
    );
    assert_eq!(trees.find("outer").failure().place, Some((file!().into(), line)));
    assert_eq!(trees.find("inner").failure().place, Some((file!().into(), line)));
}

#[test]
fn a_panic_that_was_raised_again_has_no_place() {
    #[normal_task]
    fn first() {
        panic!("first")
    }
    #[normal_task]
    fn second() {
        std::panic::resume_unwind(Box::new("second"));
    }
    let trees = record(|| {
        let _ = (catch_unwind(first), catch_unwind(second));
    });
    assert!(trees.find("first").failure().place.is_some());
    assert_eq!(trees.find("second").failure().message, "second");
    assert_eq!(trees.find("second").failure().place, None);
}

#[test]
fn a_call_that_begins_during_a_panic_may_succeed() {
    struct Cleanup;
    impl Drop for Cleanup {
        fn drop(&mut self) {
            tidy();
        }
    }
    #[normal_task]
    fn tidy() {}
    #[normal_task]
    #[track_caller]
    fn tracked() {
        let _cleanup = Cleanup;
        panic!("late");
    }
    check(
        || assert!(catch_unwind(|| tracked()).is_err()),
        "
        tracked panic: late
          tidy
        ",
    );
}

#[test]
fn async_functions_end_with_the_same_outcomes() {
    #[normal_task]
    async fn any() -> anyhow::Result<()> {
        tokio::task::yield_now().await;
        let _: u8 = "x".parse()?;
        Ok(())
    }
    #[normal_task]
    async fn text(fails: bool) -> Result<u8, String> {
        if fails { Err("text".to_owned()) } else { Ok(1) }
    }
    #[normal_task]
    async fn never() -> ! {
        tokio::task::yield_now().await;
        panic!("never")
    }
    check(
        || {
            run(async {
                let _ = (any().await, text(true).await, text(false).await);
                assert!(tokio::spawn(async { never().await }).await.is_err());
            });
        },
        "
        any error: invalid digit found in string
        text error: text
        text
        never panic: never
        ",
    );
}
