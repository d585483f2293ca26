//! Arguments of a tool. One declaration is the source of the published schema and of the check of each call.

use rmcp::model::{ErrorData, JsonObject};
use serde_json::{Value, json};

use crate::answer::{DEFAULT_CHARACTERS, LEAST_CHARACTERS, MOST_CHARACTERS};

/// An argument.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) is_required: bool,
    pub(crate) help: &'static str,
}

/// Type of an argument.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Text of 1 to [`MAX_TEXT_BYTES`] bytes.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A number from 1 to this maximum.
    Count(u64),
}

/// Longest text of an argument.
const MAX_TEXT_BYTES: usize = 2_000;

/// An argument that may be left out.
pub(crate) const fn optional(name: &'static str, kind: Kind, help: &'static str) -> Parameter {
    Parameter { name, kind, is_required: false, help }
}

/// An argument that is needed.
pub(crate) const fn required(name: &'static str, kind: Kind, help: &'static str) -> Parameter {
    Parameter { name, kind, is_required: true, help }
}

/// Checked arguments of a call.
#[derive(Debug)]
pub(crate) struct Arguments(JsonObject);

impl Arguments {
    /// Checks arguments.
    pub(crate) fn read(declared: &[Parameter], given: Option<JsonObject>) -> Result<Self, ErrorData> {
        let mut given = given.unwrap_or_default();
        let wrong = |why: String| Err(ErrorData::invalid_params(why, None));
        let known = || declared.iter().map(|parameter| parameter.name).chain(["max_characters"]).collect::<Vec<_>>().join(", ");
        for (name, value) in &mut given {
            let kind = match declared.iter().find(|parameter| parameter.name == name) {
                Some(parameter) => parameter.kind,
                None if name == "max_characters" => Kind::Count(MOST_CHARACTERS as u64),
                None => return wrong(format!("there is no argument {name:?}, but: {}", known())),
            };
            // Clients that don't read the schema send `run=2106` as a number.
            if matches!(kind, Kind::Text) && value.is_u64() {
                *value = value.to_string().into();
            }
            let expected = match (kind, &*value) {
                (Kind::Text, Value::String(text)) if !text.is_empty() && text.len() <= MAX_TEXT_BYTES => continue,
                (Kind::Word(words), Value::String(text)) if words.contains(&&**text) => continue,
                (Kind::Count(most), value) if value.as_u64().is_some_and(|count| (1..=most).contains(&count)) => continue,
                (Kind::Text, _) => format!("text of 1 to {MAX_TEXT_BYTES} bytes"),
                (Kind::Word(words), _) => format!("one of: {}", words.join(", ")),
                (Kind::Count(most), _) => format!("a whole number from 1 to {most}"),
            };
            return wrong(format!("the argument {name:?} must be {expected}"));
        }
        match declared.iter().find(|parameter| parameter.is_required && !given.contains_key(parameter.name)) {
            Some(parameter) => wrong(format!("the argument {:?} is missing: {}", parameter.name, parameter.help)),
            None => Ok(Self(given)),
        }
    }

    /// Returns a text or a word.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// Returns a text that is required.
    pub(crate) fn needed(&self, name: &str) -> &str {
        self.text(name).expect("checked when the arguments were read")
    }

    /// Returns a number.
    pub(crate) fn count(&self, name: &str) -> Option<u64> {
        self.0.get(name)?.as_u64()
    }

    /// Returns the length of the answer in characters.
    pub(crate) fn max_characters(&self) -> usize {
        let given = self.count("max_characters").map_or(DEFAULT_CHARACTERS, |count| count as usize);
        given.clamp(LEAST_CHARACTERS, MOST_CHARACTERS)
    }
}

/// Returns the JSON schema of the arguments.
pub(crate) fn schema(declared: &[Parameter]) -> JsonObject {
    let mut properties = JsonObject::new();
    for Parameter { name, kind, help, .. } in declared {
        let property = match kind {
            Kind::Text => json!({"type": "string", "minLength": 1, "maxLength": MAX_TEXT_BYTES, "description": help}),
            Kind::Word(words) => json!({"type": "string", "enum": words, "description": help}),
            Kind::Count(most) => json!({"type": "integer", "minimum": 1, "maximum": most, "description": help}),
        };
        properties.insert((*name).to_owned(), property);
    }
    let length = json!({
        "type": "integer", "minimum": 1, "maximum": MOST_CHARACTERS,
        "description": format!("Maximum length of the answer in characters (default {DEFAULT_CHARACTERS}, at least {LEAST_CHARACTERS})."),
    });
    properties.insert("max_characters".to_owned(), length);
    let needed: Vec<_> = declared.iter().filter(|parameter| parameter.is_required).map(|parameter| parameter.name).collect();
    let schema = json!({"type": "object", "properties": properties, "required": needed, "additionalProperties": false});
    let Value::Object(schema) = schema else { unreachable!("written as an object") };
    schema
}
