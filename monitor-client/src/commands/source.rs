//! The object that answers requests about the queue tasks of a program.

use monitor_wire::{Fields, Order};
use once_cell::race::OnceBox;
use serde_json::Value;

/// A part of the program that works on tasks of a queue and executes requests of `monitor inspect`, `monitor control` and the page. A queue
/// library implements it. A program that reads its tasks from a queue by itself can use [`TaskControl`] instead.
///
/// Its methods are called on threads of their own, several at once. Methods that change something are called
/// only if `MONITOR_COMMANDS` allows it.
///
/// # Examples
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
///             _ => return Err("the method is not supported".to_owned()),
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
    /// Returns the names of the implemented methods. The default is all of [`Order::METHODS`].
    fn methods(&self) -> &[&str] {
        &Order::METHODS
    }

    /// Executes an order and returns its result.
    ///
    /// # Errors
    ///
    /// Returns an error if the order is not executed. The error message is shown to the user who sent the order.
    fn handle(&self, order: Order) -> Result<Value, String>;

    /// Returns entries to add to the answer to `stats`: `pool`, `limits`, `queues`.
    fn stats(&self) -> Fields {
        Fields::new()
    }

    /// Returns the settings, for `conf`. Values named password, token, secret or key are masked.
    fn conf(&self) -> Value {
        Value::Null
    }
}

static SOURCE: OnceBox<Box<dyn TaskSource>> = OnceBox::new();

/// Registers the source that executes requests about the tasks of this program. Returns false if there already is one, which stays
/// registered.
///
/// # Examples
///
/// ```
/// use monitor_client::commands::register_source;
/// use monitor_client::control::TaskControl;
///
/// assert!(register_source(TaskControl::new(4)));
/// assert!(!register_source(TaskControl::new(8)), "the first source stays registered");
/// ```
pub fn register_source(source: impl TaskSource) -> bool {
    let is_first = SOURCE.set(Box::new(Box::new(source))).is_ok();
    // Starts the recorder, because a worker can receive requests before its first task.
    crate::enabled();
    is_first
}

/// Returns the source of this program.
#[cfg(feature = "ship")]
pub(crate) fn source() -> Option<&'static dyn TaskSource> {
    SOURCE.get().map(|source| &**source)
}
