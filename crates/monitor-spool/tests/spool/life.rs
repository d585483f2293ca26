//! Detection of living programs, and exclusive access to folders.

use std::process::Command;

use monitor_spool::{About, Life, Spool};

use crate::support::{TestSpool, about, begin, begin_as, child, journal, say, sites};

fn lives(spool: &Spool) -> Vec<Life> {
    spool.list().unwrap().into_iter().map(|found| found.life).collect()
}

/// Waits until the child prints a line.
fn hear(child: &mut std::process::Child, line: &str) {
    use std::io::{BufRead, BufReader};
    let out = child.stdout.as_mut().expect("piped");
    let heard = BufReader::new(out).lines().map_while(Result::ok).any(|said| said.ends_with(line));
    assert!(heard, "the child ended before it said {line:?}");
}

fn wait_for_parent() {
    let _ = std::io::stdin().read_line(&mut String::new());
}

#[test]
fn a_folder_lives_as_long_as_its_program() {
    let mut child = child("life::a_folder_lives_as_long_as_its_program", |spool| {
        std::mem::forget(begin(&spool, 1 << 20));
        say("begun");
        wait_for_parent();
    });
    let test = TestSpool::new();
    let mut child = child.env("SPOOL", test.spool.path()).spawn().unwrap();
    hear(&mut child, "begun");
    assert_eq!(lives(&test.spool), [Life::Living]);
    assert_eq!(test.spool.dead().unwrap(), []);
    let worker = test.spool.list().unwrap()[0].worker_id;
    assert!(test.spool.claim(worker).unwrap().is_none());
    assert!(!test.spool.clear(worker).unwrap());
    // Reading the folder does not release the lock.
    assert_eq!(lives(&test.spool), [Life::Living]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(lives(&test.spool), [Life::Dead]);
    assert_eq!(test.spool.dead().unwrap(), [worker]);
}

#[test]
fn programs_of_a_launch_are_left_to_the_process_that_has_reserved_it() {
    let mut child = child("life::programs_of_a_launch_are_left_to_the_process_that_has_reserved_it", |spool| {
        std::mem::forget(spool.reserve("ours").unwrap());
        say("reserved");
        wait_for_parent();
    });
    let test = TestSpool::new();
    let of = |launch: &str| begin_as(&test.spool, &About { launch: Some(launch.to_owned()), ..about() }, 1 << 20);
    let workers = ["ours", "theirs", "../ours"].map(|launch| of(launch).folder.worker());
    let mut child = child.env("SPOOL", test.spool.path()).spawn().unwrap();
    hear(&mut child, "reserved");
    let is_had = || workers.map(|worker| test.spool.claim(worker).unwrap().is_some());
    // A launch id is sanitized before it is used as a path.
    assert_eq!(is_had(), [false, true, false]);
    assert!(test.spool.reserve("ours").is_err());
    assert!(test.spool.claim_behind(workers[0], 0).unwrap().is_some(), "by the one who ships");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(is_had(), [true, true, true]);
    let reserved = test.spool.reserve("others").unwrap();
    assert!(test.spool.path().join(".launch-others").exists());
    drop(reserved);
    assert!(!test.spool.path().join(".launch-others").exists());
}

#[test]
fn a_folder_is_claimed_once_within_a_process() {
    let test = TestSpool::new();
    let mut begun = test.begin();
    journal(&mut begun, 1, 1);
    let worker = begun.folder.worker();
    assert!(test.spool.claim(worker).unwrap().is_none());
    drop(begun);
    let replay = test.replay(worker);
    assert_eq!(lives(&test.spool), [Life::Living]);
    assert!(test.spool.claim(worker).unwrap().is_none());
    drop(replay);
    assert_eq!(lives(&test.spool), [Life::Dead]);
    let barrier = std::sync::Barrier::new(8);
    let claims: Vec<bool> = std::thread::scope(|scope| {
        let claim = || {
            barrier.wait();
            let claim = test.spool.claim(worker).unwrap();
            let has_it = claim.is_some();
            barrier.wait();
            has_it
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(claim)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(claims.iter().filter(|has_it| **has_it).count() <= 1, "{claims:?}");
}

#[test]
fn the_life_of_a_program_on_another_machine_is_unknown() {
    let test = TestSpool::new();
    let hosts = [("another boot", "build-8"), ("another boot", &*this_host()), (&*about().boot_id, "build-8")];
    let found = hosts.map(|(boot_id, host)| {
        let mut about = about();
        (about.boot_id, about.worker.hostname) = (boot_id.to_owned(), host.to_owned());
        drop(test.spool.begin(&about, sites(), 1, monitor_spool::ClockSample::default(), 1 << 20).unwrap());
        let found = test.spool.list().unwrap().into_iter().find(|found| found.worker_id == about.worker.id).unwrap();
        assert_eq!(test.spool.dead().unwrap().contains(&about.worker.id), found.life == Life::Dead);
        found.life
    });
    assert_eq!(found, [Life::Elsewhere, Life::Dead, Life::Dead]);
}

fn this_host() -> String {
    String::from_utf8(Command::new("uname").arg("-n").output().expect("a name").stdout).expect("UTF-8").trim().to_owned()
}

#[test]
fn a_program_that_was_replaced_by_exec_is_dead() {
    use std::os::unix::process::CommandExt;

    let mut child = child("life::a_program_that_was_replaced_by_exec_is_dead", |spool| {
        std::mem::forget(begin(&spool, 1 << 20));
        // `cat` ends when the parent closes its pipe.
        let error = Command::new("sh").args(["-c", "echo replaced; exec cat"]).exec();
        panic!("{error}");
    });
    let test = TestSpool::new();
    let mut child = child.env("SPOOL", test.spool.path()).spawn().unwrap();
    hear(&mut child, "replaced");
    assert_eq!(lives(&test.spool), [Life::Dead], "its number and start are those of a living process");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[allow(unsafe_code, reason = "what daemons do")]
fn close_descriptors_up_to(end: i32) {
    // SAFETY: this program does not use any of these descriptors again.
    (3..end).for_each(|fd| unsafe {
        libc::close(fd);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_program_that_has_closed_all_its_files_lives_on() {
    let mut child = child("life::a_program_that_has_closed_all_its_files_lives_on", |spool| {
        std::mem::forget(begin(&spool, 1 << 20));
        close_descriptors_up_to(256);
        say("closed");
        wait_for_parent();
    });
    let test = TestSpool::new();
    let mut child = child.env("SPOOL", test.spool.path()).spawn().unwrap();
    hear(&mut child, "closed");
    assert_eq!(lives(&test.spool), [Life::Living]);
    let worker = test.spool.list().unwrap()[0].worker_id;
    assert!(test.spool.claim(worker).unwrap().is_none());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(lives(&test.spool), [Life::Dead]);
}

fn opens_its_own_files_instead(spool: Spool) {
    let mut begun = begin(&spool, 1 << 20);
    journal(&mut begun, 1, 1);
    close_descriptors_up_to(64);
    let dir = spool.path().with_file_name("own");
    std::fs::create_dir(&dir).expect("a folder");
    let files: Vec<_> =
        (0..60).map(|_| std::fs::File::options().append(true).create(true).open(dir.join("file")).expect("a file")).collect();
    let folders: Vec<_> = (0..60).map(|_| std::fs::File::open(&dir).expect("a folder")).collect();
    let parcel = monitor_spool::Parcel::encode(2, &[crate::support::event(2)]).expect("an event");
    let error = begun.journal.append(&parcel, &monitor_spool::Meta::default()).expect_err("not to be written");
    assert!(error.to_string().contains("the program has closed it"), "{error}");
    assert!(begun.pieces.prepare(65_536, 1).is_err() && begun.lane.prepare().is_err() && begun.folder.delete().is_err());
    let site = sites().next().expect("one");
    assert!(begun.program.marks().site(9, &site).is_err());
    drop((begun, spool));
    for file in files.iter().chain(&folders) {
        file.metadata().expect("not closed by anybody else");
    }
    assert_eq!((files[0].metadata().expect("a file").len(), std::fs::read_dir(&dir).expect("a folder").count()), (0, 1));
    say("unharmed");
}

#[test]
fn files_of_the_program_are_not_taken_for_those_of_the_spool() {
    let mut child = child("life::files_of_the_program_are_not_taken_for_those_of_the_spool", opens_its_own_files_instead);
    let test = TestSpool::new();
    let output = child.env("SPOOL", test.spool.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("unharmed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(lives(&test.spool), [Life::Dead]);
}

#[allow(unsafe_code, reason = "to fork")]
fn forks_and_dies(spool: &Spool) {
    std::mem::forget(begin(spool, 1 << 20));
    // SAFETY: the child only reads and exits.
    unsafe {
        if libc::fork() == 0 {
            let mut byte = 0_u8;
            libc::read(0, (&raw mut byte).cast(), 1);
            libc::_exit(0);
        }
    }
    say("forked");
}

#[test]
fn a_forked_child_does_not_keep_its_parents_folder_alive() {
    let mut child = child("life::a_forked_child_does_not_keep_its_parents_folder_alive", |spool| forks_and_dies(&spool));
    let test = TestSpool::new();
    let mut child = child.env("SPOOL", test.spool.path()).spawn().unwrap();
    hear(&mut child, "forked");
    child.wait().unwrap();
    assert_eq!(lives(&test.spool), [Life::Dead]);
}
