//! Names of workers, and selection of the workers that a command is for.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use globset::GlobBuilder;
use monitor_tasks::reading::did_you_mean;
use monitor_wire::{CommandStatus, CommandTo, Worker, WorkerId, WorkerRole};

use super::CommandError;
use crate::live::Pattern;

/// Maximum number of workers of a command.
const MOST_WORKERS: usize = 10_000;
/// Maximum length of a pattern or name, in bytes.
const LONGEST: usize = 1_000;

/// Parts of a worker's name. They never change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// `program@host`
    pub(super) plain: String,
    pub(super) pid: u32,
    pub(super) started_us: Option<u64>,
    /// True for a program that relays other workers. It executes no commands itself.
    pub(super) is_bridge: bool,
}

/// Beginning of the names of agents.
const AGENT: &str = "monitor-agent@";

impl Identity {
    /// True for an agent, whose channel is opened with the token of its name.
    pub(super) fn is_agent(&self) -> bool {
        self.plain.starts_with(AGENT)
    }

    /// True if the name, with or without the pid, matches the pattern.
    pub(super) fn is_like(&self, pattern: &Pattern) -> bool {
        pattern.matches(&self.plain) || pattern.matches(&format!("{}:{}", self.plain, self.pid))
    }
}

impl From<&Worker> for Identity {
    fn from(worker: &Worker) -> Self {
        let plain = format!("{}@{}", worker.program, worker.hostname);
        Self { plain, pid: worker.pid, started_us: worker.started_us, is_bridge: worker.role == Some(WorkerRole::BRIDGE) }
    }
}

/// Worker that is online or was online.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) id: WorkerId,
    pub(super) identity: Arc<Identity>,
    pub(super) last_seen_us: u64,
    pub(super) is_online: bool,
}

/// One worker, or any worker of a name.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) worker: Option<Known>,
    pub(super) name: String,
    /// Name whose workers may take the command, if it is durable.
    pub(super) shared: Option<String>,
    /// Reason why the command isn't sent to the target.
    pub(super) refusal: Option<String>,
}

impl Target {
    /// True for an agent, online or awaited.
    pub(super) fn is_agent(&self) -> bool {
        self.worker.as_ref().map_or_else(|| self.name.starts_with(AGENT), |worker| worker.identity.is_agent())
    }
}

/// Returns names of workers: `program@host`, with `:pid` if several share that, and with the beginning of the id if they share even that.
pub(super) fn names(workers: &[Known]) -> Vec<String> {
    let mut plain: HashMap<&str, usize> = HashMap::new();
    let mut with_pid: HashMap<(&str, u32), usize> = HashMap::new();
    for Known { identity, .. } in workers {
        *plain.entry(&identity.plain).or_default() += 1;
        *with_pid.entry((&identity.plain, identity.pid)).or_default() += 1;
    }
    let name = |Known { id, identity, .. }: &Known| {
        let Identity { plain: name, pid, .. } = &**identity;
        match (plain[name.as_str()], with_pid[&(name.as_str(), *pid)]) {
            (1, _) => name.clone(),
            (_, 1) => format!("{name}:{pid}"),
            _ => format!("{name}:{pid}#{}", &id.to_string()[..8]),
        }
    };
    workers.iter().map(name).collect()
}

/// Returns the ids that a command names, for looking up workers that aren't online.
pub(super) fn named_ids(to: &CommandTo) -> Vec<WorkerId> {
    to.workers.iter().filter_map(|name| name.parse().ok()).collect()
}

