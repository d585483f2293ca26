//! A program of tests is one tree: a process for the program, and below it one for each test.
//!
//! The harness runs each test on a thread that has its name. A test that is woven is a process itself; for one that a macro made, which
//! nobody could weave, the first woven call on its thread begins one that ends with the thread.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::context::{Attached, Context, OfProgram};
use crate::live::{Draft, Live};
use crate::record::{Attachment, Named, Origin, StartExtra};
use crate::{current, inside, panic};

static HOME: OfProgram = OfProgram::new();
/// The process of the program is about to be set.
static EXPECTED: AtomicBool = AtomicBool::new(false);
/// Pauses of a call that waits for the process of the program: 100 ms in all, for a child that is forked meanwhile would wait for ever.
const PAUSES: usize = 5_000;
const PAUSE: Duration = Duration::from_micros(20);

thread_local! {
    static TEST: RefCell<Option<Test>> = const { RefCell::new(None) };
}

/// A test that isn't woven, until its thread ends.
struct Test(Option<Live>);

impl Drop for Test {
    fn drop(&mut self) {
        let _inside = inside::enter();
        if let Some(live) = self.0.take() {
            // The harness has caught its panic.
            match panic::seen() {
                Some(failure) => live.end_with(Some(failure)),
                None => live.close(),
            }
        }
    }
}

/// Lets woven calls wait for [`set`]. To be called before recording begins, so that none of the tests, which run side by side, begins
/// a tree of its own before the process of the program is there.
pub fn expect() {
    EXPECTED.store(true, Ordering::Release);
}

/// Sets the process of a program of tests, or lets those who wait for it go on without.
pub fn set(context: Option<Context>) {
    if let Some(context) = context {
        HOME.set(context);
    }
    EXPECTED.store(false, Ordering::Release);
}

/// The parent of a woven call of this name on a thread without a context; none if this is no program of tests.
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
        // With one thread, the harness runs all tests on the first one.
        Some(test) if test != name && test != "main" => below_test(home, test),
        _ => Some(home),
    }
}

fn below_test(home: Context, test: &str) -> Option<Context> {
    let begun = TEST.try_with(|open| {
        let mut open = open.try_borrow_mut().ok()?;
        open.get_or_insert_with(|| {
            // What the thread keeps of a panic is to outlive this.
            panic::prepare();
            let named = Named { name: test.to_owned(), kind: "normal".into(), place: None };
            let attached = Attached { parent: Some(home), attachment: Attachment::Explicit, entry: false };
            Test(Some(Draft::new(Origin::Named(Box::new(named)), attached, StartExtra::default(), None).start()))
        });
        open.as_ref()?.0.as_ref()?.handed_on()
    });
    begun.ok().flatten().or(Some(home))
}
