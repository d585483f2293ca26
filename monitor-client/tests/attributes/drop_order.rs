//! Tests that an attributed function drops its values in the same order as the plain function.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::task::{Context, Waker};

use monitor_client::{cross_thread, normal_task};
use tokio::task::yield_now;

use crate::support::record;

type Log = Rc<RefCell<Vec<&'static str>>>;

struct Noisy(&'static str, Log);

impl Drop for Noisy {
    fn drop(&mut self) {
        self.1.borrow_mut().push(self.0);
    }
}

/// The order of drops of the same function with each attribute and without one.
macro_rules! assert_same_order {
    (|$noisy:ident| $call:expr; [$($function:ident),+]) => {{
        let orders: Vec<Vec<&'static str>> = vec![$({
            let log = Log::default();
            let noisy = |name| Noisy(name, Rc::clone(&log));
            let _ = record(|| { let $noisy = &noisy; let function = $function; $call(function); });
            log.take()
        }),+];
        assert!(orders[0].len() > 2, "{orders:?}");
        for order in &orders[1..] {
            assert_eq!(order, &orders[0]);
        }
    }};
}

/// One function, with each of these attributes.
macro_rules! variants {
    ($asyncness:tt $parameters:tt $body:block $($(#[$attribute:meta])? $name:ident)*) => {
        $(variants!(@ [$(#[$attribute])?] $asyncness $name $parameters $body);)*
    };
    (@ [$(#[$attribute:meta])?] [$($asyncness:tt)?] $name:ident $parameters:tt $body:block) => {
        $(#[$attribute])? $($asyncness)? fn $name $parameters $body
    };
}

#[test]
fn parameters_and_locals_are_dropped_in_the_plain_order() {
    variants!([] (a: Noisy, _: Noisy, (b, _): (Noisy, Noisy), (_, mut c): (Noisy, Noisy), _unused: Noisy) {
        let _local = Noisy("local", Rc::clone(&a.1));
        c.0 = "c, changed";
        let _ = &c;
        drop(b);
    } plain #[normal_task] monitored);
    assert_same_order!(|noisy| |f: fn(_, _, _, _, _)| f(
        noisy("a"),
        noisy("_"),
        (noisy("b"), noisy("b's other")),
        (noisy("c's other"), noisy("c")),
        noisy("unused")
    ); [plain, monitored]);
}

#[test]
fn a_completed_or_dropped_async_function_keeps_the_plain_drop_order() {
    variants!([async] (a: Noisy, _: Noisy, (b, _): (Noisy, Noisy), _unused: Noisy) {
        let _local = Noisy("local", Rc::clone(&a.1));
        yield_now().await;
        drop(b);
        yield_now().await;
    } plain #[normal_task] monitored #[cross_thread] captured);
    for polls in 1..=3 {
        assert_same_order!(|noisy| |f| call(f, noisy, polls); [plain, monitored, captured]);
    }
}

#[test]
fn self_is_dropped_in_the_plain_order() {
    struct Owner(Noisy);
    impl Owner {
        fn plain(self, _a: Noisy) -> usize {
            self.0.0.len()
        }
        #[normal_task]
        fn monitored(self, _a: Noisy) -> usize {
            self.0.0.len()
        }
    }
    let (plain, monitored) = (Owner::plain, Owner::monitored);
    assert_same_order!(|noisy| |f: fn(Owner, Noisy) -> usize| { f(Owner(noisy("self")), noisy("a")); drop(noisy("after")) }; [plain, monitored]);
}

/// Polls the future of `f` `polls` times and drops it.
fn call<F: Future>(f: impl FnOnce(Noisy, Noisy, (Noisy, Noisy), Noisy) -> F, noisy: &dyn Fn(&'static str) -> Noisy, polls: usize) {
    let mut future = Box::pin(f(noisy("a"), noisy("_"), (noisy("b"), noisy("b's other")), noisy("unused")));
    for _ in 0..polls {
        let _ = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
}
