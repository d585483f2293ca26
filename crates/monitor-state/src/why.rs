//! The failing path of a tree, and the error that lists show for the tree.
//!
//! The failing path leads from the root's own process through failed children of failed parents. If a parent has several failed children,
//! the path continues with a child whose error is contained in the parent's error; otherwise with a child that ended like the parent (a
//! parent is lost with its children); otherwise with the last child to end. Failures below a parent that succeeded were handled and are not
//! on the path. The path ends at the deepest process whose error states more than an exit code, if there is one: the last command of a
//! script, `exit 4`, adds nothing to the error of the script. The page implements the same rule (`crates/monitor-web/app/src/model/failures.ts`). `cases/failing_path.txt` contains test
//! cases for both implementations.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use monitor_wire::{Error, ErrorKind, Process, ProcessId, State};

/// Maximum number of processes on a path.
pub const MOST_ON_PATH: usize = 1_000;
/// Maximum number of failed children of a parent that are considered, out of those that ended last.
pub const MOST_CHILDREN: usize = 100;

/// The part of a failed or lost process that the failing path depends on.
#[derive(Debug, Clone, PartialEq)]
pub struct Failing<'a> {
    /// Id of the process.
    pub id: ProcessId,
    /// State of the process.
    pub state: Cow<'a, State>,
    /// End time, or the start time if the process has not ended.
    pub time_us: u64,
    /// Error of the process.
    pub error: Option<Cow<'a, Error>>,
}

impl<'a> From<&'a Process> for Failing<'a> {
    fn from(process: &'a Process) -> Self {
        Self {
            id: process.id,
            state: Cow::Borrowed(&process.state),
            time_us: process.ended_us.or(process.started_us).unwrap_or(0),
            error: process.error.as_ref().map(Cow::Borrowed),
        }
    }
}

/// Returns the child that the failing path continues with, if there is any. If several children end at the same time, it
/// is the child with the smallest id.
pub fn decisive<'a>(parent: &Failing<'_>, children: impl Iterator<Item = Failing<'a>>) -> Option<Failing<'a>> {
    let rank = |child: &Failing<'_>| {
        let is_carried = parent.error.as_deref().zip(child.error.as_deref()).is_some_and(|(parent, child)| carries(parent, child));
        let is_alike = child.state == parent.state;
        (is_carried, is_alike, child.time_us, std::cmp::Reverse(child.id))
    };
    children.max_by_key(rank)
}

/// Returns the failing path of a tree, beginning with the root's own process. Empty unless that process has failed or is lost.
/// `others` are the other failed and lost processes with the ids of their parents. Processes with an unknown parent count as
/// children of the root's own process.
pub fn failing_path<'a>(own: &'a Process, others: impl Iterator<Item = (Option<ProcessId>, &'a Process)>) -> Vec<&'a Process> {
    if !needs_attention(&own.state) {
        return Vec::new();
    }
    let mut below = HashMap::<ProcessId, Vec<&Process>>::new();
    for (parent, process) in others.filter(|(_, process)| process.id != own.id && needs_attention(&process.state)) {
        below.entry(parent.unwrap_or(own.id)).or_default().push(process);
    }
    let (mut path, mut seen) = (vec![own], HashSet::from([own.id]));
    while let Some(children) = path.last().and_then(|last| below.remove(&last.id)).filter(|_| path.len() < MOST_ON_PATH) {
        let last = Failing::from(path[path.len() - 1]);
        let Some(next) = decisive(&last, children.iter().map(|child| Failing::from(*child))) else { break };
        path.extend(children.into_iter().find(|child| child.id == next.id && seen.insert(child.id)));
    }
    let states_reason = |process: &&Process| process.state == State::LOST || process.error.as_ref().is_some_and(is_telling);
    if let Some(last) = path.iter().rposition(states_reason) {
        path.truncate(last + 1);
    }
    path
}

/// Returns true if an error states more than the exit status of a command: `exit code 2` is not a reason.
fn is_telling(error: &Error) -> bool {
    let is_of_command = [ErrorKind::EXIT, ErrorKind::SIGNAL].contains(&error.kind);
    let is_bare =
        is_of_command && !error.message.contains('\n') && ["exit code ", "killed by "].iter().any(|begin| error.message.starts_with(begin));
    let is_silent = error.message.is_empty() && error.chain.is_empty();
    !is_bare && !is_silent
}

/// Chooses the error to show for a tree: the first error on its failing path that states a reason, or else the first error.
#[derive(Debug, Clone, Default)]
pub struct Why<T> {
    found: Option<T>,
    is_telling: bool,
}

impl<T> Why<T> {
    /// Offers the error of the next process on the path. If it is chosen, `kept` creates the value to keep. Returns true
    /// if later errors are not considered.
    pub fn take(&mut self, error: Option<&Error>, kept: impl FnOnce() -> T) -> bool {
        if let Some(error) = error.filter(|_| !self.is_telling) {
            self.is_telling = is_telling(error);
            if self.is_telling || self.found.is_none() {
                self.found = Some(kept());
            }
        }
        self.is_telling
    }

    /// Returns the value of the chosen error.
    pub fn found(self) -> Option<T> {
        self.found
    }
}

pub(crate) fn needs_attention(state: &State) -> bool {
    *state == State::FAILED || *state == State::LOST
}

/// Returns true if the error of a parent contains the error of a child, as its cause or within its message.
fn carries(parent: &Error, child: &Error) -> bool {
    let mut links = std::iter::once(&parent.message).chain(&parent.chain);
    !child.message.is_empty() && links.any(|link| link.contains(&child.message))
}
