//! The settings file. The whole file is checked, including profiles that are not used.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use monitor_tasks::reading::did_you_mean;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Config, Form, SETTINGS, Setting};

/// Parsed settings file: keys at the top level, and `[profile.NAME]` tables. The keys of the selected profile override the top level.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
    top: Keys,
    profiles: BTreeMap<String, Keys>,
}

/// Text and line of each value, by key.
type Keys = BTreeMap<String, (String, usize)>;

/// Error in a settings file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The file can't be read.
    #[error("could not read the settings file {}", path.display())]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// A line is invalid.
    #[error("{}:{line}: {message}", path.display())]
    Line {
        /// Path of the file.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// Key, mistake and expected value.
        message: String,
    },
    /// The profile does not exist.
    #[error("{}: there is no [profile.{name}]{hint}", path.display())]
    NoProfile {
        /// Path of the file.
        path: PathBuf,
        /// Requested name.
        name: String,
        /// Existing profiles.
        hint: String,
    },
}

impl File {
    /// Reads a file.
    ///
    /// # Errors
    /// Returns an error if the file can't be read or contains anything that is not a setting.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let text = std::fs::read_to_string(path).map_err(|source| FileError::Read { path: path.to_owned(), source })?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, FileError> {
        let reader = Reader { path, text };
        let document = DeTable::parse(text).map_err(|error| {
            let message = error.message().to_owned();
            reader.wrong(error.span().map_or(0, |span| span.start), message)
        })?;
        let (mut top, mut profiles) = (Keys::new(), BTreeMap::new());
        for (key, value) in document.into_inner() {
            if key.get_ref() != "profile" {
                reader.take(&mut top, &key, &value)?;
                continue;
            }
            let no_table = |at: usize| reader.wrong(at, "profile: expected tables like [profile.production]".to_owned());
            let DeValue::Table(tables) = value.get_ref() else { return Err(no_table(value.span().start)) };
            for (name, table) in tables {
                let DeValue::Table(table) = table.get_ref() else { return Err(no_table(table.span().start)) };
                let mut keys = Keys::new();
                for (key, value) in table {
                    reader.take(&mut keys, key, value)?;
                }
                profiles.insert(name.get_ref().to_string(), keys);
            }
        }
        Ok(Self { path: path.to_owned(), top, profiles })
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the values in the file by key, each with its place in the file.
    ///
    /// # Errors
    /// Returns an error if the profile does not exist.
    pub fn values(&self, profile: Option<&str>) -> Result<BTreeMap<String, (String, String)>, FileError> {
        let none = Keys::new();
        let chosen = match profile {
            None => &none,
            Some(name) => self.profiles.get(name).ok_or_else(|| {
                let known: Vec<_> = self.profiles.keys().map(String::as_str).collect();
                let hint = if known.is_empty() { "; it has no profiles".to_owned() } else { format!("; it has: {}", known.join(", ")) };
                FileError::NoProfile { path: self.path.clone(), name: name.to_owned(), hint }
            })?,
        };
        let place = |line: usize| format!("{}:{line}", self.path.display());
        let all = self.top.iter().chain(chosen);
        Ok(all.map(|(key, (text, line))| (key.clone(), (text.clone(), place(*line)))).collect())
    }
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Reader<'_> {
    fn line(&self, at: usize) -> usize {
        self.text.as_bytes()[..at.min(self.text.len())].split(|byte| *byte == b'\n').count()
    }

    fn wrong(&self, at: usize, message: String) -> FileError {
        FileError::Line { path: self.path.to_owned(), line: self.line(at), message }
    }

    fn take(&self, keys: &mut Keys, key: &Spanned<std::borrow::Cow<'_, str>>, value: &Spanned<DeValue<'_>>) -> Result<(), FileError> {
        let (name, at) = (key.get_ref().as_ref(), key.span().start);
        let Some(setting) = SETTINGS.iter().find(|setting| setting.key() == name) else {
            return Err(self.wrong(at, format!("{name}: there is no such setting{}", near(name))));
        };
        let text = words(setting, value.get_ref()).ok_or_else(|| {
            let expected = match setting.form {
                Form::Text | Form::Secret => "a string in quotes".to_owned(),
                Form::Number => "a whole number".to_owned(),
                Form::Switch => "true or false".to_owned(),
                Form::Tables => format!("tables, each under [[{name}]]"),
            };
            self.wrong(value.span().start, format!("{name}: expected {expected}, found {}", value.get_ref().type_str()))
        })?;
        if let Err(message) = setting.set(&mut Config::default(), &text) {
            let given = if setting.form == Form::Secret { String::new() } else { format!("{text:?}: ") };
            return Err(self.wrong(value.span().start, format!("{name}: {given}{message}")));
        }
        keys.insert(name.to_owned(), (text, self.line(at)));
        Ok(())
    }
}

