//! The state of a [`TaskControl`](super::TaskControl): limits, the pool, and the tasks of the program.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use monitor_core::Context;
use monitor_wire::{Order, ProcessId, QueueLength, RevokedIds, RootId};
use serde_json::{Value, json};

use super::Stop;
use super::limits::{Bounds, Limit, TimeLimit, Timed};
use super::run::Run;

/// Maximum number of entries of a list in an answer.
const MOST_TOLD: usize = 2_000;
/// Maximum number of names with limits, and of queues.
const MOST_NAMES: usize = 1_000;

/// A task that the program has received.
#[derive(Debug)]
pub(super) struct Entry {
    /// Id of the task in the queue.
    pub(super) uuid: Option<String>,
    pub(super) name: String,
    pub(super) queue: Option<String>,
    pub(super) context: Option<Context>,
    pub(super) received_us: u64,
    /// Earliest start.
    pub(super) eta: Option<SystemTime>,
    /// The attempt, once it has started.
    pub(super) run: Option<Arc<Run>>,
}

/// Decision about a task that waits for its turn.
#[derive(Debug)]
pub(super) enum Step {
    Go(Arc<Run>),
    /// Wait until something changes, or until this time.
    Wait(Option<Instant>),
    Never(Stop),
}

#[derive(Debug)]
pub(super) struct State {
    pool: Timed<Bounds>,
    is_paused: Timed<bool>,
    limits: BTreeMap<String, Limit>,
    pub(super) queues: Vec<String>,
    revoked: RevokedIds,
    pub(super) is_stopping: bool,
    tasks: BTreeMap<u64, Entry>,
    next_task: u64,
    /// Wakers of the async tasks that wait for their turn.
    pub(super) wakers: Vec<Waker>,
}

