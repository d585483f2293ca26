//! Finds by its type what a value says: a trait for each way, the stronger ones for more references, and the compiler
//! takes the first that fits `(&&&&&&Returned(&value)).failure()`.

use std::error::Error;
use std::fmt::{Debug, Display};
use std::ops::Deref;
use std::pin::Pin;

pub use super::ending::{Deferred, Immediate};
use crate::outcome::{self, AsError};
use crate::record::Failure;

/// The value in question.
#[derive(Debug)]
pub struct Returned<'a, T>(pub &'a T);

macro_rules! failures {
    ($($(#[$doc:meta])* $way:ident: [$($reference:tt)*] Result<T, E> where [$($bound:tt)*] => |$error:ident| $failure:expr;)*) => {
        $($(#[$doc])*
        pub trait $way {
            fn failure(&self) -> Option<Failure>;
        }

        impl<T, E: $($bound)*> $way for $($reference)* Returned<'_, Result<T, E>> {
            #[inline]
            fn failure(&self) -> Option<Failure> {
                self.0.as_ref().err().map(|$error| $failure)
            }
        })*
    };
}

failures! {
    /// An error.
    ByError: [&&&&&] Result<T, E> where [Error] => |error| outcome::of_error::<E>(error);
    /// A box of an error, or `anyhow::Error`.
    ByTarget: [&&&&] Result<T, E> where [Deref<Target: AsError>] => |error| outcome::of_error::<E>(error.as_error());
    /// Text, or what can be shown as text.
    ByDisplay: [&&&] Result<T, E> where [Display] => |error| outcome::of_display(error);
    /// What can be shown to a programmer.
    ByDebug: [&&] Result<T, E> where [Debug] => |error| outcome::of_debug(error);
    /// An error that says nothing.
    ByType: [&] Result<T, E> where [Sized] => |_error| outcome::of_any::<E>();
}

/// No `Result`: succeeded.
pub trait ByReturn {
    #[inline]
    fn failure(&self) -> Option<Failure> {
        None
    }
}

impl<T> ByReturn for Returned<'_, T> {}

/// The process goes on as long as the returned future.
pub trait EndsLater {
    #[inline]
    fn ending(&self) -> Deferred {
        Deferred
    }
}

impl<T> EndsLater for &Returned<'_, Pin<Box<dyn Future<Output = T> + Send + '_>>> {}
impl<T> EndsLater for &Returned<'_, Pin<Box<dyn Future<Output = T> + '_>>> {}

/// The process ends as its function returns.
pub trait EndsNow {
    #[inline]
    fn ending(&self) -> Immediate {
        Immediate
    }
}

impl<T> EndsNow for Returned<'_, T> {}

/// A batch mark by `Display`.
pub trait MarkByDisplay {
    fn mark(&self) -> String;
}

impl<T: Display> MarkByDisplay for &Returned<'_, T> {
    fn mark(&self) -> String {
        outcome::text(self.0)
    }
}

/// A batch mark by `Debug`.
pub trait MarkByDebug {
    fn mark(&self) -> String;
}

impl<T: Debug> MarkByDebug for Returned<'_, T> {
    fn mark(&self) -> String {
        outcome::text(format_args!("{:?}", self.0))
    }
}
