//! Ids received from elsewhere, in any type that can carry them.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use monitor_core::private::Remote;
#[cfg(feature = "ids")]
use monitor_wire::{ProcessId, RootId, Traceparent};

#[cfg(feature = "ids")]
use crate::foreign;

/// A type that can contain the id of a run: the parameter `root_id` of a [`#[cross_process]`](macro@crate::cross_process) function.
///
/// Implemented for `RootId` and strings, and for references, smart pointers and `Option`s of these. Any text is accepted; it is parsed when
/// the function is called.
///
/// # Examples
///
/// ```
/// use monitor_client::cross_process;
///
/// #[cross_process("judge")]
/// fn judge(text: &str, root_id: Option<&str>, parent_id: Option<&str>) -> bool {
///     text.is_empty()
/// }
///
/// assert!(!judge("a message", Some("0199a3ce929d0e0e47360199a3ce929d"), Some("a3ce929d0e0e4736")));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't hold the `root_id` of a #[cross_process] function",
    label = "expected `RootId`, `String`, `&str`, or an `Option` of one of these"
)]
pub trait AsRootId {
    /// Returns the id, `None` if the value is empty, or an error with the invalid text.
    #[doc(hidden)]
    fn as_root_id(&self) -> Result<Option<u128>, String>;
}

/// A type that can contain the id of a process: the parameter `parent_id` of a [`#[cross_process]`](macro@crate::cross_process) function.
///
/// Implemented for `ProcessId`, `RootId` and strings, and for references, smart pointers and `Option`s of these. A `RootId` identifies the
/// process that began the run. Any text is accepted; it is parsed when the function is called.
///
/// # Examples
///
/// ```
/// use monitor_client::cross_process;
///
/// #[cross_process("judge")]
/// fn judge(text: &str, root_id: String, parent_id: String) -> bool {
///     text.is_empty()
/// }
///
/// assert!(!judge("a message", String::new(), String::new())); // without a caller
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't hold the `parent_id` of a #[cross_process] function",
    label = "expected `ProcessId`, `RootId`, `String`, `&str`, or an `Option` of one of these"
)]
pub trait AsProcessId {
    /// Returns the id, `None` if the value is empty, or an error with the invalid text.
    #[doc(hidden)]
    fn as_process_id(&self) -> Result<Option<u64>, String>;
}

#[cfg(feature = "ids")]
impl AsRootId for RootId {
    fn as_root_id(&self) -> Result<Option<u128>, String> {
        Ok(Some(self.get()))
    }
}

#[cfg(feature = "ids")]
impl AsProcessId for ProcessId {
    fn as_process_id(&self) -> Result<Option<u64>, String> {
        Ok(Some(self.get()))
    }
}

/// A root id in place of the parent id identifies the process that began the run.
#[cfg(feature = "ids")]
impl AsProcessId for RootId {
    fn as_process_id(&self) -> Result<Option<u64>, String> {
        Ok(self.own_process().map(ProcessId::get))
    }
}

#[cfg(feature = "ids")]
impl AsRootId for str {
    fn as_root_id(&self) -> Result<Option<u128>, String> {
        if let Ok(header) = self.parse::<Traceparent>() {
            return Ok(Some(header.root_id.get()));
        }
        parse::<RootId>(self).map(|id| id.map(RootId::get))
    }
}

#[cfg(feature = "ids")]
impl AsProcessId for str {
    fn as_process_id(&self) -> Result<Option<u64>, String> {
        if let Ok(header) = self.parse::<Traceparent>() {
            return Ok(Some(header.process_id.get()));
        }
        if let Ok(root) = self.parse::<RootId>() { root.as_process_id() } else { parse::<ProcessId>(self).map(|id| id.map(ProcessId::get)) }
    }
}

#[cfg(feature = "ids")]
fn parse<T: std::str::FromStr>(text: &str) -> Result<Option<T>, String> {
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(|_| text.chars().take(80).collect()) }
}

/// Without the feature `ids`, nothing is recorded and the text is not parsed.
#[cfg(not(feature = "ids"))]
impl AsRootId for str {
    fn as_root_id(&self) -> Result<Option<u128>, String> {
        Ok(None)
    }
}

