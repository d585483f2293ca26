//! Where a new process hangs: the rules by which it finds its parent.

use crate::context::{Attached, Context};
use crate::record::{Attachment, Origin};
use crate::warn::{Warning, Warnings};
use crate::{current, home, ids, inside, starter, strays, switch, trees};

/// How a new process is to find its parent.
pub(crate) enum Bond {
    /// Below what is current, or at the head of a tree of its own.
    Current,
    /// The same for a `#[normal_task]`, which isn't meant to begin a tree.
    Normal,
    /// The same for a `#[root_task]`: below an inherited context it stands for this program's part of the tree.
    Root,
    /// Below what is current, or else below the one tree that is alive in this program.
    CrossThread,
    /// Below what is current, or else below the call that started the thread, while that runs, or below the one tree that is alive by
    /// now; where there is none it begins a tree: for functions that nobody chose, in a program that carries no contexts. With the name
    /// that it will have.
    Woven(&'static str),
    /// Below a process of another program.
    Remote(Remote),
    /// Below this one.
    Under(Context),
    /// At the head of a tree of its own, whatever is current.
    NewTree,
}

/// The ids that a `#[cross_process]` function was called with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remote {
    /// The tree, if the id was there and could be read.
    pub root: Option<u128>,
    /// The parent, if the id was there and could be read; without it, the process that began the tree.
    pub parent: Option<u64>,
    /// What could not be read, as it came.
    pub malformed: Option<String>,
    /// Without a caller it is meant to begin a tree.
    pub may_begin: bool,
}

impl Remote {
    /// For a function at the edge: without a caller it begins a tree, and nobody is warned.
    #[must_use]
    pub fn or_begin(self) -> Self {
        Remote { may_begin: true, ..self }
    }
}

/// Finds the place of a process of this origin; none if it is not to be recorded.
pub(crate) fn attach(bond: Bond, origin: &Origin) -> Option<Attached> {
    Some(match bond {
        Bond::Current => below_current(false),
        Bond::Normal => below_known().map_or_else(strays::place, Some)?,
        Bond::Root => below_current(true),
        Bond::CrossThread => below_known_tree(trees::the_one_of_this_thread).unwrap_or_else(|| astray(origin)),
        Bond::Woven(name) => below_starter().or_else(|| at_home(name)).or_else(|| below_known_tree(trees::the_one)).unwrap_or(Attached {
            parent: None,
            attachment: Attachment::Explicit,
            entry: true,
        }),
        Bond::Remote(remote) => below_remote(remote),
        Bond::Under(parent) => Attached { parent: Some(parent), attachment: Attachment::Explicit, entry: false },
        Bond::NewTree => Attached { parent: None, attachment: Attachment::Explicit, entry: true },
    })
}

/// Returns the process that a program started on this thread belongs to. The process gets a row of its own, because the program names it
/// as its parent.
#[must_use]
pub fn parent_of_program() -> Option<Context> {
    if !switch::is_on() || inside::is_inside() {
        return None;
    }
    let local = current::of_program().or_else(starter::of_this_thread);
    local.or_else(|| home::parent("")).or_else(trees::the_one).or_else(current::inherited)
}

fn below_current(root: bool) -> Attached {
    let (parent, entry) = match current::local() {
        Some(local) => (Some(local), false),
        None => current::inherited().map_or((None, true), |inherited| (Some(inherited), root)),
    };
    Attached { parent, attachment: Attachment::Explicit, entry }
}

fn below_starter() -> Option<Attached> {
    let starter = starter::of_this_thread().filter(|_| current::local().is_none())?;
    Some(Attached { parent: Some(starter), attachment: Attachment::Inferred, entry: false })
}

fn at_home(name: &str) -> Option<Attached> {
    home::parent(name).map(|parent| Attached { parent: Some(parent), attachment: Attachment::Explicit, entry: false })
}

fn below_known() -> Option<Attached> {
    let known = current::local().or_else(current::inherited);
    known.map(|parent| Attached { parent: Some(parent), attachment: Attachment::Explicit, entry: false })
}

/// Below what is current, what `the_one` finds, or what the program inherited.
fn below_known_tree(the_one: fn() -> Option<Context>) -> Option<Attached> {
    let inferred = if current::local().is_none() { the_one() } else { None };
    match inferred {
        Some(parent) => Some(Attached { parent: Some(parent), attachment: Attachment::Inferred, entry: false }),
        None => below_known(),
    }
}

/// A `#[cross_thread]` function that belongs nowhere.
fn astray(origin: &Origin) -> Attached {
    static WARNINGS: Warnings = Warnings::new();

    WARNINGS.give(origin.key(), || {
        let (file, line) = origin.place();
        format!(
            "the #[cross_thread] function {:?} ({file}:{line}) was called without a context on a thread that was there before the \
             one tree that runs, or while no tree or several were running: it is shown as a tree of its own. Start the thread or \
             task by monitor_client::spawn_thread, spawn_task or spawn_blocking, or carry Context::current() to it and enter() it there",
            origin.name()
        )
    });
    unattached()
}

fn below_remote(remote: Remote) -> Attached {
    static WARNING: Warning = Warning::new();

    // The tree alone is known: the process that began it stands for the caller.
    let parent = remote.root.and_then(|root| Context::new(root, remote.parent.unwrap_or_else(|| ids::own_process(root))));
    if remote.may_begin && parent.is_none() {
        return Attached { parent: None, attachment: Attachment::Explicit, entry: true };
    }
    if parent.is_none() || remote.malformed.is_some() {
        WARNING.give(|| {
            let found = match remote.malformed {
                Some(id) => format!("{id:?}, which is none"),
                None => "none".to_owned(),
            };
            let shown = if parent.is_some() { "below the root of its tree" } else { "as a tree of its own" };
            format!(
                "a #[cross_process] function needs the root_id and the parent_id of its caller and found {found}: it is shown \
                 {shown}. Send monitor_client::root_id() and current_id() along with the call, or write #[cross_process(begin)] if it \
                 is to begin a tree without them"
            )
        });
    }
    if parent.is_some() {
        // Called from the same tree in the same program it is no entry of its own.
        let entry = current::local().map(Context::root) != remote.root;
        return Attached { parent, attachment: Attachment::Explicit, entry };
    }
    Attached { entry: true, ..unattached() }
}

/// No entry: the next stray thread would take it for the tree that it belongs to.
fn unattached() -> Attached {
    Attached { parent: None, attachment: Attachment::Unattached, entry: false }
}
