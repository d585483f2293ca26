//! Names and users in a program that contains glibc. The sources that `/etc/nsswitch.conf` lists are libraries of the system. If such a
//! program loads them, it gets a second glibc into its memory, and crashes. glibc itself contains the sources `files` and `dns`.
#![expect(unsafe_code, reason = "only glibc can set its sources")]

use std::ffi::{CStr, c_char, c_int};

unsafe extern "C" {
    /// Sets the sources of a database for this process, in place of `/etc/nsswitch.conf`.
    fn __nss_configure_lookup(database: *const c_char, sources: *const c_char) -> c_int;
}

const SOURCES: [(&CStr, &CStr); 4] = [(c"hosts", c"files dns"), (c"passwd", c"files"), (c"group", c"files"), (c"initgroups", c"files")];

/// Limits the sources of names and users to those that glibc contains. Call it first, while the process has one thread.
pub(crate) fn use_built_in_sources() {
    for (database, sources) in SOURCES {
        // SAFETY: both texts end with a NUL and are static. The function reads them and takes its own locks.
        let failed = unsafe { __nss_configure_lookup(database.as_ptr(), sources.as_ptr()) };
        assert_eq!(failed, 0, "glibc has the sources {sources:?} of {database:?}");
    }
}
