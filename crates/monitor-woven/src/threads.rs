//! Follows threads in a woven program, even those started by unwoven code: a function of a dependency may run woven functions on its own
//! thread.
//!
//! Only the C library sees every start of a thread. The program therefore overrides `pthread_create` with a function that calls the
//! library's and adds two features. It records which call started the thread, and it increases the thread's stack, since a woven call needs
//! more stack than a plain one. With other C libraries, threads start without this: their calls belong to the only running tree, and only
//! the launcher increases stacks.

/// Enables the recording of thread starts.
pub(crate) fn follow() {
    #[cfg(all(target_os = "linux", target_env = "gnu", not(target_feature = "crt-static")))]
    followed::IS_ON.store(true, std::sync::atomic::Ordering::Relaxed);
}

#[cfg(all(target_os = "linux", target_env = "gnu", not(target_feature = "crt-static")))]
#[allow(unsafe_code, reason = "no library tells which thread has started another one")]
mod followed {
    use std::ffi::{c_int, c_void};
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, Ordering};

    use libc::{pthread_attr_t, pthread_t};
    use monitor_core::inside;
    use monitor_core::starter::Starter;

    pub(super) static IS_ON: AtomicBool = AtomicBool::new(false);

    /// Factor for the stack size, as in the launcher (`crates/cargo-monitor/src/launch/stack.rs`).
    const STACKS: usize = 6;

    /// Entry function of a thread. With the ABI `C-unwind`, programs that abort on panic could not be woven.
    type Run = extern "C" fn(*mut c_void) -> *mut c_void;
    type Create = unsafe extern "C" fn(*mut pthread_t, *const pthread_attr_t, Run, *mut c_void) -> c_int;

    struct Started {
        run: Run,
        arg: *mut c_void,
        by: Starter,
    }

    /// Starts a thread. Overrides the function of the C library.
    ///
    /// # Safety
    /// As for that function.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn pthread_create(thread: *mut pthread_t, attr: *const pthread_attr_t, run: Run, arg: *mut c_void) -> c_int {
        let Some(library) = library() else { return libc::ENOSYS };
        let by = if IS_ON.load(Ordering::Relaxed) { Starter::here() } else { None };
        let Some(by) = by else {
            // SAFETY: these are the caller's own arguments.
            return unsafe { create(library, thread, attr, run, arg) };
        };
        let started = {
            let _inside = inside::enter();
            Box::into_raw(Box::new(Started { run, arg, by }))
        };
        // SAFETY: `begin` consumes the value created here, and calls the caller's function with the caller's argument.
        let failed = unsafe { create(library, thread, attr, begin, started.cast()) };
        if failed != 0 {
            let _inside = inside::enter();
            // SAFETY: created above, and no thread was started that could have consumed it.
            drop(unsafe { Box::from_raw(started) });
        }
        failed
    }

    /// Starts a thread with a larger stack, or with the requested stack if memory is insufficient.
    unsafe fn create(library: Create, thread: *mut pthread_t, attr: *const pthread_attr_t, run: Run, arg: *mut c_void) -> c_int {
        // SAFETY: the caller's attributes are initialized, or there are none.
        if let Some(wide) = unsafe { attr.as_ref() }.and_then(widened) {
            // SAFETY: as for the function of the library.
            if unsafe { library(thread, &raw const wide, run, arg) } == 0 {
                return 0;
            }
        }
        // SAFETY: as for the function of the library.
        unsafe { library(thread, attr, run, arg) }
    }

    /// Returns the attributes with a larger stack. `None` if the caller provides a stack, or if `RUST_MIN_STACK` sets the stack size, which
    /// the launcher does with the same factor.
    fn widened(attr: &pthread_attr_t) -> Option<pthread_attr_t> {
        static IS_SAID: OnceLock<bool> = OnceLock::new();
        let is_said = *IS_SAID.get_or_init(|| {
            let _inside = inside::enter();
            std::env::var_os("RUST_MIN_STACK").is_some()
        });
        if is_said {
            return None;
        }
        let (mut bottom, mut bytes) = (std::ptr::null_mut(), 0);
        let mut wide = *attr;
        // SAFETY: the attributes are initialized. glibc stores them as plain numbers and pointers that only `pthread_attr_destroy` frees,
        // which is called for the original alone. Its stack ends at 0 if the caller has not provided one.
        unsafe {
            let is_brought =
                libc::pthread_attr_getstack(attr, &raw mut bottom, &raw mut bytes) != 0 || bottom.addr().wrapping_add(bytes) != 0;
            (!is_brought && libc::pthread_attr_setstacksize(&raw mut wide, bytes.checked_mul(STACKS)?) == 0).then_some(wide)
        }
    }

    extern "C" fn begin(started: *mut c_void) -> *mut c_void {
        let Started { run, arg, by } = {
            let _inside = inside::enter();
            // SAFETY: created for this thread alone by `pthread_create`.
            *unsafe { Box::from_raw(started.cast::<Started>()) }
        };
        by.has_started_this_thread();
        // `pthread_exit` unwinds this frame like a C frame, so nothing in it may need to be dropped at this point.
        run(arg)
    }

    /// Returns the C library's function.
    fn library() -> Option<Create> {
        static LIBRARY: OnceLock<Option<Create>> = OnceLock::new();
        *LIBRARY.get_or_init(|| {
            // SAFETY: the name is a C string. The next symbol of this name after this program's own is a `pthread_create`.
            unsafe {
                let found = libc::dlsym(libc::RTLD_NEXT, c"pthread_create".as_ptr());
                (!found.is_null()).then(|| std::mem::transmute::<*mut c_void, Create>(found))
            }
        })
    }
}
