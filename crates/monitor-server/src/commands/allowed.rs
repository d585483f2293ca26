//! Setting `commands`: the methods that this server passes on.

use std::fmt;

use super::channels::is_method;
use super::{CommandError, is_reading};

/// Methods that workers may be sent. Each program also has its own setting.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AllowedCommands {
    /// All methods.
    #[default]
    All,
    /// Methods that only query, and these.
    Read(Vec<String>),
    /// No methods.
    Off,
}

impl AllowedCommands {
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        match text.trim() {
            "all" => return Ok(Self::All),
            "off" => return Ok(Self::Off),
            _ => {}
        }
        let names = text.split(',').map(str::trim).filter(|word| *word != "read");
        let name = |word: &str| (is_method(word) && !matches!(word, "all" | "off")).then(|| word.to_owned());
        let expected = || "expected all, off, read, or read and names of methods between commas, like read,cancel,pause".to_owned();
        names.map(name).collect::<Option<_>>().map(Self::Read).ok_or_else(expected)
    }

    /// Returns an error if a method may not be sent.
    pub(super) fn check(&self, method: &str) -> Result<(), CommandError> {
        match self {
            Self::All => return Ok(()),
            Self::Read(names) if is_reading(method) || names.iter().any(|name| name == method) => return Ok(()),
            Self::Read(_) | Self::Off => {}
        }
        Err(CommandError::NotPassedOn { method: method.chars().take(64).collect(), setting: self.clone() })
    }
}

impl fmt::Display for AllowedCommands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Read(names) if names.is_empty() => f.write_str("read"),
            Self::Read(names) => write!(f, "read,{}", names.join(",")),
            Self::Off => f.write_str("off"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_selects_the_forwarded_commands() {
        for (text, shown, passed) in [
            ("all", "all", [true, true, true]),
            (" off ", "off", [false, false, false]),
            ("read", "read", [true, false, false]),
            ("read, cancel", "read,cancel", [true, true, false]),
            ("pause", "read,pause", [true, false, true]),
        ] {
            let allowed = AllowedCommands::read(text).unwrap();
            assert_eq!(allowed.to_string(), shown);
            assert_eq!(["ping", "cancel", "pause"].map(|method| allowed.check(method).is_ok()), passed, "{text}");
        }
        for text in ["", "read,,", "read,off", "a b"] {
            assert!(AllowedCommands::read(text).is_err(), "{text:?}");
        }
    }
}
