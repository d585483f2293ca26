//! Limits that operators set for tasks, permanently or for a duration: start rate, run time, number of concurrent tasks.

use std::time::{Duration, Instant};

use monitor_wire::Rate;

/// A value that can be replaced for a limited time.
#[derive(Debug, Default)]
pub(crate) struct Timed<T> {
    value: T,
    /// End of the temporary value, and the permanent value that applies afterwards.
    before: Option<(Instant, T)>,
}

impl<T: Clone> Timed<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value, before: None }
    }

    pub(crate) fn get(&mut self, now: Instant) -> &T {
        if let Some((_, before)) = self.before.take_if(|(until, _)| now >= *until) {
            self.value = before;
        }
        &self.value
    }

    /// Sets the value, permanently or for the duration `hold`. After a temporary value, the last permanent one applies again.
    pub(crate) fn set(&mut self, value: T, hold: Option<Duration>, now: Instant) {
        self.get(now);
        let replaced = std::mem::replace(&mut self.value, value);
        let lasting = self.before.take().map_or(replaced, |(_, before)| before);
        self.before = hold.map(|hold| (now + hold, lasting));
    }

    /// Changes the current value without changing its end.
    pub(super) fn change(&mut self, value: T, now: Instant) {
        self.get(now);
        self.value = value;
    }

    /// Returns the time at which the permanent value applies again. `None` if the current value is permanent.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.before.as_ref().map(|(until, _)| *until)
    }
}

/// Minimum and maximum number of concurrent tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) min: usize,
    pub(super) max: usize,
}

impl Bounds {
    /// Adds `by` to both bounds. The maximum is at least one.
    pub(super) fn by(self, by: isize) -> Self {
        let of = |count: usize| count.saturating_add_signed(by);
        Self { min: of(self.min).max(usize::from(self.min == self.max)), max: of(self.max).max(1) }
    }
}

/// Limits on the run time of tasks with one name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct TimeLimit {
    pub(super) soft: Option<Duration>,
    pub(super) hard: Option<Duration>,
}

/// Limits of tasks with one name.
#[derive(Debug)]
pub(super) struct Limit {
    pub(super) rate: Timed<Option<Rate>>,
    pub(super) time: Timed<TimeLimit>,
    /// Earliest start of the next task.
    next: Option<Instant>,
}

impl Limit {
    pub(super) fn new() -> Self {
        Self { rate: Timed::new(None), time: Timed::new(TimeLimit::default()), next: None }
    }

    /// Returns the time at which the next task can start, or the rate changes. `None` if a task can start now.
    pub(super) fn wait(&mut self, now: Instant) -> Option<Instant> {
        let next = self.rate.get(now).and(self.next).filter(|next| *next > now)?;
        Some(self.rate.until().map_or(next, |until| next.min(until)))
    }

    /// Records the start of a task. A start that is slightly late does not lower the rate: up to one interval of delay is
    /// compensated by an earlier next start.
    pub(super) fn begin(&mut self, now: Instant) {
        let Some(rate) = *self.rate.get(now) else { return self.next = None };
        let interval = rate.interval();
        let due = self.next.unwrap_or(now).max(now.checked_sub(interval).unwrap_or(now));
        self.next = Some(due + interval);
    }

    /// Sets the rate and allows the next task to start immediately.
    pub(super) fn set_rate(&mut self, rate: Option<Rate>, hold: Option<Duration>, now: Instant) {
        self.rate.set(rate, hold, now);
        self.next = None;
    }

    /// Returns true if no limit applies, now or later.
    pub(super) fn is_void(&mut self, now: Instant) -> bool {
        let is_free = self.rate.get(now).is_none() && *self.time.get(now) == TimeLimit::default();
        is_free && self.rate.until().is_none() && self.time.until().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_temporary_value_is_replaced_by_the_permanent_value_when_it_expires() {
        let now = Instant::now();
        let mut value = Timed::new(1);
        value.set(2, Some(SECOND), now);
        value.set(3, Some(2 * SECOND), now);
        value.change(4, now);
        assert_eq!((*value.get(now), value.until()), (4, Some(now + 2 * SECOND)));
        assert_eq!((*value.get(now + 2 * SECOND), value.until()), (1, None));
        value.set(2, Some(SECOND), now);
        value.set(5, None, now);
        assert_eq!((*value.get(now + 9 * SECOND), value.until()), (5, None));
    }

    #[test]
    fn tasks_begin_at_the_rate_of_the_limit() {
        let start = Instant::now();
        let mut limit = Limit::new();
        assert_eq!(limit.wait(start), None);
        limit.begin(start);
        limit.set_rate(Rate::read("10/s").unwrap(), None, start);
        // One attempt every 7 ms for ten seconds.
        let mut begun = 0;
        for at in (0..10_000).step_by(7).map(|ms| start + Duration::from_millis(ms)) {
            if limit.wait(at).is_none() {
                limit.begin(at);
                begun += 1;
            }
        }
        assert_eq!(begun, 100);
        // A long pause does not allow a burst of starts.
        let late = start + 60 * SECOND;
        let rush = (0..5).filter(|_| limit.wait(late).is_none().then(|| limit.begin(late)).is_some()).count();
        assert!(rush <= 2, "{rush}");
        limit.set_rate(None, None, late);
        assert!(limit.wait(late).is_none() && limit.is_void(late));
    }

    #[test]
    fn a_pool_keeps_at_least_one_worker() {
        let fixed = Bounds { min: 4, max: 4 };
        assert_eq!(fixed.by(2), Bounds { min: 6, max: 6 });
        assert_eq!(fixed.by(-9), Bounds { min: 1, max: 1 });
        assert_eq!(Bounds { min: 0, max: 3 }.by(-1), Bounds { min: 0, max: 2 });
    }
}
