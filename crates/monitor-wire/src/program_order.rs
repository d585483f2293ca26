//! Orders for every program with a channel, which change the events and log lines that it sends.

use std::time::Duration;

use crate::event::Fields;
use crate::method::Names;
use crate::order::{Arguments, OrderError, wrong};

/// Levels of events: which new processes a program sends.
pub const EVENT_LEVELS: [&str; 4] = ["all", "roots", "off", "watched"];
/// Lowest level of the log lines that a program sends, or `off`.
pub const LOG_LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// An order for the client library of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProgramOrder {
    /// `enable-events` and `disable-events`: set the level of events.
    Events {
        /// Kind of the processes. `None` means any kind.
        kind: Option<String>,
        /// Pattern of the processes' names. `None` means any name.
        name: Option<String>,
        /// One of [`EVENT_LEVELS`].
        level: &'static str,
        /// Time after which the order is undone. `None` means never.
        hold: Option<Duration>,
    },
    /// `log-level`: set the lowest level of log lines.
    LogLevel {
        /// One of [`LOG_LEVELS`].
        level: &'static str,
        /// Time after which the order is undone. `None` means never.
        hold: Option<Duration>,
    },
    /// `heartbeat`: send a heartbeat now.
    Heartbeat,
}

impl ProgramOrder {
    /// Methods that every program knows.
    pub const METHODS: [&str; Names::Switch.count()] = Names::Switch.select();

    /// Reads a method with its arguments; none if it is not one of [`ProgramOrder::METHODS`].
    ///
    /// # Errors
    /// If an argument is missing, unknown, or out of bounds.
    pub fn read(method: &str, arguments: &Fields) -> Result<Option<Self>, OrderError> {
        let mut arguments = Arguments::new(arguments);
        let read = &mut arguments;
        let order = match method {
            "enable-events" => {
                let level = read.word("level", &EVENT_LEVELS)?.unwrap_or("all");
                if level == "off" {
                    return Err(wrong("level", "expected all, roots or watched; `disable-events` switches off"));
                }
                read.events(level)?
            }
            "disable-events" => read.events("off")?,
            "log-level" => {
                let level = read.word("level", &LOG_LEVELS)?;
                let level = level.ok_or_else(|| wrong("level", format!("expected one of {}", LOG_LEVELS.join(", "))))?;
                Self::LogLevel { level, hold: read.duration("for_ms")? }
            }
            "heartbeat" => Self::Heartbeat,
            _ => return Ok(None),
        };
        arguments.end(method)?;
        Ok(Some(order))
    }
}

impl Arguments<'_> {
    fn events(&mut self, level: &'static str) -> Result<ProgramOrder, OrderError> {
        let kind = self.optional_name("kind")?;
        if kind.as_deref().is_some_and(|kind| !is_kind(kind)) {
            return Err(wrong("kind", "expected a kind of processes, such as span or job"));
        }
        let name = self.optional_name("name")?;
        if name.as_deref().is_some_and(|name| name.contains([',', '=']) || name.trim() != name) {
            return Err(wrong("name", "expected a pattern of names without `,` and `=`, and without spaces around it"));
        }
        Ok(ProgramOrder::Events { kind, name, level, hold: self.duration("for_ms")? })
    }
}

fn is_kind(text: &str) -> bool {
    text.len() <= 64 && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(method: &str, arguments: Value) -> Result<Option<ProgramOrder>, String> {
        let arguments = serde_json::from_value(arguments).expect("an object");
        ProgramOrder::read(method, &arguments).map_err(|error| error.to_string())
    }

    #[test]
    fn every_method_is_read_with_its_arguments() {
        let hold = Some(Duration::from_secs(60));
        let events = |kind: Option<&str>, name: Option<&str>, level, hold| ProgramOrder::Events {
            kind: kind.map(str::to_owned),
            name: name.map(str::to_owned),
            level,
            hold,
        };
        for (method, arguments, expected) in [
            ("enable-events", json!({}), events(None, None, "all", None)),
            ("enable-events", json!({"kind": "span", "level": "Roots", "for_ms": 60_000}), events(Some("span"), None, "roots", hold)),
            ("disable-events", json!({"kind": "normal", "name": "渲染*"}), events(Some("normal"), Some("渲染*"), "off", None)),
            ("log-level", json!({"level": "warn", "for_ms": 60_000}), ProgramOrder::LogLevel { level: "warn", hold }),
            ("heartbeat", json!({}), ProgramOrder::Heartbeat),
        ] {
            assert_eq!(read(method, arguments), Ok(Some(expected)), "{method}");
        }
        assert_eq!(read("pause", json!({})), Ok(None));
        assert!(ProgramOrder::METHODS.iter().all(|method| crate::CHANGING_METHODS.contains(method)));
    }

    #[test]
    fn errors_of_an_order_name_the_argument() {
        for (method, arguments, words) in [
            ("enable-events", json!({"level": "loud"}), "`level`: expected one of all, roots"),
            ("enable-events", json!({"level": "off"}), "`disable-events` switches off"),
            ("enable-events", json!({"level": 7}), "`level`"),
            ("enable-events", json!({"kind": "a b"}), "`kind`"),
            ("enable-events", json!({"kind": ""}), "`kind`"),
            ("enable-events", json!({"name": "a,b"}), "`name`"),
            ("enable-events", json!({"name": "x".repeat(513)}), "`name`"),
            ("disable-events", json!({"level": "all"}), "`level`: disable-events takes `kind`, `name`, `for_ms`"),
            ("disable-events", json!({"for_ms": 0}), "`for_ms`"),
            ("log-level", json!({}), "`level`: expected one of off, error"),
            ("log-level", json!({"level": "loud"}), "`level`: expected one of off, error"),
            ("heartbeat", json!({"now": true}), "heartbeat takes no arguments"),
        ] {
            let error = read(method, arguments).expect_err(method);
            assert!(error.contains(words), "{method}: {error}");
        }
    }
}
