//! Conversion of arguments and results for recording. By default, nothing is recorded.

use monitor_client::task::{MessageBuilder, Receive};
use serde::Serialize;
use serde_json::Value;

/// Converts a value for recording.
pub trait Show<T>: Clone + Send + 'static {
    /// Returns the recorded form. `None` to record nothing.
    fn show(&self, value: &T) -> Option<Value>;
}

/// Records nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hidden;

impl<T> Show<T> for Hidden {
    fn show(&self, _value: &T) -> Option<Value> {
        None
    }
}

/// Records the result of a function.
#[derive(Debug, Clone, Copy)]
pub struct Shown<F>(pub(crate) F);

impl<T, V: Serialize, F: Fn(&T) -> V + Clone + Send + 'static> Show<T> for Shown<F> {
    fn show(&self, value: &T) -> Option<Value> {
        Some(json(&(self.0)(value)))
    }
}

/// Converts a value to JSON, or to an error text if it can't be serialized.
pub(crate) fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_else(|error| format!("(no JSON: {error})").into())
}

/// Builder that accepts arguments: by name if they are an object, otherwise by position.
pub(crate) trait TakesArgs: Sized {
    fn args_of(self, shown: &Value) -> Self;
}

impl TakesArgs for MessageBuilder {
    fn args_of(self, shown: &Value) -> Self {
        if shown.is_object() { self.kwargs(shown) } else { self.args(shown) }
    }
}

impl TakesArgs for Receive {
    fn args_of(self, shown: &Value) -> Self {
        if shown.is_object() { self.kwargs(shown) } else { self.args(shown) }
    }
}
