//! Stray calls: those of `#[normal_task]` functions without a context. Each would begin a tree of its own, as many as there are
//! requests in a server whose tasks carry none.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use crate::context::Attached;
use crate::live::{Draft, Live};
use crate::own::Own;
use crate::record::{Attachment, Named, Origin, StartExtra};

/// So many of a program begin trees of their own before others are gathered.
const SINGLY: u64 = 100;
/// The name of the root that has the others below it.
const NAME: &str = "calls without a tree";

/// What becomes of stray calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Strays {
    /// Each begins a tree.
    Tree,
    /// After the first 100 they hang below one root of the program, where they are folded by name.
    #[default]
    Fold,
    /// They are not recorded.
    Skip,
}

static MODE: AtomicU8 = AtomicU8::new(Strays::Tree as u8);
static SEEN: AtomicU64 = AtomicU64::new(0);
static IS_BEGUN: AtomicBool = AtomicBool::new(false);
static ROOT: Own<Live> = Own::new();

/// Sets what becomes of them; [`Strays::Tree`] as long as nobody does. To be called before recording begins.
pub fn set(strays: Strays) {
    MODE.store(strays as u8, Ordering::Relaxed);
}

/// The place of a stray call; none if it is not recorded.
pub(crate) fn place() -> Option<Attached> {
    let mode = MODE.load(Ordering::Relaxed);
    if mode == Strays::Skip as u8 {
        return None;
    }
    // No entry: the next stray thread would take it for the tree that it belongs to.
    let alone = Attached { parent: None, attachment: Attachment::Unattached, entry: false };
    if mode == Strays::Tree as u8 || SEEN.fetch_add(1, Ordering::Relaxed) < SINGLY {
        return Some(alone);
    }
    if !IS_BEGUN.swap(true, Ordering::AcqRel) {
        let named = Named { name: NAME.to_owned(), kind: "root".into(), place: None };
        let draft = Draft::new(Origin::Named(Box::new(named)), alone, StartExtra::default(), None);
        ROOT.set(draft.start());
    }
    // Whoever comes while another thread begins it stands alone.
    let root = ROOT.get().and_then(Live::handed_on);
    Some(root.map_or(alone, |root| Attached { parent: Some(root), attachment: Attachment::Explicit, entry: false }))
}

/// Ends the root that has them below it: the program ends.
pub(crate) fn end() {
    if let Some(root) = ROOT.get() {
        ROOT.forget();
        root.succeed_in_place();
    }
}

/// For a forked child, which has strays of its own.
pub(crate) fn forget() {
    ROOT.forget();
    SEEN.store(0, Ordering::Relaxed);
    IS_BEGUN.store(false, Ordering::Relaxed);
}
