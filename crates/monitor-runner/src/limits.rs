//! Limits of memory and CPU time for a command. They apply to the whole tree in a cgroup if the system permits that, otherwise to each
//! process by rlimits.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use monitor_runs::Spec;
use monitor_runs::tree::DETACHED_GROUP;
use rustix::process::{Resource, Rlimit, setrlimit};

/// Enforcement of the limits of a [`Spec`].
#[derive(Debug, Default)]
pub(crate) struct Limits {
    cgroup: Option<Cgroup>,
    /// CPU limit of the cgroup. The launcher enforces it by polling.
    pub(crate) cpu: Option<Duration>,
    rlimit_memory: Option<u64>,
    rlimit_cpu: Option<u64>,
}

impl Limits {
    /// Creates the limits. A detached run always gets a cgroup below the launcher's, if permitted. The cgroup identifies all processes of
    /// the run even after launcher or helper have died.
    pub(crate) fn new(spec: &Spec, is_detached: bool) -> Self {
        if spec.memory.is_none() && spec.cpu.is_none() {
            let own = || Cgroup::places().next().and_then(|place| Cgroup::make(&place, is_detached, None).ok());
            return Self { cgroup: if is_detached { own() } else { None }, ..Self::default() };
        }
        Self::within(spec, is_detached, Cgroup::places())
    }

    fn within(spec: &Spec, is_detached: bool, mut places: impl Iterator<Item = PathBuf>) -> Self {
        let cgroup = places.find_map(|place| Cgroup::make(&place, is_detached, spec.memory).ok());
        let has_group = cgroup.is_some();
        // A cgroup without the memory controller still measures CPU time.
        let cgroup = cgroup.or_else(|| {
            if spec.cpu.is_some() { Cgroup::places().find_map(|place| Cgroup::make(&place, is_detached, None).ok()) } else { None }
        });
        Self {
            cpu: spec.cpu.filter(|_| cgroup.is_some()),
            rlimit_cpu: spec.cpu.filter(|_| cgroup.is_none()).map(|cpu| cpu.as_secs() + u64::from(cpu.subsec_nanos() > 0)),
            rlimit_memory: spec.memory.filter(|_| !has_group),
            cgroup,
        }
    }

    /// Describes the enforcement, as fields of the process: `memory: cgroup`, `cpu: rlimit, for each process`.
    pub(crate) fn words(&self, spec: &Spec) -> Vec<(&'static str, String)> {
        let how = |by_rlimit: bool| if by_rlimit { "rlimit, for each process" } else { "cgroup" };
        let memory = spec.memory.map(|bytes| ("memory_limit", format!("{bytes} bytes by {}", how(self.rlimit_memory.is_some()))));
        let cpu = spec.cpu.map(|cpu| ("cpu_limit", format!("{} by {}", monitor_duration::write(cpu), how(self.rlimit_cpu.is_some()))));
        memory.into_iter().chain(cpu).collect()
    }

    /// Returns the folder of the cgroup.
    pub(crate) fn group(&self) -> Option<PathBuf> {
        self.cgroup.as_ref().map(|cgroup| cgroup.folder.clone())
    }

    /// Returns the CPU time used by the whole cgroup.
    pub(crate) fn used_cpu(&self) -> Option<Duration> {
        let text = fs::read_to_string(self.cgroup.as_ref()?.folder.join("cpu.stat")).ok()?;
        let micros = text.lines().find_map(|line| line.strip_prefix("usage_usec "))?.trim().parse().ok()?;
        Some(Duration::from_micros(micros))
    }

    /// Returns the number of processes that were killed because the cgroup exceeded its memory.
    pub(crate) fn killed_for_memory(&self) -> u64 {
        let Some(cgroup) = &self.cgroup else { return 0 };
        let text = fs::read_to_string(cgroup.folder.join("memory.events")).unwrap_or_default();
        text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok()).unwrap_or(0)
    }

    /// Opens the cgroup's folder, so that a child can be forked into it.
    pub(crate) fn group_file(&self) -> Option<File> {
        File::open(&self.cgroup.as_ref()?.folder).ok()
    }

    /// Returns the limits that a child applies to itself before exec.
    pub(crate) fn for_child(&self) -> io::Result<ChildLimits> {
        let open = |cgroup: &Cgroup| OpenOptions::new().write(true).open(cgroup.folder.join("cgroup.procs"));
        Ok(ChildLimits { procs: self.cgroup.as_ref().map(open).transpose()?, memory: self.rlimit_memory, cpu: self.rlimit_cpu })
    }
}

/// Limits that a child applies to itself between fork and exec.
#[derive(Debug)]
pub(crate) struct ChildLimits {
    procs: Option<File>,
    memory: Option<u64>,
    cpu: Option<u64>,
}

impl ChildLimits {
    /// Called if the child was forked into the cgroup.
    pub(crate) fn is_in_group(&mut self) {
        self.procs = None;
    }

    pub(crate) fn memory(&self) -> io::Result<()> {
        if let Some(mut procs) = self.procs.as_ref() {
            procs.write_all(b"0")?;
        }
        // Limits data, not addresses, because programs may reserve far more addresses than memory.
        self.memory.map_or(Ok(()), |bytes| set(Resource::Data, bytes, bytes))
    }

