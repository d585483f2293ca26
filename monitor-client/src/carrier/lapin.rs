//! AMQP headers as a carrier.

use std::borrow::Cow;

use lapin::types::{AMQPValue, FieldTable};

use super::Carrier;

impl Carrier for FieldTable {
    fn get(&self, key: &str) -> Option<Cow<'_, str>> {
        match self.inner().get(key)? {
            AMQPValue::LongString(text) => Some(String::from_utf8_lossy(text.as_bytes())),
            AMQPValue::ShortString(text) => Some(text.as_str().into()),
            _ => None,
        }
    }

    fn set(&mut self, key: &str, value: String) {
        self.insert(key.into(), AMQPValue::LongString(value.into()));
    }
}
