//! Spans of a `tracing` subscriber: processes that are begun and ended by hand, and may be current on several threads at once.

use std::error::Error;

use crate::attach::{Bond, attach};
use crate::context::Context;
use crate::current::{self, CurrentGuard};
use crate::levels::EventLevel;
use crate::live::{Draft, Live};
use crate::record::{Failure, Fields, Origin, Site, StartExtra, Updated};
use crate::ring::{self, Ending, Slot};
use crate::{clock, inside, panic, sending, site, switch};

/// The parent of a span.
#[derive(Debug, Clone, Copy)]
pub enum Below {
    /// The current process of this thread.
    Current,
    /// No parent: the span begins a tree.
    Nothing,
    /// This process.
    Process(Context),
}

/// A process that has begun and not ended.
#[derive(Debug)]
pub struct Span(Begun);

#[derive(Debug)]
enum Begun {
    /// The process is in the open table of the thread that began it.
    InRing { slot: Slot, own: Context, was_panicking: bool },
    /// The process was recorded by the queue. Boxed, because it is large.
    Queued(Box<Live>),
}

impl Span {
    /// Begins a process. `None` if nothing is recorded.
    pub fn begin(origin: Origin, below: Below, fields: Fields) -> Option<Self> {
        if !switch::is_recorded() {
            return None;
        }
        let level = switch::level_of(&origin);
        if level == EventLevel::Off {
            return None;
        }
        let is_in_ring = level == EventLevel::All && fields.is_empty();
        let site = if let Origin::Site(site) = &origin { Some(*site).filter(|_| is_in_ring) } else { None };
        if let Some(site) = site
            && let Below::Current = below
        {
            match ring::open(site, false) {
                ring::Begun::Recorded(slot) => return Span::in_ring(slot),
                ring::Begun::Refused => return Some(Span::queued(Live::refused(current::local()))),
                ring::Begun::Elsewhere => {}
            }
        }
        let bond = match below {
            Below::Current => Bond::Current,
            Below::Nothing => Bond::NewTree,
            Below::Process(parent) => Bond::Under(parent),
        };
        let attached = attach(bond, &origin)?;
        if let Some(site) = site {
            current::attach_ring();
            match ring::open_at(site, attached) {
                ring::Begun::Recorded(slot) => return Span::in_ring(slot),
                ring::Begun::Refused => return Some(Span::queued(Live::refused(attached.parent))),
                ring::Begun::Elsewhere => {}
            }
        }
        let extra = StartExtra { fields, ..StartExtra::default() };
        let mut draft = Draft::new(origin, attached, extra, None);
        draft.is_quiet = level == EventLevel::Roots && draft.may_be_quiet();
        Some(Span::queued(draft.start()))
    }

    fn in_ring(slot: Slot) -> Option<Self> {
        Some(Span(Begun::InRing { own: slot.own()?, slot, was_panicking: std::thread::panicking() }))
    }

    fn queued(live: Live) -> Self {
        let _inside = inside::enter();
        Span(Begun::Queued(Box::new(live)))
    }

    /// Makes the process current on this thread.
    pub fn enter(&self) -> CurrentGuard {
        match &self.0 {
            Begun::InRing { slot, .. } if slot.is_own() => CurrentGuard::enter_slot(slot),
            // A forked child must not access the slots of its parent.
            Begun::InRing { own, .. } => CurrentGuard::enter(Some(*own)),
            Begun::Queued(live) => CurrentGuard::of(live.push()),
        }
    }

    /// Returns the context for children of the process, which are recorded after it.
    pub fn parent(&self) -> Option<Context> {
        match &self.0 {
            Begun::InRing { .. } => self.context(),
            Begun::Queued(live) => live.context(),
        }
    }

    /// Returns the context for code that records values of the process or passes its ids on.
    pub fn context(&self) -> Option<Context> {
        match &self.0 {
            Begun::InRing { slot, .. } if slot.is_own() => slot.context(),
            Begun::InRing { own, .. } => Some(*own),
            Begun::Queued(live) => live.handed_on(),
        }
    }

    /// Returns the context for code that may refer to the process after its end. `None` if the process is only counted.
    pub fn to_remember(&self) -> Option<Context> {
        match &self.0 {
            Begun::InRing { slot, own, .. } => Some(*own).filter(|_| !slot.is_folded()),
            Begun::Queued(live) => live.context().filter(|_| live.is_recorded()),
        }
    }

    /// Renames the process, or adds fields.
    pub fn update(&self, name: Option<String>, fields: Fields) {
        match &self.0 {
            Begun::InRing { .. } => self.tell(name, fields, Vec::new()),
            Begun::Queued(live) => live.update(name, fields),
        }
    }

    /// Links the process to another process.
    pub fn link(&self, other: Context, relation: &str) {
        match &self.0 {
            Begun::InRing { .. } => self.tell(None, Fields::new(), vec![(other, relation.to_owned())]),
            Begun::Queued(live) => live.link(other, relation.to_owned()),
        }
    }

    /// Records values of a process in a ring.
    fn tell(&self, name: Option<String>, fields: Fields, links: Vec<(Context, String)>) {
        let _inside = inside::enter();
        if let Begun::InRing { slot, .. } = &self.0
            && slot.is_own()
            && let Some(context) = slot.context()
        {
            let updated = Updated { root: context.root(), id: context.process(), time_us: 0, name, fields, links };
            sending::updated(updated, clock::now());
        }
    }

    /// Returns the panic that this thread is unwinding from, if it began after the process.
    pub fn panicked(&self) -> Option<Failure> {
        let is_panicking = match &self.0 {
            Begun::InRing { was_panicking, .. } => std::thread::panicking() && !was_panicking,
            Begun::Queued(live) => live.panicked_meanwhile(),
        };
        is_panicking.then(panic::latest)
    }

    /// Ends the process.
    pub fn end(self, failure: Option<Failure>) {
        match (self.0, failure) {
            (Begun::InRing { slot, .. }, None) => ring::close(slot, Ending::Succeeded),
            (Begun::InRing { slot, .. }, Some(failure)) => slot.fail(failure),
            // The failure contains its place.
            (Begun::Queued(live), Some(failure)) if failure.place.is_some() => live.panic(failure),
            (Begun::Queued(live), failure) => live.end_with(failure),
        }
    }
}

/// Returns the messages of an error's sources, nearest first.
pub fn chain(error: &(dyn Error + 'static)) -> Vec<String> {
    std::iter::successors(error.source(), |error| (*error).source()).take(64).map(ToString::to_string).collect()
}

/// Returns the site of a place in the source; `key` is the address of a value that lives as long as the program. `None` if nothing is
/// recorded, or if there are too many places.
pub fn site(key: usize, make: impl FnOnce() -> Site) -> Option<&'static Site> {
    if switch::is_recorded() { site::intern(key, make, ring::keep_site) } else { None }
}

pub use crate::site::interned as sites;
