//! Strict parsing of parameters: the error for an unknown, repeated or malformed parameter names it and describes the allowed values.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::str::FromStr;

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;
use monitor_store::RootKey;
use monitor_tasks::reading::did_you_mean;
use monitor_wire::{ProcessId, RootId};
use percent_encoding::percent_decode_str;
use serde::de::{self, DeserializeOwned, Deserializer};
use utoipa::IntoParams;
use utoipa::Number;
use utoipa::openapi::RefOr;
use utoipa::openapi::path::Parameter;
use utoipa::openapi::schema::{KnownFormat, Schema, SchemaFormat};

use super::problem::ApiError;

/// Extractor for the query parameters of a request. Error messages quote the doc comments of the fields of `T`, so these describe the
/// allowed values.
pub(super) struct Strict<T>(pub(super) T);

impl<T: DeserializeOwned + IntoParams, S: Sync> FromRequestParts<S> for Strict<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        read_query(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

fn read_query<T: DeserializeOwned + IntoParams>(query: &str) -> Result<T, ApiError> {
    let allowed = T::into_params(|| None);
    let wrong = |name: &str, why: String| ApiError::Parameter { name: name.to_owned(), detail: format!("parameter `{name}`: {why}") };
    let meaning = |name: &str| {
        let known = allowed.iter().find(|parameter| parameter.name == name);
        known.and_then(|parameter| parameter.description.as_deref()).unwrap_or_default()
    };
    let is_repeated =
        |name: &str| allowed.iter().any(|parameter| parameter.name == name && matches!(parameter.schema, Some(RefOr::T(Schema::Array(_)))));
    let mut given = HashSet::new();
    let mut pairs = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decode(name).map_err(|found| wrong(&found, "its name is not UTF-8".to_owned()))?;
        if !allowed.iter().any(|parameter| parameter.name == name) {
            let names: Vec<_> = allowed.iter().map(|parameter| format!("`{}`", parameter.name)).collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            return Err(wrong(&name, format!("not known here; allowed: {names}")));
        }
        if !given.insert(name.clone()) && !is_repeated(&name) {
            return Err(wrong(&name, format!("given twice. {}", meaning(&name))));
        }
        let value = decode(value).map_err(|found| wrong(&name, format!("{found:?} is not UTF-8. {}", meaning(&name))))?;
        // HTML forms also send their empty fields.
        if !value.is_empty() {
            pairs.push((name, value));
        }
    }
    let mut parts = url::form_urlencoded::Serializer::new(String::new());
    let (repeated, single): (Vec<_>, Vec<_>) = pairs.iter().partition(|(name, _)| is_repeated(name));
    let mut lists = BTreeMap::<&str, Vec<&str>>::new();
    for (name, value) in repeated {
        lists.entry(name).or_default().push(value);
    }
    let lists = lists.iter().map(|(name, values)| (name, serde_json::json!(values).to_string()));
    let encoded = parts.extend_pairs(single.iter().map(|(name, value)| (name, value))).extend_pairs(lists).finish();
    let deserializer = serde_urlencoded::Deserializer::new(url::form_urlencoded::parse(encoded.as_bytes()));
    let read = serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let name = error.path().to_string();
        let value = pairs.iter().find(|(given, _)| *given == name).map(|(_, value)| value.as_str()).unwrap_or_default();
        let found: String = value.chars().take(80).collect();
        wrong(&name, format!("{found:?}: {}. {}", error.inner(), meaning(&name)))
    })?;
    for (name, value) in &pairs {
        let maximum = allowed.iter().find(|parameter| parameter.name == *name).and_then(maximum);
        if let Some(maximum) = maximum.filter(|maximum| value.parse().is_ok_and(|value: u64| value > *maximum)) {
            return Err(wrong(name, format!("{value:?}: expected at most {maximum}. {}", meaning(name))));
        }
    }
    Ok(read)
}

