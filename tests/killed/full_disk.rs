//! Programs whose spool is full or unusable. Lost events are counted, and the root of a tree is kept.

use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use monitor_tests::{Server, command, run, ship_by_hand, wait_for, worker};
use serde_json::{Value, json};

use crate::line;

#[test]
#[cfg(target_os = "linux")]
fn a_full_or_read_only_disk_causes_a_single_warning_and_loses_no_record() {
    for (calls, error) in [([libc::SYS_fallocate, libc::SYS_pwrite64], libc::ENOSPC), ([libc::SYS_mkdirat; 2], libc::EROFS)] {
        let server = Server::start();
        let mut many = worker(&server, &["many", "3000"]);
        many.env("MONITOR_LOG", "stderr").env("MONITOR_EXIT_TIMEOUT", "2m");
        refuse(&mut many, calls, error);
        let finished = run(many);
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        assert_eq!(finished.stderr.matches("can't be kept beyond this program").count(), 1, "{error}: {}", finished.stderr);
        let counts = &server.finished_root()["counts"];
        assert_eq!(counts["succeeded"].as_u64().unwrap() + counts["failed"].as_u64().unwrap(), 3_031, "{error}");
    }
}

/// Makes the kernel answer two system calls of a program like on a broken disk.
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "a filter of the child alone")]
fn refuse(command: &mut Command, [first, second]: [libc::c_long; 2], error: i32) {
    use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO};

    let step = |code: u32, jt: u8, k: u32| libc::sock_filter { code: code as u16, jt, jf: 0, k };
    let mut steps = [
        step(BPF_LD | BPF_W | BPF_ABS, 0, 0),
        step(BPF_JMP | BPF_JEQ | BPF_K, 2, first as u32),
        step(BPF_JMP | BPF_JEQ | BPF_K, 1, second as u32),
        step(BPF_RET | BPF_K, 0, SECCOMP_RET_ALLOW),
        step(BPF_RET | BPF_K, 0, SECCOMP_RET_ERRNO | error as u32),
    ];
    let filter = move || {
        let program = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
        // SAFETY: the kernel copies the program, whose length is correct.
        let is_set = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
        };
        if is_set { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    // SAFETY: only system calls between fork and exec.
    unsafe { command.pre_exec(filter) };
}

#[test]
fn a_full_spool_drops_the_oldest_events_and_counts_them() {
    const COUNT: u64 = 10_000;
    let mut server = Server::start();
    server.kill();
    let mut wordy = worker(&server, &["wordy", &COUNT.to_string()]);
    wordy.env("MONITOR_SPOOL_BYTES", "4194304").env("MONITOR_LOG", "stderr").env("MONITOR_EXIT_TIMEOUT", "10m");
    let finished = run(wordy);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let bytes: u64 = std::fs::read_dir(server.spool())
        .unwrap()
        .flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap())
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();
    assert!(bytes <= 4_194_304, "{bytes}");
    server.start_again();
    ship_by_hand(&server);
    let status = server.get("/status");
    let dropped = status["dropped"].as_array().unwrap();
    let count = |event: &str| -> u64 {
        let are = |drop: &&Value| drop["type"] == event && drop["reason"] == "spool";
        dropped.iter().filter(are).map(|drop| drop["count"].as_u64().unwrap()).sum()
    };
    let (starts, ends) = (count("process-started"), count("process-ended"));
    assert!(starts > 0 && ends > 0, "{status}");
    let events = status["events"].as_u64().unwrap();
    // The first and the last event belong to the program.
    assert_eq!(events + starts + ends + count("worker-online"), 2 * (COUNT + 1) + 2, "{status}");
    // The root, which connects the tree, was among the oldest events.
    let root = &server.roots()[0];
    assert_eq!((&root["name"], &root["state"], server.roots().len()), (&"wordy".into(), &"succeeded".into(), 1), "{root}");
    let of_root = server.tree(root)[0].clone();
    assert_eq!((&of_root["parent_id"], &of_root["state"]), (&Value::Null, &"succeeded".into()), "{of_root}");
}

