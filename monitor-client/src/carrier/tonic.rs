//! gRPC metadata as a carrier.

use std::borrow::Cow;

use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue, MetadataMap};

use super::Carrier;

impl Carrier for MetadataMap {
    /// Joins several values of a key by commas. A `traceparent` that occurs twice is therefore invalid.
    fn get(&self, key: &str) -> Option<Cow<'_, str>> {
        let mut values = self.get_all(key).iter().map(|value| String::from_utf8_lossy(value.as_encoded_bytes()));
        let first = values.next()?;
        Some(values.fold(first, |all, next| Cow::Owned(format!("{all},{next}"))))
    }

    fn set(&mut self, key: &str, value: String) {
        if let (Ok(key), Ok(value)) = (AsciiMetadataKey::from_bytes(key.as_bytes()), AsciiMetadataValue::try_from(value)) {
            self.insert(key, value);
        }
    }

    fn is_message(&self) -> bool {
        false
    }
}
