//! What a program does with events.

use std::any::Any;
use std::ops::{ControlFlow, Deref};
use std::panic::{AssertUnwindSafe, catch_unwind};

use globset::{GlobBuilder, GlobMatcher};
use monitor_wire::StreamMessage;

use crate::state::State;
use crate::{Error, Notice};

/// An event, with its number and what it made of things.
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
    /// Number of the event: ascending, each once.
    pub number: u64,
    /// The event, and the read models after it.
    pub message: Box<StreamMessage>,
}

impl Received {
    /// The event's type, such as `task-failed`.
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

/// What a handler returns: nothing, or whether the receiver is to go on.
pub trait Handled {
    /// As a word for it.
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

/// A handler, and the types of events that it wants.
struct Handler {
    types: String,
    matcher: GlobMatcher,
    handle: Handle,
}

/// The handlers of a receiver, in the order in which they were added.
#[derive(Default)]
pub(crate) struct Handlers {
    all: Vec<Handler>,
    /// A handler's types can't be read.
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
    /// When the types of a handler can't be read.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.wrong.clone() {
            Some((pattern, why)) => Err(Error::Pattern { pattern, why }),
            None => Ok(()),
        }
    }

    /// Lets each handler that wants the event have it, up to one that breaks off. One that panics is told, and the others go on.
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

/// The words of a panic.
pub(crate) fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}
