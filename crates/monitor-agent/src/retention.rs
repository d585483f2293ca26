//! Removes the oldest logs of a task's runs and the oldest publications in its history, according to the task's retention.
//!
//! Removes only logs and publications with the names that runs give them, and links in the history without a target. Does not follow links.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, DirEntry};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use monitor_runs::{LOG, Run, Step};
use monitor_tasks::definition::{Keep, Retention};

/// Limits for the logs of a task whose definition sets none.
const LOGS: Keep = Keep { age: Some(Duration::from_secs(90 * 86_400)), size: Some(1 << 30), count: Some(10_000) };
/// Minimum time between two cleanups of a task's folder.
const EVERY: Duration = Duration::from_secs(60);

/// Time of the last cleanup of each task's folder.
#[derive(Debug, Default)]
pub(crate) struct Looked(Mutex<HashMap<String, Instant>>);

impl Looked {
    /// Returns true if the folder of a task is due for a cleanup, and records the cleanup as done.
    pub(crate) fn is_time(&self, task: &str) -> bool {
        let mut looked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = looked.get(task).is_none_or(|looked| looked.elapsed() >= EVERY);
        if is_time {
            looked.retain(|_, looked| looked.elapsed() < EVERY);
            looked.insert(task.to_owned(), Instant::now());
        }
        is_time
    }
}

/// Output in the run folders of a task, by process id.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    /// Process ids of the runs that have not ended. Their logs are still written.
    writing: BTreeSet<String>,
    /// Output files of the runs that have ended.
    outputs: BTreeMap<String, PathBuf>,
}

impl Runs {
    /// Collects the runs of a task that still have a folder.
    pub(crate) fn of(runs: &Path, task: &str) -> Self {
        let is_of_task =
            |entry: &DirEntry| entry.file_name().to_str().and_then(|id| id.split_once('@')).is_some_and(|(name, _)| name == task);
        let mut all = Self::default();
        for run in entries(runs).into_iter().filter(is_of_task).filter_map(|entry| Run::open(entry.path()).ok()) {
            let Some(process) = run.state.process_id.clone() else { continue };
            if run.step() < Step::Ended {
                all.writing.insert(process);
            } else {
                all.outputs.insert(process, run.folder.join(LOG));
            }
        }
        all
    }
}

/// A log or a publication of a run.
#[derive(Debug)]
struct Left {
    path: PathBuf,
    /// For a log, the output file in the folder of the run.
    output: Option<PathBuf>,
    /// Time in its name, in whole seconds.
    at: Timestamp,
    /// Time of its last change: decides which of two with the same time in their names is newer.
    changed: SystemTime,
    bytes: u64,
}

/// Removes the logs and publications of a task that exceed the limits. With a log, also removes the output file in the folder of its run.
pub(crate) fn tidy(folder: &Path, retention: Retention, mut runs: Runs, (now, zone): (Timestamp, &TimeZone)) {
    let keep = if retention.logs == Keep::default() { LOGS } else { retention.logs };
    let process = |log: &Left| log.path.file_stem().and_then(|name| Some(name.to_str()?.rsplit_once('-')?.1.to_owned()));
    let mut logs = logs(&folder.join("logs"), zone);
    for log in &mut logs {
        log.output = process(log).and_then(|process| runs.outputs.remove(&process));
        let output = log.output.as_ref().and_then(|output| output.metadata().ok());
        // The log is a hard link to the output, unless it is on another file system.
        log.bytes += output.filter(|output| output.nlink() == 1).map_or(0, |output| bytes_of(&output));
    }
    let is_written = |log: &Left| process(log).is_some_and(|process| runs.writing.contains(&process));
    for log in too_much(logs, keep, now).into_iter().filter(|log| !is_written(log)) {
        if let Some(output) = &log.output {
            tell(output, fs::remove_file(output));
        }
        if tell(&log.path, fs::remove_file(&log.path)) {
            remove_empty(&log, 2, now);
        }
    }
    if retention.history == Keep::default() {
        return;
    }
    let history = folder.join("history");
    let too_much = too_much(kept(&history, zone), retention.history, now);
    let mut is_removed = false;
    for kept in &too_much {
        if tell(&kept.path, fs::remove_dir_all(&kept.path)) {
            remove_empty(kept, 1, now);
            is_removed = true;
        }
    }
    if is_removed {
        let links = entries(&history).into_iter().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()));
        for link in links.filter(|link| fs::metadata(link.path()).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)) {
            tell(&link.path(), fs::remove_file(link.path()));
        }
    }
}

