//! Spans of a `tracing` subscriber: processes that are begun and ended by hand, and may be current on several threads at once.

use std::error::Error;

use crate::attach::{Bond, attach};
use crate::context::Context;
use crate::current::CurrentGuard;
use crate::live::{Draft, Live};
use crate::own::Own;
use crate::record::{Failure, Fields, Origin, Site, StartExtra};
use crate::{inside, panic, switch};

/// What a span is to hang below.
#[derive(Debug, Clone, Copy)]
pub enum Below {
    /// What is current on this thread.
    Current,
    /// Nothing: it begins a tree.
    Nothing,
    /// This process.
    Process(Context),
}

/// A process that has begun and not ended.
#[derive(Debug)]
pub struct Span(Live);

impl Span {
    /// Begins a process; none if nothing is recorded.
    pub fn begin(origin: Origin, below: Below, fields: Fields) -> Option<Self> {
        if !switch::is_recorded() {
            return None;
        }
        let bond = match below {
            Below::Current => Bond::Current,
            Below::Nothing => Bond::NewTree,
            Below::Process(parent) => Bond::Under(parent),
        };
        let attached = attach(bond, &origin)?;
        let extra = StartExtra { fields, ..StartExtra::default() };
        Some(Span(Draft::new(origin, attached, extra, None).start()))
    }

    /// Makes it current on this thread.
    pub fn enter(&self) -> CurrentGuard {
        CurrentGuard::enter_unread(self.0.context())
    }

    /// The process for its own children, which come after it.
    pub fn parent(&self) -> Option<Context> {
        self.0.context()
    }

    /// The process for somebody who has something to say of it, or to others.
    pub fn context(&self) -> Option<Context> {
        self.0.handed_on()
    }

    /// Gives it another name, or further fields.
    pub fn update(&self, name: Option<String>, fields: Fields) {
        self.0.update(name, fields);
    }

    /// It has to do with another process.
    pub fn link(&self, other: Context, relation: &str) {
        self.0.link(other, relation.to_owned());
    }

    /// The panic that this thread is unwinding from, if that began after the process did.
    pub fn panicked(&self) -> Option<Failure> {
        self.0.panicked_meanwhile().then(panic::latest)
    }

    /// Ends it.
    pub fn end(self, failure: Option<Failure>) {
        match failure {
            // It says where.
            Some(failure) if failure.place.is_some() => self.0.panic(failure),
            failure => self.0.end_with(failure),
        }
    }
}

/// Sources of an error, nearest first, as a failure keeps them.
pub fn chain(error: &(dyn Error + 'static)) -> Vec<String> {
    std::iter::successors(error.source(), |error| (*error).source()).take(64).map(ToString::to_string).collect()
}

/// Most places that are told apart; spans of further ones say each time what they are.
const MOST: usize = 4096;

static PLACES: [Own<Place>; MOST] = [const { Own::new() }; MOST];

#[derive(Debug)]
struct Place {
    key: usize,
    site: Site,
}

/// The site that stands for a place in the source, made by the first who asks. `key` is the address of something that lives as long as
/// the program. None if there are too many of them.
pub fn site(key: usize, make: impl FnOnce() -> Site) -> Option<&'static Site> {
    // Addresses of statics are far apart and aligned.
    let first = (key as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) as usize >> (usize::BITS - MOST.trailing_zeros());
    let mut make = Some(make);
    for at in (first..MOST).chain(0..first) {
        if PLACES[at].get().is_none()
            && let Some(make) = make.take()
        {
            let _inside = inside::enter();
            PLACES[at].set(Place { key, site: make() });
        }
        if let Some(place) = PLACES[at].get().filter(|place| place.key == key) {
            return Some(&place.site);
        }
        // Another thread was first: what was made is lost, and this one goes by name.
        if PLACES[at].get().is_none() || make.is_none() {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_told_once_and_there_is_an_end() {
        let made = |key: usize| site(key * 8, || Site::new("a", "span", "a.rs", key as u32));
        for key in 1..=MOST {
            assert_eq!(made(key).map(|site| site.line), Some(key as u32));
            assert!(std::ptr::eq(made(key).unwrap(), made(key).unwrap()));
        }
        assert!(made(MOST + 1).is_none());
    }
}
