//! A library that a monitored program opens at runtime. It contains a separate copy of the recorder.

use std::ffi::{CStr, c_char};

use monitor_client::{cross_process, cross_thread};

/// Its parent is the process that started the program.
#[cross_thread]
fn works() {}

/// Its parent is the process in the header.
#[cross_process("works for a caller", begin)]
fn works_for(traceparent: Option<&str>) {
    works();
}

/// Entry point for the program. The header `traceparent` may be null.
///
/// # Safety
/// `traceparent` is null or points to text that ends with a zero.
#[allow(unsafe_code, reason = "a function that is found by its name, and called from C")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn monitor_test_plugin(traceparent: *const c_char) {
    if traceparent.is_null() {
        works();
    } else {
        // SAFETY: guaranteed by the caller.
        let text = unsafe { CStr::from_ptr(traceparent) };
        works_for(text.to_str().ok());
    }
}
