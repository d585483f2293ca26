//! Tasks of queues: what is told of one before and after somebody works on it.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use crate::context::Context;
use crate::levels::{self, EventLevel};
use crate::record::{Outcome, Retry, TaskEnd, TaskStep, Tasked};
use crate::{clock, ids, inside, sending, switch};

/// An attempt of a task, by its ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskIds {
    /// Its tree and its own id.
    pub context: Context,
    /// Its id in the queue.
    pub native_id: String,
    /// Which attempt it is, from 1.
    pub attempt: u32,
}

/// Returns true if it is told what becomes of a task of this name that is sent or received now.
pub fn is_told(name: &str) -> bool {
    switch::is_recorded() && levels::of_named("task", name) != EventLevel::Off
}

/// New ids for a task of this name: below what is current, or at the head of a tree of its own. With its parent, 0 for none; none when
/// nothing is told of it.
pub fn new_ids(name: &str) -> Option<(Context, u64)> {
    if !is_told(name) {
        return None;
    }
    let _inside = inside::enter();
    let parent = Context::current();
    let id = ids::new_process().get();
    let root = parent.map_or_else(|| ids::new_root_now(id), Context::root);
    Some((Context::new(root, id)?, parent.map_or(0, Context::process)))
}

/// Ids of a task that begins a tree of its own, whatever is current; none when nothing is recorded.
pub fn new_tree() -> Option<Context> {
    let id = switch::is_recorded().then(ids::new_process)?.get();
    Context::new(ids::new_root_now(id), id)
}

/// A new id for a queue: 32 hex digits at random.
pub fn new_native_id() -> String {
    format!("{:016x}{:016x}", ids::new_process(), ids::new_process())
}

/// Tells a step of a task that [`is_told`]: what was told of it before is to have its end.
pub fn tell(task: &TaskIds, step: TaskStep) {
    if !switch::is_on() || inside::is_inside() {
        return;
    }
    let _inside = inside::enter();
    let TaskIds { context, native_id, attempt } = task.clone();
    sending::tasked(Tasked { root: context.root(), id: context.process(), time_us: 0, attempt, native_id, step }, clock::now());
}

/// The result of an attempt as JSON, once its work has returned it.
pub type ResultSlot = Arc<OnceLock<String>>;

/// An attempt of a task that somebody works on, and how it is to end.
#[derive(Debug, Default)]
pub struct TaskRun {
    pub(crate) native_id: String,
    /// When the next attempt begins after a failure, and how many there are at most.
    again_after: Option<(Duration, u32)>,
    again_at: Option<SystemTime>,
    result: ResultSlot,
    rejected: Option<bool>,
}

impl TaskRun {
    /// An attempt of the task with this id in the queue.
    pub fn new(native_id: String) -> Self {
        Self { native_id, ..Self::default() }
    }

    /// Whenever it fails another attempt is to come so much later, until there were so many.
    pub fn again_after(&mut self, wait: Duration, most: u32) {
        self.again_after = Some((wait, most));
    }

    /// If it fails, another attempt is to come at that time.
    pub fn again_at(&mut self, at: SystemTime) {
        self.again_at = Some(at);
    }

    /// What it returns, as JSON.
    pub fn returns(&mut self, json: String) {
        self.result = Arc::new(json.into());
    }

    /// Its end reads the result from this slot, which the work fills.
    pub fn returns_by(&mut self, slot: ResultSlot) {
        self.result = slot;
    }

    /// It is refused; true if it goes back into its queue.
    pub fn reject(&mut self, requeued: bool) {
        self.rejected = Some(requeued);
    }

    /// What its end says, and the attempt that is to come.
    pub(crate) fn end(self, outcome: &Outcome, attempt: u32) -> (Option<Retry>, Box<TaskEnd>) {
        let has_failed = matches!(outcome, Outcome::Failed(_));
        let by_rule = self.again_after.filter(|(_, most)| attempt < *most).and_then(|(wait, _)| SystemTime::now().checked_add(wait));
        let most = self.again_after.map_or(0, |(_, most)| most);
        let retry = self.again_at.or(by_rule).filter(|_| has_failed).map(|next| Retry { next, of: most });
        (retry, Box::new(TaskEnd { native_id: self.native_id, result: self.result.get().cloned(), rejected: self.rejected }))
    }
}
