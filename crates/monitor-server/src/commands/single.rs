//! Selection of the workers that execute a command: all targets, or a single one for actions that must not be done twice (`call`, `purge`,
//! `retry`).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use monitor_store::ProcessesQuery;
use monitor_wire::{CommandRequest, CommandStatus, CommandTo, Fields, Order, SINGLE_METHODS, WorkerId};
use serde_json::{Value, json};

use super::ask::Each;
use super::names::Target;
use super::{Caller, CommandError, Commands};

/// Time to wait for the workers' queues before one worker is chosen.
const QUEUES_TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum number of workers that are queried for their queues.
const MOST_ASKED: usize = 100;

/// Targets of a command, with the arguments of those that get other arguments than the command's.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) targets: Vec<Target>,
    pub(super) each: Each,
}

impl Commands {
    /// Selects the targets of a command. A method of [`SINGLE_METHODS`] goes to one of the named workers that support it: the one that
    /// consumes the queue in question, or for a task to be retried the one that executed it, if that worker still supports the method.
    pub(super) async fn plan(self: &Arc<Self>, caller: &Caller, request: &CommandRequest, timeout: Duration) -> Result<Plan, CommandError> {
        let mut targets = self.targets(request).await?;
        caller.origin.check(request, &mut targets)?;
        if !SINGLE_METHODS.contains(&request.method.as_str()) {
            return Ok(Plan { targets, each: Each::new() });
        }
        if request.until_us.is_some() {
            let detail = format!("`until_us`: {} is done by one worker that is online now: leave it out", request.method);
            return Err(CommandError::Parameter { name: "until_us".to_owned(), detail });
        }
        let mut offering = self.offering(&request.method, targets)?;
        match Order::read(&request.method, &request.arguments) {
            Ok(Some(Order::Retry { ids })) => self.plan_retry(offering, ids).await,
            Ok(Some(Order::Call(call))) => {
                let queues: Vec<String> = call.queue.into_iter().collect();
                let at = self.consumer(caller, &offering, &queues, timeout).await?;
                Ok(Plan { targets: vec![offering.swap_remove(at)], each: Each::new() })
            }
            Ok(Some(Order::Purge(purge))) => {
                let at = self.consumer(caller, &offering, &purge.queues, timeout).await?;
                Ok(Plan { targets: vec![offering.swap_remove(at)], each: Each::new() })
            }
            _ => Ok(Plan { targets: vec![offering.swap_remove(0)], each: Each::new() }),
        }
    }

    /// Returns the targets that support a method on an open channel. Returns an error if there are none.
    fn offering(&self, method: &str, targets: Vec<Target>) -> Result<Vec<Target>, CommandError> {
        let hub = self.hub();
        let does = |worker: &WorkerId| hub.channels.get(worker).is_some_and(|channel| channel.does(method));
        let asked = targets.len();
        let offers = |target: &Target| target.refusal.is_none() && target.worker.as_ref().is_some_and(|known| does(&known.id));
        let offering: Vec<Target> = targets.into_iter().filter(offers).collect();
        if !offering.is_empty() {
            return Ok(offering);
        }
        let others = hub.channels.values().filter(|channel| channel.does(method)).count();
        let who = match (asked, others) {
            (_, 0) => "no worker that is online offers it".to_owned(),
            (1, _) => format!("the worker that is meant doesn't offer it, {others} others do"),
            (_, _) => format!("none of the {asked} workers that are meant offers it, {others} others do"),
        };
        Err(CommandError::NotOffered { method: method.to_owned(), who })
    }

    /// Returns the index of the worker that consumes most of these queues. Returns 0 if no worker does, or no queue is named.
    async fn consumer(
        self: &Arc<Self>,
        caller: &Caller,
        offering: &[Target],
        queues: &[String],
        timeout: Duration,
    ) -> Result<usize, CommandError> {
        if queues.is_empty() || offering.len() == 1 {
            return Ok(0);
        }
        let ids = |target: &Target| target.worker.as_ref().map(|known| known.id);
        let method = "active-queues".to_owned();
        let asked: Vec<Target> = {
            let hub = self.hub();
            let does = |target: &&Target| ids(target).and_then(|id| hub.channels.get(&id)).is_some_and(|channel| channel.does(&method));
            offering.iter().take(MOST_ASKED).filter(does).cloned().collect()
        };
        if asked.is_empty() || self.check_allowed(&method).is_err() {
            return Ok(0);
        }
        let to = CommandTo { workers: asked.iter().filter_map(ids).map(|id| id.to_string()).collect(), glob: None };
        let timeout = timeout.min(QUEUES_TIMEOUT);
        let request = CommandRequest { method, to, timeout_ms: Some(timeout.as_millis() as u64), ..CommandRequest::default() };
        let caller = Caller { name: caller.name.clone(), key: None, origin: caller.origin };
        let plan = Plan { targets: asked, each: Each::new() };
        let id = self.begin(&caller, request, plan, timeout, [0; 32]).await?;
        let answered = self.wait(id, timeout).await?;
        let taken = |value: &Value| queues.iter().filter(|queue| has_queue(value, queue)).count();
        let answers = answered.lines.iter().filter(|line| line.status == CommandStatus::OK);
        let counts: HashMap<WorkerId, usize> = answers.filter_map(|line| Some((line.worker_id?, taken(line.value.as_ref()?)))).collect();
        let count = |target: &Target| ids(target).and_then(|id| counts.get(&id)).copied().unwrap_or(0);
        // In reverse, so that `max_by_key`, which returns the last maximum, selects the first worker.
        Ok((0..offering.len()).rev().max_by_key(|at| count(&offering[*at])).unwrap_or(0))
    }

    /// Assigns each task to the worker that executed it last, or to the first worker if the former isn't there.
    async fn plan_retry(&self, offering: Vec<Target>, ids: Vec<String>) -> Result<Plan, CommandError> {
        let store = self.store.clone();
        let looked_up = tokio::task::spawn_blocking(move || {
            let worker = |id: String| {
                // No condition on the kind, because for some tasks only later events are known.
                let query = ProcessesQuery { native_id: Some(id.clone()), limit: 100, ..ProcessesQuery::default() };
                let task = store.processes(&query)?.processes.into_iter().find(|process| process.task.is_some());
                Ok::<_, monitor_store::StoreError>((id, task.and_then(|task| task.worker_id)))
            };
            ids.into_iter().map(worker).collect::<Result<Vec<_>, _>>()
        });
        let mut told: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for (id, worker) in looked_up.await?? {
            let had_it = |target: &Target| target.worker.as_ref().is_some_and(|known| Some(known.id) == worker);
            let ids = told.entry(offering.iter().position(had_it).unwrap_or(0)).or_default();
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        let (mut targets, mut each) = (Vec::new(), Each::new());
        for (at, target) in offering.into_iter().enumerate() {
            if let (Some(ids), Some(known)) = (told.remove(&at), &target.worker) {
                each.insert(known.id, Fields::from([("ids".to_owned(), json!(ids))]));
                targets.push(target);
            }
        }
        Ok(Plan { targets, each })
    }
}

/// True if a worker's reply to `active-queues` contains a queue.
fn has_queue(answer: &Value, queue: &str) -> bool {
    answer["queues"].as_array().is_some_and(|queues| queues.iter().any(|known| known["name"] == queue || known == queue))
}