/// Returns the maximum of a parameter in the API description.
fn maximum(parameter: &Parameter) -> Option<u64> {
    let Some(RefOr::T(Schema::Object(schema))) = &parameter.schema else { return None };
    match (&schema.maximum, &schema.format) {
        (Some(Number::Int(maximum)), _) => u64::try_from(*maximum).ok(),
        (Some(Number::UInt(maximum)), _) => u64::try_from(*maximum).ok(),
        (Some(Number::Float(maximum)), _) => Some(*maximum as u64),
        (None, Some(SchemaFormat::KnownFormat(KnownFormat::Int32))) => u64::try_from(i32::MAX).ok(),
        _ => None,
    }
}

/// Parses a query as each kind of request would, for the fuzz target that looks for panics.
pub(crate) fn read_queries(query: &str) {
    fn read<T: DeserializeOwned + IntoParams>(query: &str) {
        let _ = read_query::<T>(query);
    }
    read::<super::alerts::list::AlertsParams>(query);
    read::<super::alerts::list::ExplainAlertParams>(query);
    read::<super::alerts::trials::TrialsParams>(query);
    read::<super::alerts::trials::TryParams>(query);
    read::<super::batch::book::BookParams>(query);
    read::<super::batch::explain::ExplainParams>(query);
    read::<super::batch::log::LogParams>(query);
    read::<super::batch::publications::CompareParams>(query);
    read::<super::batch::publications::FileParams>(query);
    read::<super::batch::publications::PublicationParams>(query);
    read::<super::batch::publications::PublicationsParams>(query);
    read::<super::batch::rules::RulesParams>(query);
    read::<super::batch::runs::RunsParams>(query);
    read::<super::batch::tasks::TasksParams>(query);
    read::<super::commands::CommandsParams>(query);
    read::<super::commands::OrdersParams>(query);
    read::<super::export::ExportParams>(query);
    read::<super::jobs::agents::JobOrdersParams>(query);
    read::<super::jobs::agents::JobOutputParams>(query);
    read::<super::jobs::change::StartParams>(query);
    read::<super::jobs::callbacks::CallbacksParams>(query);
    read::<super::jobs::list::JobHostsParams>(query);
    read::<super::jobs::list::JobsParams>(query);
    read::<super::jobs::list::WaitParams>(query);
    read::<super::jobs::output::OutputParams>(query);
    read::<super::jobs::result::JobResultParams>(query);
    read::<super::pins::DeleteParams>(query);
    read::<super::logs::LogsParams>(query);
    read::<super::me::AuditParams>(query);
    read::<super::names::NamesParams>(query);
    read::<super::processes::ProcessesParams>(query);
    read::<super::queue::QueueTasksParams>(query);
    read::<super::queue::ResultParams>(query);
    read::<super::roots::RootsParams>(query);
    read::<super::stats::CausesParams>(query);
    read::<super::stats::ErrorsParams>(query);
    read::<super::stats::SeriesParams>(query);
    read::<super::stats::StatsParams>(query);
    read::<super::stream::StreamParams>(query);
    read::<super::tree::TreeParams>(query);
    read::<super::workers::WorkersParams>(query);
}

fn decode(part: &str) -> Result<String, String> {
    let part = part.replace('+', " ");
    percent_decode_str(&part).decode_utf8().map(String::from).map_err(|_| part.clone())
}

/// Parameters in a request's path.
pub(super) struct PathParts(RawPathParams);

impl<S: Send + Sync> FromRequestParts<S> for PathParts {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        RawPathParams::from_request_parts(parts, state)
            .await
            .map(Self)
            .map_err(|error| ApiError::Parameter { name: "path".to_owned(), detail: error.body_text() })
    }
}

