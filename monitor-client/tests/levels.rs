//! Tests the recording levels: everything, roots and failures, or nothing new; for all processes, kinds and names, and when they change at
//! run time.

#![cfg(feature = "record")]

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use monitor_client::{Process, cross_thread, fail, field, normal_task, progress, rename, root_task};
use monitor_core::switch;
use support::{check, check_sorted, record, run};

/// One test at a time sets levels.
static ALONE: Mutex<()> = Mutex::new(());

fn at(levels: &str, work: impl FnOnce()) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    set(levels);
    let result = catch_unwind(AssertUnwindSafe(work));
    set("all");
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

fn set(levels: &str) {
    switch::set_levels(&levels.parse().expect("levels"));
}

#[root_task]
fn import() {
    let _ = parse(1);
    let _ = parse(0);
    part();
}

#[normal_task(args(n), name = "parse {n}", ret)]
fn parse(n: u8) -> Result<u8, String> {
    check_number(n)
}

#[normal_task]
fn check_number(n: u8) -> Result<u8, String> {
    if n == 0 { Err("none".to_owned()) } else { Ok(n) }
}

#[normal_task]
fn part() {
    field("lines", 2);
    rename("another part");
    progress(1, 2);
    monitor_client::log(monitor_client::Level::Info, "said");
}

#[test]
fn roots_and_failures_are_sent() {
    at("roots", || {
        // Data that an unrecorded call adds to itself is not added to another process, except that log lines belong to the nearest recorded
        // caller.
        check(
            import,
            "
            import root [info said]
              parse {n} error: none
              check_number error: none
            ",
        );
    });
    at("all", || {
        check(
            || drop(parse(1)),
            "
            parse {n} {args.n: 1} {return: Ok(1)} -> parse 1
              check_number
            ",
        );
    });
}

#[test]
fn a_failure_is_sent_with_its_duration() {
    #[root_task]
    fn outer() {
        let _ = slow();
    }
    #[normal_task]
    fn slow() -> Result<(), &'static str> {
        std::thread::sleep(std::time::Duration::from_millis(20));
        Err("late")
    }
    at("roots", || {
        let trees = record(outer);
        let ended = trees.find("slow").ended.as_ref().expect("it ended");
        assert!(ended.elapsed_ns.is_some_and(|elapsed| elapsed >= 20_000_000), "{ended:?}");
        let place = trees.find("slow").failure().place.clone().expect("a place");
        assert!(place.0.ends_with("levels.rs"), "{place:?}");
    });
}

#[test]
fn panics_and_explicit_failures_are_sent() {
    #[root_task]
    fn says() {
        fine();
        fail("by itself");
        field("n", 1);
    }
    #[normal_task]
    fn panics() {
        panic!("out");
    }
    #[normal_task]
    fn refused() {
        fail("refused");
        inner();
    }
    #[normal_task]
    fn inner() {
        fail("further in");
    }
    #[normal_task]
    fn passes_on() {
        inner();
    }
    #[root_task]
    fn outer() {
        let _ = catch_unwind(panics);
        refused();
        passes_on();
        fine();
    }
    #[normal_task]
    fn fine() {}
    at("roots", || {
        check(
            outer,
            "
            outer root
              panics panic: out
              refused error: refused
              inner error: further in
              inner error: further in
            ",
        );
    });
    // The root itself is recorded, and so is its data.
    at("roots", || check(says, "says root {n: 1} error: by itself"));
}

#[test]
fn futures_are_sent_like_calls() {
    #[normal_task]
    async fn load(n: u8) -> Result<u8, String> {
        tokio::task::yield_now().await;
        field("n", n);
        check_number(n)
    }
    #[normal_task]
    fn later(n: u8) -> impl Future<Output = Result<u8, String>> {
        async move {
            tokio::task::yield_now().await;
            if n == 0 { Err("later".to_owned()) } else { Ok(n) }
        }
    }
    #[normal_task]
    fn boxed(n: u8) -> std::pin::Pin<Box<dyn Future<Output = Result<u8, String>>>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            if n == 0 { Err("boxed".to_owned()) } else { Ok(n) }
        })
    }
    #[normal_task]
    async fn says() {
        tokio::task::yield_now().await;
        fail("said");
        tokio::task::yield_now().await;
    }
    #[normal_task]
    async fn panics() {
        tokio::task::yield_now().await;
        panic!("out");
    }
    #[root_task]
    async fn serve() {
        for n in [1, 0] {
            let _ = load(n).await;
            let _ = later(n).await;
            let _ = boxed(n).await;
        }
        says().await;
        let () = tokio::task::unconstrained(std::future::poll_fn({
            let mut panics = Box::pin(panics());
            move |cx| catch_unwind(AssertUnwindSafe(|| panics.as_mut().poll(cx))).unwrap_or(std::task::Poll::Ready(()))
        }))
        .await;
        drop(Box::pin(says()));
        field("served", true);
    }
    at("roots", || {
        check(
            || run(serve()),
            "
            serve root {served: true}
              load error: none
              check_number error: none
              later error: later
              boxed error: boxed
              says error: said
              panics panic: out
            ",
        );
    });
}

