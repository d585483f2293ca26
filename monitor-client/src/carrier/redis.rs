//! Entries of Redis streams that were read. To write an entry, use pairs of strings.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::BuildHasher;

use redis::Value;
use redis::streams::StreamId;

use super::Carrier;

impl<S: BuildHasher> Carrier for HashMap<String, Value, S> {
    fn get(&self, key: &str) -> Option<Cow<'_, str>> {
        match self.get(key)? {
            Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes)),
            Value::SimpleString(text) => Some(text.into()),
            _ => None,
        }
    }

    fn set(&mut self, key: &str, value: String) {
        self.insert(key.to_owned(), Value::BulkString(value.into_bytes()));
    }
}

impl Carrier for StreamId {
    fn get(&self, key: &str) -> Option<Cow<'_, str>> {
        Carrier::get(&self.map, key)
    }

    fn set(&mut self, key: &str, value: String) {
        Carrier::set(&mut self.map, key, value);
    }
}
