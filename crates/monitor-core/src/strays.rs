//! Stray calls: calls of `#[normal_task]` functions without a context. If each began a tree of its own, a server whose tasks carry no
//! context would have a tree per request.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use crate::context::Attached;
use crate::live::{Draft, Live};
use crate::own::Own;
use crate::record::{Attachment, Named, Origin, StartExtra};

/// Number of stray calls of a program that begin trees of their own.
const SINGLY: u64 = 100;
/// Name of the root of further stray calls.
const NAME: &str = "calls without a tree";

/// Handling of stray calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Strays {
    /// Each call begins a tree.
    Tree,
    /// After the first 100, calls are attached to one root of the program, where they are folded by name.
    #[default]
    Fold,
    /// The calls are not recorded.
    Skip,
}

static MODE: AtomicU8 = AtomicU8::new(Strays::Tree as u8);
static SEEN: AtomicU64 = AtomicU64::new(0);
static IS_BEGUN: AtomicBool = AtomicBool::new(false);
static ROOT: Own<Live> = Own::new();

/// Sets the handling of stray calls. The default is [`Strays::Tree`]. Must be called before recording begins.
pub fn set(strays: Strays) {
    MODE.store(strays as u8, Ordering::Relaxed);
}

/// Returns the place of a stray call. `None` if it is not recorded.
pub(crate) fn place() -> Option<Attached> {
    let mode = MODE.load(Ordering::Relaxed);
    if mode == Strays::Skip as u8 {
        return None;
    }
    // Not an entry, because the next stray thread would consider an entry as its tree.
    let alone = Attached { parent: None, attachment: Attachment::Unattached, entry: false };
    if mode == Strays::Tree as u8 || SEEN.fetch_add(1, Ordering::Relaxed) < SINGLY {
        return Some(alone);
    }
    if !IS_BEGUN.swap(true, Ordering::AcqRel) {
        let named = Named { name: NAME.to_owned(), kind: "root".into(), place: None };
        let draft = Draft::new(Origin::Named(Box::new(named)), alone, StartExtra::default(), None);
        ROOT.set(draft.start());
    }
    // A call that arrives while another thread begins the root begins a tree of its own.
    let root = ROOT.get().and_then(Live::handed_on);
    Some(root.map_or(alone, |root| Attached { parent: Some(root), attachment: Attachment::Explicit, entry: false }))
}

/// Ends the root of stray calls at the end of the program.
pub(crate) fn end() {
    if let Some(root) = ROOT.get() {
        ROOT.forget();
        root.succeed_in_place();
    }
}

/// Resets the state in a forked child, which has stray calls of its own.
pub(crate) fn forget() {
    ROOT.forget();
    SEEN.store(0, Ordering::Relaxed);
    IS_BEGUN.store(false, Ordering::Relaxed);
}
