//! Settings of a cluster that must equal those of its Celery application, and what of its tasks is recorded.

use std::fmt;

use globset::{Glob, GlobSet, GlobSetBuilder};

/// Names that a Celery application can change. The defaults are Celery's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Exchange of events: `event_exchange`.
    pub event_exchange: String,
    /// Prefix of the exchanges of remote control commands: `control_exchange`.
    pub control_exchange: String,
    /// Prefix of all keys and channels of Redis: `global_keyprefix` in `broker_transport_options`.
    pub key_prefix: String,
    /// Prefix of the channels of Redis: `fanout_prefix` in `broker_transport_options`. `{db}` stands for the number of the database.
    pub fanout_prefix: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            event_exchange: "celeryev".to_owned(),
            control_exchange: "celery".to_owned(),
            key_prefix: String::new(),
            fanout_prefix: "/{db}.".to_owned(),
        }
    }
}

impl Options {
    /// Exchange of remote control commands. Each worker receives all commands.
    pub(crate) fn pidbox(&self) -> String {
        format!("{}.pidbox", self.control_exchange)
    }

    /// Exchange that the replies of workers go through.
    pub(crate) fn reply_pidbox(&self) -> String {
        format!("reply.{}.pidbox", self.control_exchange)
    }
}

/// Tasks whose arguments and results are recorded.
///
/// # Examples
///
/// ```
/// use monitor_celery::Arguments;
///
/// let only: Arguments = "shop.*,mail.send".parse()?;
/// assert!(only.include("shop.pay") && !only.include("mail.read"));
/// assert!(Arguments::default().include("anything"));
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Default)]
pub enum Arguments {
    /// No task.
    Off,
    /// All tasks.
    #[default]
    All,
    /// Tasks with matching names.
    Matching(GlobSet),
}

impl Arguments {
    /// Returns true if arguments and results of this task are recorded.
    #[must_use]
    pub fn include(&self, task: &str) -> bool {
        match self {
            Self::Off => false,
            Self::All => true,
            Self::Matching(names) => names.is_match(task),
        }
    }
}

impl std::str::FromStr for Arguments {
    type Err = String;

    /// Reads `off`, `all`, or patterns of task names between commas.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => return Ok(Self::Off),
            "all" => return Ok(Self::All),
            _ => {}
        }
        let mut names = GlobSetBuilder::new();
        for pattern in text.split(',') {
            if pattern.is_empty() {
                return Err("expected `off`, `all`, or patterns of task names such as `shop.*`, between commas".to_owned());
            }
            names.add(Glob::new(pattern).map_err(|error| error.to_string())?);
        }
        names.build().map(Self::Matching).map_err(|error| error.to_string())
    }
}

impl fmt::Debug for Arguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "Off",
            Self::All => "All",
            Self::Matching(_) => "Matching",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_in_patterns_are_named() {
        for text in ["", "a,", ",", "a[", "a,b["] {
            assert!(text.parse::<Arguments>().is_err(), "{text:?}");
        }
        assert!(!"off".parse::<Arguments>().unwrap().include("a"));
    }
}
