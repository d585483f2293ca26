//! Why a call failed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use monitor_http::{certificate_hint, with_causes};
use monitor_wire::{Problem, is_temporary};
use url::Url;

use crate::settings::InvalidSetting;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a call failed. Addresses in it carry no password.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// What was asked for can't be put into a request: a setting, or a name that no tree has.
    Setting(InvalidSetting),
    /// No connection to the server was made.
    Unreachable {
        /// The server's address.
        url: Arc<Url>,
        /// Why not.
        source: Source,
    },
    /// The connection broke off before all of the answer was there.
    Broken {
        /// The server's address.
        url: Arc<Url>,
        /// How.
        source: Source,
    },
    /// Nothing more came for [so long](crate::Settings::silence_timeout).
    Silent {
        /// The server's address.
        url: Arc<Url>,
        /// How long was waited.
        waited: Duration,
    },
    /// The server refused, and says why and what to do.
    Refused {
        /// The server's words; `status` is that of the answer.
        problem: Box<Problem>,
        /// When to try again, if the server said so: a minute at most.
        retry_after: Option<Duration>,
    },
    /// What answered is no Process Monitor: a proxy's page, or another program at that address.
    Foreign {
        /// The server's address.
        url: Arc<Url>,
        /// The HTTP status of the answer.
        status: u16,
        /// Where the answer points to, if it is a redirection. Nothing is redirected: a token must not follow.
        location: Option<String>,
        /// When to try again, if the answer said so: a minute at most.
        retry_after: Option<Duration>,
    },
    /// The answer, or one message of the stream, is [larger](crate::Settings::max_answer_bytes) than what is taken.
    Oversized {
        /// The server's address.
        url: Arc<Url>,
        /// The most that is taken.
        limit_bytes: usize,
    },
    /// The answer is JSON, but not what was asked for.
    Unreadable {
        /// The server's address.
        url: Arc<Url>,
        /// What is wrong with it.
        source: Source,
    },
}

impl Error {
    /// The HTTP status of the answer, if there was one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { problem, .. } => Some(problem.status),
            Self::Foreign { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The server's own words, if it is the one that refused.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused { problem, .. } => Some(problem),
            _ => None,
        }
    }

    /// When to try again, if the answer said so: a minute at most.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } | Self::Foreign { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Returns true if the same call may succeed later although nobody changed anything: nobody was reached, the answer broke off, or its
    /// status is [temporary](is_temporary).
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Broken { .. } | Self::Silent { .. } => true,
            _ => self.status().is_some_and(is_temporary),
        }
    }

    /// Advice for whoever reads the error, if there is any that the error itself doesn't give.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { .. } => Some(certificate_hint(&self.causes()).map_or_else(
                || "is it running? start it with `monitor server`, or name its address by MONITOR_SERVER_URL".to_owned(),
                str::to_owned,
            )),
            Self::Foreign { location: Some(location), .. } => Some(format!("it points to {location:?}: name the server's own address")),
            _ => None,
        }
    }

    /// Returns the words of the error and of all that caused it, each once.
    pub fn causes(&self) -> String {
        with_causes(self)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting(invalid) => invalid.fmt(f),
            Self::Unreachable { url, .. } => write!(f, "the server at {url} was not reached"),
            Self::Broken { url, .. } => write!(f, "the server at {url} broke off its answer"),
            Self::Silent { url, waited } => write!(f, "the server at {url} said nothing for {} s", waited.as_secs_f64()),
            Self::Refused { problem, .. } => f.write_str(&problem.detail),
            Self::Foreign { url, status, .. } => {
                write!(f, "{url} answered {status}, but not as Process Monitor does: is it another program's address?")
            }
            Self::Oversized { url, limit_bytes } => {
                write!(f, "the server at {url} answers more than {limit_bytes} bytes, which is refused")
            }
            Self::Unreadable { url, .. } => {
                write!(f, "the answer of {url} can't be read: is the server of another version than this program?")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreachable { source, .. } | Self::Broken { source, .. } | Self::Unreadable { source, .. } => Some(&**source),
            _ => None,
        }
    }
}

impl From<InvalidSetting> for Error {
    fn from(invalid: InvalidSetting) -> Self {
        Self::Setting(invalid)
    }
}
