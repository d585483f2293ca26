//! A global allocator that counts, and that can itself call a monitored function.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use monitor_client::{normal_task, root_task};

use crate::say;

struct Allocator;

static CALLS_MONITORED: AtomicBool = AtomicBool::new(false);

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

#[allow(unsafe_code, reason = "a global allocator is unsafe to write")]
// SAFETY: all calls are forwarded unchanged to the system's allocator.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        if CALLS_MONITORED.load(Ordering::Relaxed) {
            allocated(layout.size());
        }
        // SAFETY: the caller fulfils the contract of `GlobalAlloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if CALLS_MONITORED.load(Ordering::Relaxed) {
            allocated(0);
        }
        // SAFETY: the caller fulfils the contract of `GlobalAlloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

#[normal_task]
fn allocated(_size: usize) {}

/// A tree in which every allocation is a process.
pub(crate) fn allocator_records() {
    // Creates the handle of the current thread first, because the standard library does not permit the allocator to request the handle
    // while it is created.
    let _ = std::thread::current();
    CALLS_MONITORED.store(true, Ordering::Relaxed);
    allocates();
    crate::many(300);
    assert_eq!(monitor_client::flush(Duration::from_secs(60)), Ok(()));
    CALLS_MONITORED.store(false, Ordering::Relaxed);
}

/// Allocates and frees once on this thread and once on another thread.
#[root_task]
fn allocates() {
    drop(std::hint::black_box(Box::new(1)));
    monitor_client::spawn_thread(|| drop(std::hint::black_box(Box::new(1)))).join().expect("no panic");
}

#[normal_task]
fn counted(n: u64) -> Result<u64, std::num::ParseIntError> {
    Ok(n)
}

#[normal_task]
async fn counted_async(n: u64) -> u64 {
    n
}

/// Prints the number of allocations of the calling thread in a thousand calls, sync and async, below a root and after a warm-up.
pub(crate) fn counts_allocations() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let root = monitor_client::Process::builder("counts").enter();
    let sync = || (0..1_000).for_each(|n| drop(counted(n)));
    let count = |work: &dyn Fn()| {
        work();
        let before = ALLOCATIONS.get();
        work();
        ALLOCATIONS.get() - before
    };
    say(&count(&sync).to_string());
    let of_tasks = count(&|| {
        runtime.block_on(async {
            for n in 0..1_000 {
                counted_async(n).await;
            }
        });
    });
    say(&of_tasks.to_string());
    drop(root);
}
