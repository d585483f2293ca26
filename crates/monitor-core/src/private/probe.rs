//! Evaluates a returned value by its type. The compiler chooses the first impl that fits `(&&&&&&Returned(&value)).failure()`, which is the
//! one for the most references.
//!
//! All of these are impls of one trait, because the compiler checks each trait for each reference that it removes.

use std::error::Error;
use std::fmt::{self, Debug, Display};
use std::ops::Deref;
use std::path::Path;
use std::process::ExitCode;
use std::task::Poll;

pub use super::ending::EndsNow;
use crate::outcome::{self, AsError};
use crate::record::Failure;

/// The value to evaluate.
#[derive(Debug)]
pub struct Returned<'a, T>(pub &'a T);

/// Evaluation of a returned value as a failure.
pub trait Fails {
    fn failure(&self) -> Option<Failure>;
}

/// Impls for a `Result`, alone or in an `Option` or `Poll`.
macro_rules! failures {
    ($($(#[$doc:meta])* [$($reference:tt)*] Result<T, E> where [$($bound:tt)*] => $failure:expr;)*) => {
        $(
            failures!(@$(#[$doc])* [$($reference)*] Result<T, E>, [$($bound)*], |value| value.as_ref().err(), $failure);
            failures!(@$(#[$doc])* [$($reference)*] Option<Result<T, E>>, [$($bound)*], |value| value.as_ref()?.as_ref().err(), $failure);
            failures!(@$(#[$doc])* [$($reference)*] Poll<Result<T, E>>, [$($bound)*], |value| ready(value)?.as_ref().err(), $failure);
            failures!(@$(#[$doc])* [$($reference)*] Poll<Option<Result<T, E>>>, [$($bound)*],
                |value| ready(value)?.as_ref()?.as_ref().err(), $failure);
        )*
    };
    (@$(#[$doc:meta])* [$($reference:tt)*] $type:ty, [$($bound:tt)*], |$value:ident| $error:expr, $failure:expr) => {
        $(#[$doc])*
        impl<T, E: $($bound)*> Fails for $($reference)* Returned<'_, $type> {
            #[inline]
            fn failure(&self) -> Option<Failure> {
                let $value = self.0;
                $error.map($failure)
            }
        }
    };
}

fn ready<T>(value: &Poll<T>) -> Option<&T> {
    match value {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

failures! {
    /// An error.
    [&&&&&] Result<T, E> where [Error] => |error| outcome::of_error::<E>(error);
    /// A box of an error, or `anyhow::Error`.
    [&&&&] Result<T, E> where [Deref<Target: AsError>] => |error| outcome::of_error::<E>(error.as_error());
    /// Text, or an error with `Display`.
    [&&&] Result<T, E> where [Display] => |error| outcome::of_display(error);
    /// An error with `Debug`.
    [&&] Result<T, E> where [Debug] => |error| outcome::of_debug(error);
    /// An error that can't be formatted.
    [&] Result<T, E> where [Sized] => |_error| outcome::of_any::<E>();
}

/// An exit code: only 0 is success.
impl Fails for &Returned<'_, ExitCode> {
    #[inline]
    fn failure(&self) -> Option<Failure> {
        outcome::of_exit_code(*self.0)
    }
}

/// Any other type: succeeded.
impl<T> Fails for Returned<'_, T> {
    #[inline]
    fn failure(&self) -> Option<Failure> {
        None
    }
}

/// Returns the failure with the error's `Debug` text as its message.
pub fn by_debug<R: FailsByDebug>(returned: &R, failure: Option<Failure>) -> Option<Failure> {
    failure.map(|failure| match returned.words() {
        Some(message) => Failure { message, ..failure },
        None => failure,
    })
}

/// A `Result`, alone or in an `Option` or `Poll`, whose error is formatted by `Debug`.
#[diagnostic::on_unimplemented(
    message = "`err = Debug` needs a `Result` whose error has `Debug`, and the function returns `{Self}`",
    label = "told by the error's `Debug`"
)]
pub trait FailsByDebug {
    fn words(&self) -> Option<String>;
}

impl<T, E: Debug> FailsByDebug for Result<T, E> {
    fn words(&self) -> Option<String> {
        self.as_ref().err().map(|error| outcome::text(format_args!("{error:?}")))
    }
}

impl<R: FailsByDebug> FailsByDebug for Option<R> {
    fn words(&self) -> Option<String> {
        self.as_ref().and_then(R::words)
    }
}

impl<R: FailsByDebug> FailsByDebug for Poll<R> {
    fn words(&self) -> Option<String> {
        ready(self).and_then(R::words)
    }
}

/// Evaluation of an exit code within a `Result` as a failure.
pub trait Exits {
    fn exit_failure(&self) -> Option<Failure>;
}

impl<E> Exits for &Returned<'_, Result<ExitCode, E>> {
    #[inline]
    fn exit_failure(&self) -> Option<Failure> {
        self.0.as_ref().ok().and_then(|code| outcome::of_exit_code(*code))
    }
}

impl<T> Exits for Returned<'_, T> {
    #[inline]
    fn exit_failure(&self) -> Option<Failure> {
        None
    }
}

/// The batch mark of a value: its `Display` text, the text of a path, the content of an `Option`, or else its `Debug` text.
pub trait Marks {
    fn mark(&self) -> Option<String>;
}

impl<T: Display> Marks for &&&&&Returned<'_, T> {
    fn mark(&self) -> Option<String> {
        Some(outcome::text(self.0))
    }
}

impl<T: AsRef<Path>> Marks for &&&&Returned<'_, T> {
    fn mark(&self) -> Option<String> {
        Some(of_path(self.0))
    }
}

impl<T: Display> Marks for &&&Returned<'_, Option<T>> {
    fn mark(&self) -> Option<String> {
        self.0.as_ref().map(outcome::text)
    }
}

impl<T: AsRef<Path>> Marks for &&Returned<'_, Option<T>> {
    fn mark(&self) -> Option<String> {
        self.0.as_ref().map(of_path)
    }
}

impl<T: Debug> Marks for &Returned<'_, T> {
    fn mark(&self) -> Option<String> {
        Some(outcome::text(format_args!("{:?}", self.0)))
    }
}

/// The user's own `AsRef` is called in the same way as a `Display`, with panics caught.
fn of_path(path: &impl AsRef<Path>) -> String {
    struct Shown<'a, T>(&'a T);
    impl<T: AsRef<Path>> Display for Shown<'_, T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            Display::fmt(&self.0.as_ref().display(), f)
        }
    }
    outcome::text(Shown(path))
}

/// A value of a type that can't be formatted. The compiler reports an error at the parameter.
pub trait Silent {
    type Value: ?Sized;

    fn mark(&self) -> Option<String>
    where
        Self::Value: BatchMark;
}

impl<T> Silent for Returned<'_, T> {
    type Value = T;

    fn mark(&self) -> Option<String>
    where
        T: BatchMark,
    {
        None
    }
}

/// A value that can mark a batch. No type implements this, because types that can are handled by the impls above.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't mark a batch: it has neither `Display` nor `Debug`",
    label = "the parameter that marks the batch",
    note = "derive `Debug` for it, write `Display`, or name another parameter in #[root_task]"
)]
pub trait BatchMark {}
