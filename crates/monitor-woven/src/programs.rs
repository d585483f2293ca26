//! Attaches programs of the same build that a woven program starts, such as those run by integration tests, to the call that starts them.
//!
//! The ids are passed in the environment, appended to the value of `MONITOR_LAUNCH`, and the started program removes them before `main`.
//! Its environment then equals that of its caller, which tests may compare. A program that does not receive the variable, because its
//! caller clears the environment, gets no ids. Programs of other origin (a shell, `env`) get no ids, because they would display them.
//!
//! std starts programs by `posix_spawnp`, unless the caller needs `fork` (`pre_exec`, another user, another `PATH`). Programs started by
//! `fork`, and programs on systems other than Linux with glibc, start trees of their own.

use monitor_core::Context;

/// Enables the passing of ids from here on.
pub(crate) fn follow() {
    #[cfg(all(target_os = "linux", target_env = "gnu", not(target_feature = "crt-static")))]
    passed::IS_ON.store(true, std::sync::atomic::Ordering::Relaxed);
}

/// Returns the call in another woven program that started this program.
pub(crate) fn caller() -> Option<Context> {
    #[cfg(all(target_os = "linux", target_env = "gnu", not(target_feature = "crt-static")))]
    return passed::caller();
    #[cfg(not(all(target_os = "linux", target_env = "gnu", not(target_feature = "crt-static"))))]
    None
}

#[cfg(all(target_os = "linux", target_env = "gnu", not(target_feature = "crt-static")))]
#[allow(unsafe_code, reason = "std has no hook for the programs that it starts")]
mod passed {
    use std::ffi::{CStr, CString, OsStr, c_char, c_int};
    use std::os::unix::ffi::OsStrExt;
    use std::path::{Path, PathBuf};
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use libc::{pid_t, posix_spawn_file_actions_t, posix_spawnattr_t};
    use monitor_core::{Context, inside, parent_of_program};

    pub(super) static IS_ON: AtomicBool = AtomicBool::new(false);
    /// Prefix of the environment entry that carries the ids.
    const VARIABLE: &[u8] = b"MONITOR_LAUNCH=";
    /// Length of `/`, the root id, `-` and the parent id.
    const IDS: usize = 1 + 32 + 1 + 16;

