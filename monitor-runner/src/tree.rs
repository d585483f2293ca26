//! All that a process has started, wherever it has gone: process groups and sessions are left with one call, parents are not,
//! because the helper adopts whoever loses its own.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

use crate::identity::{self, Stat};
use crate::sys;

/// Set for launchers that are to outlive whoever asked for them.
pub(crate) const DETACHED: &str = "MONITOR_RUN_DETACHED";
/// Fewer rounds than this end whatever can be ended at all.
const LONGEST: Duration = Duration::from_secs(5);

/// The living descendants of `top`, but for detached runs.
pub(crate) fn descendants(top: u32) -> Vec<Stat> {
    let mut children: HashMap<u32, Vec<Stat>> = HashMap::new();
    for stat in identity::all() {
        children.entry(stat.parent).or_default().push(stat);
    }
    let (mut found, mut todo) = (Vec::new(), vec![top]);
    while let Some(parent) = todo.pop() {
        for stat in children.remove(&parent).unwrap_or_default() {
            if !is_detached(stat.pid) {
                todo.push(stat.pid);
                found.push(stat);
            }
        }
    }
    found.retain(|stat| !stat.is_dead());
    found
}

/// Sends a signal to each of them.
pub(crate) fn signal(top: u32, signal: i32) {
    for stat in descendants(top) {
        sys::kill(stat.pid as i32, signal);
    }
}

/// Kills all of them and what they start meanwhile; `reap` is called in between, to take the dead.
pub(crate) fn kill(top: u32, mut reap: impl FnMut()) {
    let begun = Instant::now();
    loop {
        let left = descendants(top);
        for stat in &left {
            sys::kill(stat.pid as i32, libc::SIGKILL);
        }
        reap();
        if left.is_empty() || begun.elapsed() > LONGEST {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn is_detached(pid: u32) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment
        .split(|byte| *byte == 0)
        .any(|variable| variable.strip_prefix(DETACHED.as_bytes()).is_some_and(|rest| rest.starts_with(b"=")))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn descendants_are_found_in_other_groups_and_sessions_but_for_detached_runs() {
        let script = "setsid sh -c 'echo $$; exec sleep 600' & MONITOR_RUN_DETACHED=1 sh -c 'echo $$; sleep 600' & echo $$; wait";
        let mut shell = Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(shell.stdout.take().unwrap()));
        let pids: Vec<u32> = (0..3).map(|_| lines.next().unwrap().unwrap().parse().unwrap()).collect();
        // One of the three is the shell itself, which is no descendant of its own.
        let found: Vec<u32> = descendants(shell.id()).iter().map(|stat| stat.pid).collect();
        let others: Vec<u32> = pids.into_iter().filter(|pid| *pid != shell.id()).collect();
        let (detached, mine): (Vec<u32>, Vec<u32>) = others.iter().partition(|pid| is_detached(**pid));
        assert_eq!((detached.len(), mine.len()), (1, 1));
        assert!(found.contains(&mine[0]) && !found.contains(&detached[0]), "{found:?}");
        let beyond: Vec<u32> = descendants(detached[0]).iter().map(|stat| stat.pid).collect();
        kill(shell.id(), || {});
        assert!(descendants(shell.id()).is_empty());
        for pid in detached.into_iter().chain(beyond) {
            sys::kill(pid as i32, libc::SIGKILL);
        }
        shell.kill().unwrap();
        shell.wait().unwrap();
    }
}
