//! Notices: reports of a receiver about itself.

use std::io::{self, Write as _};
use std::time::Duration;

/// A report of a receiver about itself.
#[derive(Debug)]
#[non_exhaustive]
pub enum Notice<'a> {
    /// The stream is connected. Reported again after each interruption.
    Connected {
        /// Number of the event after which the stream continues.
        after: u64,
    },
    /// The connection was interrupted, or the server could not be reached. It is retried after a pause, and no event is missed.
    Interrupted {
        /// Cause.
        error: &'a monitor_api::Error,
        /// Pause before the next attempt.
        pause: Duration,
    },
    /// Events were missed, because the server no longer has them. The state was reloaded.
    Gap {
        /// Number of the last event before the gap. `None` if unknown.
        after: Option<u64>,
        /// Number of the last missing event.
        until: u64,
    },
    /// An event can't be read, and was skipped.
    Unreadable {
        /// Cause.
        error: &'a monitor_api::Error,
    },
    /// A handler panicked. The other handlers received the event.
    Panicked {
        /// Type pattern of the handler.
        types: &'a str,
        /// Number of the event.
        number: u64,
        /// Message of the panic.
        message: &'a str,
    },
    /// A camera failed. Its next picture includes the data of the failed one.
    CameraFailed {
        /// Name of the camera.
        camera: &'a str,
        /// Cause.
        error: &'a str,
    },
    /// A camera succeeded after a failure.
    CameraRecovered {
        /// Name of the camera.
        camera: &'a str,
    },
}

pub(crate) type Tell = Box<dyn FnMut(&Notice<'_>) + Send>;

/// Logs notices through `tracing`. Without a subscriber, warnings go to stderr, and an unreachable server is reported once.
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

/// Returns the text of a notice that may require action by the user.
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
        Notice::Connected { after } => tracing::debug!(after, "the server sends events from here on"),
        Notice::Interrupted { error, pause } => tracing::warn!(error = error.causes(), ?pause, "events are read again after a pause"),
        Notice::Gap { after, until } => tracing::warn!(after, until, "the server has forgotten events that were not yet received"),
        Notice::Unreadable { error } => tracing::error!(error = error.causes(), "an event can't be read and is passed by"),
        Notice::Panicked { types, number, message } => tracing::error!(types, number, message, "a handler of events panicked"),
        Notice::CameraFailed { camera, error } => tracing::warn!(camera, error, "a camera took no picture and tries again"),
        Notice::CameraRecovered { camera } => tracing::info!(camera, "a camera takes pictures again"),
    }
}
