//! The file `alerts.toml`: rules and channels.

use std::collections::{BTreeMap, BTreeSet};

use monitor_tasks::definition::Mistake;
use monitor_tasks::reading::{Reader, Source};
use serde_json::Value;

use crate::channel::{Channel, channel};
use crate::rule::{Reach, Rule, To, read_rule};

/// Content of `alerts.toml`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// Rules in the order of the file.
    pub rules: Vec<Rule>,
    /// Channels by name.
    pub channels: BTreeMap<String, Channel>,
    /// Warnings about valid settings, such as a rule without causes.
    pub warnings: Vec<Mistake>,
}

impl Settings {
    /// Reads `alerts.toml`.
    ///
    /// # Errors
    /// All mistakes, in the order of the file.
    pub fn from_toml(text: &str) -> Result<Self, Vec<Mistake>> {
        Self::draft(text, &BTreeMap::new())
    }

    /// Reads draft rules in the syntax of `alerts.toml`. They may use the existing `channels` and those defined in `text`.
    ///
    /// # Errors
    /// All mistakes, in the order of the text.
    pub fn draft(text: &str, channels: &BTreeMap<String, Channel>) -> Result<Self, Vec<Mistake>> {
        let source = Source::toml(text)?;
        let mut reader = Reader::new(&source);
        let read = settings(&mut reader, channels);
        reader.finish(read)
    }
}

fn settings(reader: &mut Reader<'_>, known: &BTreeMap<String, Channel>) -> Option<Settings> {
    let mut table = reader.top()?;
    let mut settings = Settings::default();
    if let Some(found) = table.get("channel")
        && let Some(channels) = reader.table(found)
    {
        for (name, found) in channels.all() {
            if To::parse(name) != Ok(To::Channel(name.clone())) {
                reader.wrong_key(&found.0, "a name of at most 100 letters, digits, `-`, `_` and `.` is expected");
            }
            settings.channels.extend(channel(reader, name, found).map(|channel| (name.clone(), channel)));
        }
    }
    // A channel with a mistake still counts as existing, so that rules that use it cause no second mistake.
    let written = table.get("channel").and_then(|found| found.1.as_object());
    let is_mail = |channel: &Value| channel.get("kind").and_then(Value::as_str) == Some("mail");
    let mut reach = Reach::of(known);
    reach.names.extend(written.into_iter().flat_map(|map| map.keys().cloned()));
    reach.has_mail |= written.is_some_and(|map| map.values().any(is_mail));
    let mut names = BTreeSet::new();
    let items = table.get("rule").map(|found| reader.list(found)).unwrap_or_default();
    for found in items {
        let path = found.0.clone();
        let Some(rule) = read_rule(reader, found, &reach) else { continue };
        if !rule.name.is_empty() && !names.insert(rule.name.clone()) {
            reader.wrong(&format!("{path}/name"), format!("there is another rule {}", rule.name));
        }
        if let Some(words) = rule.warning() {
            let at = if rule.on.cause.is_empty() { format!("{path}/on/cause") } else { path };
            settings.warnings.push(reader.warning(&at, words));
        }
        settings.rules.push(rule);
    }
    reader.end(&table);
    Some(settings)
}
