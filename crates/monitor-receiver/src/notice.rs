//! What a receiver tells besides events.

use std::io::{self, Write as _};
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

/// Logs notices through `tracing`. Without a subscriber, warnings go to stderr, and a server that is away is reported once.
pub(crate) fn log() -> impl FnMut(&Notice<'_>) + Send + 'static {
    let mut is_away = false;
    move |notice| {
        trace(notice);
        let was_away = std::mem::replace(&mut is_away, matches!(notice, Notice::Interrupted { .. }));
        if let Some(warning) = warning(notice)
            && !(was_away && is_away)
            && tracing::dispatcher::get_default(tracing::Dispatch::is::<tracing::subscriber::NoSubscriber>)
        {
            let line = warning.replace(char::is_control, " ");
            let _ = writeln!(io::stderr(), "monitor: warning: {line}");
        }
    }
}

/// The words of a notice that the user may want to act on.
fn warning(notice: &Notice<'_>) -> Option<String> {
    Some(match notice {
        Notice::Connected { .. } | Notice::CameraRecovered { .. } => return None,
        Notice::Interrupted { error, .. } => format!("{}; trying again", error.causes()),
        Notice::Gap { after, until } => {
            let from = after.map(|after| format!(" after number {after}")).unwrap_or_default();
            format!("the server has forgotten events{from} up to {until}: they are missing here")
        }
        Notice::Unreadable { error } => format!("an event is missing here: {}", error.causes()),
        Notice::Panicked { types, number, message } => format!("the handler of {types} panicked at event {number}: {message}"),
        Notice::CameraFailed { camera, error } => format!("camera {camera}: {error}; trying again"),
    })
}

fn trace(notice: &Notice<'_>) {
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
