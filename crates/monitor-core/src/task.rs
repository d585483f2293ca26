//! Queue tasks: the records before and after a worker executes a task.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use crate::context::Context;
use crate::levels::{self, EventLevel};
use crate::record::{Outcome, Retry, TaskEnd, TaskStep, Tasked};
use crate::{clock, ids, inside, sending, switch};

/// The ids of an attempt of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskIds {
    /// Ids of the tree and of the process.
    pub context: Context,
    /// Id of the task in the queue.
    pub native_id: String,
    /// Number of the attempt, from 1.
    pub attempt: u32,
}

/// Returns true if a task of this name that is sent or received now is reported.
pub fn is_told(name: &str) -> bool {
    switch::is_recorded() && levels::of_named("task", name) != EventLevel::Off
}

/// Creates ids for a task of this name, below the current process or as the root of a tree. Also returns the id of the parent, 0 for none.
/// `None` if the task is not reported.
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

/// Creates ids for a task that begins a tree of its own, even if a process is current. `None` if nothing is recorded.
pub fn new_tree() -> Option<Context> {
    let id = switch::is_recorded().then(ids::new_process)?.get();
    Context::new(ids::new_root_now(id), id)
}

/// Returns a new id for a queue: 32 random hex digits.
pub fn new_native_id() -> String {
    format!("{:016x}{:016x}", ids::new_process(), ids::new_process())
}

/// Records a step of a task. The caller has checked [`is_told`] when the task was sent or received; all later steps are recorded.
pub fn tell(task: &TaskIds, step: TaskStep) {
    if !switch::is_on() || inside::is_inside() {
        return;
    }
    let _inside = inside::enter();
    let TaskIds { context, native_id, attempt } = task.clone();
    sending::tasked(Tasked { root: context.root(), id: context.process(), time_us: 0, attempt, native_id, step }, clock::now());
}

/// The result of an attempt as JSON, set when its work has returned it.
pub type ResultSlot = Arc<OnceLock<String>>;

/// An attempt of a task that is being executed, and the values of its end.
#[derive(Debug, Default)]
pub struct TaskRun {
    pub(crate) native_id: String,
    /// Pause before the next attempt after a failure, and the maximum number of attempts.
    again_after: Option<(Duration, u32)>,
    again_at: Option<SystemTime>,
    result: ResultSlot,
    rejected: Option<bool>,
}

impl TaskRun {
    /// Creates an attempt of the task with this id in the queue.
    pub fn new(native_id: String) -> Self {
        Self { native_id, ..Self::default() }
    }

    /// Announces another attempt after `wait` for each failure, up to `most` attempts.
    pub fn again_after(&mut self, wait: Duration, most: u32) {
        self.again_after = Some((wait, most));
    }

    /// Announces another attempt at this time if this attempt fails.
    pub fn again_at(&mut self, at: SystemTime) {
        self.again_at = Some(at);
    }

    /// Sets the result, as JSON.
    pub fn returns(&mut self, json: String) {
        self.result = Arc::new(json.into());
    }

    /// Sets the slot of the result. The work fills it, and the end reads it.
    pub fn returns_by(&mut self, slot: ResultSlot) {
        self.result = slot;
    }

    /// Rejects the task; true if the message returns to its queue.
    pub fn reject(&mut self, requeued: bool) {
        self.rejected = Some(requeued);
    }

    /// Returns the next attempt and the values of the end.
    pub(crate) fn end(self, outcome: &Outcome, attempt: u32) -> (Option<Retry>, Box<TaskEnd>) {
        let has_failed = matches!(outcome, Outcome::Failed(_));
        let by_rule = self.again_after.filter(|(_, most)| attempt < *most).and_then(|(wait, _)| SystemTime::now().checked_add(wait));
        let most = self.again_after.map_or(0, |(_, most)| most);
        let retry = self.again_at.or(by_rule).filter(|_| has_failed).map(|next| Retry { next, of: most });
        (retry, Box::new(TaskEnd { native_id: self.native_id, result: self.result.get().cloned(), rejected: self.rejected }))
    }
}
