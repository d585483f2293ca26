//! Errors of calls.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use monitor_http::{certificate_hint, with_causes};
use monitor_wire::{Problem, is_temporary};
use url::Url;

use crate::settings::InvalidSetting;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Error of a call.
///
/// The message describes the failure in a sentence; the causes are its [sources](std::error::Error::source). Addresses in it contain no
/// password.
///
/// # Examples
///
/// ```no_run
/// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
/// use monitor_api::Error;
///
/// match client.root(2106).await {
///     Ok(run) => println!("{}", run.title),
///     Err(Error::Refused { problem, .. }) if problem.status == 404 => println!("there is no such run"),
///     Err(error) if error.is_temporary() => println!("try again later: {error}"),
///     Err(error) => return Err(error),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The request can't be built, because a setting or a name in the path is invalid.
    Setting(InvalidSetting),
    /// The connection to the server failed.
    Unreachable {
        /// The server's address.
        url: Arc<Url>,
        /// Cause of the error.
        source: Source,
    },
    /// The connection broke before the end of the answer.
    Broken {
        /// The server's address.
        url: Arc<Url>,
        /// Cause of the error.
        source: Source,
    },
    /// Nothing was received within the [silence timeout](crate::Settings::silence_timeout).
    Silent {
        /// The server's address.
        url: Arc<Url>,
        /// Time that the client waited.
        waited: Duration,
    },
    /// The server refused the request, with a reason and a remedy.
    Refused {
        /// Problem document of the server. Its `status` is the status of the response.
        problem: Box<Problem>,
        /// Wait before the next attempt, if the server specifies it. At most a minute.
        retry_after: Option<Duration>,
    },
    /// The answer is not from a Process Monitor server, but from a proxy or another program at that address.
    Foreign {
        /// The server's address.
        url: Arc<Url>,
        /// The HTTP status of the answer.
        status: u16,
        /// Target of the redirection, if the answer is one. Redirections are not followed, so that the token is not sent elsewhere.
        location: Option<String>,
        /// Wait before the next attempt, if the answer specifies it. At most a minute.
        retry_after: Option<Duration>,
    },
    /// The answer, or one message of the stream, exceeds the [maximum size](crate::Settings::max_answer_bytes).
    Oversized {
        /// The server's address.
        url: Arc<Url>,
        /// The maximum size in bytes.
        limit_bytes: usize,
    },
    /// The answer is JSON, but not of the expected type.
    Unreadable {
        /// The server's address.
        url: Arc<Url>,
        /// Error of the parser.
        source: Source,
    },
}

impl Error {
    /// Returns the HTTP status of the answer, if there was one.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// if let Err(error) = client.root(2106).await {
    ///     assert_eq!(error.status(), Some(404));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { problem, .. } => Some(problem.status),
            Self::Foreign { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Returns the problem document, if the server refused the request.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// if let Err(error) = client.roots().parameter("limit", "many").await
    ///     && let Some(problem) = error.problem()
    /// {
    ///     println!("{:?}: {}", problem.parameter, problem.detail);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused { problem, .. } => Some(problem),
            _ => None,
        }
    }

    /// Returns the wait before the next attempt, if the answer specifies it. At most a minute.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// if let Err(error) = client.status().await {
    ///     let pause = error.retry_after().unwrap_or(std::time::Duration::from_secs(5));
    ///     tokio::time::sleep(pause).await;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } | Self::Foreign { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Returns true if the same call may succeed later without a change: the server was not reached, the answer broke off or timed out, or
    /// its status is [temporary](is_temporary).
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_api::{Error, Token};
    ///
    /// let invalid = Error::from(Token::new("two words").unwrap_err());
    /// assert!(!invalid.is_temporary());
    /// ```
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Broken { .. } | Self::Silent { .. } => true,
            _ => self.status().is_some_and(is_temporary),
        }
    }

    /// Returns advice for the user in addition to the error's message, if there is any.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// if let Err(error) = client.status().await {
    ///     eprintln!("error: {}", error.causes());
    ///     if let Some(hint) = error.hint() {
    ///         eprintln!("hint: {hint}");
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
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

    /// Returns the messages of the error and of its causes, without repetitions.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// if let Err(error) = client.status().await {
    ///     eprintln!("error: {}", error.causes());
    /// }
    /// # Ok(())
    /// # }
    /// ```
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
