//! What of arguments and results is recorded: nothing, unless the program says so.

use monitor_client::task::{MessageBuilder, Receive};
use serde::Serialize;
use serde_json::Value;

/// Says what is recorded of a value.
pub trait Show<T>: Clone + Send + 'static {
    /// What is recorded of it, if anything is.
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

/// Records what a function makes of a value.
#[derive(Debug, Clone, Copy)]
pub struct Shown<F>(pub(crate) F);

impl<T, V: Serialize, F: Fn(&T) -> V + Clone + Send + 'static> Show<T> for Shown<F> {
    fn show(&self, value: &T) -> Option<Value> {
        Some(json(&(self.0)(value)))
    }
}

/// A value as JSON; of one that can't be written, why.
pub(crate) fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_else(|error| format!("(no JSON: {error})").into())
}

/// Whoever takes arguments: by name if they are an object, else as they are.
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
