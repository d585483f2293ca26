//! Model of the guarantees of docs/guides/alerts.md for tasks that fail and recover, independent of the implementation.

use std::collections::BTreeMap;
use std::time::Duration;

/// A failure within this time after the recovery belongs to the same alert.
const BACK: Duration = Duration::from_secs(600);
/// The server decides a little after the end of a run, so both results are possible this close to the limit.
const EDGE: Duration = Duration::from_secs(60);

/// A message of an alert, without its other content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Told {
    Fired,
    Back,
    /// The outage is over, with its number of failures.
    Resolved(u64),
}

/// An outage, from the first failure until ten minutes of success.
#[derive(Debug, Default)]
struct Outage {
    failures: u64,
    is_out: bool,
    well_for: Duration,
    has_come_back: bool,
    /// True if the receivers have the message about the recovery.
    is_over_told: bool,
    told: Vec<Told>,
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    /// By task, oldest first.
    outages: BTreeMap<String, Vec<Outage>>,
}

impl Model {
    pub(crate) fn pass(&mut self, time: Duration) {
        for outage in self.outages.values_mut().filter_map(|outages| outages.last_mut()).filter(|outage| !outage.is_out) {
            outage.well_for += time;
            // The recovery of a repeated outage is reported only after it has lasted.
            if outage.well_for >= BACK && !outage.is_over_told {
                outage.is_over_told = true;
                outage.told.push(Told::Resolved(outage.failures));
            }
        }
    }

    /// True if the timing decides whether a failure of the task is now a new outage.
    pub(crate) fn is_on_edge(&self, task: &str) -> bool {
        let last = self.outages.get(task).and_then(|outages| outages.last());
        last.is_some_and(|last| !last.is_out && last.well_for.abs_diff(BACK) < EDGE)
    }

    /// Ends a run. Returns state and count of the task's alert, if it has one.
    pub(crate) fn run(&mut self, task: &str, is_good: bool) -> Option<(&'static str, u64)> {
        let outages = self.outages.entry(task.to_owned()).or_default();
        let is_new = outages.last().is_none_or(|last| !last.is_out && last.well_for >= BACK);
        if !is_good && is_new {
            outages.push(Outage { is_out: true, failures: 1, told: vec![Told::Fired], ..Outage::default() });
        } else if let Some(outage) = outages.last_mut() {
            match (is_good, outage.is_out) {
                (false, true) => outage.failures += 1,
                (false, false) => {
                    outage.failures += 1;
                    (outage.is_out, outage.has_come_back) = (true, true);
                    if outage.is_over_told {
                        outage.told.push(Told::Back);
                    }
                    outage.is_over_told = false;
                }
                (true, true) => {
                    (outage.is_out, outage.well_for) = (false, Duration::ZERO);
                    if !outage.has_come_back {
                        outage.is_over_told = true;
                        outage.told.push(Told::Resolved(outage.failures));
                    }
                }
                (true, false) => {}
            }
        }
        let last = outages.last()?;
        Some((if last.is_out { "firing" } else { "resolved" }, last.failures))
    }

    /// The messages about a task, by outage.
    pub(crate) fn told(&self, task: &str) -> Vec<Vec<Told>> {
        self.outages.get(task).into_iter().flatten().map(|outage| outage.told.clone()).collect()
    }
}
