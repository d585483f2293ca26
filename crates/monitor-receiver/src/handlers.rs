//! Handlers, which process events in a program.

use std::any::Any;
use std::ops::{ControlFlow, Deref};
use std::panic::{AssertUnwindSafe, catch_unwind};

use globset::{GlobBuilder, GlobMatcher};
use monitor_wire::StreamMessage;

use crate::state::State;
use crate::{Error, Notice};

/// An event with its number and the affected objects.
///
/// ```
/// # fn handle(event: &monitor_receiver::Received) {
/// if let Some(process) = &event.process {
///     println!("{} {}: {} is {}", event.number, event.type_name(), process.name, process.state);
/// }
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// Number of the event. Ascending and unique.
    pub number: u64,
    /// The event, and the read models after it.
    pub message: Box<StreamMessage>,
}

impl Received {
    /// Returns the type of the event, such as `task-failed`.
    pub fn type_name(&self) -> &str {
        self.message.event.type_name()
    }
}

impl Deref for Received {
    type Target = StreamMessage;

    fn deref(&self) -> &StreamMessage {
        &self.message
    }
}

/// Result of a handler: nothing, or a decision to continue or stop.
pub trait Handled {
    /// Converts the result to a control flow.
    fn flow(self) -> ControlFlow<()>;
}

impl Handled for () {
    fn flow(self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl Handled for ControlFlow<()> {
    fn flow(self) -> ControlFlow<()> {
        self
    }
}

pub(crate) type Handle = Box<dyn FnMut(&Received, &State) -> ControlFlow<()> + Send>;

/// A handler with the types of events that it handles.
struct Handler {
    types: String,
    matcher: GlobMatcher,
    handle: Handle,
}

/// Handlers of a receiver, in the order of registration.
#[derive(Default)]
pub(crate) struct Handlers {
    all: Vec<Handler>,
    /// Invalid pattern of a handler, with the reason.
    wrong: Option<(String, String)>,
}

impl Handlers {
    pub(crate) fn add(&mut self, types: &str, handle: Handle) {
        match GlobBuilder::new(types).build() {
            Ok(glob) => self.all.push(Handler { types: types.to_owned(), matcher: glob.compile_matcher(), handle }),
            Err(error) => self.wrong = Some((types.to_owned(), error.kind().to_string())),
        }
    }

    /// # Errors
    /// If the type pattern of a handler is invalid.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.wrong.clone() {
            Some((pattern, why)) => Err(Error::Pattern { pattern, why }),
            None => Ok(()),
        }
    }

    /// Calls each handler that matches the event, until one breaks. A panic is reported, and the other handlers are still called.
    pub(crate) fn handle(&mut self, event: &Received, state: &State, tell: &mut dyn FnMut(&Notice<'_>)) -> ControlFlow<()> {
        for handler in self.all.iter_mut().filter(|handler| handler.matcher.is_match(event.type_name())) {
            match catch_unwind(AssertUnwindSafe(|| (handler.handle)(event, state))) {
                Ok(flow) => flow?,
                Err(panic) => tell(&Notice::Panicked { types: &handler.types, number: event.number, message: &words_of(&*panic) }),
            }
        }
        ControlFlow::Continue(())
    }
}

/// Returns the message of a panic.
pub(crate) fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}
