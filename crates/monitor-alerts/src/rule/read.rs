//! Reads a rule from TOML or JSON values and reports all its mistakes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use monitor_tasks::definition::Mistake;
use monitor_tasks::reading::{Found, Reader, Source, did_you_mean, shown};
use serde_json::Value;

use super::{Escalation, Follow, On, Pattern, QuietHours, Rule, Times, To};
use crate::cause::{Cause, Severity};
use crate::channel::{Channel, ChannelKind};

/// Maximum number of rules, of recipients of a rule, and of escalation steps.
const MOST: usize = 1_000;

impl Rule {
    /// Reads a rule in the JSON form of the page and the API. `channels` are the existing channels.
    ///
    /// # Errors
    /// All mistakes of the rule.
    pub fn from_json(value: Value, channels: &BTreeMap<String, Channel>) -> Result<Self, Vec<Mistake>> {
        let source = Source::json(value);
        let mut reader = Reader::new(&source);
        let read = rule(&mut reader, (String::new(), source.value()), &Reach::of(channels));
        reader.finish(read)
    }
}

/// Channels that a rule can send to.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    /// Names of the channels.
    pub names: BTreeSet<String>,
    /// True if one of them is of kind mail and can send to any address.
    pub has_mail: bool,
}

impl Reach {
    pub(crate) fn of(channels: &BTreeMap<String, Channel>) -> Self {
        let has_mail = channels.values().any(|channel| matches!(channel.kind, ChannelKind::Mail { .. }));
        Self { names: channels.keys().cloned().collect(), has_mail }
    }

    /// Returns an error text if no channel reaches the recipient.
    fn lacks(&self, to: &To) -> Option<String> {
        match to {
            To::Channel(name) if !self.names.contains(name) => {
                Some(format!("there is no channel {name}{}", did_you_mean(name, self.names.iter().map(String::as_str))))
            }
            To::Address(address) if !self.has_mail => Some(format!("there is no channel of the kind mail to reach {address}")),
            _ => None,
        }
    }
}

/// Reads the rule at a position of the source.
pub(crate) fn rule<'a>(reader: &mut Reader<'a>, found: Found<'a>, reach: &Reach) -> Option<Rule> {
    let path = found.0.clone();
    let mut table = reader.table(found)?;
    let name = if let Some(found) = table.get("name") {
        reader.name(found)
    } else {
        reader.wrong(&path, "a name is missing: name = \"imports\"");
        None
    };
    let on = if let Some(found) = table.get("on") {
        on(reader, found)
    } else {
        reader.wrong(&path, "it is missing what the rule is for: on = { cause = [\"failed\"] }");
        None
    };
    let rule = Rule {
        name: name.unwrap_or_default(),
        on: on.unwrap_or_default(),
        times: table.get("times").and_then(|found| times(reader, found)).unwrap_or_default(),
        severity: table.get("severity").and_then(|found| reader.word(found, Severity::WORDS)),
        to: table.get("to").map(|found| addresses(reader, found, reach)),
        repeat: not_short(reader, table.get("repeat")),
        escalate: table.get("escalate").map(|found| escalation(reader, found, reach)).unwrap_or_default(),
        quiet: table.get("quiet").and_then(|found| quiet(reader, found)),
        then: table.get("then").and_then(|found| follow(reader, found)),
        is_builtin: false,
    };
    if matches!(rule.times, Times::Share(..)) && rule.on.cause != [Cause::Failed] {
        reader.wrong(&format!("{path}/times"), "a share is one of failed calls: on = { cause = [\"failed\"] } is expected");
    }
    reader.end(&table);
    Some(rule)
}

fn on<'a>(reader: &mut Reader<'a>, found: Found<'a>) -> Option<On> {
    let path = found.0.clone();
    let mut table = reader.table(found)?;
    let mut cause = Vec::new();
    match table.get("cause") {
        Some(found) if found.1.is_string() => cause.extend(reader.word(found, Cause::WORDS)),
        Some(found) => {
            for item in reader.list(found).into_iter().take(MOST) {
                cause.extend(reader.word(item, Cause::WORDS));
            }
        }
        None => {}
    }
    let mut pattern = |found| reader.maybe_text(found).map(Pattern::new);
    let on = On {
        task: pattern(table.get("task")),
        name: pattern(table.get("name")),
        tag: pattern(table.get("tag")),
        agent: pattern(table.get("agent")),
        heartbeat: pattern(table.get("heartbeat")),
        job: pattern(table.get("job")),
        cause,
    };
    reader.end(&table);
    if !table.has("cause") {
        reader.wrong(&path, "a cause is missing: cause = [\"failed\", \"missed\"]");
    }
    Some(on)
}

