//! What a receiver tells besides events.

use std::time::Duration;

/// What a receiver tells besides events.
#[derive(Debug)]
#[non_exhaustive]
pub enum Notice<'a> {
    /// The server tells from here on; again after each break.
    Connected {
        /// What comes is after this event.
        after: u64,
    },
    /// The connection broke, or the server wasn't reached. It is tried again after a pause, and nothing is missed.
    Interrupted {
        /// Why.
        error: &'a monitor_api::Error,
        /// How long the next try waits.
        pause: Duration,
    },
    /// Events were missed, and the server doesn't know them any more. The state was loaded anew.
    Gap {
        /// Those after this event are missing; none if it is not known.
        after: Option<u64>,
        /// The stream goes on after this event.
        until: u64,
    },
    /// An event can't be read, and was passed by.
    Unreadable {
        /// Why.
        error: &'a monitor_api::Error,
    },
    /// A handler panicked. The others got the event.
    Panicked {
        /// The types that the handler was added for.
        types: &'a str,
        /// Number of the event.
        number: u64,
        /// The panic's words.
        message: &'a str,
    },
    /// A camera took no picture. It tries again with its next one, which has all that this one was to have.
    CameraFailed {
        /// The camera.
        camera: &'a str,
        /// Why.
        error: &'a str,
    },
    /// A camera that had failed took a picture again.
    CameraRecovered {
        /// The camera.
        camera: &'a str,
    },
}

pub(crate) type Tell = Box<dyn FnMut(&Notice<'_>) + Send>;

/// Tells whoever listens to `tracing`.
pub(crate) fn log(notice: &Notice<'_>) {
    match notice {
        Notice::Connected { after } => tracing::debug!(after, "the server tells events from here on"),
        Notice::Interrupted { error, pause } => tracing::warn!(error = error.causes(), ?pause, "events are read again after a pause"),
        Notice::Gap { after, until } => tracing::warn!(after, until, "the server has forgotten events that were not yet received"),
        Notice::Unreadable { error } => tracing::error!(error = error.causes(), "an event can't be read and is passed by"),
        Notice::Panicked { types, number, message } => tracing::error!(types, number, message, "a handler of events panicked"),
        Notice::CameraFailed { camera, error } => tracing::warn!(camera, error, "a camera took no picture and tries again"),
        Notice::CameraRecovered { camera } => tracing::info!(camera, "a camera takes pictures again"),
    }
}
