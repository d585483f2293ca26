//! The attributed functions of a program.

use crate::record::Site;

/// Every attributed function that is linked into the program: `__site!` places each [`Site`] in one section, whose bounds the
/// linker knows.
#[cfg(feature = "record")]
#[allow(unsafe_code, reason = "names that the linker gives, or goes by")]
mod section {
    use crate::record::Site;

    #[cfg(not(windows))]
    unsafe extern "Rust" {
        #[cfg_attr(target_vendor = "apple", link_name = "\x01section$start$__DATA$__monitor_sites")]
        #[cfg_attr(not(target_vendor = "apple"), link_name = "__start_monitor_sites")]
        static START: [Site; 0];
        #[cfg_attr(target_vendor = "apple", link_name = "\x01section$end$__DATA$__monitor_sites")]
        #[cfg_attr(not(target_vendor = "apple"), link_name = "__stop_monitor_sites")]
        static STOP: [Site; 0];
    }

    /// Without any site there would be no section.
    #[cfg(not(windows))]
    #[used]
    #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__monitor_sites,regular,no_dead_strip"))]
    #[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = "monitor_sites"))]
    static NONE: [Site; 0] = [];

    // This linker sorts by what stands behind the `$`. What has no size would have one there.
    #[cfg(windows)]
    #[unsafe(link_section = ".monitor_sites$a")]
    static START: Site = Site { name: "", kind: "", file: "", line: 0 };
    #[cfg(windows)]
    #[unsafe(link_section = ".monitor_sites$c")]
    static STOP: Site = Site { name: "", kind: "", file: "", line: 0 };

    pub(super) fn sites() -> &'static [Site] {
        let (start, stop) = ((&raw const START).cast::<Site>(), (&raw const STOP).cast::<Site>());
        let start = start.wrapping_add(usize::from(cfg!(windows)));
        let count = (stop.addr() - start.addr()) / size_of::<Site>();
        // SAFETY: between the two stands nothing but what `__site!` has placed there, one directly behind the other, for each
        // is as large as its alignment. Where the pointer comes from is concealed: to the compiler nothing is behind it.
        unsafe { std::slice::from_raw_parts(std::hint::black_box(start), count) }
    }
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
        section::sites()
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
