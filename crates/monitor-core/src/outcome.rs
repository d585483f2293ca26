//! Evaluation of returned values: an `Err` is a failure, under any name of its `Result` type.

use std::any::type_name;
use std::error::Error;
use std::fmt::{self, Write};
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, UnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::task::Poll;

use crate::record::Failure;

/// Maximum number of recorded sources of an error.
const LONGEST_CHAIN: usize = 64;

/// A value that determines if [`ProcessBuilder::run`](crate::ProcessBuilder::run) or [`instrument`](crate::ProcessBuilder::instrument)
/// succeeded. Implemented for `()`, an `ExitCode`, a `Result` whose error is an [`Error`], a boxed error, `anyhow::Error`, or text, and an
/// `Option` or `Poll` of these.
///
/// `Way` distinguishes the implementations and is always inferred.
///
/// # Examples
///
/// ```
/// use monitor_client::Process;
///
/// let port = Process::builder("read the port").run(|_| "60010".parse::<u16>());
/// assert_eq!(port, Ok(60010));
///
/// let text = Process::builder("check").run(|_| if port.is_ok() { Ok(()) } else { Err("no port") });
/// assert_eq!(text, Ok(()));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say whether the process succeeded",
    label = "expected `()`, `ExitCode`, a `Result` with an error or text, or an `Option` or `Poll` of one of these",
    note = "for anything else use `.run_any(…)` or `.instrument_any(…)`, or `.enter()` and `.fail(…)` on what it returns"
)]
pub trait Reported<Way> {
    /// Returns the failure, if there is one.
    #[doc(hidden)]
    fn failure(&self) -> Option<Failure>;
}

/// Markers of the implementations of [`Reported`].
pub(crate) mod way {
    #[derive(Debug)]
    pub struct Nothing;
    #[derive(Debug)]
    pub struct ByError;
    #[derive(Debug)]
    pub struct ByTarget;
    #[derive(Debug)]
    pub struct ByText;
    #[derive(Debug)]
    pub struct Held<Way>(std::marker::PhantomData<Way>);
}

impl Reported<way::Nothing> for () {
    fn failure(&self) -> Option<Failure> {
        None
    }
}

impl Reported<way::Nothing> for ExitCode {
    fn failure(&self) -> Option<Failure> {
        of_exit_code(*self)
    }
}

impl<R: Reported<Way>, Way> Reported<way::Held<Way>> for Option<R> {
    fn failure(&self) -> Option<Failure> {
        self.as_ref().and_then(R::failure)
    }
}

impl<R: Reported<Way>, Way> Reported<way::Held<Way>> for Poll<R> {
    fn failure(&self) -> Option<Failure> {
        match self {
            Poll::Ready(returned) => returned.failure(),
            Poll::Pending => None,
        }
    }
}

impl<T, E: Error> Reported<way::ByError> for Result<T, E> {
    fn failure(&self) -> Option<Failure> {
        self.as_ref().err().map(|error| of_error::<E>(error))
    }
}

impl<T, E: Deref<Target: AsError>> Reported<way::ByTarget> for Result<T, E> {
    fn failure(&self) -> Option<Failure> {
        self.as_ref().err().map(|error| of_error::<E>(error.as_error()))
    }
}

impl<T> Reported<way::ByText> for Result<T, String> {
    fn failure(&self) -> Option<Failure> {
        self.as_ref().err().map(of_display)
    }
}

impl<T> Reported<way::ByText> for Result<T, &str> {
    fn failure(&self) -> Option<Failure> {
        self.as_ref().err().map(of_display)
    }
}

/// Target of `Deref` of `Box<dyn Error>`, `anyhow::Error` and similar types.
#[doc(hidden)]
pub trait AsError {
    fn as_error(&self) -> &(dyn Error + 'static);
}

impl AsError for dyn Error {
    fn as_error(&self) -> &(dyn Error + 'static) {
        self
    }
}

impl AsError for dyn Error + Send {
    fn as_error(&self) -> &(dyn Error + 'static) {
        self
    }
}

impl AsError for dyn Error + Send + Sync {
    fn as_error(&self) -> &(dyn Error + 'static) {
        self
    }
}

/// Creates the failure for an error of type `E`.
pub(crate) fn of_error<E: ?Sized>(error: &(dyn Error + '_)) -> Failure {
    let mut chain = Vec::new();
    let mut source = source(error);
    while let Some(error) = source
        && chain.len() < LONGEST_CHAIN
    {
        chain.push(text(error));
        source = self::source(error);
    }
    Failure { chain, ..returned::<E>(text(error)) }
}

pub(crate) fn of_display<E: fmt::Display>(error: &E) -> Failure {
    returned::<E>(text(error))
}

pub(crate) fn of_debug<E: fmt::Debug>(error: &E) -> Failure {
    returned::<E>(text(format_args!("{error:?}")))
}

/// Creates the failure for an error that can't be formatted.
pub(crate) fn of_any<E>() -> Failure {
    returned::<E>(type_name::<E>().to_owned())
}

/// Creates the failure for an exit code other than 0.
pub(crate) fn of_exit_code(code: ExitCode) -> Option<Failure> {
    // `ExitCode` doesn't provide its number, but it can be compared.
    let number = (0..=u8::MAX).find(|number| ExitCode::from(*number) == code);
    number.map_or_else(
        || Some(Failure { kind: "exit", message: "an exit code above 255".to_owned(), ..Failure::default() }),
        |number| Failure::of_exit_code(i32::from(number)),
    )
}

fn returned<E: ?Sized>(message: String) -> Failure {
    Failure { kind: "error", type_name: Some(type_name::<E>().into()), message, ..Failure::default() }
}

/// Formats a value of the user. Errors and panics of the formatting don't propagate to the monitored function.
pub(crate) fn text(value: impl fmt::Display) -> String {
    let write = AssertUnwindSafe(|| {
        let mut text = String::new();
        let _ = write!(text, "{value}");
        text
    });
    guarded(write).unwrap_or_else(|| "(its own description panicked)".to_owned())
}

fn source<'e>(error: &'e (dyn Error + 'e)) -> Option<&'e (dyn Error + 'static)> {
    guarded(AssertUnwindSafe(|| error.source())).flatten()
}

/// Calls code of the user that the monitored function would not have called, and catches its panics.
pub(crate) fn guarded<T>(call: impl FnOnce() -> T + UnwindSafe) -> Option<T> {
    // Dropping the payload of a panic may panic again.
    catch_unwind(call).map_err(std::mem::forget).ok()
}
