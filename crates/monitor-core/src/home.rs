//! The tree of a test program: one process for the program, with a child for each test.
//!
//! The test harness runs each test on a thread named like the test. A woven test is a process itself. For a test that isn't woven because a
//! macro generated it, the first woven call on its thread begins a process that ends with the thread.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::context::{Attached, Context, OfProgram};
use crate::live::{Draft, Live};
use crate::record::{Attachment, Named, Origin, StartExtra};
use crate::{current, inside, panic};

static HOME: OfProgram = OfProgram::new();
/// True while the process of the program is about to be set.
static EXPECTED: AtomicBool = AtomicBool::new(false);
/// Number of pauses of a call that waits for the process of the program: 100 ms in total. Limited because a child that is forked during the
/// wait would otherwise wait forever.
const PAUSES: usize = 5_000;
const PAUSE: Duration = Duration::from_micros(20);

thread_local! {
    static TEST: RefCell<Option<Test>> = const { RefCell::new(None) };
}

/// A test that isn't woven. Ends with its thread.
struct Test(Option<Live>);

impl Drop for Test {
    fn drop(&mut self) {
        let _inside = inside::enter();
        if let Some(live) = self.0.take() {
            // The harness has caught the test's panic.
            match panic::seen() {
                Some(failure) => live.end_with(Some(failure)),
                None => live.close(),
            }
        }
    }
}

/// Makes woven calls wait for [`set`]. Must be called before recording begins. Otherwise, tests that run concurrently could begin trees of
/// their own before the process of the program is set.
pub fn expect() {
    EXPECTED.store(true, Ordering::Release);
}

/// Sets the process of a test program, or ends the wait without one.
pub fn set(context: Option<Context>) {
    if let Some(context) = context {
        HOME.set(context);
    }
    EXPECTED.store(false, Ordering::Release);
}

/// Returns the parent of a woven call with this name on a thread without a context. `None` outside of test programs.
pub(crate) fn parent(name: &str) -> Option<Context> {
    for _ in 0..PAUSES {
        if !EXPECTED.load(Ordering::Acquire) {
            break;
        }
        std::thread::sleep(PAUSE);
    }
    let home = HOME.get().filter(|_| current::local().is_none())?;
    let thread = std::thread::current();
    match thread.name() {
        // With a single test thread, the harness runs all tests on the main thread.
        Some(test) if test != name && test != "main" => below_test(home, test),
        _ => Some(home),
    }
}

fn below_test(home: Context, test: &str) -> Option<Context> {
    let begun = TEST.try_with(|open| {
        let mut open = open.try_borrow_mut().ok()?;
        open.get_or_insert_with(|| {
            // The thread-local of panics must be destroyed after this one.
            panic::prepare();
            let named = Named { name: test.to_owned(), kind: "normal".into(), place: None };
            let attached = Attached { parent: Some(home), attachment: Attachment::Explicit, entry: false };
            Test(Some(Draft::new(Origin::Named(Box::new(named)), attached, StartExtra::default(), None).start()))
        });
        open.as_ref()?.0.as_ref()?.handed_on()
    });
    begun.ok().flatten().or(Some(home))
}