/// Checks that the server has stored or counted everything that a program recorded.
fn check_full_disk(server: &Server, finished: &monitor_tests::Finished, count: u64) {
    assert_eq!(finished.stderr.matches("can't be kept beyond this program").count(), 1, "{}", finished.stderr);
    assert_eq!(finished.stderr.matches("events found no room in the spool").count(), 1, "{}", finished.stderr);
    check_sums(server, count, &["spool", "memory"]);
}

/// Checks that stored events and drops for these reasons add up to all events of `many`, and that its tree has ended.
fn check_sums(server: &Server, count: u64, reasons: &[&str]) {
    let status = server.get("/status");
    let dropped = status["dropped"].as_array().unwrap();
    let of = |event: &str| -> u64 {
        let is_it = |drop: &&Value| drop["type"] == event && reasons.contains(&drop["reason"].as_str().unwrap());
        dropped.iter().filter(is_it).map(|drop| drop["count"].as_u64().unwrap()).sum()
    };
    let (starts, ends, events) = (of("process-started"), of("process-ended"), status["events"].as_u64().unwrap());
    assert!(starts > 0 && ends > 0 && events > 1_000, "{status}");
    // A start that had no space in memory has no end.
    let memory: u64 = dropped.iter().filter(|drop| drop["reason"] == "memory").map(|drop| drop["count"].as_u64().unwrap()).sum();
    assert_eq!(events + starts + ends + memory, 2 * (count + count / 100 + 1) + 2, "{status}");
    let root = server.roots().into_iter().find(|root| root["name"] == "many").expect("the root was kept");
    assert_eq!(root["state"], "succeeded", "{root}");
}

#[test]
fn events_lost_on_a_full_disk_at_the_end_are_counted_logged_and_stored() {
    const COUNT: u64 = 100_000;
    let (server, finished) = with_a_full_disk(COUNT, "10m");
    check_full_disk(&server, &finished, COUNT);
}

#[test]
fn events_unsent_at_the_exit_timeout_are_counted_logged_and_stored() {
    // Low enough that everything is counted within five seconds, even on a busy machine.
    const COUNT: u64 = 30_000;
    let (server, finished) = with_a_full_disk(COUNT, "0s");
    assert_eq!(finished.stderr.matches("events are counted and lost").count(), 1, "{}", finished.stderr);
    check_sums(&server, COUNT, &["spool", "memory", "exit"]);
    let processes = &server.get("/status")["processes"];
    assert_eq!((&processes["running"], &processes["lost"]), (&json!(0), &json!(0)), "{processes}");
}

#[test]
fn events_lost_by_a_kill_on_a_full_disk_are_counted() {
    const ROOTS: u64 = 20_000;
    let mut server = Server::start();
    server.kill();
    let mut roots = worker(&server, &["lone-roots", &ROOTS.to_string()]);
    limit_files(&mut roots);
    let mut child = roots.spawn().unwrap();
    assert_eq!(line(&mut child), "done");
    // As docs/internals/spool.md describes. The journal has no space for half of the events, if it gets any space.
    let in_memory = || {
        let mut folders = std::fs::read_dir(server.spool()).ok()?.map_while(Result::ok);
        let program = folders.find_map(|folder| std::fs::read(folder.path().join("program")).ok())?;
        Some(u64::from_ne_bytes(program[552..560].try_into().unwrap())).filter(|events| *events > ROOTS)
    };
    let least = wait_for("events that are in memory alone", in_memory);
    child.kill().unwrap();
    child.wait().unwrap();
    server.start_again();
    ship_by_hand(&server);
    let status = server.get("/status");
    let is_it = |drop: &&Value| drop["type"] == "unknown" && drop["reason"] == "spool";
    let dropped = status["dropped"].as_array().unwrap().iter().find(is_it).unwrap_or_else(|| panic!("{status}"));
    let (counted, stored) = (dropped["count"].as_u64().unwrap(), status["events"].as_u64().unwrap());
    // And the events that the program began and was lost.
    assert!(counted >= least && counted + stored <= 2 * ROOTS + 2, "{least} {status}");
}

