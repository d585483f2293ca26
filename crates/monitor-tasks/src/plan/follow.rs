//! Decides about the consequences of a run's end (a retry, and the tasks of `then`) and about requested runs.

use std::time::Duration;

use jiff::Timestamp;

use super::{Action, Dues, Planner, Reason, after};
use crate::definition::Retry;
use crate::ledger::{Outcome, Run, State};
use crate::run::Trigger;

/// Maximum pause between two attempts, unless the first pause is longer.
const LONGEST_BACKOFF: Duration = Duration::from_secs(86_400);

impl Planner<'_> {
    pub(super) fn follow_ended(&mut self) {
        for id in self.ids(|run| matches!(run.state, State::Asked | State::Ended { .. })) {
            let run = self.run_mut(&id).clone();
            match run.state {
                State::Ended { at, outcome } => self.ended(&run, at, outcome),
                _ => match self.book.tasks.get(&id.task) {
                    Some(task) => self.admit(task, run),
                    None => self.give_up(&run, Reason::Deleted, None),
                },
            }
        }
    }

    fn ended(&mut self, run: &Run, at: Timestamp, outcome: Outcome) {
        self.remove_run(&run.id);
        let Some(task) = self.book.tasks.get(&run.id.task) else { return };
        if outcome == Outcome::Retry && task.policy.may_try_again(run) {
            let not_before = after(at, backoff(task.policy.retry(), run.attempt)).unwrap_or(Timestamp::MAX);
            let next = self.task_mut(&run.id.task).next_attempt(run, not_before);
            self.task_mut(&run.id.task).runs.push(next.clone());
            self.tell(Action::Retry { of: run.id.clone(), run: next, not_before });
            return;
        }
        let then = &task.policy.then;
        let followers = match outcome {
            Outcome::Ok | Outcome::Warn => &then.success,
            Outcome::Fail | Outcome::Retry => &then.fail,
            Outcome::Idle => return,
        };
        for name in followers {
            self.start_follower(run, at, name);
        }
    }

    fn start_follower(&mut self, run: &Run, at: Timestamp, name: &str) {
        let due = Timestamp::from_second(at.as_second()).unwrap_or(at);
        let skip = |version, reason| Action::Skip {
            task: name.to_owned(),
            version,
            dues: Dues::one(due),
            reason,
            blocked_by: Some(run.id.clone()),
            run: None,
        };
        let Some(task) = self.book.tasks.get(name) else { return self.tell(skip(0, Reason::Deleted)) };
        let chain: Vec<_> = run.chain.iter().chain([&run.id.task]).cloned().collect();
        if chain.iter().any(|before| before == name) {
            return self.tell(skip(task.version, Reason::Cycle));
        }
        let follower = self.task_mut(name).new_run(task, due, Trigger::Then { run: run.id.clone() }, State::Asked);
        self.admit(task, Run { chain, ..follower });
    }
}

/// Returns the pause before the next attempt, which doubles each time.
fn backoff(retry: Retry, attempt: u32) -> Duration {
    let longest = LONGEST_BACKOFF.max(retry.backoff);
    1_u32.checked_shl(attempt - 1).and_then(|times| retry.backoff.checked_mul(times)).unwrap_or(longest).min(longest)
}
