//! Notifications, progress and publications of a batch task's run, as sent by `monitor notify`, `monitor progress` and `monitor publish`.
//!
//! Each function runs the command `monitor`, or the command in `MONITOR_COMMAND`, and waits for it. The command reads the run, its
//! agent and the server from the environment. If the server is not reachable, the spool keeps the event and it is sent later. The
//! program itself need not be monitored.
//!
//! ```no_run
//! use monitor_client::batch::{self, Severity};
//!
//! # fn main() -> Result<(), batch::BatchError> {
//! batch::progress(40.0, Some(100.0))?;
//! batch::notify("3 prices are missing").text("gold, silver, tin").severity(Severity::Error).key("prices").send()?;
//! batch::publish(["pre", "prod"])
//! # }
//! ```

use std::ffi::{OsStr, OsString};
use std::process::{Command, Stdio};
use std::{error, fmt, io};

/// Error of a notification, a progress report or a publication.
///
/// # Examples
///
/// ```no_run
/// use monitor_client::batch::{self, BatchError};
///
/// // Outside of a run of a batch task, the command fails.
/// match batch::progress(1.0, None) {
///     Ok(()) => println!("reported"),
///     Err(BatchError::Command { command, source }) => println!("{} was not started: {source}", command.display()),
///     Err(error) => println!("not reported: {error}"),
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum BatchError {
    /// The command can't be run. It is the value of `MONITOR_COMMAND`, or `monitor` in `PATH`.
    Command {
        /// Path or name of the command.
        command: OsString,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The command has failed.
    Refused {
        /// Error message of the command.
        words: String,
    },
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command { command, .. } => {
                write!(f, "the command {} can't be run: put it into PATH, or name it in MONITOR_COMMAND", command.display())
            }
            Self::Refused { words } => f.write_str(words),
        }
    }
}

impl error::Error for BatchError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Command { source, .. } => Some(source),
            Self::Refused { .. } => None,
        }
    }
}

/// Severity of a notice.
///
/// # Examples
///
/// ```
/// use monitor_client::batch::{Severity, notify};
///
/// assert_eq!(Severity::default(), Severity::Warn);
/// let notice = notify("all prices are there").severity(Severity::Info);
/// # drop(notice);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Severity {
    /// Something failed.
    Error,
    /// Something needs attention.
    #[default]
    Warn,
    /// Something is worth knowing.
    Info,
}

/// A notice for the operators of the batch task. [`Notice::send`] sends it.
///
/// # Examples
///
/// ```no_run
/// let notice = monitor_client::batch::notify("3 prices are missing").text("gold, silver, tin").key("prices");
/// notice.send()?;
/// # Ok::<(), monitor_client::batch::BatchError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "the notice is not sent until `send` is called"]
pub struct Notice {
    title: String,
    text: Option<String>,
    severity: Severity,
    key: Option<String>,
}

/// Begins a notice with the severity [`Severity::Warn`]. `title` describes its subject in a few words.
///
/// # Examples
///
/// ```no_run
/// monitor_client::batch::notify("3 prices are missing").send()?;
/// # Ok::<(), monitor_client::batch::BatchError>(())
/// ```
pub fn notify(title: &str) -> Notice {
    Notice { title: title.to_owned(), text: None, severity: Severity::default(), key: None }
}

impl Notice {
    /// Sets the text below the title.
    ///
    /// # Examples
    ///
    /// ```
    /// let notice = monitor_client::batch::notify("3 prices are missing").text("gold, silver, tin");
    /// # drop(notice);
    /// ```
    pub fn text(self, text: &str) -> Self {
        Self { text: Some(text.to_owned()), ..self }
    }

    /// Sets the severity.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::batch::{Severity, notify};
    ///
    /// let notice = notify("3 prices are missing").severity(Severity::Error);
    /// # drop(notice);
    /// ```
    pub fn severity(self, severity: Severity) -> Self {
        Self { severity, ..self }
    }

    /// Sets the key of the notice's subject. Notices with the same key are about the same subject.
    ///
    /// # Examples
    ///
    /// ```
    /// let notice = monitor_client::batch::notify("3 prices are missing").key("prices");
    /// # drop(notice);
    /// ```
    pub fn key(self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self }
    }

    /// Sends the notice. If the server is not reachable, the notice is sent later.
    ///
    /// # Errors
    ///
    /// Returns an error if the program runs neither in a run nor below `monitor run`, the command has failed, or the command can't be run.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use monitor_client::batch::notify;
    ///
    /// if let Err(error) = notify("3 prices are missing").send() {
    ///     eprintln!("the operators were not notified: {error}");
    /// }
    /// ```
    pub fn send(self) -> Result<(), BatchError> {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warn => "warn",
            Severity::Info => "info",
        };
        let mut args = vec!["notify".to_owned(), format!("--severity={severity}")];
        args.extend(self.text.map(|text| format!("--text={text}")));
        args.extend(self.key.map(|key| format!("--key={key}")));
        args.extend(["--".to_owned(), self.title]);
        run(args)
    }
}

/// Reports the progress of the run: the amount done, and the total amount if it is known.
///
/// # Errors
///
/// Returns an error if the program runs neither in a run nor below `monitor run`, a number is not a valid amount, or the command can't be
/// run.
///
/// # Examples
///
/// ```no_run
/// monitor_client::batch::progress(40.0, Some(100.0))?; // 40 of 100
/// monitor_client::batch::progress(41.0, None)?; // 41 of an unknown amount
/// # Ok::<(), monitor_client::batch::BatchError>(())
/// ```
pub fn progress(done: f64, total: Option<f64>) -> Result<(), BatchError> {
    let amount = total.map_or_else(|| done.to_string(), |total| format!("{done}/{total}"));
    run(["progress", "--", &amount])
}

/// Publishes the content of `MONITOR_PUBLISH_DIR` to targets of the task, one after the other.
///
/// # Errors
///
/// Returns an error if publishing to a target fails, the program is not part of a run, or the command can't be run. A target that fails
/// keeps its previous content, and the targets after it are skipped.
///
/// # Examples
///
/// ```no_run
/// monitor_client::batch::publish(["pre", "prod"])?;
/// # Ok::<(), monitor_client::batch::BatchError>(())
/// ```
pub fn publish<T: AsRef<OsStr>>(targets: impl IntoIterator<Item = T>) -> Result<(), BatchError> {
    let targets = targets.into_iter().map(|target| target.as_ref().to_owned());
    run(["publish", "--"].into_iter().map(OsString::from).chain(targets))
}

fn run(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<(), BatchError> {
    let command = std::env::var_os("MONITOR_COMMAND").filter(|command| !command.is_empty()).unwrap_or_else(|| "monitor".into());
    let ran = Command::new(&command).args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).output();
    let ran = ran.map_err(|source| BatchError::Command { command, source })?;
    if ran.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ran.stderr);
    let words = said.trim().trim_start_matches("monitor: ");
    let words = if words.is_empty() { format!("monitor ended with {}", ran.status) } else { words.to_owned() };
    Err(BatchError::Refused { words })
}