/// Returns the workers that a command is for. `known` contains the online workers, and others that the command names by id.
pub(super) fn meant(to: &CommandTo, known: &[Known], is_durable: bool) -> Result<Vec<Target>, CommandError> {
    let (online, others): (Vec<Known>, Vec<Known>) = known.iter().cloned().partition(|worker| worker.is_online);
    let names = names(&online);
    let are_all_meant = to.workers.is_empty() && to.glob.is_none();
    let mut chosen: Vec<bool> = online.iter().map(|worker| are_all_meant && !worker.identity.is_bridge).collect();
    let (mut gone, mut awaited) = (HashSet::new(), HashSet::new());
    for word in &to.workers {
        if word.is_empty() || word.len() > LONGEST {
            return Err(parameter("to.workers", &format!("a worker's name has from 1 to {LONGEST} bytes")));
        }
        if let Ok(id) = word.parse::<WorkerId>() {
            if let Some(at) = online.iter().position(|worker| worker.id == id) {
                chosen[at] = true;
            } else if others.iter().any(|worker| worker.id == id) {
                gone.insert(id);
            } else {
                return Err(CommandError::UnknownWorker(id));
            }
            continue;
        }
        let is_meant = |at: usize| {
            let Identity { plain, pid, .. } = &*online[at].identity;
            names[at] == *word || plain == word || word.strip_prefix(plain.as_str()).is_some_and(|rest| rest == format!(":{pid}"))
        };
        let found: Vec<usize> = (0..online.len()).filter(|at| is_meant(*at)).collect();
        let is_name = found.iter().all(|at| online[*at].identity.plain == *word);
        match found.is_empty() {
            // If a worker ends, its program may start again with the same name and take the command.
            _ if is_durable && is_name && word.contains('@') => drop(awaited.insert(word.clone())),
            false => found.into_iter().for_each(|at| chosen[at] = true),
            true => return Err(unknown(word, &names)),
        }
    }
    if let Some(glob) = &to.glob {
        let wrong = |why: &str| parameter("to.glob", &format!("{why}; expected a pattern like `worker@build-*`"));
        if glob.is_empty() || glob.len() > LONGEST {
            return Err(wrong(&format!("it has from 1 to {LONGEST} bytes")));
        }
        let matcher = GlobBuilder::new(glob).literal_separator(false).build().map_err(|error| wrong(&error.kind().to_string()))?;
        let matcher = matcher.compile_matcher();
        for (at, name) in names.iter().enumerate() {
            chosen[at] |= matcher.is_match(name) || matcher.is_match(&online[at].identity.plain);
        }
    }
    let target = |(worker, name): (&Known, String)| {
        let shared = (is_durable && name == worker.identity.plain).then(|| name.clone());
        Target { worker: Some(worker.clone()), name, shared, refusal: None }
    };
    let of_online = online.iter().zip(names).zip(chosen).filter(|(_, is_chosen)| *is_chosen).map(|(worker, _)| target(worker));
    let of_gone = others.iter().filter(|worker| gone.contains(&worker.id)).map(|worker| {
        let name = format!("{}:{}", worker.identity.plain, worker.identity.pid);
        Target { worker: Some(worker.clone()), name, shared: None, refusal: None }
    });
    let of_names = awaited.iter().map(|name| Target { worker: None, name: name.clone(), shared: Some(name.clone()), refusal: None });
    let mut targets: Vec<Target> = of_online.chain(of_gone).chain(of_names).collect();
    targets.sort_by(|a, b| a.name.cmp(&b.name));
    if targets.len() > MOST_WORKERS {
        return Err(parameter("to", &format!("these are {} workers, and a command is for {MOST_WORKERS} at most", targets.len())));
    }
    Ok(targets)
}

fn unknown(name: &str, names: &[String]) -> CommandError {
    let near = did_you_mean(name, names.iter().map(String::as_str));
    CommandError::UnknownName { name: name.chars().take(100).collect(), near }
}

fn parameter(name: &str, detail: &str) -> CommandError {
    CommandError::Parameter { name: name.to_owned(), detail: format!("`{name}`: {detail}") }
}