impl State {
    pub(super) fn new(pool: Bounds) -> Self {
        Self {
            pool: Timed::new(pool),
            is_paused: Timed::new(false),
            limits: BTreeMap::new(),
            queues: Vec::new(),
            revoked: RevokedIds::default(),
            is_stopping: false,
            tasks: BTreeMap::new(),
            next_task: 0,
            wakers: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, task: Entry) -> u64 {
        self.next_task += 1;
        self.tasks.insert(self.next_task, task);
        self.next_task
    }

    pub(super) fn entry(&mut self, id: u64) -> Option<&mut Entry> {
        self.tasks.get_mut(&id)
    }

    pub(super) fn remove(&mut self, id: u64) {
        self.tasks.remove(&id);
    }

    /// Starts a task if no setting prevents it.
    pub(super) fn step(&mut self, id: u64) -> Step {
        let (now, time) = (Instant::now(), SystemTime::now());
        let Some(task) = self.tasks.get(&id) else { return Step::Never(Stop::Shutdown) };
        if task.uuid.as_deref().is_some_and(|uuid| self.revoked.has(uuid, micros(time))) {
            return Step::Never(Stop::Revoked);
        }
        if self.is_stopping {
            return Step::Never(Stop::Shutdown);
        }
        if let Some(ahead) = ahead(task, time) {
            return Step::Wait(now.checked_add(ahead));
        }
        if *self.is_paused.get(now) {
            return Step::Wait(self.is_paused.until());
        }
        let name = task.name.clone();
        if let Some(next) = self.limits.get_mut(&name).and_then(|limit| limit.wait(now)) {
            return Step::Wait(Some(next));
        }
        if self.busy() >= self.size(now) {
            return Step::Wait(self.pool.until());
        }
        let limit = self.limits.get_mut(&name).map(|limit| {
            limit.begin(now);
            *limit.time.get(now)
        });
        let TimeLimit { soft, hard } = limit.unwrap_or_default();
        let Some(task) = self.tasks.get_mut(&id) else { return Step::Never(Stop::Shutdown) };
        let at = |limit: Option<Duration>| limit.and_then(|limit| now.checked_add(limit));
        let run = Arc::new(Run::new(task.context, at(soft), at(hard)));
        task.run = Some(run.clone());
        Step::Go(run)
    }

    /// Returns true if one more task of a queue can be accepted, and the time at which that may change without an order.
    pub(super) fn room(&mut self, queue: Option<&str>, now: Instant) -> (bool, Option<Instant>) {
        let takes_from_it = queue.is_none_or(|queue| self.queues.iter().any(|name| name == queue));
        let is_paused = *self.is_paused.get(now);
        let most = self.pool.get(now).max;
        let has_room = takes_from_it && !self.is_stopping && !is_paused && self.tasks.len() < most;
        (has_room, if is_paused { self.is_paused.until() } else { self.pool.until() })
    }

    /// Registers a waker to wake after the next change.
    pub(super) fn wake_later(&mut self, waker: &Waker) {
        if !self.wakers.iter().any(|other| other.will_wake(waker)) {
            self.wakers.push(waker.clone());
        }
    }

    /// Returns the number of running tasks.
    fn busy(&self) -> usize {
        self.tasks.values().filter(|task| task.run.is_some()).count()
    }

    /// Returns the number of tasks that may run now: the number of available tasks, within the bounds.
    pub(super) fn size(&mut self, now: Instant) -> usize {
        let Bounds { min, max } = *self.pool.get(now);
        let time = SystemTime::now();
        let wanted = self.tasks.values().filter(|task| task.run.is_some() || ahead(task, time).is_none()).count();
        wanted.clamp(min, max)
    }

    /// Returns the running tasks that exceed their hard time limit and have no reason to end yet, and the time of the next such limit.
    pub(super) fn overdue(&self, now: Instant) -> (Vec<Arc<Run>>, Option<Instant>) {
        let limited = self.running().filter(|run| run.stopped().is_none()).filter_map(|run| Some((run, run.hard?)));
        let (over, coming): (Vec<_>, Vec<_>) = limited.partition(|(_, hard)| now >= *hard);
        (over.into_iter().map(|(run, _)| run.clone()).collect(), coming.into_iter().map(|(_, hard)| hard).min())
    }

    fn running(&self) -> impl Iterator<Item = &Arc<Run>> {
        self.tasks.values().filter_map(|task| task.run.as_ref())
    }

    /// Executes an order. Returns the answer, and the runs that must end.
    pub(super) fn handle(&mut self, order: Order) -> Result<(Value, Vec<Arc<Run>>), String> {
        let now = Instant::now();
        let mut ended = Vec::new();
        let answer = match order {
            Order::Scheduled => self.list(|task, time| task.run.is_none() && ahead(task, time).is_some()),
            Order::Reserved => self.list(|task, time| task.run.is_none() && ahead(task, time).is_none()),
            Order::Query { ids } => self.query(&ids),
            Order::Revoked => {
                let ids: Vec<&str> = self.revoked.iter(micros(SystemTime::now())).rev().map(|(id, _)| id).take(MOST_TOLD).collect();
                let ids = json!(ids);
                let more = self.revoked.len().saturating_sub(MOST_TOLD);
                json!({ "ids": ids, "more": more })
            }
            Order::ActiveQueues => {
                json!({ "queues": self.queues.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>() })
            }
            Order::RateLimit { name, rate, hold } => self.limit(&name, now, |limit| limit.set_rate(rate, hold, now))?,
            Order::TimeLimit { name, soft, hard, hold } => {
                self.limit(&name, now, |limit| limit.time.set(TimeLimit { soft, hard }, hold, now))?
            }
            Order::Revoke { ids, terminate } => {
                let now_us = micros(SystemTime::now());
                for id in &ids {
                    self.revoked.add(id, now_us);
                }
                if terminate {
                    let is_meant = |task: &&Entry| task.uuid.as_ref().is_some_and(|uuid| ids.contains(uuid));
                    ended.extend(self.tasks.values().filter(is_meant).filter_map(|task| task.run.clone()));
                    note(&ended, Stop::Revoked);
                }
                json!({ "revoked": ids.len(), "terminated": ended.len() })
            }
            Order::Pause { hold } => {
                self.is_paused.set(true, hold, now);
                self.pool(now)
            }
            Order::Resume => {
                self.is_paused.set(false, None, now);
                self.pool(now)
            }
            Order::PoolGrow { by } => self.resize(by as isize, now),
            Order::PoolShrink { by } => self.resize(-(by as isize), now),
            Order::Autoscale { min, max, hold } => {
                self.pool.set(Bounds { min, max }, hold, now);
                self.pool(now)
            }
            Order::AddConsumer { queue } => {
                if !self.queues.contains(&queue) {
                    if self.queues.len() >= MOST_NAMES {
                        return Err(format!("it takes tasks from {MOST_NAMES} queues, which is all that it may"));
                    }
                    self.queues.push(queue);
                }
                json!({ "queues": self.queues })
            }
            Order::CancelConsumer { queue } => {
                let Some(at) = self.queues.iter().position(|name| *name == queue) else {
                    return Err(format!("it takes no tasks from {queue:?}, but from: {}", self.queues.join(", ")));
                };
                self.queues.remove(at);
                json!({ "queues": self.queues })
            }
            Order::Shutdown { now } => {
                self.is_stopping = true;
                if now {
                    ended.extend(self.running().cloned());
                    note(&ended, Stop::Shutdown);
                }
                json!({ "running": self.busy() })
            }
            _ => return Err("it doesn't know how".to_owned()),
        };
        Ok((answer, ended))
    }

    fn resize(&mut self, by: isize, now: Instant) -> Value {
        let bounds = self.pool.get(now).by(by);
        self.pool.change(bounds, now);
        self.pool(now)
    }

    fn limit(&mut self, name: &str, now: Instant, set: impl FnOnce(&mut Limit)) -> Result<Value, String> {
        if !self.limits.contains_key(name) && self.limits.len() >= MOST_NAMES {
            return Err(format!("there are limits for {MOST_NAMES} names, which is all that there may be"));
        }
        let limit = self.limits.entry(name.to_owned()).or_insert_with(Limit::new);
        set(limit);
        let told = tell_limit(name, limit, now);
        if limit.is_void(now) {
            self.limits.remove(name);
        }
        Ok(told)
    }

    /// Returns the current and the allowed number of running tasks.
    pub(super) fn pool(&mut self, now: Instant) -> Value {
        let is_paused = *self.is_paused.get(now);
        let (busy, size) = (self.busy(), self.size(now));
        let Bounds { min, max } = *self.pool.get(now);
        let mut pool = json!({ "size": size, "busy": busy, "min": min, "max": max, "paused": is_paused });
        for (name, until) in [("until_us", self.pool.until()), ("paused_until_us", self.is_paused.until())] {
            if let Some(until) = until {
                pool[name] = moment(until, now).into();
            }
        }
        pool
    }

    /// Returns the limits by task name.
    pub(super) fn limits(&mut self, now: Instant) -> Value {
        self.limits.retain(|_, limit| !limit.is_void(now));
        let limits = self.limits.iter_mut().map(|(name, limit)| tell_limit(name, limit, now));
        limits.collect()
    }

    fn list(&self, is_meant: impl Fn(&Entry, SystemTime) -> bool) -> Value {
        let time = SystemTime::now();
        let meant: Vec<&Entry> = self.tasks.values().filter(|task| is_meant(task, time)).collect();
        let tasks: Vec<Value> = meant.iter().take(MOST_TOLD).map(|task| tell(task)).collect();
        json!({ "tasks": tasks, "more": meant.len().saturating_sub(MOST_TOLD) })
    }

    /// Returns the queues that the worker reads from or has tasks of, with the number of its tasks.
    pub(super) fn lengths(&self) -> Vec<QueueLength> {
        let (mut reserved, mut active) = (BTreeMap::new(), BTreeMap::new());
        for task in self.tasks.values() {
            let counts = if task.run.is_some() { &mut active } else { &mut reserved };
            *counts.entry(task.queue.as_deref().unwrap_or_default()).or_insert(0) += 1;
        }
        let mut names: Vec<&str> = self.queues.iter().map(String::as_str).collect();
        let others = reserved.keys().chain(active.keys()).filter(|name| !name.is_empty()).copied();
        for name in others.collect::<BTreeSet<_>>() {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let count = |counts: &BTreeMap<&str, u64>, name: &str| Some(counts.get(name).copied().unwrap_or(0));
        let length = |name: &str| QueueLength {
            name: name.to_owned(),
            reserved: count(&reserved, name),
            active: count(&active, name),
            ..QueueLength::default()
        };
        names.into_iter().map(length).collect()
    }

    /// Returns the known tasks with these ids and their states.
    fn query(&self, ids: &[String]) -> Value {
        let time = SystemTime::now();
        let mut found: Vec<Value> = Vec::new();
        for id in ids {
            let known = self.tasks.values().filter(|task| task.uuid.as_ref() == Some(id));
            let before = found.len();
            found.extend(known.map(|task| {
                let state = match (&task.run, ahead(task, time)) {
                    (Some(_), _) => "active",
                    (None, Some(_)) => "scheduled",
                    (None, None) => "reserved",
                };
                let mut told = tell(task);
                told["state"] = state.into();
                told
            }));
            if found.len() == before && self.revoked.has(id, micros(time)) {
                found.push(json!({ "uuid": id, "state": "revoked" }));
            }
        }
        json!({ "tasks": found })
    }
}

fn note(runs: &[Arc<Run>], why: Stop) {
    for run in runs {
        run.note(why);
    }
}

/// Returns the time until the earliest start of a task.
fn ahead(task: &Entry, time: SystemTime) -> Option<Duration> {
    task.eta?.duration_since(time).ok().filter(|ahead| !ahead.is_zero())
}

fn tell(task: &Entry) -> Value {
    let ids = task.context.map(|context| (RootId::new(context.root()), ProcessId::new(context.process())));
    json!({
        "uuid": task.uuid,
        "name": task.name,
        "queue": task.queue,
        "root_id": ids.and_then(|(root, _)| root),
        "id": ids.and_then(|(_, id)| id),
        "received_us": task.received_us,
        "eta_us": task.eta.map(micros),
    })
}

fn tell_limit(name: &str, limit: &mut Limit, now: Instant) -> Value {
    let TimeLimit { soft, hard } = *limit.time.get(now);
    let ms = |limit: Option<Duration>| limit.map(|limit| limit.as_millis() as u64);
    let rate = limit.rate.get(now).map(|rate| rate.to_string());
    let until = limit.rate.until().into_iter().chain(limit.time.until()).min().map(|until| moment(until, now));
    json!({ "name": name, "rate": rate, "soft_ms": ms(soft), "hard_ms": ms(hard), "until_us": until })
}

/// Returns a future time in Unix µs.
fn moment(until: Instant, now: Instant) -> u64 {
    micros(SystemTime::now()) + until.saturating_duration_since(now).as_micros() as u64
}

/// Unix µs.
pub(super) fn micros(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}
