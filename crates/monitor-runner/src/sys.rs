//! What only the C library offers: signals as a file, a fork, and what a dead child has used.

#![allow(unsafe_code, reason = "calls of the C library that no crate of ours wraps")]

use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// The child begins in another control group. As `linux/sched.h` has it: libc's constant has too few bits for it.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Signals that the launcher takes, to pass them on or to act on them.
const TAKEN: [i32; 12] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGWINCH,
    libc::SIGCONT,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
];

/// Which signals were blocked.
#[derive(Clone, Copy)]
pub(crate) struct Mask(libc::sigset_t);

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mask")
    }
}

impl Mask {
    /// Blocks those as well by which a terminal stops who is not in its foreground. Safe to call between fork and exec.
    pub(crate) fn hold_off_terminal() {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: `sigemptyset` fills in the set.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            libc::sigaddset(set.as_mut_ptr(), libc::SIGTTOU);
            libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
        }
    }

    /// Blocks these as they were. Safe to call between fork and exec.
    pub(crate) fn restore(self) {
        // SAFETY: the set was filled in by the system.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut()) };
    }
}

/// A signal, and who sent it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrived {
    pub(crate) signal: i32,
    /// Whoever sent it, unless the system did, as a terminal does for Ctrl-C.
    pub(crate) sender: Option<u32>,
}

/// Signals as something to be read; they are blocked for all threads that begin later.
#[derive(Debug)]
pub(crate) struct Signals {
    file: OwnedFd,
    /// What was blocked before.
    pub(crate) before: Mask,
    /// What was ignored before, as `nohup` has it.
    ignored: Vec<i32>,
}

impl Signals {
    /// Those that are passed on, and SIGCHLD.
    pub(crate) fn take() -> io::Result<Self> {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: `sigemptyset` and `pthread_sigmask` fill in the sets that they are given; numbers of signals are constants.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in TAKEN.into_iter().chain([libc::SIGCHLD, monitor_runs::end_tree(), monitor_runs::kill_tree()]) {
                libc::sigaddset(set.as_mut_ptr(), signal);
            }
            let error = libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), before.as_mut_ptr());
            if error != 0 {
                return Err(io::Error::from_raw_os_error(error));
            }
            let file = owned(libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))?;
            Ok(Self { file, before: Mask(before.assume_init()), ignored: TAKEN.into_iter().filter(|signal| is_ignored(*signal)).collect() })
        }
    }

    /// Whether it was ignored before.
    pub(crate) fn is_ignored(&self, signal: i32) -> bool {
        self.ignored.contains(&signal)
    }

    /// The next one that waits.
    pub(crate) fn next(&self) -> Option<Arrived> {
        let mut info = MaybeUninit::<libc::signalfd_siginfo>::zeroed();
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: the buffer has room for one, of which any bytes are valid.
        let read = unsafe { libc::read(self.file.as_raw_fd(), info.as_mut_ptr().cast(), size) };
        if read != size as isize {
            return None;
        }
        // SAFETY: it was filled in.
        let info = unsafe { info.assume_init() };
        let is_sent = matches!(info.ssi_code, libc::SI_USER | libc::SI_QUEUE | libc::SI_TKILL);
        Some(Arrived { signal: info.ssi_signo as i32, sender: is_sent.then_some(info.ssi_pid) })
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn is_ignored(signal: i32) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: filled in by the call; zeroes, which mean the default, are valid as well.
    unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0 && action.assume_init().sa_sigaction == libc::SIG_IGN }
}

fn owned(file: RawFd) -> io::Result<OwnedFd> {
    if file < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(file) })
}

/// Forks: `None` in the child, its pid in the parent.
///
/// # Errors
/// When this program has other threads, which the child would lack, or there is no room for another process.
pub(crate) fn fork() -> io::Result<Option<u32>> {
    is_alone()?;
    // SAFETY: there is one thread, so that the child lacks nothing that this program has.
    forked(unsafe { libc::fork() }.into())
}

/// Forks as [`fork`] does, with the child in the control group of this folder from its first moment on. To be moved there later it would
/// have to wait for all processors of the machine.
///
/// # Errors
/// When it may not, or the system is older than that (Linux 5.7).
pub(crate) fn fork_into(group: &std::fs::File) -> io::Result<Option<u32>> {
    is_alone()?;
    // SAFETY: plain numbers, for which zeroes are valid.
    let mut how: libc::clone_args = unsafe { std::mem::zeroed() };
    how.flags = CLONE_INTO_CGROUP;
    how.exit_signal = libc::SIGCHLD as u64;
    how.cgroup = group.as_raw_fd() as u64;
    // SAFETY: there is one thread, and the child has a copy of all memory, as with `fork`.
    forked(unsafe { libc::syscall(libc::SYS_clone3, &raw mut how, size_of::<libc::clone_args>()) })
}

fn is_alone() -> io::Result<()> {
    let is_alone = std::fs::read_dir("/proc/self/task")?.count() == 1;
    if is_alone { Ok(()) } else { Err(io::Error::other("the launcher must start before any other thread")) }
}

fn forked(pid: i64) -> io::Result<Option<u32>> {
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(None),
        pid => Ok(Some(pid as u32)),
    }
}