/// The shipper is still encoding when the program has left `main` and may not wait longer.
#[test]
fn a_program_without_time_to_report_its_end_is_offline_and_not_lost() {
    const ROOTS: u64 = 20_000;
    for is_disk_full in [false, true] {
        let mut server = Server::start();
        server.kill();
        let mut roots = worker(&server, &["lone-roots", &ROOTS.to_string()]);
        roots.env("MONITOR_EXIT_TIMEOUT", "0s").stdin(Stdio::null());
        if is_disk_full {
            limit_files(&mut roots);
        }
        let finished = run(roots);
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        server.start_again();
        ship_by_hand(&server);
        let workers = server.get("/workers")["workers"].as_array().unwrap().clone();
        assert_eq!(workers.iter().map(|worker| &worker["state"]).collect::<Vec<_>>(), [&json!("offline")], "full: {is_disk_full}");
    }
}

/// Runs `many` with a file size limit of 200 kB and without a server, then ships its spool.
fn with_a_full_disk(count: u64, exit_timeout: &str) -> (Server, monitor_tests::Finished) {
    let mut server = Server::start();
    server.kill();
    let mut many = worker(&server, &["many", &count.to_string()]);
    many.env("MONITOR_LOG", "stderr").env("MONITOR_EXIT_TIMEOUT", exit_timeout).env("MONITOR_FOLD_AFTER", "off");
    limit_files(&mut many);
    let finished = run(many);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    server.start_again();
    ship_by_hand(&server);
    (server, finished)
}

/// Limits the file size of this program to 200 kB.
#[allow(unsafe_code, reason = "a limit for the child alone")]
fn limit_files(command: &mut Command) {
    // SAFETY: only a system call between fork and exec.
    unsafe {
        command.pre_exec(|| {
            let limit = libc::rlimit { rlim_cur: 200_000, rlim_max: 200_000 };
            if libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
        });
    }
}

/// A real small file system, where the user may mount one.
#[test]
#[cfg(target_os = "linux")]
fn events_lost_on_a_full_file_system_are_counted_logged_and_stored() {
    const COUNT: u64 = 150_000;
    let in_a_namespace = |script: &str| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--mount", "sh", "-ec", script]);
        unshare
    };
    let server = Server::start();
    let here = server.data().with_file_name("small");
    std::fs::create_dir(&here).unwrap();
    let mount = format!("mount -t tmpfs -o size=2m,mode=700 none {}", here.display());
    if !in_a_namespace(&mount).status().is_ok_and(|status| status.success()) {
        println!("nobody may mount a file system here");
        return;
    }
    let quoted = |command: &Command| {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        words.map(|word| format!("'{}'", word.to_str().unwrap())).collect::<Vec<_>>().join(" ")
    };
    let many = worker(&server, &["many", &COUNT.to_string()]);
    let mut ship = command("monitor");
    ship.args(["spool", "ship", "--server", server.url(), "--dir"]).arg(here.join("spool"));
    // The program itself reaches no server.
    let set = "MONITOR_ENABLED=1 MONITOR_SERVER_URL=http://127.0.0.1:1 MONITOR_LOG=stderr MONITOR_EXIT_TIMEOUT=10m MONITOR_FOLD_AFTER=off";
    let spool = here.join("spool");
    let free = format!("stat -f -c 'free: %a of %b' {}", here.display());
    let script = format!("{mount}\nMONITOR_SPOOL_DIR={} {set} {}\n{free}\n{}", spool.display(), quoted(&many), quoted(&ship));
    let finished = run(in_a_namespace(&script));
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    check_full_disk(&server, &finished, COUNT);
    // Nothing was dropped while the rings had space, and no whole file was dropped because of a few missing bytes.
    let said = finished.stdout.lines().find_map(|line| line.strip_prefix("free: ")?.split_once(" of ")).expect("what is free");
    let (free, all): (u64, u64) = (said.0.parse().unwrap(), said.1.parse().unwrap());
    assert!(2 * free < all, "{free} of {all} are free, and events were given up");
}

