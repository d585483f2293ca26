//! A full or read-only disk causes errors, never signals.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use monitor_core::keep::Piece;
use monitor_spool::{Begun, Entry, Meta, Parcel, Spool};

use crate::support::{TestSpool, begin, child, drain, event, json, say};

/// Fills the folder in every possible way until each returns an error. Returns the number of events in the journal.
#[cfg(target_os = "linux")]
fn fill(begun: &mut Begun, mut regions: Vec<std::ptr::NonNull<u8>>) -> u64 {
    let error = loop {
        match begun.pieces.map(Piece::Region(regions.len() as u32), 65_536) {
            Ok(start) => regions.push(start),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("region-"), "{error}");
    for start in &regions {
        #[allow(unsafe_code, reason = "memory that was just mapped")]
        // SAFETY: 65,536 bytes were mapped. Without disk space for them, this would kill the process.
        unsafe {
            start.write_bytes(1, 65_536);
        }
    }
    assert!(begun.pieces.prepare(65_536, 1).is_err() && begun.lane.prepare().is_err());
    while begun.lane.append(&Entry::Sent { begun: 0, at: 0, event: &json(1) }).is_ok() {}
    let mut number = 1;
    loop {
        let parcel = Parcel::encode(number + 1, &[event(number + 1)]).expect("an event");
        if begun.journal.append(&parcel, &Meta::default()).is_err() {
            break;
        }
        number += 1;
        assert!(number < 1_000_000);
    }
    begun.program.advance(number + 1, 0);
    // Earlier events are still stored.
    assert_eq!(begun.journal.waiting(), number - 1);
    number - 1
}

/// Fills a disk. After `fill_disk`, the disk is full at the latest.
#[cfg(target_os = "linux")]
fn check(spool: &Spool, fill_disk: impl FnOnce()) {
    let mut begun = begin(spool, 1 << 40);
    let worker = begun.folder.worker();
    begun.journal.append(&Parcel::encode(1, &[event(1)]).expect("an event"), &Meta::default()).expect("room for one");
    begun.program.acknowledge(1);
    begun.journal.acknowledge(1);
    let regions = vec![begun.pieces.map(Piece::Region(0), 65_536).expect("room for one")];
    fill_disk();
    let count = fill(&mut begun, regions);
    begun.program.marks().given_up();
    drop(begun);
    assert_eq!(drain(&mut spool.claim(worker).expect("trusted").expect("dead")).len() as u64, count);
}

/// Mounts a disk of 1 MiB at `path` for a child, in a mount namespace of its own.
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "std mounts nothing")]
fn on_disk_of_its_own(command: &mut std::process::Command, path: &Path) {
    use std::ffi::CString;
    use std::os::unix::process::CommandExt;

    // SAFETY: these calls can't fail.
    let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
    let files = [
        (c"/proc/self/uid_map", format!("0 {user} 1")),
        (c"/proc/self/setgroups", "deny".to_owned()),
        (c"/proc/self/gid_map", format!("0 {group} 1")),
    ];
    let path = CString::new(path.to_str().expect("UTF-8")).expect("no zero");
    let check = |result: i32| if result == -1 { Err(std::io::Error::last_os_error()) } else { Ok(result) };
    let mount = move || {
        // SAFETY: the child has one thread; all texts end with a zero byte, and all buffers have the stated length.
        unsafe {
            check(libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS))?;
            for (name, text) in &files {
                let file = check(libc::open(name.as_ptr(), libc::O_WRONLY))?;
                check(libc::write(file, text.as_ptr().cast(), text.len()) as i32)?;
                libc::close(file);
            }
            let options = c"size=1m,mode=0700";
            check(libc::mount(c"tmpfs".as_ptr(), path.as_ptr(), c"tmpfs".as_ptr(), 0, options.as_ptr().cast()))?;
        }
        Ok(())
    };
    // SAFETY: `mount` only makes system calls.
    unsafe { command.pre_exec(mount) };
}

