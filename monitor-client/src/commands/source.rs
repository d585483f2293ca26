//! The one who answers for the queue tasks of a program.

use monitor_wire::{Fields, Order};
use once_cell::race::OnceBox;
use serde_json::Value;

/// A part of the program that works on tasks of a queue and does what it is told: `monitor inspect`, `monitor control`, the page.
/// A library of queues implements it; a program that takes its tasks from a queue by itself may take [`TaskControl`] instead.
///
/// Its methods are called on threads of their own, several at once. What changes something is asked only where `MONITOR_COMMANDS` allows it.
///
/// ```
/// use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
/// use monitor_client::commands::{self, Order, TaskSource};
/// use serde_json::Value;
///
/// #[derive(Default)]
/// struct Films { is_paused: AtomicBool }
///
/// impl TaskSource for Films {
///     fn methods(&self) -> &[&str] {
///         &["pause", "resume"]
///     }
///
///     fn handle(&self, order: Order) -> Result<Value, String> {
///         match order {
///             Order::Pause { .. } => self.is_paused.store(true, Relaxed),
///             Order::Resume => self.is_paused.store(false, Relaxed),
///             _ => return Err("it is not one of `methods`".to_owned()),
///         }
///         Ok(Value::Null)
///     }
/// }
///
/// assert!(commands::register_source(Films::default()));
/// ```
///
/// [`TaskControl`]: crate::control::TaskControl
pub trait TaskSource: Send + Sync + 'static {
    /// Names of the methods that it does; all of [`Order::METHODS`] unless it says otherwise.
    fn methods(&self) -> &[&str] {
        &Order::METHODS
    }

    /// Does what it is asked, and says what came of it.
    ///
    /// # Errors
    /// Why it doesn't, in words for whoever has asked.
    fn handle(&self, order: Order) -> Result<Value, String>;

    /// Added to what the program answers to `stats`: `pool`, `limits`, `queues`.
    fn stats(&self) -> Fields {
        Fields::new()
    }

    /// Its settings, for `conf`. What is called password, token, secret or key in it is masked.
    fn conf(&self) -> Value {
        Value::Null
    }
}

static SOURCE: OnceBox<Box<dyn TaskSource>> = OnceBox::new();

/// Has a source answer for the tasks of this program. Returns false if there is one already, which goes on answering.
pub fn register_source(source: impl TaskSource) -> bool {
    let is_first = SOURCE.set(Box::new(Box::new(source))).is_ok();
    // A worker can be asked before it has a task.
    crate::enabled();
    is_first
}

/// The source of this program.
#[cfg(feature = "ship")]
pub(crate) fn source() -> Option<&'static dyn TaskSource> {
    SOURCE.get().map(|source| &**source)
}