/// Does `work` and ends this program, which is a fork, with the code that it returns.
pub(crate) fn end_with(work: impl FnOnce() -> i32) -> ! {
    let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or(70);
    // SAFETY: what stands in the parent's buffers, and what it does at its end, is the parent's.
    unsafe { libc::_exit(code) }
}

/// Closes all files of this program, which is a fork that ends by [`end_with`], but `kept`: its stdin, stdout and stderr are
/// `/dev/null` from here on. Whatever else had a file has none.
pub(crate) fn let_go_of_files(kept: &OwnedFd) -> io::Result<()> {
    let null = std::fs::File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    // Closed here, before it would be closed twice.
    drop(null);
    let kept = kept.as_raw_fd() as u32;
    for (first, last) in [(3, kept - 1), (kept + 1, u32::MAX)] {
        // SAFETY: nothing of this program that has a file is used or dropped any more, but `kept`.
        if first <= last && unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// A child that has ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dead {
    pub(crate) pid: u32,
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    /// By it and by those children that it waited for.
    pub(crate) cpu: Duration,
    /// The largest of them.
    pub(crate) peak_bytes: u64,
}

/// What else became of a child.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change {
    Stopped { pid: u32 },
    Continued { pid: u32 },
}

/// A child that has ended and is not reaped yet.
pub(crate) fn peek() -> Option<Dead> {
    let (info, usage) = wait(libc::P_ALL, 0, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT)?;
    // SAFETY: set for each child that has ended.
    let (pid, status) = unsafe { (info.si_pid() as u32, info.si_status()) };
    let time = |of: libc::timeval| Duration::from_micros(of.tv_sec as u64 * 1_000_000 + of.tv_usec as u64);
    let has_exited = info.si_code == libc::CLD_EXITED;
    Some(Dead {
        pid,
        code: has_exited.then_some(status),
        signal: (!has_exited).then_some(status),
        cpu: time(usage.ru_utime) + time(usage.ru_stime),
        peak_bytes: usage.ru_maxrss as u64 * 1_024,
    })
}

/// Has the system forget a child that has ended.
pub(crate) fn reap(pid: u32) {
    wait(libc::P_PID, pid, libc::WEXITED | libc::WNOHANG);
}

/// Waits for the end of a child, and has the system forget it.
pub(crate) fn wait_for_end(pid: u32) {
    wait(libc::P_PID, pid, libc::WEXITED);
}

/// Takes the next change of any child but its end.
pub(crate) fn stop_or_continuation() -> Option<Change> {
    let (info, _) = wait(libc::P_ALL, 0, libc::WSTOPPED | libc::WCONTINUED | libc::WNOHANG)?;
    // SAFETY: set for each change of a child.
    let pid = unsafe { info.si_pid() as u32 };
    Some(if info.si_code == libc::CLD_CONTINUED { Change::Continued { pid } } else { Change::Stopped { pid } })
}

/// The system call, which tells what was used as well: of the library's functions none does so and leaves the child there.
fn wait(of: libc::idtype_t, pid: u32, flags: i32) -> Option<(libc::siginfo_t, libc::rusage)> {
    let (mut info, mut usage) = (MaybeUninit::<libc::siginfo_t>::zeroed(), MaybeUninit::<libc::rusage>::zeroed());
    // SAFETY: both are filled in by the call; zeroed before, as they stay if nothing is there.
    unsafe {
        if libc::syscall(libc::SYS_waitid, of, pid, info.as_mut_ptr(), flags, usage.as_mut_ptr()) != 0 {
            return None;
        }
        let info = info.assume_init();
        (info.si_pid() != 0).then(|| (info, usage.assume_init()))
    }
}

/// The session of a process, of this program for 0. It is 0 if its leader can't be seen from here, as from within a container,
/// which rustix has no type for.
pub(crate) fn session_of(pid: u32) -> i32 {
    // SAFETY: takes a number.
    unsafe { libc::getsid(pid as i32) }
}

/// Whether this program's process group, which as well may be 0, is in the foreground of its terminal.
pub(crate) fn is_foreground(terminal: impl AsFd) -> bool {
    // SAFETY: take a descriptor that is open, and nothing.
    unsafe { libc::tcgetpgrp(terminal.as_fd().as_raw_fd()) == libc::getpgrp() }
}

/// Continues the parent of this program.
pub(crate) fn continue_parent() {
    // SAFETY: take numbers.
    unsafe { libc::kill(libc::getppid(), libc::SIGCONT) };
}

/// Stops this program, until somebody continues it.
pub(crate) fn stop_self() {
    // SAFETY: takes a number.
    unsafe { libc::raise(libc::SIGSTOP) };
}

/// Sets an environment variable of this program, which has one thread.
pub(crate) fn set_env(name: &str, value: impl AsRef<OsStr>) {
    // SAFETY: whoever calls it forks next, which is refused if there are other threads.
    unsafe { std::env::set_var(name, value) };
}

/// Takes an environment variable of this program away, which has one thread.
pub(crate) fn remove_env(name: &str) {
    // SAFETY: as above.
    unsafe { std::env::remove_var(name) };
}
