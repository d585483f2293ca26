//! Cancels a process and all processes below it, in all programs that take part. Each worker that runs some of them is sent their ids. New
//! processes are searched for repeatedly and sent as well, until nothing is running or the time is over. The result names the processes
//! that are still running.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use monitor_store::{ProcessesQuery, Queries, RootKey, StoreError};
use monitor_wire::{
    CancelRequest, Cancelled, CommandLine, CommandRequest, CommandTo, Fields, Process, ProcessId, RootId, State, StillRunning, WorkerId,
};
use serde_json::json;
use tokio::time::Instant;

use super::ask::{Each, TIMEOUT_MS};
use super::single::Plan;
use super::{Caller, CommandError, Commands};

const DEFAULT_TIMEOUT_MS: u64 = 10_000;
/// Interval of the search for processes that are still running.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Time to wait for the replies of workers whose processes have ended.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Maximum number of running processes named in the result.
const MOST_NAMED: usize = 100;
/// Maximum number of processes in an order. Further processes are sent in the next order.
const MOST_TOLD: usize = 2_000;
/// Number of processes read per page.
const PAGE: usize = 1_000;

/// Ids that have been sent to each worker.
type Told = HashMap<WorkerId, HashSet<ProcessId>>;

/// Processes to cancel that have not ended, running or pending.
#[derive(Debug, Default)]
struct Open(BTreeMap<ProcessId, Process>);

impl Commands {
    /// Cancels a process or a whole run, and waits until it has ended or the time is over.
    pub(crate) async fn cancel(self: &Arc<Self>, caller: Caller, root: RootId, request: CancelRequest) -> Result<Cancelled, CommandError> {
        let timeout_ms = request.timeout_ms.unwrap_or(DEFAULT_TIMEOUT_MS);
        if !TIMEOUT_MS.contains(&timeout_ms) {
            let detail = format!("`timeout_ms`: expected a number from {} to {}", TIMEOUT_MS.start(), TIMEOUT_MS.end());
            return Err(CommandError::Parameter { name: "timeout_ms".to_owned(), detail });
        }
        let timeout = Duration::from_millis(timeout_ms);
        let process = request.process;
        let mut open = self.open_below(root, process).await?;
        let mut result =
            Cancelled { root_id: root, process, meant: 0, running: 0, still: Vec::new(), lines: Vec::new(), commands: Vec::new() };
        if request.dry_run {
            let (asked, _) = open.order(root, process, timeout_ms, &Told::new());
            if !asked.to.workers.is_empty() {
                let request = CommandRequest { dry_run: true, ..asked };
                result.lines = self.ask(Caller::server(caller.name, None), request).await?.lines;
            }
            result.meant = open.0.len() as u64;
            return Ok(open.name(result));
        }
        let until = Instant::now() + timeout;
        let (mut meant, mut told) = (HashSet::new(), Told::new());
        loop {
            meant.extend(open.0.keys().copied());
            let (asked, each) = open.order(root, process, timeout_ms, &told);
            if !asked.to.workers.is_empty() {
                for (worker, arguments) in &each {
                    told.entry(*worker).or_default().extend(ids_of(arguments));
                }
                // The order has no key, so the hash of its request is never compared.
                let plan = Plan { targets: self.targets(&asked).await?, each };
                result.commands.push(self.begin(&Caller::server(caller.name.clone(), None), asked, plan, timeout, [0; 32]).await?);
            }
            if open.0.is_empty() || Instant::now() >= until || self.stopping.is_cancelled() {
                break;
            }
            self.clock.sleep(LOOK_EVERY).await;
            open = self.open_below(root, process).await?;
        }
        let patience = until.saturating_duration_since(Instant::now()).min(LAST_WORDS);
        let mut lines: HashMap<Option<WorkerId>, CommandLine> = HashMap::new();
        for command in &result.commands {
            for line in self.wait(*command, patience).await?.lines {
                // If a worker has replied to several orders, a reply other than `ok` is kept.
                let known = lines.entry(line.worker_id).or_insert_with(|| line.clone());
                if *known.status.as_str() == *"ok" {
                    *known = line;
                }
            }
        }
        result.lines = lines.into_values().collect();
        result.lines.sort_by(|a, b| a.name.cmp(&b.name));
        result.meant = meant.len() as u64;
        Ok(open.name(result))
    }

    /// Returns the processes of a run that have not ended: `process` and those below it, or all.
    async fn open_below(&self, root: RootId, process: Option<ProcessId>) -> Result<Open, CommandError> {
        let store = self.store.clone();
        let found = tokio::task::spawn_blocking(move || open_below(&*store, RootKey::Id(root), process)).await??;
        found.ok_or(match process {
            Some(process) => CommandError::UnknownProcess { process, root },
            None => CommandError::UnknownTree(root),
        })
    }
}