#[cfg(not(feature = "ids"))]
impl AsProcessId for str {
    fn as_process_id(&self) -> Result<Option<u64>, String> {
        Ok(None)
    }
}

macro_rules! through {
    ([$($generics:tt)*] $carrier:ty => $held:ty, |$value:ident| $inner:expr) => {
        impl<$($generics)*> AsRootId for $carrier where $held: AsRootId {
            fn as_root_id(&self) -> Result<Option<u128>, String> {
                let $value = self;
                $inner.map_or(Ok(None), |id| AsRootId::as_root_id(id))
            }
        }
        impl<$($generics)*> AsProcessId for $carrier where $held: AsProcessId {
            fn as_process_id(&self) -> Result<Option<u64>, String> {
                let $value = self;
                $inner.map_or(Ok(None), |id| AsProcessId::as_process_id(id))
            }
        }
    };
}

through!([] String => str, |value| Some(value.as_str()));
through!(['a] Cow<'a, str> => str, |value| Some(&**value));
through!([T: ?Sized] &T => T, |value| Some(&**value));
through!([T: ?Sized] &mut T => T, |value| Some(&**value));
through!([T: ?Sized] Box<T> => T, |value| Some(&**value));
through!([T: ?Sized] Rc<T> => T, |value| Some(&**value));
through!([T: ?Sized] Arc<T> => T, |value| Some(&**value));
through!([T] Option<T> => T, |value| value.as_ref());

/// Reads the caller's ids of a `#[cross_process]` function.
#[doc(hidden)]
pub fn remote<R: AsRootId + ?Sized, P: AsProcessId + ?Sized>(root_id: &R, parent_id: &P) -> Remote {
    let (root, parent) = (root_id.as_root_id(), parent_id.as_process_id());
    let malformed = root.as_ref().err().or(parent.as_ref().err()).cloned();
    #[cfg(feature = "ids")]
    if malformed.is_some() {
        foreign::count_broken();
    }
    Remote { root: root.ok().flatten(), parent: parent.ok().flatten(), malformed, may_begin: false }
}

#[cfg(all(test, feature = "ids"))]
mod tests {
    use super::*;

    const ROOT: &str = "0199a3ce929d0e0e47360199a3ce929d";
    const PARENT: &str = "ffffffffffffffff";

    #[test]
    fn ids_are_read_from_whatever_carries_them() {
        let (root, parent): (RootId, ProcessId) = (ROOT.parse().unwrap(), PARENT.parse().unwrap());
        for found in [
            remote(&root, &parent),
            remote(ROOT, PARENT),
            remote(&ROOT, &Some(PARENT)),
            remote(&ROOT.to_owned(), &Some(PARENT.to_owned())),
            remote(&Some(&root), &Some(Some(parent))),
            remote(&Cow::Borrowed(ROOT), &Arc::<str>::from(PARENT)),
            remote(&Some(format!("00-{ROOT}-{PARENT}-00")), &Some(format!("00-{ROOT}-{PARENT}-00"))),
        ] {
            assert_eq!(found, Remote { root: Some(root.get()), parent: Some(parent.get()), ..Remote::default() });
        }
    }

    #[test]
    fn a_root_id_given_as_parent_means_the_process_that_began_the_tree() {
        let root: RootId = ROOT.parse().unwrap();
        for found in [remote(ROOT, ROOT), remote(&root, &root), remote(&ROOT, &Some(ROOT.to_owned()))] {
            assert_eq!(found, Remote { root: Some(root.get()), parent: root.own_process().map(ProcessId::get), ..Remote::default() });
        }
    }

    #[test]
    fn malformed_ids_are_distinguished_from_absent_ids() {
        let long = "x".repeat(100_000);
        for (root, parent, malformed) in [
            ("", "", None),
            (ROOT, "", None),
            ("", PARENT, None),
            ("nonsense", PARENT, Some("nonsense")),
            (ROOT, "0000000000000000", Some("0000000000000000")),
            (ROOT, long.as_str(), Some(&long[..80])),
        ] {
            let found = remote(root, parent);
            assert!(found.root.is_none() || found.parent.is_none(), "{found:?}");
            assert_eq!(found.malformed.as_deref(), malformed);
        }
        assert_eq!(remote(&None::<RootId>, &None::<String>), Remote::default());
    }
}
