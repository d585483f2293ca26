//! Where a new process hangs: the rules by which it finds its parent.

use crate::context::{self, Context};
use crate::home;
use crate::record::Attachment;
use crate::trees;
use crate::warn::Warning;

/// How a new process is to find its parent.
pub(crate) enum Bond {
    /// Below what is current, or at the head of a tree of its own.
    Current,
    /// The same for a `#[root_task]`: below an inherited context it stands for this program's part of the tree.
    Root,
    /// Below what is current, or else below the one tree that is alive in this program.
    CrossThread,
    /// The same, and where there is none it begins a tree: for functions that nobody chose, in a program that carries no contexts. With
    /// the name that it will have.
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
    /// The parent, if the id was there and could be read.
    pub parent: Option<u64>,
    /// What could not be read, as it came.
    pub malformed: Option<String>,
}

/// The place that was found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attached {
    /// None: it begins a tree.
    pub(crate) parent: Option<Context>,
    pub(crate) attachment: Attachment,
    /// Threads without a context may take it for the tree that they belong to.
    pub(crate) entry: bool,
}

pub(crate) fn attach(bond: Bond) -> Attached {
    match bond {
        Bond::Current => below_current(false),
        Bond::Root => below_current(true),
        Bond::CrossThread => below_the_one_alive().unwrap_or_else(astray),
        Bond::Woven(name) => {
            at_home(name).or_else(below_the_one_alive).unwrap_or(Attached { parent: None, attachment: Attachment::Explicit, entry: true })
        }
        Bond::Remote(remote) => below_remote(remote),
        Bond::Under(parent) => Attached { parent: Some(parent), attachment: Attachment::Explicit, entry: false },
        Bond::NewTree => Attached { parent: None, attachment: Attachment::Explicit, entry: true },
    }
}

fn below_current(root: bool) -> Attached {
    let (parent, entry) = match context::local() {
        Some(local) => (Some(local), false),
        None => context::inherited().map_or((None, true), |inherited| (Some(inherited), root)),
    };
    Attached { parent, attachment: Attachment::Explicit, entry }
}

fn at_home(name: &str) -> Option<Attached> {
    home::parent(name).map(|parent| Attached { parent: Some(parent), attachment: Attachment::Explicit, entry: false })
}

fn below_the_one_alive() -> Option<Attached> {
    if let Some(parent) = context::local() {
        return Some(Attached { parent: Some(parent), attachment: Attachment::Explicit, entry: false });
    }
    if let Some(parent) = trees::the_one() {
        return Some(Attached { parent: Some(parent), attachment: Attachment::Inferred, entry: false });
    }
    let inherited = context::inherited();
    inherited.map(|parent| Attached { parent: Some(parent), attachment: Attachment::Explicit, entry: false })
}

/// A `#[cross_thread]` function that belongs nowhere.
fn astray() -> Attached {
    static WARNING: Warning = Warning::new();

    WARNING.give(|| {
        "a #[cross_thread] function was called on a thread without a context while no tree, or more than one, was running: \
         it is shown as a tree of its own. Start the thread or task by monitor_client::spawn, spawn_task or spawn_blocking, \
         or carry Context::current() to it and enter() it there"
            .to_owned()
    });
    unattached()
}

fn below_remote(remote: Remote) -> Attached {
    static WARNING: Warning = Warning::new();

    let parent = remote.root.zip(remote.parent).and_then(|(root, parent)| Context::new(root, parent));
    if parent.is_some() {
        // Called from the same tree in the same program it is no entry of its own.
        let entry = context::local().map(Context::root) != remote.root;
        return Attached { parent, attachment: Attachment::Explicit, entry };
    }
    WARNING.give(|| {
        let found = match remote.malformed {
            Some(id) => format!("{id:?}, which is none"),
            None => "none".to_owned(),
        };
        format!(
            "a #[cross_process] function needs the root_id and the parent_id of its caller and found {found}: it is shown as a \
             tree of its own. Send monitor_client::root_id() and current_id() along with the call"
        )
    });
    Attached { entry: true, ..unattached() }
}

/// No entry: the next stray thread would take it for the tree that it belongs to.
fn unattached() -> Attached {
    Attached { parent: None, attachment: Attachment::Unattached, entry: false }
}
