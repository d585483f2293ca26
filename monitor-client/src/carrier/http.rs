//! HTTP headers as a carrier.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::Carrier;

impl Carrier for HeaderMap {
    /// Joins several headers with the same name by commas, as HTTP specifies. A `traceparent` that occurs twice is therefore invalid.
    fn get(&self, key: &str) -> Option<Cow<'_, str>> {
        let mut values = self.get_all(key).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        let first = values.next()?;
        Some(values.fold(first, |all, next| Cow::Owned(format!("{all},{next}"))))
    }

    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            self.insert(name, value);
        }
    }

    fn is_message(&self) -> bool {
        false
    }
}
