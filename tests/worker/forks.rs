//! Forks without exec.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use monitor_client::{normal_task, root_task};

use crate::cancelled::asks;
use crate::{leaf, read_line, say, while_busy};

/// Longer than a slow child takes, so a child that reaches it hangs.
const PATIENCE_SECS: libc::c_uint = 60;

/// Runs `work` in a child. Returns its process id.
#[allow(unsafe_code, reason = "the standard library forks only to exec")]
fn fork(work: impl FnOnce()) -> libc::pid_t {
    // SAFETY: the child continues with a copy of this thread alone. It uses only parts of the standard library and the allocator that work
    // after a fork, as far as any forking program can rely on it. `alarm` ends the child if it hangs.
    match unsafe { libc::fork() } {
        0 => {
            // SAFETY: no handler is involved.
            unsafe { libc::alarm(PATIENCE_SECS) };
            work();
            std::process::exit(0)
        }
        child => {
            assert!(child > 0, "{}", std::io::Error::last_os_error());
            child
        }
    }
}

/// Waits for a child. Returns its exit code, or the signal that ended it as a negative number.
#[allow(unsafe_code, reason = "the standard library waits only for what it has spawned")]
fn wait(child: libc::pid_t) -> i32 {
    let mut status = 0;
    // SAFETY: `status` is valid for writing.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -libc::WTERMSIG(status) }
}

#[normal_task]
fn born() {}

/// Forks a child that forks a child, in the middle of a tree. Each prints its process id. Continues when stdin is closed.
#[root_task]
pub(crate) fn forks() {
    let _ = leaf(0);
    let child = fork(|| {
        say(&std::process::id().to_string());
        in_child();
    });
    say(&format!("child: {}", wait(child)));
    read_line();
}

#[normal_task]
fn in_child() {
    born();
    // A thread without its own context belongs to the forking call.
    std::thread::spawn(|| drop(leaf(1))).join().expect("no panic");
    let grandchild = fork(|| {
        say(&std::process::id().to_string());
        born();
    });
    assert_eq!(wait(grandchild), 0);
}

/// A child and its parent check regularly for cancellation. The cancelled parent forks another child that checks.
#[root_task]
pub(crate) fn forks_and_asks() {
    let first = fork(asks_in_child);
    let _ = asks();
    let second = fork(asks_in_child);
    assert_eq!((wait(first), wait(second)), (0, 0));
}

#[normal_task("asks in the child")]
fn asks_in_child() {
    let _ = asks();
}

/// The child returns from all calls that its parent has begun, and ends like the parent.
pub(crate) fn forks_and_returns() {
    let is_child = begun_by_the_parent();
    let _ = leaf(u64::from(is_child));
}

#[root_task]
#[allow(unsafe_code, reason = "the standard library forks only to exec")]
fn begun_by_the_parent() -> bool {
    let process = monitor_client::Process::builder("open").begin();
    // SAFETY: as in `fork`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        process.field("of", "the child");
        process.cancel();
        return true;
    }
    assert_eq!(wait(child), 0);
    false
}

static IS_OVER: AtomicBool = AtomicBool::new(false);

/// Forks repeatedly while other threads hold all available locks.
#[root_task]
pub(crate) fn forks_while_busy(count: u64) {
    let threads: Vec<_> = (0..4)
        .map(|_| {
            monitor_client::spawn_thread(|| {
                while !IS_OVER.load(Ordering::SeqCst) {
                    let _ = leaf(999);
                }
            })
        })
        .collect();
    for _ in 0..count {
        let child = fork(born);
        assert_eq!(wait(child), 0);
    }
    IS_OVER.store(true, Ordering::SeqCst);
    for thread in threads {
        thread.join().expect("no panic");
    }
}

/// Forks repeatedly while another thread records without a pause. Prints the duration of the forks in milliseconds.
#[allow(unsafe_code, reason = "the standard library forks only to exec")]
pub(crate) fn forks_in_time(count: u64) {
    let _ = leaf(1);
    let forks = while_busy(|| {
        let mut forks = Duration::ZERO;
        for _ in 0..count {
            let begun = Instant::now();
            // SAFETY: the child only exits.
            let child = unsafe { libc::fork() };
            if child == 0 {
                // SAFETY: nothing of this process is needed any more.
                unsafe { libc::_exit(0) };
            }
            forks += begun.elapsed();
            assert_eq!(wait(child), 0);
        }
        forks
    });
    say(&forks.as_millis().to_string());
}

/// The child exits within its own calls. The parent continues.
#[root_task]
pub(crate) fn forks_and_exits() {
    assert_eq!(wait(fork(exits_inside)), 0);
    let _ = leaf(1);
}

#[normal_task]
fn exits_inside() {
    std::process::exit(0);
}

/// Forks a child that forks a child. Neither records anything.
pub(crate) fn forks_twice() {
    let _ = leaf(1);
    let child = fork(|| assert_eq!(wait(fork(|| ())), 0));
    assert_eq!(wait(child), 0);
}

/// Parent and child are both in the middle of a tree until stdin is closed.
pub(crate) fn forks_and_waits() {
    let child = fork(until_closed);
    until_closed();
    assert_eq!(wait(child), 0);
}

#[root_task]
fn until_closed() {
    read_line();
}

/// Forks while another thread makes the first monitored call of the program.
pub(crate) fn forks_at_once() {
    let first = std::thread::spawn(|| drop(leaf(1)));
    let child = fork(born);
    assert_eq!(wait(child), 0);
    first.join().expect("no panic");
}

/// The child ends without notice to the C library, once after a flush and once without.
#[allow(unsafe_code, reason = "`_exit` is what is tried here")]
pub(crate) fn forks_and_vanishes() {
    let _ = leaf(1);
    for is_flushed in [true, false] {
        let child = fork(|| {
            if is_flushed {
                born();
                assert_eq!(monitor_client::flush(Duration::from_secs(60)), Ok(()));
            }
            // SAFETY: nothing of this process is needed any more.
            unsafe { libc::_exit(0) };
        });
        assert_eq!(wait(child), 0);
    }
}

/// The child records below a call of its parent, as the parent does afterwards, and ends without notice to the C library.
#[root_task]
#[allow(unsafe_code, reason = "`_exit` is what is tried here")]
pub(crate) fn forks_and_dies() {
    let _ = leaf(1);
    let child = fork(|| {
        for _ in 0..100 {
            born();
        }
        std::thread::spawn(|| (0..100).for_each(|_| born())).join().expect("no panic");
        // SAFETY: nothing of this process is needed any more.
        unsafe { libc::_exit(0) };
    });
    for n in 0..500 {
        let _ = leaf(n);
    }
    assert_eq!(wait(child), 0);
    let _ = leaf(2);
}

/// Ends and leaves the work to its child.
#[root_task]
pub(crate) fn becomes_a_daemon() {
    fork(born);
    std::process::exit(0);
}

/// Starts a program by fork and exec. The standard library forks if there is a function to call in between.
#[root_task]
#[allow(unsafe_code, reason = "`pre_exec` makes the standard library fork")]
pub(crate) fn spawns() {
    let mut command = Command::new("true");
    // SAFETY: nothing is done in the child.
    unsafe { command.pre_exec(|| Ok(())) };
    assert!(command.status().expect("true").success());
    let _ = leaf(1);
}
