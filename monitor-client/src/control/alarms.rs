//! A thread that says when a moment has come. There is none as long as nobody asks for one.

use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Somebody has to look now and then whether the thread is still needed.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The next moment that somebody waits for. When it has come, all who wait look again and say anew what they wait for.
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
    /// Calls `tick` soon after the moment. It returns the next moment that it knows of itself, or breaks if nobody needs it any more.
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
