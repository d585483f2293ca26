//! Schedules the pictures of cameras.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tokio::time::Instant;

use crate::Notice;
use crate::camera::Camera;
use crate::handlers::words_of;
use crate::state::{Mark, State};

/// Cameras of a receiver.
#[derive(Default)]
pub(crate) struct Shutters {
    all: Vec<Shutter>,
}

struct Shutter {
    camera: Box<dyn Camera>,
    frequency: Duration,
    due: Instant,
    /// State at the last picture: its mark, and the number of its newest event.
    taken: (Mark, u64),
    /// Error of the last picture, if it failed.
    failure: Option<String>,
}

impl Shutters {
    pub(crate) fn add(&mut self, camera: Box<dyn Camera>, frequency: Duration) {
        let due = Instant::now() + frequency;
        self.all.push(Shutter { camera, frequency, due, taken: (Mark::default(), 0), failure: None });
    }

    /// Returns the time at which the next picture is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.all.iter().map(|shutter| shutter.due).min()
    }

    /// Returns the names of the cameras whose last picture failed.
    pub(crate) fn failing(&self) -> Vec<String> {
        self.all.iter().filter(|shutter| shutter.failure.is_some()).map(|shutter| shutter.camera.name()).collect()
    }

    /// Takes the pictures that are due.
    pub(crate) fn shoot_if_due(&mut self, state: &mut State, tell: &mut dyn FnMut(&Notice<'_>)) {
        let now = Instant::now();
        self.all.iter_mut().filter(|shutter| shutter.due <= now).for_each(|shutter| shutter.shoot(state, tell));
    }

    /// Takes a picture with each camera.
    pub(crate) fn shoot(&mut self, state: &mut State, tell: &mut dyn FnMut(&Notice<'_>)) {
        self.all.iter_mut().for_each(|shutter| shutter.shoot(state, tell));
    }
}

impl Shutter {
    /// Takes a picture if the state has changed since the last one.
    fn shoot(&mut self, state: &mut State, tell: &mut dyn FnMut(&Notice<'_>)) {
        let moment = (state.mark(), state.newest());
        if moment != self.taken {
            let taken = catch_unwind(AssertUnwindSafe(|| self.camera.shutter(state)));
            let failure = match taken {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(monitor_http::with_causes(&*error)),
                Err(panic) => Some(format!("it panicked: {}", words_of(&*panic))),
            };
            if failure.is_none() {
                self.taken = moment;
                if self.camera.clear_after() {
                    state.clear();
                }
            }
            // A repeated failure is reported once.
            let camera = &self.camera.name();
            match (&failure, &self.failure) {
                (Some(error), before) if before.as_ref() != Some(error) => tell(&Notice::CameraFailed { camera, error }),
                (None, Some(_)) => tell(&Notice::CameraRecovered { camera }),
                _ => {}
            }
            self.failure = failure;
        }
        self.due = Instant::now() + self.frequency;
    }
}