/// Installs a seccomp filter with which the kernel reports a full disk to this thread. Needs no privileges.
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "std knows no filters")]
fn have_no_more_room() {
    use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO};

    let step = |code: u32, jt: u8, k: u32| libc::sock_filter { code: code as u16, jt, jf: 0, k };
    let mut steps = [
        step(BPF_LD | BPF_W | BPF_ABS, 0, 0),
        step(BPF_JMP | BPF_JEQ | BPF_K, 2, libc::SYS_fallocate as u32),
        step(BPF_JMP | BPF_JEQ | BPF_K, 1, libc::SYS_pwrite64 as u32),
        step(BPF_RET | BPF_K, 0, SECCOMP_RET_ALLOW),
        step(BPF_RET | BPF_K, 0, SECCOMP_RET_ERRNO | libc::ENOSPC as u32),
    ];
    let program = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    // SAFETY: the kernel copies the program, which has the stated length.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let set = libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program);
        assert_eq!(set, 0, "this kernel takes no filter: {}", std::io::Error::last_os_error());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error() {
    let program = || {
        child("full::a_full_disk_is_an_error", |spool| {
            match std::env::var_os("IS_SMALL") {
                Some(_) => check(&spool, || {}),
                None => check(&spool, have_no_more_room),
            }
            say("filled");
        })
    };
    let (mut refused, mut small) = (program(), program());
    let test = TestSpool::new();
    is_said("filled", &refused.env("SPOOL", test.spool.path()).output().unwrap());

    let test = TestSpool::new();
    on_disk_of_its_own(small.env("SPOOL", test.spool.path()).env("IS_SMALL", "1"), test.spool.path());
    match small.output() {
        Ok(output) => is_said("filled", &output),
        Err(error) => println!("not on a real disk as well, for this system lets nobody mount one: {error}"),
    }
}

/// Checks that the child has completed the test.
fn is_said(line: &str, output: &std::process::Output) {
    let said = String::from_utf8_lossy(&output.stdout);
    let is_said = output.status.success() && said.contains(line);
    assert!(is_said, "{}: {said}{}", output.status, String::from_utf8_lossy(&output.stderr));
}

#[test]
#[allow(unsafe_code, reason = "std sets no limits")]
fn a_limit_of_file_sizes_is_an_error_and_no_signal() {
    let mut child = child("full::a_limit_of_file_sizes_is_an_error_and_no_signal", |spool| {
        let limit = libc::rlimit { rlim_cur: 32_768, rlim_max: 32_768 };
        // SAFETY: a plain structure.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) }, 0);
        let mut begun = begin(&spool, 1 << 20);
        assert!(begun.pieces.map(Piece::Region(0), 65_536).is_err());
        assert!(begun.lane.append(&Entry::Sent { begun: 0, at: 0, event: &json(1) }).is_err());
        let mut number = 0;
        while begun.journal.append(&Parcel::encode(number + 1, &[event(number + 1)]).unwrap(), &Meta::default()).is_ok() {
            number += 1;
        }
        assert!(number > 10);
        say("limited");
    });
    let test = TestSpool::new();
    is_said("limited", &child.env("SPOOL", test.spool.path()).output().unwrap());
}

#[test]
fn a_folder_without_write_permission_cannot_be_a_spool() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Spool::open(&file.join("spool")).unwrap_err().to_string();
    assert!(error.contains("create") && error.contains("file/spool"), "{error}");
    // Even root can't create folders in /proc.
    if Path::new("/proc").exists() {
        assert!(Spool::open(Path::new("/proc/monitor/spool")).is_err());
    }
    let test = TestSpool::new();
    fs::set_permissions(test.spool.path(), Permissions::from_mode(0o500)).unwrap();
    let begun = test.spool.begin(&crate::support::about(), crate::support::sites(), 1, monitor_spool::ClockSample::default(), 1 << 20);
    // Root is not restricted by permissions.
    if let Err(error) = begun {
        assert!(error.to_string().contains("could not create"), "{error}");
    }
    fs::set_permissions(test.spool.path(), Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_limit_below_the_size_of_the_program_file_is_a_clean_error() {
    let test = TestSpool::new();
    let begun = test.spool.begin(&crate::support::about(), crate::support::sites(), 1, monitor_spool::ClockSample::default(), 4_096);
    assert!(begun.unwrap_err().to_string().contains("MONITOR_SPOOL_BYTES"));
    assert_eq!(fs::read_dir(test.spool.path()).unwrap().count(), 0);
}