    pub(crate) fn cpu(&self) -> io::Result<()> {
        self.cpu.map_or(Ok(()), |seconds| set(Resource::Cpu, seconds, seconds + 5))
    }
}

fn set(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    Ok(setrlimit(resource, Rlimit { current: Some(soft), maximum: Some(hard) })?)
}

/// A cgroup for one command. Dropping this removes the cgroup, unless a process still runs in it.
#[derive(Debug)]
struct Cgroup {
    folder: PathBuf,
}

impl Cgroup {
    /// Returns candidate folders for a new cgroup: the group of this program, and its parent.
    fn places() -> impl Iterator<Item = PathBuf> {
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        places(&text("/proc/self/cgroup"), &text("/proc/self/mounts")).into_iter()
    }

    fn make(place: &Path, is_detached: bool, memory: Option<u64>) -> io::Result<Self> {
        let begin = if is_detached { DETACHED_GROUP } else { "monitor-run-" };
        let cgroup = Self { folder: place.join(format!("{begin}{}", std::process::id())) };
        fs::create_dir(&cgroup.folder)?;
        if let Some(bytes) = memory {
            fs::write(cgroup.folder.join("memory.max"), bytes.to_string())?;
            // Missing without swap accounting, and on older systems.
            let _ = fs::write(cgroup.folder.join("memory.swap.max"), "0");
            let _ = fs::write(cgroup.folder.join("memory.oom.group"), "1");
        }
        Ok(cgroup)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
    }
}

/// Parses `/proc/self/cgroup` and `/proc/self/mounts`. Empty without cgroup v2.
fn places(groups: &str, mounts: &str) -> Vec<PathBuf> {
    let Some(own) = groups.lines().find_map(|line| line.strip_prefix("0::/")) else { return Vec::new() };
    let mount = mounts.lines().find_map(|line| {
        let mut words = line.split(' ');
        let (_, at, kind) = (words.next()?, words.next()?, words.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(at))
    });
    let Some(mount) = mount else { return Vec::new() };
    let beside = Path::new(own).parent().map(|parent| mount.join(parent));
    [mount.join(own)].into_iter().chain(beside).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_created_below_or_next_to_the_own_group_of_version_2() {
        let mounts = "proc /proc proc rw 0 0\ncgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\nc /sys/fs/cgroup cgroup2 rw 0 0\n";
        let check = |groups: &str, mounts: &str, expected: &[&str]| {
            assert_eq!(places(groups, mounts), expected.iter().map(PathBuf::from).collect::<Vec<_>>(), "{groups}");
        };
        check("0::/user.slice/a.scope\n", mounts, &["/sys/fs/cgroup/user.slice/a.scope", "/sys/fs/cgroup/user.slice"]);
        check("4:memory:/x\n0::/\n", mounts, &["/sys/fs/cgroup/"]);
        check("4:memory:/x\n", mounts, &[]);
        check("0::/a\n", "cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n", &[]);
        check("", "", &[]);
    }

    /// A plain folder simulates the cgroup file system.
    #[test]
    fn a_group_limits_all_processes_together_and_measures_their_use() {
        let place = tempfile::tempdir().unwrap();
        let spec = Spec { memory: Some(1 << 20), cpu: Some(Duration::from_millis(2_500)), ..Spec::new(["true"]) };
        let limits = Limits::within(&spec, false, [PathBuf::from("/no/such/place"), place.path().to_owned()].into_iter());
        let group = &limits.cgroup.as_ref().unwrap().folder;
        let expected = [("memory_limit", "1048576 bytes by cgroup".to_owned()), ("cpu_limit", "2s500ms by cgroup".to_owned())];
        assert_eq!(limits.words(&spec), expected);
        assert_eq!(fs::read_to_string(group.join("memory.max")).unwrap(), "1048576");
        assert_eq!((limits.used_cpu(), limits.killed_for_memory()), (None, 0));
        fs::write(group.join("cpu.stat"), "usage_usec 1500\nuser_usec 1000\n").unwrap();
        fs::write(group.join("memory.events"), "low 0\noom 3\noom_kill 2\noom_group_kill 1\n").unwrap();
        assert_eq!((limits.used_cpu(), limits.killed_for_memory()), (Some(Duration::from_micros(1_500)), 2));
        fs::write(group.join("cgroup.procs"), "").unwrap();
        let child = limits.for_child().unwrap();
        assert!(child.procs.is_some() && child.memory.is_none() && child.cpu.is_none());
    }

    #[test]
    fn without_a_group_each_process_is_limited() {
        let spec = Spec { memory: Some(1 << 20), ..Spec::new(["true"]) };
        let limits = Limits::within(&spec, false, std::iter::empty());
        assert_eq!(limits.words(&spec), [("memory_limit", "1048576 bytes by rlimit, for each process".to_owned())]);
        assert_eq!(limits.for_child().unwrap().memory, Some(1 << 20));
        assert!(Limits::new(&Spec::new(["true"]), false).words(&Spec::new(["true"])).is_empty());
    }
}
