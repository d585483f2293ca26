//! Searches the due times within a period: first, last, count, and the latest.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use super::action::{Dues, MOST_COUNTED};
use crate::policy::Policy;
use crate::rule::next_of;

/// Due times of a task in a period.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Due times outside of quiet hours that were not executed.
    pub(super) plain: Option<Dues>,
    /// The latest of these, in ascending order.
    pub(super) latest: VecDeque<Timestamp>,
    /// Due times in quiet hours.
    pub(super) quiet: Option<Dues>,
}

/// Searches for due times after `after` and until `to`. Skips executed due times (`has_run`), and keeps the `most` latest.
pub(super) fn find(policy: &Policy, after: Timestamp, to: Timestamp, most: usize, has_run: impl Fn(Timestamp) -> bool) -> Found {
    let mut found = Found::default();
    let (mut at, mut looked_at) = (after, 0);
    while let Some(due) = next_of(&policy.rules, at, &policy.zone).filter(|due| *due <= to) {
        looked_at += 1;
        at = if looked_at == MOST_COUNTED { due.max(tail(policy, due, to, most)) } else { due };
        if has_run(due) {
            continue;
        }
        if policy.quiet_until(due).is_some() {
            add(&mut found.quiet, due);
            continue;
        }
        add(&mut found.plain, due);
        found.latest.push_back(due);
        if found.latest.len() > most {
            found.latest.pop_front();
        }
    }
    found
}

/// Returns a time after which the `most` latest due times lie, so that earlier due times need not be enumerated.
fn tail(policy: &Policy, after: Timestamp, to: Timestamp, most: usize) -> Timestamp {
    let mut window = SignedDuration::from_mins(1);
    loop {
        let Some(from) = to.checked_sub(window).ok().filter(|from| *from > after) else { return after };
        let dues = std::iter::successors(Some(from), |at| next_of(&policy.rules, *at, &policy.zone).filter(|due| *due <= to)).skip(1);
        if dues.filter(|due| policy.quiet_until(*due).is_none()).take(most).count() == most {
            return from;
        }
        window *= 2;
    }
}

fn add(dues: &mut Option<Dues>, due: Timestamp) {
    match dues {
        None => *dues = Some(Dues::one(due)),
        Some(dues) => (dues.last, dues.count) = (due, (dues.count + 1).min(MOST_COUNTED)),
    }
}
