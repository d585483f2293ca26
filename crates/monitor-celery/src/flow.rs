//! The flow of tasks through queues, according to events: the number of tasks sent to each queue, and the number that have ended.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::bridge::MOST_QUEUES;

/// The queues that events name, up to a number.
#[derive(Debug, Default)]
pub(crate) struct Flow(BTreeMap<Arc<str>, Counts>);

/// Numbers of events about the tasks of a queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Tasks that were sent, including those to be tried again.
    pub(crate) sent: u64,
    /// Attempts that have ended.
    pub(crate) ended: u64,
}

impl Flow {
    /// Counts a task that was sent. Returns the name of its queue, or `None` if there are too many queues.
    pub(crate) fn sent(&mut self, queue: &str) -> Option<Arc<str>> {
        if !self.0.contains_key(queue) && self.0.len() >= MOST_QUEUES {
            return None;
        }
        let name = self.0.get_key_value(queue).map_or_else(|| queue.into(), |(name, _)| name.clone());
        self.0.entry(name.clone()).or_default().sent += 1;
        Some(name)
    }

    /// Counts an attempt that has ended.
    pub(crate) fn ended(&mut self, queue: &Arc<str>) {
        if self.0.len() < MOST_QUEUES || self.0.contains_key(queue) {
            self.0.entry(queue.clone()).or_default().ended += 1;
        }
    }

    /// Returns the queues with sent tasks.
    pub(crate) fn destinations(&self) -> impl Iterator<Item = String> {
        self.0.iter().filter(|(_, counts)| counts.sent > 0).map(|(name, _)| name.to_string())
    }
}

/// The counts of the last readings, which are together one minute.
#[derive(Debug)]
pub(crate) struct Minute {
    readings: usize,
    last: VecDeque<Flow>,
}

impl Minute {
    /// Creates a minute of a number of readings.
    pub(crate) fn new(readings: usize) -> Self {
        Self { readings, last: VecDeque::new() }
    }

    pub(crate) fn add(&mut self, flow: Flow) {
        self.last.push_back(flow);
        self.last.drain(..self.last.len().saturating_sub(self.readings));
    }

    /// Forgets all. Events that arrive after an interruption do not show the rate.
    pub(crate) fn clear(&mut self) {
        self.last.clear();
    }

    /// Returns the counts of a queue in the last minute, once a minute is complete.
    pub(crate) fn of(&self, queue: &str) -> Option<Counts> {
        let counts = self.last.iter().filter_map(|flow| flow.0.get(queue));
        let sum = |sum: Counts, of: &Counts| Counts { sent: sum.sent + of.sent, ended: sum.ended + of.ended };
        (self.last.len() == self.readings).then(|| counts.fold(Counts::default(), sum))
    }
}

/// Returns when the oldest message of a queue was sent: the earliest of as many of these times as messages wait, from the newest one on. Earlier times are of tasks
/// that have left the queue without an event, such as deleted ones.
pub(crate) fn oldest(mut times: Vec<u64>, waiting: u64) -> Option<u64> {
    let count = times.len().min(usize::try_from(waiting).unwrap_or(usize::MAX));
    let last = count.checked_sub(1)?;
    Some(*times.select_nth_unstable_by(last, |a, b| b.cmp(a)).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_those_of_the_last_minute() {
        let mut minute = Minute::new(3);
        for round in 0..5 {
            assert_eq!(minute.of("mail").is_some(), round >= 3, "{round}");
            let mut flow = Flow::default();
            let queue = flow.sent("mail").unwrap();
            flow.sent("mail");
            flow.ended(&queue);
            assert_eq!(flow.destinations().collect::<Vec<_>>(), ["mail"]);
            minute.add(flow);
        }
        assert_eq!(minute.of("mail"), Some(Counts { sent: 6, ended: 3 }));
        assert_eq!(minute.of("idle"), Some(Counts::default()));
        minute.clear();
        assert_eq!(minute.of("mail"), None);
    }

    #[test]
    fn the_number_of_queues_is_bounded() {
        let mut flow = Flow::default();
        for number in 0..2 * MOST_QUEUES {
            assert_eq!(flow.sent(&number.to_string()).is_some(), number < MOST_QUEUES);
        }
        flow.ended(&"new".into());
        assert_eq!(flow.0.len(), MOST_QUEUES);
    }

    #[test]
    fn the_oldest_message_is_the_one_with_all_others_after_it() {
        assert_eq!(oldest(vec![5, 9, 7, 1], 3), Some(5), "the one of time 1 has left the queue");
        assert_eq!(oldest(vec![5, 9], 3), Some(5), "one was sent before the bridge began");
        assert_eq!((oldest(vec![5, 9], 0), oldest(Vec::new(), 3)), (None, None));
    }
}