impl PathParts {
    /// Returns the parameter as text.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| *key == name).map(|(_, value)| value).unwrap_or_default()
    }

    /// Parses the parameter.
    pub(super) fn read<T: FromStr<Err: fmt::Display>>(&self, name: &str) -> Result<T, ApiError> {
        self.text(name)
            .parse()
            .map_err(|error| ApiError::Parameter { name: name.to_owned(), detail: format!("parameter `{name}` in the path: {error}") })
    }
}

/// Run by its id or its number, as callers name it.
#[derive(Debug, Clone, Copy)]
pub(super) struct RootName(pub(super) RootKey);

impl FromStr for RootName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(id) = text.parse::<RootId>() {
            return Ok(Self(RootKey::Id(id)));
        }
        let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // The store's numbers have 63 bits.
        let number = text.parse().ok().filter(|number| is_number && i64::try_from(*number).is_ok());
        number.map(|number| Self(RootKey::Number(number))).ok_or_else(|| {
            let found: String = text.chars().take(40).collect();
            format!("{found:?} is not a run: give its id (32 lower-case hex digits, not all zero) or its number")
        })
    }
}

impl<'de> de::Deserialize<'de> for RootName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Comma-separated runs.
#[derive(Debug, Clone, Default)]
pub(super) struct RootNames(pub(super) Vec<RootName>);

impl RootNames {
    const MOST: usize = 100;
}

impl<'de> de::Deserialize<'de> for RootNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let names: Vec<RootName> = text.split(',').map(str::trim).map(str::parse).collect::<Result<_, _>>().map_err(de::Error::custom)?;
        if names.len() > Self::MOST {
            return Err(de::Error::custom(format!("{} roots: give at most {}", names.len(), Self::MOST)));
        }
        Ok(Self(names))
    }
}

/// Range of process ids, from the first to the last that begins with the given digits. A complete id is a range with a single id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProcessIds(pub(super) ProcessId, pub(super) ProcessId);

impl FromStr for ProcessIds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_hex = (6..=16).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let bound = |fill: &str| u64::from_str_radix(&format!("{text}{}", fill.repeat(16 - text.len())), 16).ok();
        let bounds = Some(()).filter(|()| is_hex).and_then(|()| bound("0").zip(bound("f")));
        let ids = bounds.and_then(|(first, last)| Some(Self(ProcessId::new(first.max(1))?, ProcessId::new(last)?)));
        ids.ok_or_else(|| {
            let found: String = text.chars().take(40).collect();
            format!("{found:?} is no process: give its id (16 lower-case hex digits, not all zero), or six or more of its first digits")
        })
    }
}

/// Maximum number of items to return, from 1 to `MAX`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit<const MAX: usize>(pub(super) usize);

impl<const MAX: usize> Default for Limit<MAX> {
    fn default() -> Self {
        Self(50)
    }
}

impl<'de, const MAX: usize> de::Deserialize<'de> for Limit<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let limit = text.parse().ok().filter(|limit| (1..=MAX).contains(limit));
        limit.map(Self).ok_or_else(|| de::Error::custom(format!("expected a whole number from 1 to {MAX}")))
    }
}

/// Number of items to skip.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Offset(pub(super) usize);

impl<'de> de::Deserialize<'de> for Offset {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let offset = text.parse::<i32>().ok().and_then(|offset| usize::try_from(offset).ok());
        offset.map(Self).ok_or_else(|| de::Error::custom(format!("expected a whole number from 0 to {}", i32::MAX)))
    }
}

/// Time in Unix microseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeUs(pub(super) u64);

impl<'de> de::Deserialize<'de> for TimeUs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = text.parse().ok().filter(|time| i64::try_from(*time).is_ok());
        time.map(Self).ok_or_else(|| de::Error::custom("expected Unix microseconds, like 1763600000123456"))
    }
}

/// Comma-separated words.
#[derive(Debug, Clone, Default)]
pub(super) struct Words(Vec<String>);

impl Words {
    pub(super) fn each<T: From<String>>(self) -> Vec<T> {
        self.0.into_iter().map(T::from).collect()
    }

