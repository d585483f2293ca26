//! Files and folders that another user could have created or could read are not used.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

use monitor_spool::{Parcel, Spool, SpoolError};

use crate::support::{TestSpool, journal};

fn refused(path: &std::path::Path) -> String {
    let error = Spool::open(path).expect_err("not to be trusted");
    assert!(matches!(error, SpoolError::Untrusted { .. }), "{error}");
    assert!(Spool::existing(path).is_err());
    error.to_string()
}

#[test]
fn a_spool_is_made_for_the_user_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b/spool");
    assert!(Spool::existing(&path).unwrap().is_none());
    let spool = Spool::open(&path).unwrap();
    for path in [dir.path().join("a"), path] {
        assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o700);
    }
    let mut begun = crate::support::begin(&spool, 1 << 20);
    journal(&mut begun, 1, 1);
    begun.lane.prepare().unwrap();
    assert_eq!(fs::metadata(begun.folder.path()).unwrap().mode() & 0o777, 0o700);
    for entry in fs::read_dir(begun.folder.path()).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_spool_that_others_may_write_to_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for mode in [0o777, 0o770, 0o702] {
        fs::set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
        assert!(refused(dir.path()).contains("others may write to it"));
    }
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    Spool::open(dir.path()).unwrap();
}

#[test]
fn a_symbolic_link_or_a_file_is_no_spool() {
    let dir = tempfile::tempdir().unwrap();
    let (real, link, file) = (dir.path().join("real"), dir.path().join("link"), dir.path().join("file"));
    fs::create_dir(&real).unwrap();
    symlink(&real, &link).unwrap();
    assert!(refused(&link).contains("symbolic link"));
    fs::write(&file, "").unwrap();
    assert!(Spool::open(&file).is_err());
    symlink(dir.path().join("nowhere"), dir.path().join("dangling")).unwrap();
    assert!(Spool::open(&dir.path().join("dangling")).is_err());
}

#[test]
fn a_folder_that_another_user_may_have_planted_is_left_alone() {
    let test = TestSpool::new();
    let mut begun = test.begin();
    let (worker, path) = (begun.folder.worker(), begun.folder.path().to_owned());
    journal(&mut begun, 1, 1);
    drop(begun);
    let is_let_alone = || {
        assert_eq!((test.spool.list().unwrap().len(), test.spool.dead().unwrap().len()), (0, 0));
        assert!(matches!(test.spool.claim(worker), Err(SpoolError::Untrusted { .. })));
        assert!(matches!(test.spool.clear(worker), Err(SpoolError::Untrusted { .. })));
        assert!(path.join("journal-1").exists());
    };
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    is_let_alone();
    fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
    let elsewhere = test.dir.path().join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    symlink(&elsewhere, &path).unwrap();
    is_let_alone();
    fs::remove_file(&path).unwrap();
    fs::rename(&elsewhere, &path).unwrap();
    assert_eq!(test.spool.dead().unwrap(), [worker]);
    // Only root can change owners.
    if chown(&path, Some(12_345), None).is_ok() {
        is_let_alone();
        chown(&path, Some(0), None).unwrap();
        chown(path.join("journal-1"), Some(12_345), None).unwrap();
        assert!(test.spool.list().unwrap()[0].problems[0].contains("journal-1"));
        assert_eq!(test.replay(worker).next().map(Parcel::count), Some(0));
        chown(test.spool.path(), Some(12_345), None).unwrap();
        assert!(refused(test.spool.path()).contains("another user"));
        chown(test.spool.path(), Some(0), None).unwrap();
    }
}

#[test]
fn a_folder_whose_files_were_taken_from_another_gives_nothing() {
    let test = TestSpool::new();
    let (mut one, mut other) = (test.begin(), test.begin());
    journal(&mut one, 1, 2);
    journal(&mut other, 1, 2);
    let (worker, from, to) = (other.folder.worker(), one.folder.path().to_owned(), other.folder.path().to_owned());
    drop((one, other));
    for name in ["journal-1", "program"] {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
    let mut replay = test.replay(worker);
    assert_eq!(crate::support::drain(&mut replay).len(), 0);
    assert_eq!(replay.worker().id, worker);
}
