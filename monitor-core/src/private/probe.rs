//! Finds by its type what a value says: the compiler takes the first of the impls that fits
//! `(&&&&&&Returned(&value)).failure()`, the one for the most references.
//!
//! One trait for all of them: the compiler looks at each trait for each reference that it takes away.

use std::error::Error;
use std::fmt::{Debug, Display};
use std::ops::Deref;

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

macro_rules! failures {
    ($($(#[$doc:meta])* [$($reference:tt)*] Result<T, E> where [$($bound:tt)*] => |$error:ident| $failure:expr;)*) => {
        $($(#[$doc])*
        impl<T, E: $($bound)*> Fails for $($reference)* Returned<'_, Result<T, E>> {
            #[inline]
            fn failure(&self) -> Option<Failure> {
                self.0.as_ref().err().map(|$error| $failure)
            }
        })*
    };
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

/// No `Result`: succeeded.
impl<T> Fails for Returned<'_, T> {
    #[inline]
    fn failure(&self) -> Option<Failure> {
        None
    }
}

/// The batch mark that a value makes: by `Display`, or else by `Debug`.
pub trait Marks {
    fn mark(&self) -> String;
}

impl<T: Display> Marks for &Returned<'_, T> {
    fn mark(&self) -> String {
        outcome::text(self.0)
    }
}

impl<T: Debug> Marks for Returned<'_, T> {
    fn mark(&self) -> String {
        outcome::text(format_args!("{:?}", self.0))
    }
}
