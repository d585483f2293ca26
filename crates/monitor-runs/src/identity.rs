//! Identity of a process. Pids are reused, in particular after a reboot, so a pid is stored with start time and boot id.

use std::fs;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

/// Identity of a process on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Pid.
    pub pid: u32,
    /// Start time, in clock ticks since boot.
    pub start: u64,
    /// Boot id of the machine.
    pub boot: String,
}

impl Identity {
    /// Returns the identity of the process that has this pid now.
    pub fn of(pid: u32) -> Option<Self> {
        Some(Self { pid, start: Stat::of(pid)?.start, boot: boot().to_owned() })
    }

    /// Returns the identity of this program.
    pub fn own() -> Option<Self> {
        Self::of(std::process::id())
    }

    /// Returns true if the process is alive.
    pub fn is_alive(&self) -> bool {
        self.boot == boot() && Stat::of(self.pid).is_some_and(|stat| stat.start == self.start && !stat.is_dead())
    }
}

/// Status of a process.
#[derive(Debug, Clone, Copy)]
pub struct Stat {
    /// Pid.
    pub pid: u32,
    /// State: `R`, `S`, `Z` …
    pub state: char,
    /// Pid of its parent.
    pub parent: u32,
    /// Start time, in clock ticks since boot.
    pub start: u64,
}

impl Stat {
    /// Returns the status of the process that has this pid now.
    pub fn of(pid: u32) -> Option<Self> {
        Self::parse(pid, &fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(pid: u32, text: &[u8]) -> Option<Self> {
        // The name before it may contain any characters, including parentheses.
        let end = text.iter().rposition(|byte| *byte == b')')?;
        let mut fields = std::str::from_utf8(text.get(end + 2..)?).ok()?.split(' ');
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        let start = fields.nth(17)?.parse().ok()?;
        Some(Self { pid, state, parent, start })
    }

    /// Returns true if the process has ended and only waits to be reaped.
    pub fn is_dead(self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }
}

/// Returns all visible processes of this machine.
pub(crate) fn all() -> Vec<Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Stat::of(entry.file_name().to_str()?.parse().ok()?)).collect()
}

/// Returns the current boot id, cached because it does not change.
fn boot() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_of_another_start_or_boot_is_another_process() {
        let own = Identity::own().unwrap();
        assert!(own.is_alive());
        assert!(!Identity { start: own.start + 1, ..own.clone() }.is_alive());
        assert!(!Identity { boot: "another".to_owned(), ..own }.is_alive());
    }

    #[test]
    fn a_name_may_contain_any_characters() {
        let rest = "S 12 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 4711 9 9\n";
        for name in ["sh", "a b", ") R 1 (", "\u{ff}\n)"] {
            let stat = Stat::parse(7, format!("7 ({name}) {rest}").as_bytes()).unwrap();
            assert_eq!((stat.state, stat.parent, stat.start, stat.is_dead()), ('S', 12, 4_711, false), "{name:?}");
        }
        assert!(Stat::parse(7, format!("7 (sh) Z{}", &rest[1..]).as_bytes()).unwrap().is_dead());
        for bad in ["", "7 (sh", "7 (sh)", "7 (sh) S", "7 (sh) S 12 7", "7 (sh) S x 7 7 0"] {
            assert!(Stat::parse(7, bad.as_bytes()).is_none(), "{bad:?}");
        }
    }
}
