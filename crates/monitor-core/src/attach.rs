//! The rules that determine the parent of a new process.

use crate::context::{Attached, Context};
use crate::record::{Attachment, Origin};
use crate::warn::{Warning, Warnings};
use crate::{current, home, ids, inside, starter, strays, switch, trees};

/// Rule for the parent of a new process.
pub(crate) enum Bond {
    /// A child of the current process, or else the root of a new tree.
    Current,
    /// Like `Current`, for a `#[normal_task]`, which isn't supposed to begin a tree.
    Normal,
    /// Like `Current`, for a `#[root_task]`. Below an inherited context, it represents this program's part of the tree.
    Root,
    /// A child of the current process, or else of the only running tree of this program.
    CrossThread,
    /// A child of the current process, or else of the call that started the thread, while that runs, or else of the only running tree. If
    /// there is none, it begins a tree. For woven functions, in programs that carry no contexts. Contains the name of the new process.
    Woven(&'static str),
    /// A child of a process in another program.
    Remote(Remote),
    /// A child of this process.
    Under(Context),
    /// The root of a new tree, even if a process is current.
    NewTree,
}

/// The ids that a `#[cross_process]` function was called with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remote {
    /// Id of the tree, if it was set and valid.
    pub root: Option<u128>,
    /// Id of the parent, if it was set and valid. Without it, the parent is the process that began the tree.
    pub parent: Option<u64>,
    /// The invalid id, as received.
    pub malformed: Option<String>,
    /// True if the function is supposed to begin a tree when it is called without ids.
    pub may_begin: bool,
}

impl Remote {
    /// Marks a function at the edge of a system: without ids it begins a tree, without a warning.
    #[must_use]
    pub fn or_begin(self) -> Self {
        Remote { may_begin: true, ..self }
    }
}

/// Determines the place of a new process with this origin. `None` if it must not be recorded.
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

/// Returns the parent of a program that is started on this thread. The parent is reported individually, because the program refers to it.
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

/// Returns a place below the current process, the process found by `the_one`, or the inherited process.
fn below_known_tree(the_one: fn() -> Option<Context>) -> Option<Attached> {
    let inferred = if current::local().is_none() { the_one() } else { None };
    match inferred {
        Some(parent) => Some(Attached { parent: Some(parent), attachment: Attachment::Inferred, entry: false }),
        None => below_known(),
    }
}

/// Returns the place of a `#[cross_thread]` function without a parent.
fn astray(origin: &Origin) -> Attached {
    static WARNINGS: Warnings = Warnings::new();

    WARNINGS.give(origin.key(), || {
        let (file, line) = origin.place();
        format!(
            "the #[cross_thread] function {:?} ({file}:{line}) was called without a context on a thread that was there before the \
             one run in progress, or while no run or several were in progress: it is shown as a run of its own. Start the thread or \
             task by monitor_client::spawn_thread, spawn_task or spawn_blocking, or carry Context::current() to it and enter() it there",
            origin.name()
        )
    });
    unattached()
}

fn below_remote(remote: Remote) -> Attached {
    static WARNING: Warning = Warning::new();

    // If only the tree is known, the process that began it is the parent.
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
            let shown = if parent.is_some() { "below the root of its run" } else { "as a run of its own" };
            format!(
                "a #[cross_process] function needs the root_id and the parent_id of its caller and found {found}: it is shown \
                 {shown}. Send monitor_client::root_id() and current_id() along with the call, or write #[cross_process(begin)] if it \
                 is to begin a tree without them"
            )
        });
    }
    if parent.is_some() {
        // A call from the same tree in the same program is not an entry.
        let entry = current::local().map(Context::root) != remote.root;
        return Attached { parent, attachment: Attachment::Explicit, entry };
    }
    Attached { entry: true, ..unattached() }
}

/// Not an entry, because the next stray thread would consider an entry as its tree.
fn unattached() -> Attached {
    Attached { parent: None, attachment: Attachment::Unattached, entry: false }
}