/// The logs or publications that exceed the limits.
fn too_much(mut all: Vec<Left>, keep: Keep, now: Timestamp) -> Vec<Left> {
    all.sort_by(|a, b| (b.at, b.changed, &b.path).cmp(&(a.at, a.changed, &a.path)));
    let (mut count, mut bytes) = (0, 0_u64);
    let is_kept = |left: &Left| {
        count += 1;
        bytes = bytes.saturating_add(left.bytes);
        let age = Duration::try_from(now.duration_since(left.at)).unwrap_or_default();
        // The size limit never applies to the newest item.
        keep.age.is_none_or(|most| age <= most)
            && keep.count.is_none_or(|most| count <= most)
            && keep.size.is_none_or(|most| bytes <= most || count == 1)
    };
    let kept = all.iter().map(is_kept).collect::<Vec<_>>();
    all.into_iter().zip(kept).filter(|(_, is_kept)| !is_kept).map(|(left, _)| left).collect()
}

/// Logs, named `YYYYMM/DD/HHmmss-ID.log`.
fn logs(folder: &Path, zone: &TimeZone) -> Vec<Left> {
    let mut found = Vec::new();
    for (month, entry) in numbered(folder, 6) {
        for (day, entry) in numbered(&entry.path(), 2) {
            for file in entries(&entry.path()) {
                let name = file.file_name().to_string_lossy().into_owned();
                let Some((time, _)) = name.strip_suffix(".log").and_then(|name| name.split_once('-')) else { continue };
                if file.file_type().is_ok_and(|kind| kind.is_file())
                    && let Some(at) = time_of(&month, &day, time, zone)
                {
                    let bytes = file.metadata().map_or(0, |file| bytes_of(&file));
                    found.push(Left { path: file.path(), output: None, at, changed: changed(&file), bytes });
                }
            }
        }
    }
    found
}

/// Publications, named `YYYYMM/DD_HHmmss`, with an optional `-` and number at the end.
fn kept(folder: &Path, zone: &TimeZone) -> Vec<Left> {
    let mut found = Vec::new();
    for (month, entry) in numbered(folder, 6) {
        for kept in entries(&entry.path()) {
            let name = kept.file_name().to_string_lossy().into_owned();
            let Some((day, time)) = name.split_once('_') else { continue };
            let (time, number) = time.split_once('-').unwrap_or((time, "2"));
            if kept.file_type().is_ok_and(|kind| kind.is_dir())
                && number.parse::<u32>().is_ok()
                && let Some(at) = time_of(&month, day, time, zone)
            {
                found.push(Left { path: kept.path(), output: None, at, changed: changed(&kept), bytes: bytes_below(&kept.path()) });
            }
        }
    }
    found
}

/// Parses the time from the parts of a name, in the given time zone.
fn time_of(month: &str, day: &str, time: &str, zone: &TimeZone) -> Option<Timestamp> {
    let civil = DateTime::strptime("%Y%m%d%H%M%S", format!("{month}{day}{time}")).ok().filter(|_| time.len() == 6 && day.len() == 2)?;
    zone.to_timestamp(civil).ok()
}

/// Subfolders whose names consist of `digits` digits.
fn numbered(folder: &Path, digits: usize) -> Vec<(String, DirEntry)> {
    let named = entries(folder).into_iter().filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry)));
    let is_one = |(name, entry): &(String, DirEntry)| {
        name.len() == digits && name.bytes().all(|byte| byte.is_ascii_digit()) && entry.file_type().is_ok_and(|kind| kind.is_dir())
    };
    named.filter(is_one).collect()
}

/// Entries of a folder. Empty if the folder can't be read.
fn entries(folder: &Path) -> Vec<DirEntry> {
    fs::read_dir(folder).into_iter().flatten().flatten().collect()
}

