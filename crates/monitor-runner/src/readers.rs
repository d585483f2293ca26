//! Finds processes that wait for input from a terminal. A terminal in line mode does not report its readers, so they are identified by
//! their blocking system calls.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use monitor_runs::tree;
use rustix::fs::fstat;
use rustix::process::{Pid, getpgid, getpgrp};

/// Maximum number of descriptors in a `poll` or `select` call that are checked. Programs that read from a terminal wait for few
/// descriptors.
const MOST_FDS: usize = 1_024;
/// System calls with an array of `pollfd`.
const POLLS: &[i64] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    libc::SYS_ppoll,
];
/// System calls with a set of descriptors to read.
const SELECTS: &[i64] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_select,
    libc::SYS_pselect6,
];

/// Device and number of a terminal's file, which are the same for all descriptors and paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TerminalId {
    device: u64,
    inode: u64,
}

impl TerminalId {
    pub(crate) fn of(terminal: impl AsFd) -> io::Result<Self> {
        let stat = fstat(terminal)?;
        Ok(Self { device: stat.st_dev, inode: stat.st_ino })
    }

    fn is_at(self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|file| self == Self { device: file.dev(), inode: file.ino() })
    }
}

/// Returns true if a descendant of this process waits for input from `terminal`. Only processes of this process group count: a
/// terminal stops the others when they read.
pub(crate) fn is_awaited(terminal: TerminalId) -> bool {
    let own = getpgrp();
    tree::descendants(std::process::id()).into_iter().any(|stat| {
        let group = Pid::from_raw(stat.pid as i32).and_then(|pid| getpgid(Some(pid)).ok());
        let process = format!("/proc/{}", stat.pid);
        let threads = fs::read_dir(format!("{process}/task")).into_iter().flatten().flatten();
        group == Some(own) && threads.into_iter().any(|thread| waits(Path::new(&process), &thread.path(), terminal).unwrap_or(false))
    })
}

/// Returns true if this thread is blocked in a system call that ends by input from `terminal`. `None` if the system does not show it.
fn waits(process: &Path, thread: &Path, terminal: TerminalId) -> Option<bool> {
    let text = fs::read_to_string(thread.join("syscall")).ok()?;
    let mut words = text.split_whitespace();
    let call: i64 = words.next()?.parse().ok()?;
    let mut argument = || u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok();
    let (first, second) = (argument()?, argument()?);
    let memory = |at: u64, length: usize| {
        let mut bytes = vec![0; length];
        File::open(process.join("mem")).ok()?.read_exact_at(&mut bytes, at).ok()?;
        Some(bytes)
    };
    let is_terminal = |fd: u32| terminal.is_at(&process.join("fd").join(fd.to_string()));
    Some(if [libc::SYS_read, libc::SYS_readv].contains(&call) {
        is_terminal(first as u32)
    } else if POLLS.contains(&call) {
        let polled = memory(first, (second as usize).min(MOST_FDS) * size_of::<libc::pollfd>())?;
        let is_polled = |file: &[u8]| {
            let events = i16::from_ne_bytes(*file.get(4..)?.first_chunk()?);
            Some(events & libc::POLLIN != 0 && is_terminal(u32::from_ne_bytes(*file.first_chunk()?)))
        };
        polled.chunks_exact(size_of::<libc::pollfd>()).any(|file| is_polled(file).unwrap_or(false))
    } else if SELECTS.contains(&call) && second != 0 {
        let count = (first as usize).min(MOST_FDS);
        let set = memory(second, count.div_ceil(8))?;
        (0..count).any(|fd| set.get(fd / 8).is_some_and(|byte| byte >> (fd % 8) & 1 == 1) && is_terminal(fd as u32))
    } else {
        false
    })
}