#[test]
fn threads_and_processes_by_name_are_sent_like_calls() {
    #[cross_thread]
    fn compile(n: u8) -> Result<(), String> {
        check_number(n).map(drop)
    }
    #[root_task]
    fn build() {
        let threads = [0, 1].map(|n| monitor_client::spawn_thread(move || compile(n)));
        for thread in threads {
            let _ = thread.join().expect("no panic");
        }
        Process::builder("step").field("n", 1).run_any(|step| {
            step.field("more", 2);
            let _ = check_number(0);
            // It begins a tree.
            Process::builder("other").root().run_any(|_| ());
        });
        let failed = Process::builder("copy").kind("job").field("n", 1).begin();
        failed.fail("the disk is full");
        Process::builder("taken").kind("job").begin().cancel();
    }
    at("roots", || {
        check_sorted(
            build,
            "
            build root
              check_number error: none
              check_number error: none
              compile cross_thread error: none
              copy job {n: 1} error: the disk is full
            other
            ",
        );
    });
}

#[test]
fn level_roots_includes_calls_from_other_programs() {
    use monitor_client::{Context, cross_process};

    #[cross_process]
    fn served(root_id: &str, parent_id: &str) -> usize {
        let _ = check_number(1);
        root_id.len() + parent_id.len()
    }
    #[root_task]
    fn calls_itself() {
        let (root, id) = (monitor_client::root_id().expect("a tree"), monitor_client::current_id().expect("a process"));
        served(&root.to_string(), &id.to_string());
    }
    let root = format!("{:032x}", 7);
    at("roots", || {
        check(|| assert_eq!(served(&root, "0000000000000008"), 48), "(8) served cross_process");
        check(calls_itself, "calls_itself root");
    });
    let elsewhere = Context::new(7, 8).expect("no zero");
    at("roots", || check(|| elsewhere.enter_and(|| drop(check_number(0))), "(8) check_number error: none"));
}

trait EnterAnd {
    fn enter_and(self, work: impl FnOnce());
}

impl EnterAnd for monitor_client::Context {
    fn enter_and(self, work: impl FnOnce()) {
        let _current = self.enter();
        work();
    }
}

#[test]
fn level_off_sends_no_starts_but_the_ends_of_sent_processes() {
    #[root_task]
    fn outer() {
        set("off");
        let _ = check_number(0);
        Process::builder("step").run_any(|_| ());
        monitor_client::log(monitor_client::Level::Error, "unheard");
        fail("in the end");
        set("all");
        let _ = check_number(1);
    }
    #[root_task]
    async fn served() {
        let slow = Process::builder("slow").begin();
        set("off");
        let _ = run_in(check_number(0)).await;
        slow.fail("it took long");
    }
    async fn run_in<T>(value: T) -> T {
        tokio::task::yield_now().await;
        value
    }
    at("off", || check(import, ""));
    at("all", || {
        check(
            outer,
            "
            outer root error: in the end
              check_number
            ",
        );
    });
    at("all", || {
        check(
            || run(served()),
            "
            served root
              slow error: it took long
            ",
        );
    });
}

#[test]
fn kinds_and_names_have_levels_of_their_own() {
    let calls = || {
        import();
        let _ = Process::builder("render a").kind("job").root().run_any(|_| check_number(1));
    };
    at("all,parse*=off,job:roots,check*=off", || {
        check(
            calls,
            "
            import root
              part {lines: 2} -> another part [info said]
            render a job
            ",
        );
    });
    at("off,check_n?mber=all", || {
        check(
            || drop(check_number(1)),
            "
            check_number
            ",
        );
    });
    at("roots,check_number=all", || {
        check(
            import,
            "
            import root [info said]
              check_number
              parse {n} error: none
              check_number error: none
            ",
        );
    });
    at("job:render*=off", || {
        check(|| Process::builder("render a").kind("job").root().run_any(|_| part()), "part {lines: 2} -> another part [info said]");
    });
    at("root:off", || check(|| (0..3).for_each(|_| import_root_only()), ""));
}

#[root_task]
fn import_root_only() {}

#[test]
fn watched_processes_are_sent_during_watching() {
    at("watched", || {
        let parsed = || {
            #[root_task]
            fn outer() {
                let _ = check_number(1);
            }
            outer();
        };
        let (roots, all) = ("outer root", "outer root\n  check_number");
        check(parsed, roots);
        switch::set_watched(true);
        check(parsed, all);
        switch::set_watched(false);
        check(parsed, roots);
    });
}

#[test]
fn very_deep_calls_fail_as_well() {
    #[normal_task]
    fn deeper(n: u32) -> Result<(), String> {
        if n == 0 { Err("the bottom".to_owned()) } else { deeper(n - 1) }
    }
    #[root_task]
    fn outer() {
        let _ = deeper(700);
        let _ = check_number(0);
        let step = Process::builder("step").enter();
        let _ = check_number(0);
        step.succeed();
    }
    at("roots", || {
        let trees = record(outer);
        assert_eq!(trees.processes.len(), 1 + 701 + 2);
        let root = trees.find("outer").started.id;
        assert!(trees.processes[1..].iter().all(|process| process.started.parent == root && process.ended.is_some()));
    });
}
