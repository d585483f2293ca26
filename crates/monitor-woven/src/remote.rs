//! Reads the ids passed to a `cross_process` function, in text form.

use std::str::FromStr;

use monitor_core::private::Remote;
use monitor_spool::wire::{ProcessId, RootId};

/// A value that may contain an id. Any text is accepted; it is parsed when it is used.
pub trait AsId {
    /// Returns the text. `None` if there is no id.
    fn as_text(&self) -> Option<&str>;
}

impl AsId for str {
    fn as_text(&self) -> Option<&str> {
        Some(self).filter(|text| !text.is_empty())
    }
}

impl AsId for String {
    fn as_text(&self) -> Option<&str> {
        self.as_str().as_text()
    }
}

impl<T: AsId + ?Sized> AsId for &T {
    fn as_text(&self) -> Option<&str> {
        (**self).as_text()
    }
}

impl<T: AsId> AsId for Option<T> {
    fn as_text(&self) -> Option<&str> {
        self.as_ref().and_then(AsId::as_text)
    }
}

/// Returns the remote caller of a `cross_process` function.
pub fn remote<R: AsId + ?Sized, P: AsId + ?Sized>(root_id: &R, parent_id: &P) -> Remote {
    let root = id::<RootId>(root_id.as_text());
    // A root id in place of the parent id refers to the process that started the tree.
    let parent = match id::<RootId>(parent_id.as_text()) {
        Ok(Some(root)) => Ok(root.own_process()),
        _ => id::<ProcessId>(parent_id.as_text()),
    };
    let malformed = root.as_ref().err().or(parent.as_ref().err()).cloned();
    Remote { root: root.ok().flatten().map(RootId::get), parent: parent.ok().flatten().map(ProcessId::get), malformed, may_begin: false }
}

/// Parses an id. Returns the text if it is malformed.
fn id<T: FromStr>(text: Option<&str>) -> Result<Option<T>, String> {
    let Some(text) = text else { return Ok(None) };
    text.parse().map(Some).map_err(|_| text.chars().take(80).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_from_text_and_malformed_ids_are_reported() {
        let (root, parent) = ("0199a3ce929d0e0e47360199a3ce929d", "ffffffffffffffff");
        let whole = Remote { root: Some(0x0199_a3ce_929d_0e0e_4736_0199_a3ce_929d), parent: Some(u64::MAX), ..Remote::default() };
        assert_eq!(remote(root, parent), whole);
        assert_eq!(remote(&root.to_owned(), &Some(parent)), whole);
        assert_eq!(remote(&None::<String>, ""), Remote::default());
        assert_eq!(remote(root, root), Remote { parent: Some(0x4736_0199_a3ce_929d), ..whole.clone() });
        assert_eq!(remote(root, ""), Remote { parent: None, ..whole });
        for bad in ["nonsense", "+fffffffffffffff", "0000000000000000", "FFFFFFFFFFFFFFFF"] {
            assert_eq!(remote("", bad).malformed.as_deref(), Some(bad));
        }
    }
}