impl Open {
    /// Builds the request for the workers that run processes to cancel, with the ids for each worker, without ids that were sent before.
    fn order(&self, root: RootId, top: Option<ProcessId>, timeout_ms: u64, told: &Told) -> (CommandRequest, Each) {
        let mut ids: BTreeMap<WorkerId, Vec<ProcessId>> = BTreeMap::new();
        for process in self.0.values() {
            let Some(worker) = process.worker_id else { continue };
            // A process that the program starts later is a child of a process that may belong to another program, so the parent's id is
            // sent too.
            let parent = process.parent_id.filter(|parent| self.0.contains_key(parent));
            let known = told.get(&worker);
            // For a whole run, each worker is sent only one order.
            let is_told = |id: &ProcessId| known.is_some_and(|known| top.is_none() || known.contains(id));
            ids.entry(worker).or_default().extend([Some(process.id), parent].into_iter().flatten().filter(|id| !is_told(id)));
        }
        ids.retain(|_, ids| {
            ids.sort_unstable();
            ids.dedup();
            ids.truncate(MOST_TOLD);
            !ids.is_empty()
        });
        let arguments = |name: &str, value: Option<serde_json::Value>| -> Fields {
            let tree = ("root_id".to_owned(), json!(root));
            [Some(tree), value.map(|value| (name.to_owned(), value))].into_iter().flatten().collect()
        };
        let to = CommandTo { workers: ids.keys().map(ToString::to_string).collect(), glob: None };
        let request = CommandRequest {
            method: "cancel".to_owned(),
            arguments: arguments("process", top.map(|top| json!(top))),
            to,
            timeout_ms: Some(timeout_ms),
            ..CommandRequest::default()
        };
        // Without ids, the order means the whole run, including processes that start later.
        (request, ids.into_iter().map(|(worker, ids)| (worker, arguments("processes", top.map(|_| json!(ids))))).collect())
    }

    /// Adds the processes that are still running to the result.
    fn name(self, result: Cancelled) -> Cancelled {
        let still = |process: &Process| StillRunning {
            id: process.id,
            name: process.name.clone(),
            state: process.state.clone(),
            worker_id: process.worker_id,
        };
        Cancelled { running: self.0.len() as u64, still: self.0.values().take(MOST_NAMED).map(still).collect(), ..result }
    }
}

/// Returns the processes that an order names.
fn ids_of(arguments: &Fields) -> impl Iterator<Item = ProcessId> + '_ {
    let ids = arguments.get("processes").and_then(serde_json::Value::as_array).map(Vec::as_slice).unwrap_or_default();
    ids.iter().filter_map(|id| id.as_str()?.parse().ok())
}

/// Returns the processes that have not ended. `None` if the run or process does not exist.
fn open_below(store: &dyn Queries, root: RootKey, process: Option<ProcessId>) -> Result<Option<Open>, StoreError> {
    let is_there = match process {
        Some(id) => store.process(root, id)?.is_some(),
        None => store.root(root)?.is_some(),
    };
    if !is_there {
        return Ok(None);
    }
    let mut query =
        ProcessesQuery { root: Some(root), states: vec![State::RUNNING, State::PENDING], limit: PAGE, ..ProcessesQuery::default() };
    let mut all = Vec::new();
    loop {
        let page = store.processes(&query)?;
        all.extend(page.processes);
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            break;
        }
    }
    let Some(top) = process else { return Ok(Some(Open(all.into_iter().map(|process| (process.id, process)).collect()))) };
    let mut parents: HashMap<ProcessId, Option<ProcessId>> = all.iter().map(|process| (process.id, process.parent_id)).collect();
    let mut below = Open::default();
    for process in all {
        if is_below(store, root, process.id, top, &mut parents)? {
            below.0.insert(process.id, process);
        }
    }
    Ok(Some(below))
}

/// True if a process is `top` or below it. Processes between the two may have ended.
fn is_below(
    store: &dyn Queries,
    root: RootKey,
    id: ProcessId,
    top: ProcessId,
    parents: &mut HashMap<ProcessId, Option<ProcessId>>,
) -> Result<bool, StoreError> {
    let (mut at, mut seen) = (id, HashSet::new());
    while at != top && seen.insert(at) {
        let parent = match parents.get(&at) {
            Some(parent) => *parent,
            None => store.process(root, at)?.and_then(|process| process.parent_id),
        };
        parents.insert(at, parent);
        let Some(parent) = parent else { return Ok(false) };
        at = parent;
    }
    Ok(at == top)
}
