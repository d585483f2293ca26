//! Waiting until what was recorded is stored.

use std::time::Duration;
use std::{error, fmt};

/// Why [`flush`] can't say that all is stored.
///
/// ```
/// use monitor_client::FlushError;
///
/// match monitor_client::flush(std::time::Duration::from_secs(1)) {
///     Err(FlushError::TimedOut) => println!("it is sent later"),
///     Err(error) => println!("{error}"),
///     Ok(()) => println!("it is stored"),
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlushError {
    /// The server hadn't stored all of it when the time was over. It goes on being sent, and stays in the spool until the server has it.
    TimedOut,
    /// Nothing is recorded here any more: the program is about to end, or the call comes from within the recorder, as from a `tracing` subscriber
    /// that is told of the client's own work. Waiting longer, or trying again, doesn't help.
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

/// Waits until all that was recorded before is stored by the server, at most `timeout`.
///
/// # Errors
/// When the time is over first, or recording is ([`FlushError`]). When nothing is monitored there is nothing to wait for: that is no error.
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