    /// Upper and lower half of the root id, and the parent id. All 0 if this program was not started by a woven program.
    static CALLER: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];

    type Spawn = unsafe extern "C" fn(
        *mut pid_t,
        *const c_char,
        *const posix_spawn_file_actions_t,
        *const posix_spawnattr_t,
        *const *mut c_char,
        *const *mut c_char,
    ) -> c_int;

    pub(super) fn caller() -> Option<Context> {
        let [high, low, parent] = [0, 1, 2].map(|at| CALLER[at].load(Ordering::Relaxed));
        Context::new(u128::from(high) << 64 | u128::from(low), parent)
    }

    /// Starts a program. Overrides the function of the C library.
    ///
    /// # Safety
    /// As for that function.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn posix_spawnp(
        pid: *mut pid_t,
        file: *const c_char,
        actions: *const posix_spawn_file_actions_t,
        attributes: *const posix_spawnattr_t,
        arguments: *const *mut c_char,
        environment: *const *mut c_char,
    ) -> c_int {
        let Some(library) = library() else { return libc::ENOSYS };
        // SAFETY: the caller passes a file name and an environment as the C library requires.
        let with_ids = if IS_ON.load(Ordering::Relaxed) { unsafe { with_ids(file, environment) } } else { None };
        let passed = with_ids.as_ref().map_or(environment, |with_ids| with_ids.entries.as_ptr());
        // SAFETY: these are the caller's own arguments, and an environment that lives until the end of this function.
        let result = unsafe { library(pid, file, actions, attributes, arguments, passed) };
        let _inside = inside::enter();
        drop(with_ids);
        result
    }

    /// An environment: the caller's entries, with a single entry replaced.
    struct Environment {
        entries: Vec<*mut c_char>,
        _own: CString,
    }

    /// Copies the environment and adds the ids of the calling process. `None` if the program must not get ids.
    unsafe fn with_ids(file: *const c_char, environment: *const *mut c_char) -> Option<Environment> {
        let context = parent_of_program()?;
        let _inside = inside::enter();
        let mut entries = Vec::new();
        // SAFETY: the caller's environment is a list of strings that ends with a null pointer.
        unsafe {
            if file.is_null() || environment.is_null() || !is_of_this_build(CStr::from_ptr(file)) {
                return None;
            }
            while let entry = *environment.add(entries.len())
                && !entry.is_null()
            {
                entries.push(entry);
            }
        }
        // SAFETY: as above.
        let texts = entries.iter().map(|entry| unsafe { CStr::from_ptr(*entry) }.to_bytes());
        let (at, launch) = texts.enumerate().find(|(_, text)| text.starts_with(VARIABLE))?;
        let ids = format!("/{:032x}-{:016x}", context.root(), context.process());
        let own = CString::new([launch, ids.as_bytes()].concat()).ok()?;
        entries[at] = own.as_ptr().cast_mut();
        entries.push(std::ptr::null_mut());
        Some(Environment { entries, _own: own })
    }

    /// Returns true if the program is in the folder into which cargo has built this program.
    fn is_of_this_build(file: &CStr) -> bool {
        static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
        let folder = FOLDER.get_or_init(|| {
            let exe = std::env::current_exe().ok()?.canonicalize().ok()?;
            let folder = exe.parent()?;
            // Tests and examples are one folder deeper than programs.
            let is_below = folder.ends_with("deps") || folder.ends_with("examples");
            if is_below { folder.parent() } else { Some(folder) }.map(Path::to_owned)
        });
        let file = Path::new(OsStr::from_bytes(file.to_bytes()));
        // A name without a slash is searched in `PATH`.
        let is_path = file.as_os_str().as_bytes().contains(&b'/');
        is_path && folder.as_ref().is_some_and(|folder| file.canonicalize().is_ok_and(|file| file.starts_with(folder)))
    }

    /// Runs before `main`, when the program has one thread and no code has read the environment.
    #[used]
    #[unsafe(link_section = ".init_array")]
    static TAKE_IDS: extern "C" fn() = take_ids;

    /// Removes the caller's ids from the environment and stores them.
    extern "C" fn take_ids() {
        unsafe extern "C" {
            static environ: *const *mut c_char;
        }
        // SAFETY: no other thread runs that could read or change the environment, and its strings are in writable memory.
        unsafe {
            let mut entry = environ;
            while !entry.is_null() && !(*entry).is_null() {
                let text = CStr::from_ptr(*entry).to_bytes();
                if text.starts_with(VARIABLE)
                    && let Some(start) = text.len().checked_sub(IDS)
                    && let Some(ids) = read(&text[start..])
                {
                    for (to, id) in CALLER.iter().zip(ids) {
                        to.store(id, Ordering::Relaxed);
                    }
                    // Overwrites the whole entry, because /proc also shows the memory after the end of the string.
                    std::ptr::write_bytes((*entry).add(start), 0, IDS);
                    return;
                }
                entry = entry.add(1);
            }
        }
    }

    /// Parses the ids written by [`with_ids`]. Allocates nothing, because it runs before `main`.
    fn read(text: &[u8]) -> Option<[u64; 3]> {
        let text = std::str::from_utf8(text).ok()?.strip_prefix('/')?;
        let (root, parent) = text.split_once('-')?;
        let root = u128::from_str_radix(root, 16).ok()?;
        Some([(root >> 64) as u64, root as u64, u64::from_str_radix(parent, 16).ok()?])
    }

    /// Returns the C library's function.
    fn library() -> Option<Spawn> {
        static LIBRARY: OnceLock<Option<Spawn>> = OnceLock::new();
        *LIBRARY.get_or_init(|| {
            // SAFETY: the name is a C string. The next symbol of this name after this program's own is a `posix_spawnp`.
            unsafe {
                let found = libc::dlsym(libc::RTLD_NEXT, c"posix_spawnp".as_ptr());
                (!found.is_null()).then(|| std::mem::transmute::<*mut libc::c_void, Spawn>(found))
            }
        })
    }
}
