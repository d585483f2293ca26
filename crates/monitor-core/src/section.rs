//! What all crates of a program place in one section, whose bounds the linker knows: a list that is made without a call.
//!
//! Not by `linkme`: its attribute takes the compiler 0.7 ms for each item, and would be one more crate to be built.

/// Declares the section of this name, of values of a type: `all()` are those that are linked. They are placed there by a `static` with
/// `link_section`; each is to be as large as its alignment, or a multiple of it.
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

            /// Without any item there would be no section.
            #[cfg(not(windows))]
            #[used]
            #[cfg_attr(target_vendor = "apple", unsafe(link_section = concat!("__DATA,__", $name, ",regular,no_dead_strip")))]
            #[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = $name))]
            static NONE: [$item; 0] = [];

            // This linker sorts by what stands behind the `$`. What has no size would have one there.
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
                // SAFETY: between the two stands nothing but what was placed there, one directly behind the other, for each is as
                // large as its alignment. Where the pointer comes from is concealed: to the compiler nothing is behind it.
                unsafe { std::slice::from_raw_parts(std::hint::black_box(start), count) }
            }
        }
        pub(crate) use bounds::all;
    };
}
pub(crate) use section;