#[test]
fn the_spool_of_many_programs_is_bounded_without_a_server() {
    const ONE: u64 = 4_194_304;
    let mut server = Server::start();
    server.kill();
    // Each folder is removed as soon as its program has ended.
    std::thread::scope(|scope| {
        for _ in 0..7 {
            let mut wordy = worker(&server, &["wordy", "10000"]);
            wordy.env("MONITOR_SPOOL_BYTES", ONE.to_string()).env("MONITOR_EXIT_TIMEOUT", "2m");
            scope.spawn(|| assert_eq!(run(wordy).code, Some(0)));
        }
    });
    let bytes: u64 = std::fs::read_dir(server.spool())
        .unwrap()
        .flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap())
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();
    assert!((ONE..=4 * ONE).contains(&bytes), "{bytes}");
}

#[test]
fn without_a_usable_spool_events_stay_in_memory_with_a_single_warning() {
    let server = Server::start();
    let here = server.data().with_file_name("elsewhere");
    std::fs::create_dir(&here).unwrap();
    std::fs::write(here.join("file"), "").unwrap();
    symlink(&here, here.join("link")).unwrap();
    for dir in ["file", "file/below", "link"] {
        let mut many = worker(&server, &["many", "100"]);
        many.env("MONITOR_SPOOL_DIR", here.join(dir)).env("MONITOR_LOG", "stderr").env("MONITOR_EXIT_TIMEOUT", "1m");
        let finished = run(many);
        assert_eq!(finished.code, Some(0), "{dir}");
        assert_eq!(finished.stderr.matches("monitor: warning").count(), 1, "{dir}: {}", finished.stderr);
        assert!(finished.stderr.contains("can't be kept beyond this program"), "{dir}: {}", finished.stderr);
    }
    assert_eq!(server.roots().iter().filter(|root| root["counts"]["succeeded"] == 102).count(), 3);
    assert_eq!(std::fs::read_dir(&here).unwrap().count(), 2, "nothing was made there");
}

#[test]
#[allow(unsafe_code, reason = "a limit for the child alone")]
fn a_disk_that_fills_up_causes_a_single_warning_and_loses_no_record() {
    // Sizes at which the call sites do not fit, at which the journal does not fit, and at which a ring does not fit.
    for bytes in [4_096_u64, 20_000, 69_000, 300_000] {
        let server = Server::start();
        let mut many = worker(&server, &["many", "30000"]);
        many.env("MONITOR_LOG", "stderr").env("MONITOR_EXIT_TIMEOUT", "2m");
        // SAFETY: only a system call between fork and exec.
        unsafe {
            many.pre_exec(move || {
                let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
                if libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
            });
        }
        let finished = run(many);
        assert_eq!(finished.code, Some(0), "{bytes}: {}", finished.stderr);
        assert_eq!(finished.stderr.matches("can't be kept beyond this program").count(), 1, "{bytes}: {}", finished.stderr);
        let root = server.finished_root();
        let dropped: u64 = server.get("/status")["dropped"].as_array().unwrap().iter().map(|drop| drop["count"].as_u64().unwrap()).sum();
        let (succeeded, failed) = (root["counts"]["succeeded"].as_u64().unwrap(), root["counts"]["failed"].as_u64().unwrap());
        assert_eq!(succeeded + failed + dropped, 30_301, "{bytes}");
    }
}
