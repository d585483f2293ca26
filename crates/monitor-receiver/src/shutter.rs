//! When cameras take their pictures.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tokio::time::Instant;

use crate::Notice;
use crate::camera::Camera;
use crate::handlers::words_of;
use crate::state::{Mark, State};

/// The cameras of a receiver.
#[derive(Default)]
pub(crate) struct Shutters {
    all: Vec<Shutter>,
}

struct Shutter {
    camera: Box<dyn Camera>,
    frequency: Duration,
    due: Instant,
    /// The moment of the latest picture: the state's mark, and its newest event.
    taken: (Mark, u64),
    /// Why the latest picture was not taken.
    failure: Option<String>,
}

impl Shutters {
    pub(crate) fn add(&mut self, camera: Box<dyn Camera>, frequency: Duration) {
        let due = Instant::now() + frequency;
        self.all.push(Shutter { camera, frequency, due, taken: (Mark::default(), 0), failure: None });
    }

    /// When the next picture is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.all.iter().map(|shutter| shutter.due).min()
    }

    /// Names of the cameras whose latest picture was not taken.
    pub(crate) fn failing(&self) -> Vec<String> {
        self.all.iter().filter(|shutter| shutter.failure.is_some()).map(|shutter| shutter.camera.name()).collect()
    }

    /// Takes the pictures that are due.
    pub(crate) fn shoot_if_due(&mut self, state: &mut State, tell: &mut dyn FnMut(&Notice<'_>)) {
        let now = Instant::now();
        self.all.iter_mut().filter(|shutter| shutter.due <= now).for_each(|shutter| shutter.shoot(state, tell));
    }

    /// Takes a picture by each camera.
    pub(crate) fn shoot(&mut self, state: &mut State, tell: &mut dyn FnMut(&Notice<'_>)) {
        self.all.iter_mut().for_each(|shutter| shutter.shoot(state, tell));
    }
}

impl Shutter {
    /// Takes a picture, if anything happened since the latest.
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
            // Said once, however often it is tried.
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
