//! Zeroed memory from the operating system, independent of the program's allocator. Pages cost nothing until they are used, and no
//! allocator is called from within a monitored call.

#![allow(unsafe_code, reason = "only the operating system has memory")]

use std::ptr::NonNull;

/// Returns zeroed memory that starts at a page boundary. `None` if there is none left.
#[cfg(unix)]
pub(crate) fn map(bytes: usize) -> Option<NonNull<u8>> {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANON);
    // SAFETY: a new anonymous mapping does not affect memory that is in use.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
    if start == libc::MAP_FAILED { None } else { NonNull::new(start.cast()) }
}

/// Frees memory of [`map`].
///
/// # Safety
/// The arguments must be exactly those and the result of `map(bytes)`, and the memory must not be used afterwards.
#[cfg(unix)]
pub(crate) unsafe fn unmap(start: NonNull<u8>, bytes: usize) {
    // SAFETY: guaranteed by the caller.
    unsafe { libc::munmap(start.as_ptr().cast(), bytes) };
}

/// Replaces memory that is shared with another program by a copy in private memory. Returns true on success.
///
/// # Safety
/// Both must be mappings of `bytes` bytes that are not used elsewhere.
#[cfg(unix)]
pub(crate) unsafe fn replace(place: NonNull<u8>, copy: NonNull<u8>, bytes: usize) -> bool {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED);
    // SAFETY: guaranteed by the caller. A forked child may only make system calls here.
    unsafe {
        let start = libc::mmap(place.as_ptr().cast(), bytes, protection, flags, -1, 0);
        if start == libc::MAP_FAILED {
            return false;
        }
        place.copy_from_nonoverlapping(copy, bytes);
        libc::munmap(copy.as_ptr().cast(), bytes);
    }
    true
}

/// This system has no fork.
#[cfg(not(unix))]
pub(crate) unsafe fn replace(_: NonNull<u8>, _: NonNull<u8>, _: usize) -> bool {
    false
}

#[cfg(not(unix))]
const PAGE: usize = 4_096;

/// Returns zeroed memory that starts at a page boundary. `None` if there is none left.
#[cfg(not(unix))]
pub(crate) fn map(bytes: usize) -> Option<NonNull<u8>> {
    use std::alloc::{GlobalAlloc, Layout, System};

    let layout = Layout::from_size_align(bytes, PAGE).ok().filter(|layout| layout.size() > 0)?;
    // SAFETY: the size is not zero.
    NonNull::new(unsafe { System.alloc_zeroed(layout) })
}

/// Frees memory of [`map`].
///
/// # Safety
/// The arguments must be exactly those and the result of `map(bytes)`, and the memory must not be used afterwards.
#[cfg(not(unix))]
pub(crate) unsafe fn unmap(start: NonNull<u8>, bytes: usize) {
    use std::alloc::{GlobalAlloc, Layout, System};

    if let Ok(layout) = Layout::from_size_align(bytes, PAGE) {
        // SAFETY: guaranteed by the caller.
        unsafe { System.dealloc(start.as_ptr(), layout) };
    }
}