/// Returns the initial status of a worker's line: waiting, or final if the result is already known.
pub(super) fn first_status(target: &Target, may_answer: bool) -> CommandStatus {
    match &target.worker {
        Some(worker) if !worker.is_online => CommandStatus::GONE,
        Some(_) if !may_answer => CommandStatus::UNSUPPORTED,
        _ => CommandStatus::WAITING,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(id: u128, plain: &str, pid: u32) -> Known {
        let identity = Arc::new(Identity { plain: plain.to_owned(), pid, started_us: None, is_bridge: plain == "z@h" });
        Known { id: WorkerId::new(id).unwrap(), identity, last_seen_us: 1, is_online: id < 100 }
    }

    fn workers() -> Vec<Known> {
        let online = [(1, "a@h", 7), (2, "b@h", 8), (3, "b@h", 9), (4, "c@k", 1), (5, "c@k", 1), (6, "z@h", 2)];
        online.into_iter().chain([(100, "a@h", 3)]).map(|(id, plain, pid)| known(id, plain, pid)).collect()
    }

    fn meant_by(workers: &[&str], glob: Option<&str>, is_durable: bool) -> Result<Vec<String>, String> {
        let to = CommandTo { workers: workers.iter().map(|&name| name.to_owned()).collect(), glob: glob.map(str::to_owned) };
        let targets = meant(&to, &self::workers(), is_durable).map_err(|error| error.to_string())?;
        Ok(targets.into_iter().map(|target| target.name).collect())
    }

    #[test]
    fn a_worker_gets_the_shortest_unambiguous_name() {
        assert_eq!(names(&workers()[..5]), ["a@h", "b@h:8", "b@h:9", "c@k:1#00000000", "c@k:1#00000000"]);
    }

    #[test]
    fn a_command_selects_the_named_workers() {
        let all = ["a@h", "b@h:8", "b@h:9", "c@k:1#00000000", "c@k:1#00000000"];
        let gone = WorkerId::new(100).unwrap().to_string();
        let none: [&str; 0] = [];
        for (workers, glob, expected) in [
            (&[][..], None, &all[..]),
            (&["a@h"], None, &["a@h"]),
            (&["a@h:7"], None, &["a@h"]),
            (&["b@h"], None, &["b@h:8", "b@h:9"]),
            (&["b@h:9"], None, &["b@h:9"]),
            (&["b@h:9", "b@h:9"], Some("b@*"), &["b@h:8", "b@h:9"]),
            (&[gone.as_str()], None, &["a@h:3"]),
            (&["00000000000000000000000000000002"], Some("a*"), &["a@h", "b@h:8"]),
            (&[], Some("[ab]@h"), &all[..3]),
            // A bridge is meant only if it is named.
            (&[], Some("z*"), &["z@h"]),
            (&[], Some("x*"), &none),
        ] {
            assert_eq!(meant_by(workers, glob, false).unwrap(), expected, "{workers:?} {glob:?}");
        }
        assert!(meant_by(&["b@h:1"], None, false).unwrap_err().contains("did you mean b@h:"));
        assert!(meant_by(&["000000000000000000000000000000aa"], None, false).is_err());
        assert!(meant_by(&[], Some("[a"), false).unwrap_err().contains("`to.glob`"));
        assert!(meant_by(&[&"x".repeat(2_000)], None, false).is_err() && meant_by(&[""], None, true).is_err());
    }

    #[test]
    fn a_durable_command_waits_for_any_worker_with_the_name() {
        assert_eq!(meant_by(&["agent@h"], None, true).unwrap(), ["agent@h"]);
        assert!(meant_by(&["agent"], None, true).is_err(), "no such name can ever come");
        assert_eq!(meant_by(&["b@h"], None, true).unwrap(), ["b@h"], "once, whoever comes first");
        let to = |name: &str| CommandTo { workers: vec![name.to_owned()], glob: None };
        let shared = |name| meant(&to(name), &workers(), true).unwrap()[0].shared.clone();
        assert_eq!((shared("b@h").as_deref(), shared("b@h:9")), (Some("b@h"), None));
    }
}
