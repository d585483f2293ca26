//! A thread that says when a moment has come. There is none as long as nobody asks for one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug, Default)]
pub(super) struct Alarms {
    clock: Mutex<Clock>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Clock {
    moments: BinaryHeap<Reverse<Instant>>,
    is_running: bool,
}

impl Alarms {
    /// Calls `tick` soon after the moment. `tick` returns false once nobody needs it any more.
    pub(super) fn at(self: &Arc<Self>, moment: Instant, tick: impl Fn() -> bool + Send + 'static) {
        let mut clock = self.clock();
        clock.moments.push(Reverse(moment));
        if !clock.is_running {
            let alarms = self.clone();
            let run = move || alarms.run(&tick);
            clock.is_running = std::thread::Builder::new().name("monitor-limits".to_owned()).spawn(run).is_ok();
        }
        drop(clock);
        self.changed.notify_one();
    }

    fn run(&self, tick: &dyn Fn() -> bool) {
        let mut clock = self.clock();
        loop {
            let now = Instant::now();
            // Somebody has to look now and then whether it is still needed.
            let wait = clock.moments.peek().map_or(Duration::from_secs(60), |next| next.0.saturating_duration_since(now));
            if !wait.is_zero() {
                (clock, _) = self.changed.wait_timeout(clock, wait).unwrap_or_else(PoisonError::into_inner);
                if clock.moments.peek().is_some_and(|next| next.0 > Instant::now()) {
                    continue;
                }
            }
            let now = Instant::now();
            while clock.moments.peek().is_some_and(|next| next.0 <= now) {
                clock.moments.pop();
            }
            drop(clock);
            let goes_on = tick();
            clock = self.clock();
            if !goes_on {
                clock.is_running = false;
                return;
            }
        }
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
