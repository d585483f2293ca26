//! Finds all descendants of a process. A process can leave its process group and session with one call, but not its ancestors, because the
//! helper is a subreaper and adopts orphaned descendants.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::identity::{self, Stat};
use crate::signals;

/// Environment variable set for launchers that must outlive the program that requested them.
pub const DETACHED: &str = "MONITOR_RUN_DETACHED";
/// Environment variable with the run's folder. It is set for the command and inherited by all its descendants.
pub const FOLDER: &str = "MONITOR_RUN_DIR";
/// Prefix of the cgroup names of detached runs.
pub const DETACHED_GROUP: &str = "monitor-detached-";
/// Maximum time to kill a tree. Processes that survive it can't be killed.
const LONGEST: Duration = Duration::from_secs(5);

/// Returns the living descendants of `top`, without detached runs.
pub fn descendants(top: u32) -> Vec<Stat> {
    let mut scanned: Option<HashMap<u32, Vec<Stat>>> = None;
    let (mut found, mut todo) = (Vec::new(), vec![top]);
    while let Some(parent) = todo.pop() {
        let children = children(parent).unwrap_or_else(|| {
            let scanned = scanned.get_or_insert_with(|| {
                let mut children: HashMap<u32, Vec<Stat>> = HashMap::new();
                for stat in identity::all() {
                    children.entry(stat.parent).or_default().push(stat);
                }
                children
            });
            scanned.remove(&parent).unwrap_or_default()
        });
        for stat in children {
            if !is_detached(stat.pid) {
                todo.push(stat.pid);
                found.push(stat);
            }
        }
    }
    found.retain(|stat| !stat.is_dead());
    found
}

/// Returns the children of a process as listed by the system for each of its threads. Empty if the process has ended. `None` if the system
/// keeps no such lists (`CONFIG_PROC_CHILDREN`).
fn children(parent: u32) -> Option<Vec<Stat>> {
    let Ok(threads) = fs::read_dir(format!("/proc/{parent}/task")) else { return Some(Vec::new()) };
    let mut children = Vec::new();
    for thread in threads.flatten() {
        match fs::read_to_string(thread.path().join("children")) {
            Ok(text) => children.extend(text.split_whitespace().filter_map(|pid| Stat::of(pid.parse().ok()?))),
            // Either the thread has ended, or the system keeps no lists.
            Err(_) if thread.path().exists() => return None,
            Err(_) => {}
        }
    }
    Some(children)
}

/// Returns the processes of a cgroup (v2) and its subgroups, without detached runs.
pub(crate) fn in_cgroup(group: &Path) -> Vec<u32> {
    let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    let mut pids: Vec<u32> = text.lines().filter_map(|pid| pid.parse().ok()).filter(|pid| !is_detached(*pid)).collect();
    let below = fs::read_dir(group).into_iter().flatten().flatten();
    let is_detached = |name: &OsStr| name.as_bytes().starts_with(DETACHED_GROUP.as_bytes());
    for group in below.filter(|entry| !is_detached(&entry.file_name()) && entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        pids.extend(in_cgroup(&group.path()));
    }
    pids
}

/// Finds processes by a run's mark in their environment.
#[derive(Debug)]
pub(crate) struct Marked {
    mark: Vec<u8>,
}

impl Marked {
    /// Creates the mark of the run in `folder`.
    pub(crate) fn of(folder: &Path) -> Self {
        Self { mark: [FOLDER.as_bytes(), b"=", folder.as_os_str().as_bytes()].concat() }
    }

    /// Returns all living processes with the mark. Scans all processes of the machine, so it is used only for runs without launcher, helper
    /// and cgroup.
    pub(crate) fn all(&self) -> Vec<u32> {
        let own = std::process::id();
        let alive = identity::all().into_iter().filter(|stat| !stat.is_dead() && stat.pid != own);
        alive.filter(|stat| environment(stat.pid).split(|byte| *byte == 0).any(|entry| entry == self.mark)).map(|stat| stat.pid).collect()
    }
}

/// Returns true while a launcher of the run in `folder`, or its helper, is alive. The helper has the same command line. Scans all processes
/// of the machine.
pub(crate) fn is_launched(folder: &Path) -> bool {
    let end = [b"\0run\0--from\0", folder.as_os_str().as_bytes(), b"\0"].concat();
    let own = std::process::id();
    let mut alive = identity::all().into_iter().filter(|stat| !stat.is_dead() && stat.pid != own);
    alive.any(|stat| fs::read(format!("/proc/{}/cmdline", stat.pid)).is_ok_and(|line| line.ends_with(&end)))
}

/// Sends a signal to each descendant.
pub fn signal(top: u32, signal: i32) {
    for stat in descendants(top) {
        signals::kill(stat.pid as i32, signal);
    }
}

/// Kills all descendants, including those started in the meantime. Calls `reap` between rounds to reap ended children.
pub fn kill(top: u32, mut reap: impl FnMut()) {
    let begun = Instant::now();
    loop {
        let left = descendants(top);
        for stat in &left {
            signals::kill(stat.pid as i32, libc::SIGKILL);
        }
        reap();
        if left.is_empty() || begun.elapsed() > LONGEST {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn is_detached(pid: u32) -> bool {
    environment(pid)
        .split(|byte| *byte == 0)
        .any(|variable| variable.strip_prefix(DETACHED.as_bytes()).is_some_and(|rest| rest.starts_with(b"=")))
}

fn environment(pid: u32) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/environ")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// A plain folder simulates the cgroup file system.
    #[test]
    fn a_group_contains_its_subgroups_except_detached_runs() {
        let group = tempfile::tempdir().unwrap();
        assert!(in_cgroup(&group.path().join("absent")).is_empty());
        for (below, procs) in [("", "7\n8\n\nx\n"), ("inner", "9\n"), ("inner/deep", "10\n"), ("monitor-detached-7", "11\n")] {
            fs::create_dir_all(group.path().join(below)).unwrap();
            fs::write(group.path().join(below).join("cgroup.procs"), procs).unwrap();
        }
        let mut pids = in_cgroup(group.path());
        pids.sort_unstable();
        assert_eq!(pids, [7, 8, 9, 10]);
    }

    #[test]
    fn descendants_are_found_in_other_groups_and_sessions_except_detached_runs() {
        let script = "setsid sh -c 'echo $$; exec sleep 600' & MONITOR_RUN_DETACHED=1 sh -c 'echo $$; sleep 600' & echo $$; wait";
        let mut shell = Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(shell.stdout.take().unwrap()));
        let pids: Vec<u32> = (0..3).map(|_| lines.next().unwrap().unwrap().parse().unwrap()).collect();
        // One of the three is the shell itself, which is not its own descendant.
        let found: Vec<u32> = descendants(shell.id()).iter().map(|stat| stat.pid).collect();
        let others: Vec<u32> = pids.into_iter().filter(|pid| *pid != shell.id()).collect();
        let (detached, mine): (Vec<u32>, Vec<u32>) = others.iter().partition(|pid| is_detached(**pid));
        assert_eq!((detached.len(), mine.len()), (1, 1));
        assert!(found.contains(&mine[0]) && !found.contains(&detached[0]), "{found:?}");
        let beyond: Vec<u32> = descendants(detached[0]).iter().map(|stat| stat.pid).collect();
        kill(shell.id(), || {});
        assert!(descendants(shell.id()).is_empty());
        for pid in detached.into_iter().chain(beyond) {
            signals::kill(pid as i32, libc::SIGKILL);
        }
        shell.kill().unwrap();
        shell.wait().unwrap();
    }
}