/// Time of the last change of a file or folder.
fn changed(entry: &DirEntry) -> SystemTime {
    entry.metadata().and_then(|entry| entry.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Number of bytes that a file uses on the disk. A log may have a hole in the middle.
fn bytes_of(file: &fs::Metadata) -> u64 {
    file.len().min(file.blocks() * 512)
}

/// Total number of bytes of all files below a folder.
fn bytes_below(folder: &Path) -> u64 {
    let bytes = |entry: DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => bytes_below(&entry.path()),
        Ok(kind) if kind.is_file() => entry.metadata().map_or(0, |file| file.len()),
        _ => 0,
    };
    entries(folder).into_iter().map(bytes).sum()
}

/// Removes up to `above` parent folders of a removed item if they are empty. Does nothing for items of the last 40 days, because a run may be
/// about to write there.
fn remove_empty(removed: &Left, above: usize, now: Timestamp) {
    if now.as_second() - removed.at.as_second() > 40 * 86_400 {
        removed.path.ancestors().skip(1).take(above).for_each(|folder| drop(fs::remove_dir(folder)));
    }
}

/// Logs a failed removal. Returns true if the path no longer exists.
fn tell(path: &Path, result: io::Result<()>) -> bool {
    match result {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "retention can't remove a path");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);
    const ALL: Keep = Keep { age: Some(Duration::from_secs(365_000 * 86_400)), size: None, count: None };

    fn write(folder: &Path, name: &str, bytes: usize) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, vec![b'x'; bytes]).unwrap();
    }

    /// A folder with logs of four days and three publications.
    fn task() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (log, bytes) in
            [("202611/01/103000-a1", 10), ("202611/02/103000-a2", 20), ("202612/31/235959-a3", 30), ("202701/01/000000-a4", 40)]
        {
            write(folder.path(), &format!("logs/{log}.log"), bytes);
        }
        for kept in ["202611/01_103005", "202611/01_103005-2", "202701/01_000001"] {
            write(folder.path(), &format!("history/{kept}/day/price.json"), 100);
        }
        folder
    }

    /// The items that are left after a cleanup at the time `now`.
    fn left(folder: &Path, retention: Retention, writing: &[&str], now: &str) -> Vec<String> {
        let writing = writing.iter().map(|id| (*id).to_owned()).collect();
        // Two runs still have their folders.
        let outputs = ["a2", "a3"].map(|id| (id.to_owned(), folder.join(id))).into_iter().collect();
        tidy(folder, retention, Runs { writing, outputs }, (now.parse().unwrap(), &TimeZone::UTC));
        let mut left: Vec<String> = logs(&folder.join("logs"), &TimeZone::UTC)
            .iter()
            .map(|log| log.path.file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        left.extend(
            kept(&folder.join("history"), &TimeZone::UTC).iter().map(|kept| kept.path.file_name().unwrap().to_string_lossy().into_owned()),
        );
        left.sort();
        left
    }

    const EVERYTHING: [&str; 7] = ["000000-a4", "01_000001", "01_103005", "01_103005-2", "103000-a1", "103000-a2", "235959-a3"];

    fn without(gone: &[&str]) -> Vec<String> {
        EVERYTHING.iter().filter(|name| !gone.contains(name)).map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn retention_deletes_by_age_size_and_count_but_no_file_being_written() {
        let now = "2027-01-02T00:00:00Z";
        let logs = |logs| Retention { logs, ..Retention::default() };
        let age = |age| Keep { age: Some(age), ..Keep::default() };
        let count = |count| Keep { count: Some(count), ..Keep::default() };
        let size = |size| Keep { size: Some(size), ..Keep::default() };
        let tidied = |retention, writing: &[&str]| left(task().path(), retention, writing, now);
        assert_eq!(tidied(Retention::default(), &[]), without(&[]), "nothing is older than what is kept if nobody says anything");
        assert_eq!(tidied(logs(age(DAY * 2)), &[]), without(&["103000-a1", "103000-a2"]));
        assert_eq!(tidied(logs(count(1)), &[]), without(&["103000-a1", "103000-a2", "235959-a3"]));
        assert_eq!(tidied(logs(size(70)), &[]), without(&["103000-a1", "103000-a2"]));
        let task_folder = task();
        for (output, blocks) in [("a2", 1), ("a3", 3)] {
            write(task_folder.path(), output, blocks * 4_096);
        }
        let there = |name: &str| task_folder.path().join(name).exists();
        assert_eq!(left(task_folder.path(), logs(size(3 * 4_096 + 70)), &[], now), without(&["103000-a1", "103000-a2"]));
        assert_eq!((there("a2"), there("a3")), (false, true), "a log takes the output in its run's folder along");
        assert_eq!(tidied(logs(size(1)), &[]), without(&["103000-a1", "103000-a2", "235959-a3"]), "the newest is kept");
        assert_eq!(tidied(logs(count(1)), &["a1"]), without(&["103000-a2", "235959-a3"]), "one is still written");
        let history = |history| Retention { logs: ALL, history };
        assert_eq!(tidied(history(count(2)), &[]), without(&["01_103005"]), "the second one of a second is the newer one");
        assert_eq!(tidied(history(size(150)), &[]), without(&["01_103005", "01_103005-2"]));
        assert_eq!(tidied(history(age(DAY * 30)), &[]), without(&["01_103005", "01_103005-2"]));
        let later = left(task().path(), Retention::default(), &[], "2027-03-15T00:00:00Z");
        assert_eq!(later, without(&["103000-a1", "103000-a2"]), "logs are kept for 90 days, and the history until somebody says otherwise");
    }

    #[test]
    fn of_two_runs_that_started_in_the_same_second_the_one_that_wrote_later_is_newer() {
        let folder = tempfile::tempdir().unwrap();
        // The ids in the names are random, so the first one may be the greater.
        for (id, second) in [("b1", 1), ("a2", 2)] {
            let name = format!("logs/202611/01/103000-{id}.log");
            write(folder.path(), &name, 10);
            let log = fs::File::options().write(true).open(folder.path().join(name)).unwrap();
            log.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(second)).unwrap();
        }
        let one = Retention { logs: Keep { count: Some(1), ..Keep::default() }, ..Retention::default() };
        assert_eq!(left(folder.path(), one, &["b1"], "2026-11-02T00:00:00Z"), ["103000-a2", "103000-b1"], "b1 is still written");
        assert_eq!(left(folder.path(), one, &[], "2026-11-02T00:00:00Z"), ["103000-a2"]);
    }

    #[test]
    fn empty_folders_are_deleted_and_files_of_no_run_are_kept() {
        let task = task();
        let folder = task.path();
        let outside = tempfile::tempdir().unwrap();
        write(outside.path(), "01/103000-a1.log", 1);
        std::os::unix::fs::symlink(outside.path(), folder.join("logs/202601")).unwrap();
        let kept = [
            "logs/notes.txt",
            "logs/202611/01/103000-a1.log.gz",
            "logs/202611/99/103000-a1.log",
            "logs/2026x1/01/1.log",
            "history/202611/keep/a",
        ];
        for name in kept {
            write(folder, name, 1);
        }
        fs::create_dir(folder.join("logs/202611/02/103001-b.log")).unwrap();
        std::os::unix::fs::symlink("202611/01_103005/day", folder.join("history/day.202611011030")).unwrap();
        std::os::unix::fs::symlink("202701/01_000001/day", folder.join("history/day.202701010000")).unwrap();
        let count = Keep { count: Some(1), ..Keep::default() };
        left(folder, Retention { logs: count, history: count }, &[], "2027-03-02T00:00:00Z");
        for name in kept.into_iter().chain(["logs/202601/01/103000-a1.log"]) {
            assert!(folder.join(name).exists(), "{name}");
        }
        assert!(!folder.join("logs/202612").exists(), "its only day is empty");
        assert!(!folder.join("logs/202611/01/103000-a1.log").exists());
        assert!(fs::symlink_metadata(folder.join("history/day.202611011030")).is_err(), "it leads nowhere");
        assert!(folder.join("history/day.202701010000").exists());
    }
}
