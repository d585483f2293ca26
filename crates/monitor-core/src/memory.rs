//! Zeroed memory from the operating system, past whatever allocator the program has: pages cost nothing until they are
//! touched, and no allocator is entered from within a monitored call.

#![allow(unsafe_code, reason = "only the operating system has memory")]

use std::ptr::NonNull;

/// Zeroed memory that starts at a page; `None` if there is none left.
#[cfg(unix)]
pub(crate) fn map(bytes: usize) -> Option<NonNull<u8>> {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANON);
    // SAFETY: a new anonymous mapping touches no memory that is in use.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
    if start == libc::MAP_FAILED { None } else { NonNull::new(start.cast()) }
}

/// Gives back what [`map`] gave.
///
/// # Safety
/// Exactly what `map(bytes)` returned, used by nobody any more.
#[cfg(unix)]
pub(crate) unsafe fn unmap(start: NonNull<u8>, bytes: usize) {
    // SAFETY: as promised by the caller.
    unsafe { libc::munmap(start.as_ptr().cast(), bytes) };
}

/// Puts a copy of private memory in the place of memory that is shared with another program, and says whether it could.
///
/// # Safety
/// Both are mappings of so many bytes that nobody else uses.
#[cfg(unix)]
pub(crate) unsafe fn replace(place: NonNull<u8>, copy: NonNull<u8>, bytes: usize) -> bool {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED);
    // SAFETY: as promised by the caller. In a forked child nothing may be called here but system calls.
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

/// Nothing forks here.
#[cfg(not(unix))]
pub(crate) unsafe fn replace(_: NonNull<u8>, _: NonNull<u8>, _: usize) -> bool {
    false
}

#[cfg(not(unix))]
const PAGE: usize = 4_096;

/// Zeroed memory that starts at a page; `None` if there is none left.
#[cfg(not(unix))]
pub(crate) fn map(bytes: usize) -> Option<NonNull<u8>> {
    use std::alloc::{GlobalAlloc, Layout, System};

    let layout = Layout::from_size_align(bytes, PAGE).ok().filter(|layout| layout.size() > 0)?;
    // SAFETY: the size is not zero.
    NonNull::new(unsafe { System.alloc_zeroed(layout) })
}

/// Gives back what [`map`] gave.
///
/// # Safety
/// Exactly what `map(bytes)` returned, used by nobody any more.
#[cfg(not(unix))]
pub(crate) unsafe fn unmap(start: NonNull<u8>, bytes: usize) {
    use std::alloc::{GlobalAlloc, Layout, System};

    if let Ok(layout) = Layout::from_size_align(bytes, PAGE) {
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(start.as_ptr(), layout) };
    }
}