/// Returns the value as text if it has the form of the setting.
fn words(setting: &Setting, value: &DeValue<'_>) -> Option<String> {
    match (setting.form, value) {
        (Form::Text | Form::Secret | Form::Number | Form::Tables, DeValue::String(text)) => Some(text.to_string()),
        (Form::Number, DeValue::Integer(number)) if number.radix() == 10 => Some(number.as_str().to_owned()),
        (Form::Switch, DeValue::Boolean(switch)) => Some(switch.to_string()),
        (Form::Tables, DeValue::Array(tables)) => Some(inline(&DeValue::Array(tables.clone()))),
        _ => None,
    }
}

/// Formats a value on one line.
fn inline(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => toml::Value::from(&**text).to_string(),
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(is_true) => is_true.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(values) => {
            let values: Vec<_> = values.iter().map(|value| inline(value.get_ref())).collect();
            format!("[{}]", values.join(", "))
        }
        DeValue::Table(table) => {
            let pair = |(key, value): (&Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
                format!("{} = {}", toml::Value::from(key.get_ref().as_ref()), inline(value.get_ref()))
            };
            let pairs: Vec<_> = table.iter().map(pair).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
    }
}

/// Returns a hint with a similar key.
fn near(name: &str) -> String {
    let keys: Vec<_> = SETTINGS.iter().map(Setting::key).collect();
    let near = did_you_mean(name, keys.iter().map(AsRef::as_ref));
    if near.is_empty() { "; `monitor server --help` lists all".to_owned() } else { near }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        File::parse(Path::new("server.toml"), text).unwrap_err().to_string()
    }

    #[test]
    fn mistakes_are_reported_with_line_and_key() {
        for (text, words) in [
            ("\nmax-connection = 5", "server.toml:2: max-connection: there is no such setting; did you mean max-connections?"),
            ("max_connections = 5", "did you mean max-connections?"),
            ("zzz = 5", "server.toml:1: zzz: there is no such setting; `monitor server --help` lists all"),
            ("max-connections = \"many\"", "server.toml:1: max-connections: \"many\": expected a whole number"),
            ("max-connections = 0", "max-connections: \"0\": expected a whole number from 1 on"),
            ("max-connections = 5.5", "max-connections: expected a whole number, found float"),
            ("insecure = 1", "insecure: expected true or false, found integer"),
            ("listen = 60010", "listen: expected a string in quotes, found integer"),
            ("\n\nlisten = \"60010\"", "server.toml:3: listen: \"60010\": expected an address and a port"),
            ("stop-timeout = \"5\"", "stop-timeout: \"5\": expected a duration"),
            ("otlp-headers = \"hush\"", "server.toml:1: otlp-headers: header 1: expected NAME=VALUE"),
            ("job-rule = 1", "server.toml:1: job-rule: expected tables, each under [[job-rule]], found integer"),
            ("[[job-rule]]\npattern = \"(\"\naction = \"warn\"", "job-rule: "),
            ("listen = ", "server.toml:1: "),
            ("listen = 1\nlisten = 2", "server.toml:2: "),
            ("profile = 1", "server.toml:1: profile: expected tables like [profile.production]"),
            ("[profile]\nproduction = 1", "server.toml:2: profile: expected tables"),
            (
                "[profile.production]\n\nmax-body-byte = 5",
                "server.toml:3: max-body-byte: there is no such setting; did you mean max-body-bytes?",
            ),
            ("[limits]\nmax-body-bytes = 5", "server.toml:1: limits: there is no such setting"),
        ] {
            assert!(refusal(text).contains(words), "{words:?} is not in {:?}", refusal(text));
        }
    }

    #[test]
    fn a_profile_overrides_the_top_level() {
        let text = "max-connections = 5\nmax-body-bytes = \"1MiB\"\n[profile.production]\nmax-connections = 1_000\n";
        let file = File::parse(Path::new("a.toml"), text).unwrap();
        let top = file.values(None).unwrap();
        assert_eq!(top["max-connections"], ("5".to_owned(), "a.toml:1".to_owned()));
        let chosen = file.values(Some("production")).unwrap();
        assert_eq!(chosen["max-connections"], ("1000".to_owned(), "a.toml:4".to_owned()));
        assert_eq!(chosen["max-body-bytes"].0, "1MiB");
        let error = file.values(Some("staging")).unwrap_err().to_string();
        assert!(error.contains("no [profile.staging]; it has: production"), "{error}");
    }

    #[test]
    fn every_setting_has_a_flag_a_variable_and_a_key() {
        for setting in SETTINGS {
            assert!(!setting.help.is_empty() && monitor_spool::settings::is_known(&setting.variable()) && !setting.key().contains('_'));
            let mut config = Config::new("data");
            if let Some(shown) = setting.show(&config) {
                let file = File::parse(Path::new("a.toml"), &format!("{} = {shown}", setting.key())).unwrap();
                let (text, _) = &file.values(None).unwrap()[&setting.key()];
                setting.set(&mut config, text).unwrap();
                assert_eq!(setting.show(&config).as_ref(), Some(&shown));
            }
        }
    }
}