fn times<'a>(reader: &mut Reader<'a>, found: Found<'a>) -> Option<Times> {
    if found.1.is_number() {
        return reader.number(found, 1).map(|number| Times::InARow(number.min(1_000)));
    }
    let path = found.0.clone();
    let text = reader.text(found)?;
    Times::parse(text).map_err(|expected| reader.wrong(&path, format!("{:?}: {expected}", shown(text)))).ok()
}

/// Reads a duration of at least a minute.
fn not_short<'a>(reader: &mut Reader<'a>, found: Option<Found<'a>>) -> Option<Duration> {
    let path = found.as_ref()?.0.clone();
    let read = reader.duration(found)?;
    if read < Duration::from_secs(60) {
        reader.wrong(&path, "at least 1m is expected");
        return None;
    }
    Some(read)
}

fn addresses<'a>(reader: &mut Reader<'a>, found: Found<'a>, reach: &Reach) -> Vec<To> {
    let mut to = Vec::new();
    for item in reader.list(found).into_iter().take(MOST) {
        let path = item.0.clone();
        let Some(text) = reader.text(item) else { continue };
        match To::parse(text) {
            Ok(one) => match reach.lacks(&one) {
                Some(lack) => reader.wrong(&path, lack),
                None => to.push(one),
            },
            Err(expected) => reader.wrong(&path, format!("{:?}: {expected}", shown(text))),
        }
    }
    to
}

impl To {
    /// Reads `@owner`, `@admins`, a mail address or the name of a channel.
    ///
    /// # Errors
    /// The expected syntax.
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        match text {
            "@owner" => Ok(Self::Owner),
            "@admins" => Ok(Self::Admins),
            text if is_address(text) => Ok(Self::Address(text.to_owned())),
            text if !text.contains('@') && text.len() <= 100 && text.chars().all(is_plain) => Ok(Self::Channel(text.to_owned())),
            _ => Err("@owner, @admins, a mail address or the name of a channel is expected".to_owned()),
        }
    }
}

/// Returns true if `text` is a plausible mail address. It contains no character that could end a header or start another address.
pub(crate) fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let is_plain = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    let is_host = |c: char| c.is_alphanumeric() || c == '-' || c == '.';
    text.len() <= 254
        && !local.is_empty()
        && local.len() <= 64
        && local.chars().all(is_plain)
        && !domain.is_empty()
        && domain.chars().all(is_host)
        && !domain.starts_with(['.', '-'])
        && !domain.ends_with(['.', '-'])
        && !text.contains("..")
}

fn escalation<'a>(reader: &mut Reader<'a>, found: Found<'a>, reach: &Reach) -> Vec<Escalation> {
    let mut steps = Vec::new();
    for item in reader.list(found).into_iter().take(MOST) {
        let path = item.0.clone();
        let Some(mut table) = reader.table(item) else { continue };
        let after = reader.duration(table.get("after"));
        let to = table.get("to").map(|found| addresses(reader, found, reach)).unwrap_or_default();
        if !table.has("after") || !table.has("to") {
            reader.wrong(&path, "{ after = \"30m\", to = [\"lead\"] } is expected");
        }
        reader.end(&table);
        steps.extend(after.map(|after| Escalation { after, to }));
    }
    steps.sort_by_key(|step| step.after);
    steps
}

fn quiet<'a>(reader: &mut Reader<'a>, found: Found<'a>) -> Option<QuietHours> {
    let path = found.0.clone();
    let text = reader.text(found)?;
    QuietHours::parse(text).map_err(|expected| reader.wrong(&path, format!("{:?}: {expected}", shown(text)))).ok()
}

fn follow<'a>(reader: &mut Reader<'a>, found: Found<'a>) -> Option<Follow> {
    let path = found.0.clone();
    let mut table = reader.table(found)?;
    let run = table.get("run").and_then(|found| reader.name(found));
    let retry = table.get("retry").and_then(|found| reader.truth(found)).unwrap_or_default();
    let follow = Follow {
        at_most: table.get("at-most").and_then(|found| reader.number(found, 1)).unwrap_or(1),
        within: reader.duration(table.get("within")).unwrap_or(Duration::from_secs(3_600)),
        run,
        retry,
    };
    reader.end(&table);
    if follow.run.is_some() == follow.retry {
        reader.wrong(&path, "either a task, run = \"clean-up\", or retry = true is expected");
        return None;
    }
    Some(follow)
}
