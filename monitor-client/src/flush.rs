//! Waiting until all recorded events are stored.

use std::time::Duration;
use std::{error, fmt};

/// Reason why [`flush()`] did not confirm that all events are stored.
///
/// # Examples
///
/// ```
/// use monitor_client::FlushError;
///
/// match monitor_client::flush(std::time::Duration::from_secs(1)) {
///     Err(FlushError::TimedOut) => println!("the events are sent later"),
///     Err(error) => println!("{error}"),
///     Ok(()) => println!("the events are stored"),
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlushError {
    /// The server had not stored all events when the time had elapsed. The client continues to send them, and they stay in the spool until
    /// the server has stored them.
    TimedOut,
    /// Recording has ended here: the program is about to end, or the caller runs inside the recorder, like a `tracing` subscriber that
    /// handles an event of the client itself. A longer timeout or another call doesn't help.
    Over,
}

impl fmt::Display for FlushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TimedOut => "the server hasn't stored all that was recorded in the time that it was given",
            Self::Over => "recording is over in this program, or here within the recorder: nothing can be waited for",
        })
    }
}

impl error::Error for FlushError {}

/// Waits at most `timeout` until the server has stored all events recorded before the call.
///
/// Returns `Ok` immediately if nothing is monitored. At the end of the program, the client waits by itself.
///
/// # Errors
///
/// Returns an error if the time elapses first ([`FlushError::TimedOut`]), or recording has ended ([`FlushError::Over`]).
///
/// # Examples
///
/// ```
/// assert_eq!(monitor_client::flush(std::time::Duration::from_secs(1)), Ok(())); // MONITOR_ENABLED is not set
/// ```
pub fn flush(timeout: Duration) -> Result<(), FlushError> {
    #[cfg(feature = "ship")]
    {
        crate::ship::flush(timeout)
    }
    #[cfg(not(feature = "ship"))]
    {
        let _ = timeout;
        Ok(())
    }
}
