//! Ways to end, and everything that a program may do to the client before.

use std::cell::Cell;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::time::Duration;

use monitor_client::{Process, normal_task, root_task};

use crate::{leaf, panics, say};

/// Waits until the server has everything that was recorded so far.
fn flush() {
    assert_eq!(monitor_client::flush(Duration::from_secs(60)), Ok(()));
}

/// Waits for a server that is away.
pub(crate) fn flush_times_out() {
    let _ = leaf(1);
    assert_eq!(monitor_client::flush(Duration::from_millis(300)), Err(monitor_client::FlushError::TimedOut));
}

/// Prints the exit code that will follow, and panics below an open process.
#[root_task]
pub(crate) fn flushed_panic() {
    let _ = leaf(1);
    flush();
    panics();
}

#[root_task]
pub(crate) fn abort_inside() {
    flush();
    std::process::abort();
}

/// Exits while a thread of the tree is in the middle of a call.
#[root_task]
pub(crate) fn exit_with(code: u64) {
    let (begun, is_begun) = mpsc::channel();
    monitor_client::spawn_thread(move || on_a_thread(&begun));
    is_begun.recv().expect("it begins");
    exits_with(code);
}

#[normal_task]
fn exits_with(code: u64) {
    std::process::exit(code as i32);
}

#[normal_task]
fn on_a_thread(begun: &mpsc::Sender<()>) {
    begun.send(()).expect("somebody waits");
    loop {
        std::thread::park();
    }
}

/// Another thread of the tree exits.
#[root_task(batch = "code")]
pub(crate) fn exit_elsewhere(code: u64) {
    let _ = monitor_client::spawn_thread(move || exits_with(code)).join();
}

#[tokio::main(flavor = "current_thread")]
#[root_task]
pub(crate) async fn exit_in_a_task(code: u64) {
    polled(code).await;
}

#[normal_task]
async fn polled(code: u64) {
    tokio::task::yield_now().await;
    std::process::exit(code as i32);
}

/// Returns from `main` while another thread runs a tree.
pub(crate) fn return_while_busy(code: u64) -> ExitCode {
    let (begun, is_begun) = mpsc::channel();
    std::thread::spawn(move || busy(&begun));
    is_begun.recv().expect("it begins");
    ExitCode::from(code as u8)
}

#[root_task]
fn busy(begun: &mpsc::Sender<()>) {
    begun.send(()).expect("somebody waits");
    loop {
        std::thread::park();
    }
}

/// Returns from `main` while another thread is two calls deep.
pub(crate) fn leaves_open() {
    #[root_task]
    fn outer(begun: &mpsc::Sender<()>) {
        on_a_thread(begun);
    }
    let (begun, is_begun) = mpsc::channel();
    std::thread::spawn(move || outer(&begun));
    is_begun.recv().expect("it begins");
}

#[root_task]
pub(crate) fn return_code(code: u64) -> ExitCode {
    ExitCode::from(code as u8)
}

/// A thread panics, and the program ignores it.
#[root_task]
pub(crate) fn thread_panics() {
    assert!(monitor_client::spawn_thread(panics).join().is_err());
}

#[root_task]
fn early() {}

#[root_task]
fn late_enough() {}

extern "C" fn registered_before() {
    early();
}

extern "C" fn registered_after() {
    late_enough();
}

/// Registers functions with the C library for the end: one before the client's function, one after it.
#[allow(unsafe_code, reason = "the standard library knows no end of the program")]
pub(crate) fn records_at_exit() {
    // SAFETY: neither function panics, and both live as long as the program.
    unsafe { libc::atexit(registered_before) };
    let _ = leaf(1);
    // SAFETY: as above.
    unsafe { libc::atexit(registered_after) };
}

extern "C" fn tidies_up() {
    std::thread::sleep(Duration::from_millis(500));
}

/// Registers a function that takes half a second after the program has left `main` and recording has ended.
#[allow(unsafe_code, reason = "the standard library knows no end of the program")]
pub(crate) fn lingers() {
    // SAFETY: the function doesn't panic, and lives as long as the program.
    unsafe { libc::atexit(tidies_up) };
}

/// Replaces itself by another program.
#[root_task]
pub(crate) fn replaced() {
    let _ = leaf(1);
    flush();
    let error = Command::new(std::env::current_exe().expect("a path")).args(["many", "1"]).exec();
    panic!("{error}");
}

static PIPE: AtomicI32 = AtomicI32::new(-1);

extern "C" fn write_to_pipe(signal: libc::c_int) {
    let byte = signal as u8;
    #[allow(unsafe_code, reason = "what a handler may do is to write")]
    // SAFETY: a signal handler may call `write`, and the byte lives on its stack.
    unsafe {
        libc::write(PIPE.load(Ordering::SeqCst), (&raw const byte).cast(), 1);
    }
}

/// A program with its own signal handlers. Prints the received signal and ends normally.
#[root_task]
#[allow(unsafe_code, reason = "a handler as a program without a library for it would have")]
pub(crate) fn handles_signals() {
    let mut ends = [0; 2];
    let mut byte = 0_u8;
    // SAFETY: `ends` has space for both ends. The handler only writes to the pipe, which exists before the handler.
    unsafe {
        assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
        PIPE.store(ends[1], Ordering::SeqCst);
        for signal in [libc::SIGTERM, libc::SIGINT] {
            let handler: extern "C" fn(libc::c_int) = write_to_pipe;
            assert_ne!(libc::signal(signal, handler as libc::sighandler_t), libc::SIG_ERR);
        }
    }
    say("ready");
    // SAFETY: there is space for the byte. The system restarts a read that the signal interrupts, because `signal` sets it up so.
    assert_eq!(unsafe { libc::read(ends[0], (&raw mut byte).cast(), 1) }, 1);
    say(&format!("signal {byte}"));
    let _ = leaf(1);
    std::process::exit(3);
}

