//! What a run of a batch task tells and publishes while it runs, as `monitor notify`, `monitor progress` and `monitor publish` do.
//!
//! Each function runs the command `monitor`, or what `MONITOR_COMMAND` names, and waits for it. The command finds the run, its agent and the server
//! in the environment, and leaves to the spool what a server that is away is told later. So the program itself need not be monitored.
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

/// Why the run could not tell or publish something.
///
/// ```no_run
/// use monitor_client::batch::{self, BatchError};
///
/// // This is no run of a batch task.
/// match batch::progress(1.0, None) {
///     Ok(()) => println!("told"),
///     Err(BatchError::Command { command, source }) => println!("{} is not there: {source}", command.display()),
///     Err(error) => println!("not told: {error}"),
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum BatchError {
    /// The command can't be run: it is looked for in `PATH`, or is what `MONITOR_COMMAND` says.
    Command {
        /// The command.
        command: OsString,
        /// Why.
        source: io::Error,
    },
    /// The command has not done it.
    Refused {
        /// What it said.
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

/// How bad it is what somebody is told of.
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
    /// Something is to be looked at.
    #[default]
    Warn,
    /// Something is worth knowing.
    Info,
}

/// Something that somebody is to be told of.
///
/// ```no_run
/// let notice = monitor_client::batch::notify("3 prices are missing").text("gold, silver, tin").key("prices");
/// notice.send()?;
/// # Ok::<(), monitor_client::batch::BatchError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "nobody is told of it before it is sent"]
pub struct Notice {
    title: String,
    text: Option<String>,
    severity: Severity,
    key: Option<String>,
}

/// Begins a notice, with what it is about in a few words. It is a warning unless it says otherwise.
///
/// ```no_run
/// monitor_client::batch::notify("3 prices are missing").send()?;
/// # Ok::<(), monitor_client::batch::BatchError>(())
/// ```
pub fn notify(title: &str) -> Notice {
    Notice { title: title.to_owned(), text: None, severity: Severity::default(), key: None }
}

impl Notice {
    /// Adds the rest.
    pub fn text(self, text: &str) -> Self {
        Self { text: Some(text.to_owned()), ..self }
    }

    /// Says how bad it is.
    pub fn severity(self, severity: Severity) -> Self {
        Self { severity, ..self }
    }

    /// Says what it is about: notices with the same key are about the same thing.
    pub fn key(self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self }
    }

    /// Has somebody be told. A server that is away is told later.
    ///
    /// # Errors
    /// When this is no run, nor below `monitor run`, or the command can't be run.
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

/// Tells how far the run is: how much is done, and of how much if that is known.
///
/// # Errors
/// When this is no run, nor below `monitor run`, the numbers are no amounts, or the command can't be run.
///
/// ```no_run
/// monitor_client::batch::progress(40.0, Some(100.0))?; // 40 of 100
/// monitor_client::batch::progress(41.0, None)?; // 41, of nobody knows how many
/// # Ok::<(), monitor_client::batch::BatchError>(())
/// ```
pub fn progress(done: f64, total: Option<f64>) -> Result<(), BatchError> {
    let amount = total.map_or_else(|| done.to_string(), |total| format!("{done}/{total}"));
    run(["progress", "--", &amount])
}

/// Publishes what lies in `MONITOR_PUBLISH_DIR` to targets of the task, one after the other.
///
/// # Errors
/// When a target doesn't take it, and shows what it showed before; those that stand after it get nothing. When this is no run, or the command
/// can't be run.
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
