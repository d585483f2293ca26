//! What a command may use: by a cgroup of its own where that is allowed, which counts all that it starts together, else by the
//! limits of each process.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::spec::Spec;

/// How the limits of a [`Spec`] are kept.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    cgroup: Option<Cgroup>,
    /// Kept by the cgroup, and by whoever looks at it.
    pub(crate) cpu: Option<Duration>,
    rlimit_memory: Option<u64>,
    rlimit_cpu: Option<u64>,
}

impl Limits {
    pub(crate) fn new(spec: &Spec) -> Self {
        if spec.memory.is_none() && spec.cpu.is_none() {
            return Self::default();
        }
        Self::within(spec, Cgroup::places())
    }

    fn within(spec: &Spec, mut places: impl Iterator<Item = PathBuf>) -> Self {
        let cgroup = places.find_map(|place| Cgroup::make(&place, spec.memory).ok());
        let has_group = cgroup.is_some();
        // A group without the controller of memory still counts CPU time.
        let cgroup =
            cgroup.or_else(|| if spec.cpu.is_some() { Cgroup::places().find_map(|place| Cgroup::make(&place, None).ok()) } else { None });
        Self {
            cpu: spec.cpu.filter(|_| cgroup.is_some()),
            rlimit_cpu: spec.cpu.filter(|_| cgroup.is_none()).map(|cpu| cpu.as_secs() + u64::from(cpu.subsec_nanos() > 0)),
            rlimit_memory: spec.memory.filter(|_| !has_group),
            cgroup,
        }
    }

    /// How they are kept, to be shown: `memory: cgroup`, `cpu: rlimit, for each process`.
    pub(crate) fn words(&self, spec: &Spec) -> Vec<(&'static str, String)> {
        let how = |by_rlimit: bool| if by_rlimit { "rlimit, for each process" } else { "cgroup" };
        let memory = spec.memory.map(|bytes| ("memory_limit", format!("{bytes} bytes by {}", how(self.rlimit_memory.is_some()))));
        let cpu = spec.cpu.map(|cpu| ("cpu_limit", format!("{cpu:?} by {}", how(self.rlimit_cpu.is_some()))));
        memory.into_iter().chain(cpu).collect()
    }

    /// CPU time that was used by all together.
    pub(crate) fn used_cpu(&self) -> Option<Duration> {
        let text = fs::read_to_string(self.cgroup.as_ref()?.folder.join("cpu.stat")).ok()?;
        let micros = text.lines().find_map(|line| line.strip_prefix("usage_usec "))?.trim().parse().ok()?;
        Some(Duration::from_micros(micros))
    }

    /// Whether something was killed because all together had too much memory.
    pub(crate) fn was_out_of_memory(&self) -> bool {
        let Some(cgroup) = &self.cgroup else { return false };
        let text = fs::read_to_string(cgroup.folder.join("memory.events")).unwrap_or_default();
        text.lines().filter_map(|line| line.strip_prefix("oom_kill ")).any(|count| count.trim() != "0")
    }

    /// What a child does before it becomes the command.
    pub(crate) fn for_child(&self) -> io::Result<ChildLimits> {
        let open = |cgroup: &Cgroup| OpenOptions::new().write(true).open(cgroup.folder.join("cgroup.procs"));
        Ok(ChildLimits { procs: self.cgroup.as_ref().map(open).transpose()?, memory: self.rlimit_memory, cpu: self.rlimit_cpu })
    }
}

/// Limits as a child takes them on, between fork and exec.
#[derive(Debug)]
pub(crate) struct ChildLimits {
    procs: Option<File>,
    memory: Option<u64>,
    cpu: Option<u64>,
}

impl ChildLimits {
    pub(crate) fn memory(&self) -> io::Result<()> {
        if let Some(mut procs) = self.procs.as_ref() {
            procs.write_all(b"0")?;
        }
        // Not of addresses: programs may reserve more of these than any machine has.
        self.memory.map_or(Ok(()), |bytes| set(Resource::Data, bytes, bytes))
    }

    pub(crate) fn cpu(&self) -> io::Result<()> {
        self.cpu.map_or(Ok(()), |seconds| set(Resource::Cpu, seconds, seconds + 5))
    }
}

fn set(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    Ok(setrlimit(resource, Rlimit { current: Some(soft), maximum: Some(hard) })?)
}

/// A control group for one command. Gone with this, unless something still runs in it.
#[derive(Debug)]
struct Cgroup {
    folder: PathBuf,
}

impl Cgroup {
    /// Where one may be made: below the group of this program, or beside it.
    fn places() -> impl Iterator<Item = PathBuf> {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let path = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default().to_owned();
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let mount = mounts.lines().find_map(|line| {
            let mut words = line.split(' ');
            let (_, at, kind) = (words.next()?, words.next()?, words.next()?);
            (kind == "cgroup2").then(|| PathBuf::from(at))
        });
        let below = mount.as_ref().map(|mount| mount.join(&path));
        let beside = mount.filter(|_| !path.is_empty()).and_then(|mount| Some(mount.join(Path::new(&path).parent()?)));
        below.into_iter().chain(beside)
    }

    fn make(place: &Path, memory: Option<u64>) -> io::Result<Self> {
        let cgroup = Self { folder: place.join(format!("monitor-run-{}", std::process::id())) };
        fs::create_dir(&cgroup.folder)?;
        if let Some(bytes) = memory {
            fs::write(cgroup.folder.join("memory.max"), bytes.to_string())?;
            // Absent without swap accounting, and on older systems.
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
