//! The attributed functions of a program.

use crate::record::Site;

/// Every attributed function that is linked into the program.
#[cfg(feature = "record")]
mod section {
    use crate::record::Site;

    crate::section::section!(Site, "monitor_sites", Site::new("", "", "", 0));
}

/// All attributed functions that are linked into this program, called or not, in no particular order. Empty without the
/// feature `record`.
///
/// ```
/// for site in monitor_core::registered() {
///     println!("{} {} at {}:{}", site.kind, site.name, site.file, site.line);
/// }
/// ```
pub fn registered() -> &'static [Site] {
    #[cfg(feature = "record")]
    {
        section::all()
    }
    #[cfg(not(feature = "record"))]
    {
        &[]
    }
}

/// Address of the first one.
pub(crate) fn first() -> usize {
    registered().as_ptr().addr()
}

/// Which of the [`registered`] ones it is, if the first has this address.
#[inline]
pub(crate) fn number(site: &'static Site, first: usize) -> usize {
    std::ptr::from_ref(site).addr().wrapping_sub(first) / size_of::<Site>()
}
