//! Finds by its type what a value says: the compiler takes the first of the impls that fits
//! `(&&&&&&Returned(&value)).failure()`, the one for the most references.
//!
//! One trait for all of them: the compiler looks at each trait for each reference that it takes away.

use std::error::Error;
use std::fmt::{self, Debug, Display};
use std::ops::Deref;
use std::path::Path;
use std::process::ExitCode;
use std::task::Poll;

pub use super::ending::EndsNow;
use crate::outcome::{self, AsError};
use crate::record::Failure;

/// The value in question.
#[derive(Debug)]
pub struct Returned<'a, T>(pub &'a T);

/// Why what returned it failed, if it did.
pub trait Fails {
    fn failure(&self) -> Option<Failure>;
}

/// A `Result`, alone or in what may hold one.
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
    /// Text, or what can be shown as text.
    [&&&] Result<T, E> where [Display] => |error| outcome::of_display(error);
    /// What can be shown to a programmer.
    [&&] Result<T, E> where [Debug] => |error| outcome::of_debug(error);
    /// An error that says nothing.
    [&] Result<T, E> where [Sized] => |_error| outcome::of_any::<E>();
}

/// An exit code: only 0 is success.
impl Fails for &Returned<'_, ExitCode> {
    #[inline]
    fn failure(&self) -> Option<Failure> {
        outcome::of_exit_code(*self.0)
    }
}

/// Anything else: succeeded.
impl<T> Fails for Returned<'_, T> {
    #[inline]
    fn failure(&self) -> Option<Failure> {
        None
    }
}

/// Why it failed, in the words of the error's `Debug`.
pub fn by_debug<R: FailsByDebug>(returned: &R, failure: Option<Failure>) -> Option<Failure> {
    failure.map(|failure| match returned.words() {
        Some(message) => Failure { message, ..failure },
        None => failure,
    })
}

/// A `Result`, alone or in what may hold one, whose error is told by its `Debug`.
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

/// Why what returned an exit code within a `Result` failed, if it did.
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

/// The batch mark that a value makes: what it shows by `Display`, a path's own text, what an `Option` holds, or else what it shows by
/// `Debug`.
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

/// The user's own `AsRef` is called as its `Display` would be.
fn of_path(path: &impl AsRef<Path>) -> String {
    struct Shown<'a, T>(&'a T);
    impl<T: AsRef<Path>> Display for Shown<'_, T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            Display::fmt(&self.0.as_ref().display(), f)
        }
    }
    outcome::text(Shown(path))
}

/// A value of a type that says nothing: the compiler tells so at the parameter.
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

/// A value that can mark a batch. No type has this: one that could is met before.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't mark a batch: it has neither `Display` nor `Debug`",
    label = "the parameter that marks the batch",
    note = "derive `Debug` for it, write `Display`, or name another parameter in #[root_task]"
)]
pub trait BatchMark {}
