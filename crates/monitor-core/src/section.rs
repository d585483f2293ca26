//! A linker section in which all crates of a program place values: a list that is built without a call, because the
//! linker knows the section's bounds.
//!
//! `linkme` is not used: its attribute costs 0.7 ms of compile time per item, and it is another crate to build.

/// Declares the section with this name, of values of a type. `all()` returns the linked values. A `static` with `link_section` adds a
/// value. The size of a value must be its alignment, or a multiple of it.
macro_rules! section {
    ($item:ty, $name:literal, $empty:expr) => {
        #[allow(unsafe_code, reason = "names that the linker gives, or goes by")]
        mod bounds {
            #[allow(unused_imports, reason = "the type by its name")]
            use super::*;

            #[cfg(not(windows))]
            unsafe extern "Rust" {
                #[cfg_attr(target_vendor = "apple", link_name = concat!("\x01section$start$__DATA$__", $name))]
                #[cfg_attr(not(target_vendor = "apple"), link_name = concat!("__start_", $name))]
                static START: [$item; 0];
                #[cfg_attr(target_vendor = "apple", link_name = concat!("\x01section$end$__DATA$__", $name))]
                #[cfg_attr(not(target_vendor = "apple"), link_name = concat!("__stop_", $name))]
                static STOP: [$item; 0];
            }

            /// Without an item, the section would not exist.
            #[cfg(not(windows))]
            #[used]
            #[cfg_attr(target_vendor = "apple", unsafe(link_section = concat!("__DATA,__", $name, ",regular,no_dead_strip")))]
            #[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = $name))]
            static NONE: [$item; 0] = [];

            // This linker sorts by the text after the `$`. A zero-sized value would get an address there.
            #[cfg(windows)]
            #[unsafe(link_section = concat!(".", $name, "$a"))]
            static START: $item = $empty;
            #[cfg(windows)]
            #[unsafe(link_section = concat!(".", $name, "$c"))]
            static STOP: $item = $empty;

            pub(crate) fn all() -> &'static [$item] {
                let (start, stop) = ((&raw const START).cast::<$item>(), (&raw const STOP).cast::<$item>());
                let start = start.wrapping_add(usize::from(cfg!(windows)));
                let count = (stop.addr() - start.addr()) / size_of::<$item>();
                // SAFETY: the range contains only the placed values, one directly after the other, because the size of each is its
                // alignment or a multiple of it. The origin of the pointer is hidden, because for the compiler the static is empty.
                unsafe { std::slice::from_raw_parts(std::hint::black_box(start), count) }
            }
        }
        pub(crate) use bounds::all;
    };
}
pub(crate) use section;
