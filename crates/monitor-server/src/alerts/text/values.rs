//! Values that a channel's template can use: all facts about a message, without markup or secrets.

use monitor_alerts::Message;
use serde_json::{Map, Value, json};

use super::{Context, LONGEST_VALUE, Text, clean, duration, inert, moment, redact};

/// Maximum number of items in a list.
const MOST_ITEMS: usize = 20;

/// Returns the values of a message. With `is_markdown`, characters that the channel would interpret as Markdown are replaced by their
/// full-width forms.
pub(in crate::alerts) fn values(message: &Message, text: &Text, context: &Context<'_>, is_markdown: bool) -> Value {
    let markup = |value: &str| if is_markdown { inert(value) } else { value.to_owned() };
    let tidy = |value: &str| markup(&redact(&clean(value, LONGEST_VALUE), context.secrets));
    let mut values = Map::new();
    let known = serde_json::to_value(message).unwrap_or_default();
    let facts = known.get("facts").cloned().unwrap_or_default();
    for (key, value) in [known, facts].into_iter().filter_map(|map| map.as_object().cloned()).flatten() {
        if key != "facts" && key != "subject" {
            add(&mut values, key, value, &tidy, context);
        }
    }
    values.insert("subject".to_owned(), tidy(&message.subject.to_string()).into());
    values.insert("name".to_owned(), tidy(&message.subject.name).into());
    values.insert("language".to_owned(), context.language.as_str().into());
    values.insert("title".to_owned(), markup(&text.title).into());
    let rows = text.rows.iter().map(|(label, value)| json!({"label": label, "value": markup(value)}));
    values.insert("rows".to_owned(), rows.collect());
    // A resolved alert has no output.
    values.insert("lines".to_owned(), text.output.iter().map(|line| markup(line)).collect());
    values.insert("link".to_owned(), text.link.as_ref().map(|(_, link)| link.replace(['(', ')'], "")).into());
    values.insert("closing".to_owned(), text.closing.as_deref().map(markup).into());
    values.insert("text".to_owned(), markup_lines(&text.plain(), &markup).into());
    values.insert("notice".to_owned(), message.facts.text.as_deref().map(tidy).into());
    Value::Object(values)
}

/// Adds a value. For a numeric time or duration, also adds its formatted text.
fn add(values: &mut Map<String, Value>, key: String, value: Value, tidy: &dyn Fn(&str) -> String, context: &Context<'_>) {
    if let (Some(number), Some((name, unit))) = (value.as_u64(), key.rsplit_once('_')) {
        match unit {
            "us" => _ = values.insert(name.to_owned(), moment(number, &context.zone).into()),
            "ns" => _ = values.insert(name.to_owned(), duration(number).into()),
            _ => {}
        }
    }
    values.insert(key, tidied(value, tidy));
}

fn tidied(value: Value, tidy: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => tidy(&text).into(),
        Value::Array(items) => items.into_iter().take(MOST_ITEMS).map(|item| tidied(item, tidy)).collect(),
        Value::Object(map) => map.into_iter().take(MOST_ITEMS).map(|(key, value)| (tidy(&key), tidied(value, tidy))).collect(),
        other => other,
    }
}

fn markup_lines(text: &str, markup: &dyn Fn(&str) -> String) -> String {
    text.lines().map(markup).collect::<Vec<_>>().join("\n")
}
