//! Carriers of ids to another program: headers, messages, the environment.

#[cfg(feature = "http")]
mod http;
#[cfg(feature = "lapin")]
mod lapin;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "tonic")]
mod tonic;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::hash::BuildHasher;
use std::process::Command;

use serde_json::Value;

/// Headers, a message or an environment that stores text values by key. [`ContextExt`](crate::ContextExt)
/// writes ids into it and reads them.
///
/// Implemented for pairs and maps of strings (such as Kafka's headers and the fields of a Redis stream), JSON objects and commands. With
/// the feature of the crate's name, it is also implemented for `http`'s `HeaderMap`, tonic's `MetadataMap`, lapin's `FieldTable` and the
/// stream entries that `redis` reads. An implementation for another type needs two functions:
///
/// # Examples
///
/// ```
/// use std::borrow::Cow;
/// use monitor_client::{Carrier, Context, ContextExt};
///
/// struct Frame(Vec<(String, String)>);
///
/// impl Carrier for Frame {
///     fn get(&self, key: &str) -> Option<Cow<'_, str>> {
///         self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.into())
///     }
///     fn set(&mut self, key: &str, value: String) {
///         self.0.push((key.to_owned(), value));
///     }
/// }
///
/// let sender = Context::new(7, 8).unwrap();
/// let mut frame = Frame(vec![]);
/// sender.inject(&mut frame);
/// assert_eq!(Context::extract(&frame), Some(sender));
/// ```
pub trait Carrier {
    /// Returns the value of a key, if it exists and is text. Bytes that are not valid UTF-8 may be returned as replacement characters, so
    /// that an invalid value differs from an absent one.
    fn get(&self, key: &str) -> Option<Cow<'_, str>>;

    /// Sets the value of a key and replaces an existing value.
    fn set(&mut self, key: &str, value: String);

    /// Returns true if the carrier contains `root_id` and `parent_id` in addition to `traceparent` and `tracestate`.
    /// Headers contain only the latter two.
    fn is_message(&self) -> bool {
        true
    }
}

impl Carrier for Vec<(String, String)> {
    fn get(&self, key: &str) -> Option<Cow<'_, str>> {
        self.iter().find(|(name, _)| name == key).map(|(_, value)| value.into())
    }

    fn set(&mut self, key: &str, value: String) {
        match self.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value,
            None => self.push((key.to_owned(), value)),
        }
    }
}

/// Headers in the form that Kafka clients use.
impl Carrier for Vec<(String, Vec<u8>)> {
    fn get(&self, key: &str) -> Option<Cow<'_, str>> {
        self.iter().find(|(name, _)| name == key).map(|(_, value)| String::from_utf8_lossy(value))
    }

    fn set(&mut self, key: &str, value: String) {
        let value = value.into_bytes();
        match self.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value,
            None => self.push((key.to_owned(), value)),
        }
    }
}

impl<S: BuildHasher> Carrier for HashMap<String, String, S> {
    fn get(&self, key: &str) -> Option<Cow<'_, str>> {
        self.get(key).map(Into::into)
    }

    fn set(&mut self, key: &str, value: String) {
        self.insert(key.to_owned(), value);
    }
}

impl Carrier for BTreeMap<String, String> {
    fn get(&self, key: &str) -> Option<Cow<'_, str>> {
        self.get(key).map(Into::into)
    }

    fn set(&mut self, key: &str, value: String) {
        self.insert(key.to_owned(), value);
    }
}

/// A JSON object. For any other JSON value, `set` does nothing.
impl Carrier for Value {
    fn get(&self, key: &str) -> Option<Cow<'_, str>> {
        self.get(key)?.as_str().map(Into::into)
    }

    fn set(&mut self, key: &str, value: String) {
        if let Value::Object(object) = self {
            object.insert(key.to_owned(), value.into());
        }
    }
}

/// The environment of a command. The variables are `MONITOR_ROOT_ID` and `MONITOR_PARENT_ID`, which a monitored program reads at its start,
/// and `TRACEPARENT` and `TRACESTATE` for other programs.
impl Carrier for Command {
    fn get(&self, key: &str) -> Option<Cow<'_, str>> {
        let name = variable(key);
        let value = self.get_envs().find(|(found, _)| *found == OsStr::new(&*name))?.1?;
        Some(value.to_string_lossy())
    }

    fn set(&mut self, key: &str, value: String) {
        self.env(&*variable(key), value);
    }
}

fn variable(key: &str) -> Cow<'static, str> {
    match key {
        "root_id" => "MONITOR_ROOT_ID".into(),
        "parent_id" => "MONITOR_PARENT_ID".into(),
        other => other.to_ascii_uppercase().into(),
    }
}
