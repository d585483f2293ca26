//! A thread that calls a function at a given time. It starts with the first alarm.

use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Maximum time between two calls of `tick`, so that the thread ends soon after it isn't needed any more.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The time of the next alarm. When it is reached, `tick` checks all waiting tasks, and each of them sets its next alarm.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    clock: Mutex<Clock>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Clock {
    next: Option<Instant>,
    is_running: bool,
}

impl Alarms {
    /// Calls `tick` soon after `moment`. `tick` returns the next known alarm, or breaks if the thread isn't needed any more.
    pub(super) fn at(self: &Arc<Self>, moment: Instant, tick: impl Fn() -> ControlFlow<(), Option<Instant>> + Send + 'static) {
        let mut clock = self.clock();
        clock.sooner(moment);
        if !clock.is_running {
            let alarms = self.clone();
            let run = move || alarms.run(&tick);
            clock.is_running = std::thread::Builder::new().name("monitor-limits".to_owned()).spawn(run).is_ok();
        }
        drop(clock);
        self.changed.notify_one();
    }

    fn run(&self, tick: &dyn Fn() -> ControlFlow<(), Option<Instant>>) {
        let mut looked = Instant::now();
        let mut clock = self.clock();
        loop {
            let until = clock.next.unwrap_or(looked + LONGEST_WAIT).min(looked + LONGEST_WAIT);
            let wait = until.saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                (clock, _) = self.changed.wait_timeout(clock, wait).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            looked = Instant::now();
            clock.next = clock.next.filter(|next| *next > looked);
            drop(clock);
            let ticked = tick();
            clock = self.clock();
            match ticked {
                ControlFlow::Continue(None) => {}
                ControlFlow::Continue(Some(next)) => clock.sooner(next),
                ControlFlow::Break(()) => {
                    clock.is_running = false;
                    return;
                }
            }
        }
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock {
    fn sooner(&mut self, moment: Instant) {
        self.next = Some(self.next.map_or(moment, |next| next.min(moment)));
    }
}
