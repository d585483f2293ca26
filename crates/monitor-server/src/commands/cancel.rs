//! The end of a process and of all below it, in whatever program that runs. Each worker that runs any of it is told which of its processes
//! are meant. What begins meanwhile is told as well, until nothing is left or the time is over; what goes on then is named.

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
/// How often it is looked what goes on.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Answers of workers that have ended what they ran are waited for so long.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// So many processes that go on are named.
const MOST_NAMED: usize = 100;
/// One order names so many processes. Those beyond are in the next one.
const MOST_TOLD: usize = 2_000;
/// Processes are read in pages of so many.
const PAGE: usize = 1_000;

/// What each worker was told.
type Told = HashMap<WorkerId, HashSet<ProcessId>>;

/// The processes that are to end, and that have not: those that run, or wait to.
#[derive(Debug, Default)]
struct Open(BTreeMap<ProcessId, Process>);

impl Commands {
    /// Has a process end, or a whole tree, and waits until it has or the time is over.
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
                // It can't be asked again: nothing else has this key.
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
                // Of one that was told more than once, the word that isn't good.
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

    /// What is open of a tree: below this process and itself, or all.
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
    /// Builds the request for the workers that run processes to be cancelled, with the ids for each worker, without ids that were sent before.
    fn order(&self, root: RootId, top: Option<ProcessId>, timeout_ms: u64, told: &Told) -> (CommandRequest, Each) {
        let mut ids: BTreeMap<WorkerId, Vec<ProcessId>> = BTreeMap::new();
        for process in self.0.values() {
            let Some(worker) = process.worker_id else { continue };
            // What a program begins next hangs below what it was started by, which another program runs.
            let parent = process.parent_id.filter(|parent| self.0.contains_key(parent));
            let known = told.get(&worker);
            // Of a whole tree it need not be told again.
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
        // Without ids the whole tree is meant, what begins later as well.
        (request, ids.into_iter().map(|(worker, ids)| (worker, arguments("processes", top.map(|_| json!(ids))))).collect())
    }

    /// Names what goes on.
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

/// The processes that an order names.
fn ids_of(arguments: &Fields) -> impl Iterator<Item = ProcessId> + '_ {
    let ids = arguments.get("processes").and_then(serde_json::Value::as_array).map(Vec::as_slice).unwrap_or_default();
    ids.iter().filter_map(|id| id.as_str()?.parse().ok())
}

/// None if there is no such tree or process.
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

/// Returns true if a process is another one, or below it. What is between them may have ended.
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