    /// Returns the words of the parameter `name`. Each must be one of `known`.
    pub(super) fn each_of<T: From<String> + PartialEq + fmt::Display>(self, name: &str, known: &[T]) -> Result<Vec<T>, ApiError> {
        let words: Vec<T> = self.each();
        let Some(unknown) = words.iter().find(|word| !known.contains(word)) else { return Ok(words) };
        let (unknown, known): (_, Vec<_>) = (unknown.to_string(), known.iter().map(T::to_string).collect());
        let near = did_you_mean(&unknown, known.iter().map(String::as_str));
        let found: String = unknown.chars().take(80).collect();
        let detail = format!("parameter `{name}`: {found:?} is not known{near}; expected {}", known.join(", "));
        Err(ApiError::Parameter { name: name.to_owned(), detail })
    }
}

impl<'de> de::Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(Self(text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()))
    }
}

/// Values of a parameter that may be given several times, because a value can contain commas. Its schema is an array.
#[derive(Debug, Clone, Default)]
pub(super) struct Repeated(pub(super) Vec<String>);

impl<'de> de::Deserialize<'de> for Repeated {
    /// Reads the list of JSON that [`read_query`] makes of the values.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_json::from_str(&String::deserialize(deserializer)?).map(Self).map_err(de::Error::custom)
    }
}

/// Empty set of parameters, for routes that accept none.
#[derive(serde::Deserialize, IntoParams)]
pub(super) struct NoParams {}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize, IntoParams)]
    struct Sample {
        /// Maximum number of entries, 1 to 9.
        #[serde(default)]
        #[param(value_type = Option<usize>)]
        limit: Limit<9>,
        /// Any text.
        q: Option<String>,
        /// Any tree.
        #[param(value_type = Option<String>)]
        root: Option<RootName>,
        /// Any texts.
        #[serde(default)]
        #[param(value_type = Option<Vec<String>>)]
        each: Repeated,
    }

    #[test]
    fn errors_of_parameters_contain_the_name_and_the_allowed_values() {
        for (query, name, words) in [
            ("nope=1", "nope", "allowed: `limit`, `q`, `root`, `each`"),
            ("limit=0", "limit", "\"0\": expected a whole number from 1 to 9. Maximum number of entries, 1 to 9."),
            ("limit=10", "limit", "1 to 9"),
            ("limit=-1", "limit", "1 to 9"),
            ("limit=x", "limit", "\"x\""),
            ("limit=1&limit=2", "limit", "twice"),
            ("q=%FF", "q", "not UTF-8"),
            ("%FF=1", "%FF", "not UTF-8"),
            ("root=abc", "root", "its id (32 lower-case hex digits, not all zero) or its number"),
            ("root=00000000000000000000000000000000000000000000001x", "root", "is not a run"),
            ("root=99999999999999999999", "root", "is not a run"),
        ] {
            let Err(ApiError::Parameter { name: found, detail }) = read_query::<Sample>(query) else { panic!("{query} was taken") };
            assert_eq!(found, name, "{query}");
            assert!(detail.contains(words) && detail.contains(name), "{query}: {detail}");
        }
    }

    #[test]
    fn valid_parameters_are_read() {
        let read = |query| read_query::<Sample>(query).unwrap();
        assert_eq!(read("").limit.0, 50);
        assert_eq!(read("limit=&q=").q, None);
        assert_eq!(read("q=a%26b+%E6%A0%B9%3D%00").q.as_deref(), Some("a&b 根=\0"));
        assert_eq!(read("each=a,b&q=1&each=%22%5D&each=&each=a,b").each.0, ["a,b", "\"]", "a,b"]);
        assert!(read("q=1&each=").each.0.is_empty());
        assert_eq!(read("root=7").root.unwrap().0, RootKey::Number(7));
        assert!(matches!(read("root=11111111111111111111111111111111").root.unwrap().0, RootKey::Id(_)));
    }
}
