//! Wraps calls of the C library without safe equivalents in other crates: signals as a file, fork, and the resource usage of a dead child.

#![allow(unsafe_code, reason = "calls of the C library that no crate of ours wraps")]

use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// Starts the child in another cgroup. Defined in `linux/sched.h`; libc's constant has too few bits.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Signals that the launcher takes over, to pass them on or to act on them.
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

/// Set of blocked signals.
#[derive(Clone, Copy)]
pub(crate) struct Mask(libc::sigset_t);

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mask")
    }
}

impl Mask {
    /// Also blocks SIGTTOU, the signal that stops background processes when they change the terminal. Safe to call between fork and exec.
    pub(crate) fn hold_off_terminal() {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: `sigemptyset` fills in the set.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            libc::sigaddset(set.as_mut_ptr(), libc::SIGTTOU);
            libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
        }
    }

    /// Restores the blocked signals. Safe to call between fork and exec.
    pub(crate) fn restore(self) {
        // SAFETY: the set was filled in by the system.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut()) };
    }
}

/// A received signal with its sender.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrived {
    pub(crate) signal: i32,
    /// Pid of the sender. `None` if the kernel sent the signal, as a terminal does for Ctrl-C.
    pub(crate) sender: Option<u32>,
}

/// Signals as a readable file. They are blocked in all threads that start later.
#[derive(Debug)]
pub(crate) struct Signals {
    file: OwnedFd,
    /// Signals that were blocked before.
    pub(crate) before: Mask,
    /// Signals that were ignored before, for example by `nohup`.
    ignored: Vec<i32>,
}

impl Signals {
    /// Takes over the signals that are passed on, and SIGCHLD.
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

    /// Returns true if the signal was ignored before.
    pub(crate) fn is_ignored(&self, signal: i32) -> bool {
        self.ignored.contains(&signal)
    }

    /// Returns the next pending signal.
    pub(crate) fn next(&self) -> Option<Arrived> {
        let mut info = MaybeUninit::<libc::signalfd_siginfo>::zeroed();
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: the buffer has room for one value, and any bytes are valid for it.
        let read = unsafe { libc::read(self.file.as_raw_fd(), info.as_mut_ptr().cast(), size) };
        if read != size as isize {
            return None;
        }
        // SAFETY: initialized by the read.
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
    // SAFETY: filled in by the call; zeroes, which represent the default action, are valid, too.
    unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0 && action.assume_init().sa_sigaction == libc::SIG_IGN }
}

fn owned(file: RawFd) -> io::Result<OwnedFd> {
    if file < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor without another owner.
    Ok(unsafe { OwnedFd::from_raw_fd(file) })
}

/// Forks. Returns `None` in the child and the child's pid in the parent.
///
/// # Errors
/// If this program has other threads, which would be missing in the child, or if the process limit is reached.
pub(crate) fn fork() -> io::Result<Option<u32>> {
    is_alone()?;
    // SAFETY: there is one thread, so that the child lacks nothing that this program has.
    forked(unsafe { libc::fork() }.into())
}

/// Forks like [`fork`], but starts the child in the cgroup of this folder. Moving the child there later would have to wait for all
/// processors of the machine.
///
/// # Errors
/// If that is not permitted, or the kernel is older than 5.7.
pub(crate) fn fork_into(group: &std::fs::File) -> io::Result<Option<u32>> {
    is_alone()?;
    // SAFETY: a structure of plain numbers; zeroes are valid.
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

/// Runs `work` and ends this program, which is a fork, with the returned exit code.
pub(crate) fn end_with(work: impl FnOnce() -> i32) -> ! {
    let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or(70);
    // SAFETY: exits without flushing buffers or running exit handlers, which belong to the parent.
    unsafe { libc::_exit(code) }
}

/// Closes all files of this program except `kept`, and redirects stdin, stdout and stderr to `/dev/null`. The program must be a fork that
/// ends by [`end_with`], because the owners of the files are not notified.
pub(crate) fn let_go_of_files(kept: &OwnedFd) -> io::Result<()> {
    let null = std::fs::File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    // Drop it before `close_range`, which would otherwise close it first.
    drop(null);
    let kept = kept.as_raw_fd() as u32;
    for (first, last) in [(3, kept - 1), (kept + 1, u32::MAX)] {
        // SAFETY: no owner of a file in this program is used or dropped after this call, except `kept`.
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
    /// CPU time of the child and of the children that it has waited for.
    pub(crate) cpu: Duration,
    /// Largest peak memory among them.
    pub(crate) peak_bytes: u64,
}

/// Stop or continuation of a child.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change {
    Stopped { pid: u32 },
    Continued { pid: u32 },
}

/// Returns a child that has ended, without reaping it.
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

/// Reaps a child that has ended.
pub(crate) fn reap(pid: u32) {
    wait(libc::P_PID, pid, libc::WEXITED | libc::WNOHANG);
}

/// Waits for the end of a child and reaps it.
pub(crate) fn wait_for_end(pid: u32) {
    wait(libc::P_PID, pid, libc::WEXITED);
}

/// Waits for the end of a child, reaps it, and returns its exit code. Returns `None` if a signal has ended it.
pub(crate) fn exit_code_of(pid: u32) -> Option<i32> {
    let (info, _) = wait(libc::P_PID, pid, libc::WEXITED)?;
    // SAFETY: set for each child that has ended.
    (info.si_code == libc::CLD_EXITED).then(|| unsafe { info.si_status() })
}

/// Consumes the next stop or continuation of any child.
pub(crate) fn stop_or_continuation() -> Option<Change> {
    let (info, _) = wait(libc::P_ALL, 0, libc::WSTOPPED | libc::WCONTINUED | libc::WNOHANG)?;
    // SAFETY: set for each change of a child.
    let pid = unsafe { info.si_pid() as u32 };
    Some(if info.si_code == libc::CLD_CONTINUED { Change::Continued { pid } } else { Change::Stopped { pid } })
}

/// Calls `waitid`. The raw system call is used because it also returns the resource usage; no library function does that with `WNOWAIT`.
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

/// Returns the session of a process (0 for this program). The result is 0 if the session leader is outside of this container's pid
/// namespace, which rustix can't represent.
pub(crate) fn session_of(pid: u32) -> i32 {
    // SAFETY: takes a number.
    unsafe { libc::getsid(pid as i32) }
}

/// Returns true if this program's process group, which may be 0 in a container, is in the foreground of the terminal.
pub(crate) fn is_foreground(terminal: impl AsFd) -> bool {
    // SAFETY: take a descriptor that is open, and nothing.
    unsafe { libc::tcgetpgrp(terminal.as_fd().as_raw_fd()) == libc::getpgrp() }
}

/// Sends SIGCONT to the parent of this program.
pub(crate) fn continue_parent() {
    // SAFETY: take numbers.
    unsafe { libc::kill(libc::getppid(), libc::SIGCONT) };
}

/// Stops this program until it receives SIGCONT.
pub(crate) fn stop_self() {
    // SAFETY: takes a number.
    unsafe { libc::raise(libc::SIGSTOP) };
}

/// Sets an environment variable of this single-threaded program.
pub(crate) fn set_env(name: &str, value: impl AsRef<OsStr>) {
    // SAFETY: each caller forks next, which is refused if there are other threads.
    unsafe { std::env::set_var(name, value) };
}

/// Removes an environment variable of this single-threaded program.
pub(crate) fn remove_env(name: &str) {
    // SAFETY: as above.
    unsafe { std::env::remove_var(name) };
}