/// Prints the handled, ignored and blocked signals after something was recorded.
pub(crate) fn lists_signals() {
    let _ = leaf(1);
    flush();
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    for line in status.lines() {
        if let Some((key @ ("SigBlk" | "SigIgn" | "SigCgt"), set)) = line.split_once(':') {
            // Signals above 31 belong to the C library, for its threads.
            say(&format!("{key} {:x}", u64::from_str_radix(set.trim(), 16).expect("hex digits") & 0x7fff_ffff));
        }
    }
}

struct Late(Cell<u64>);

impl Drop for Late {
    fn drop(&mut self) {
        late(self.0.get());
    }
}

thread_local! {
    static LATE: Late = const { Late(Cell::new(0)) };
    static LATER: Late = const { Late(Cell::new(0)) };
}

/// Called by the destructors of thread-local values: one older than the client's own, and one younger.
#[root_task("late", "n")]
fn late(n: u64) {
    let _ = leaf(n);
}

pub(crate) fn destructors_record() {
    let records = |first| {
        LATE.with(|late| late.0.set(first));
        let _ = leaf(0);
        LATER.with(|late| late.0.set(first + 1));
    };
    std::thread::spawn(move || records(1)).join().expect("no panic");
    records(3);
}

/// Threads that record and end at once, and tasks.
#[root_task]
pub(crate) fn crowd(count: u64) {
    let together = Arc::new(Barrier::new(count as usize));
    let threads: Vec<_> = (0..count)
        .map(|n| {
            let together = Arc::clone(&together);
            monitor_client::spawn_thread(move || {
                together.wait();
                let _ = leaf(n);
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(8).build().expect("a runtime");
    runtime.block_on(async {
        let tasks: Vec<_> = (0..count).map(|n| monitor_client::spawn_task(async move { drop(leaf(n)) })).collect();
        for task in tasks {
            task.await.expect("no panic");
        }
    });
}

static CALLS: AtomicU64 = AtomicU64::new(0);

/// Ends while others record. Prints the number of their finished calls.
#[root_task]
pub(crate) fn leaves_others_behind() {
    for _ in 0..4 {
        monitor_client::spawn_thread(|| {
            loop {
                let _ = leaf(0);
                CALLS.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    while CALLS.load(Ordering::SeqCst) < 1_000 {
        std::thread::yield_now();
    }
    say(&CALLS.load(Ordering::SeqCst).to_string());
}

#[normal_task]
async fn forever() {
    std::future::pending::<()>().await;
}

#[normal_task]
async fn passing() {
    tokio::task::yield_now().await;
}

/// Drops runtimes that contain tasks: with one thread, and with several.
#[root_task]
pub(crate) fn drops_runtimes() {
    let current = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let several = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    for runtime in [current, several] {
        runtime.block_on(async {
            let (begun, has_begun) = tokio::sync::oneshot::channel();
            monitor_client::spawn_task(async {
                passing().await;
                let mut task = std::pin::pin!(forever());
                // The task has begun because it was polled.
                assert!(futures_poll(&mut task).await.is_none());
                let _ = begun.send(());
                task.await;
            });
            has_begun.await.expect("the task begins");
        });
        drop(runtime);
    }
}

/// Polls a future once. Returns its output if it is ready.
async fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(cx) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

/// Makes calls until recording has stopped, and prints that. The pauses let the shipper sleep, which it does only if it keeps up.
pub(crate) fn goes_on() {
    while monitor_client::enabled() {
        let _ = leaf(1);
        std::thread::sleep(Duration::from_micros(10));
    }
    assert_eq!(monitor_client::flush(Duration::from_secs(600)), Err(monitor_client::FlushError::Over));
    say("still here");
}

/// Closes the file that wakes the shipper, like a daemon that closes all open files. Closes no other file, because a debug build of the
/// standard library aborts if an owner finds its file closed.
#[allow(unsafe_code, reason = "to close what others have opened is what is tried here")]
pub(crate) fn closes_files() {
    let _ = leaf(1);
    flush();
    for file in std::fs::read_dir("/proc/self/fd").expect("Linux").map_while(Result::ok) {
        if std::fs::read_link(file.path()).is_ok_and(|to| to.to_string_lossy().contains("[eventfd]")) {
            let number = file.file_name().to_string_lossy().parse().expect("a number");
            // SAFETY: users of the file get errors from now on. No other file is opened that could get the same number.
            assert_eq!(unsafe { libc::close(number) }, 0);
        }
    }
    goes_on();
}

/// Closes stderr.
#[allow(unsafe_code, reason = "the standard library closes no stderr")]
pub(crate) fn closes_stderr() {
    // SAFETY: stderr has no owner, and this program writes nothing to a file that may get its number.
    assert_eq!(unsafe { libc::close(2) }, 0);
    crate::many(1);
}

/// Flushes repeatedly while another thread records continuously.
pub(crate) fn flushes_while_busy(count: u64) {
    let (stop, stopped) = mpsc::channel::<()>();
    let busy = std::thread::spawn(move || records_until(&stopped));
    for n in 0..count {
        let _ = leaf(n);
        assert_eq!(monitor_client::flush(Duration::from_secs(60)), Ok(()), "the {n}th flush");
    }
    drop(stop);
    busy.join().expect("no panic");
}

/// Records processes by name. The shipper handles each and counts them, so the server, for which a flush waits, has little to store.
#[root_task]
fn records_until(stopped: &mpsc::Receiver<()>) {
    while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
        Process::builder("item").run(|_| ());
        std::thread::sleep(Duration::from_micros(10));
    }
}
