//! A library that a monitored program opens while it runs: with a copy of the recorder that is its own.

use std::ffi::{CStr, c_char};

use monitor_client::{cross_process, cross_thread};

/// Works below whoever started the program.
#[cross_thread]
fn works() {}

/// Works below whoever says so.
#[cross_process("works for a caller", begin)]
fn works_for(traceparent: Option<&str>) {
    works();
}

/// What the program calls: with a header `traceparent`, or none.
///
/// # Safety
/// `traceparent` is null, or text that ends with a zero.
#[allow(unsafe_code, reason = "a function that is found by its name, and called from C")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn monitor_test_plugin(traceparent: *const c_char) {
    if traceparent.is_null() {
        works();
    } else {
        // SAFETY: the caller's promise.
        let text = unsafe { CStr::from_ptr(traceparent) };
        works_for(text.to_str().ok());
    }
}
