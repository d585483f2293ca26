//! The threads of a woven program, wherever the source stands that starts them: a function of a dependency, which isn't woven, may run
//! woven ones on a thread of its own.
//!
//! Only the C library sees each start of a thread, so the program has a `pthread_create` of its own, which calls the library's with two
//! differences. It notes which call has started the thread. And the thread gets a larger stack, recorded or not, because a woven call
//! takes more of it than a plain one. With other C libraries threads are started without this: what they call belongs to the one tree
//! that runs, and the launcher alone gives them more room.

/// Notes from here on what starts a thread.
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

    /// So many times the stack that a plain program's thread has, as in the launcher (`crates/cargo-monitor/src/launch/stack.rs`).
    const STACKS: usize = 6;

    /// What a new thread runs. With the ABI `C-unwind` no program that aborts on panic could be woven.
    type Run = extern "C" fn(*mut c_void) -> *mut c_void;
    type Create = unsafe extern "C" fn(*mut pthread_t, *const pthread_attr_t, Run, *mut c_void) -> c_int;

    struct Started {
        run: Run,
        arg: *mut c_void,
        by: Starter,
    }

    /// Starts a thread, in place of the C library's function of that name.
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
        // SAFETY: `begin` takes what it is given here, and calls the caller's function with the caller's argument.
        let failed = unsafe { create(library, thread, attr, begin, started.cast()) };
        if failed != 0 {
            let _inside = inside::enter();
            // SAFETY: it was made above, and no thread was started that could have taken it.
            drop(unsafe { Box::from_raw(started) });
        }
        failed
    }

    /// Starts a thread with a larger stack, or with the one that was asked for if there is no room.
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

    /// The same attributes with a larger stack. None if the caller brings a stack, or if the environment says how large stacks are to
    /// be: so does the launcher, with the same factor.
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
        // SAFETY: the attributes are initialized. glibc keeps them as plain numbers and pointers that only `pthread_attr_destroy` frees,
        // which is called for the original alone. Its stack ends at 0 where the caller has brought none.
        unsafe {
            let is_brought =
                libc::pthread_attr_getstack(attr, &raw mut bottom, &raw mut bytes) != 0 || bottom.addr().wrapping_add(bytes) != 0;
            (!is_brought && libc::pthread_attr_setstacksize(&raw mut wide, bytes.checked_mul(STACKS)?) == 0).then_some(wide)
        }
    }

    extern "C" fn begin(started: *mut c_void) -> *mut c_void {
        let Started { run, arg, by } = {
            let _inside = inside::enter();
            // SAFETY: it was made for this thread alone by `pthread_create`.
            *unsafe { Box::from_raw(started.cast::<Started>()) }
        };
        by.has_started_this_thread();
        // `pthread_exit` passes this frame as one of C: nothing in it is left to be dropped.
        run(arg)
    }

    /// The C library's own function.
    fn library() -> Option<Create> {
        static LIBRARY: OnceLock<Option<Create>> = OnceLock::new();
        *LIBRARY.get_or_init(|| {
            // SAFETY: the name is a string of C. The next function of this name after this program's own is a `pthread_create`.
            unsafe {
                let found = libc::dlsym(libc::RTLD_NEXT, c"pthread_create".as_ptr());
                (!found.is_null()).then(|| std::mem::transmute::<*mut c_void, Create>(found))
            }
        })
    }
}
