//! Applies the rules of retention ([`monitor_store::retention`]).

mod age;
mod pace;
mod run;

pub(crate) use self::age::{AgeClock, Jump};
pub(crate) use self::run::{Keeper, Parts};
