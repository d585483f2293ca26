//! Ships the records of a launch's woven programs, while they run and after they have ended.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{PipeWriter, Read as _};
#[cfg(unix)]
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use monitor_spool::{Backoff, Follower, FollowerOfTests, Life, PassedTests, Replay, Spool};
use monitor_wire::{WorkerId, WorkerRef};

use super::post::{Post, Sent};
use super::unsent::Unsent;

/// Interval between two polls of the spool; `LONG_PAUSE` applies after 5 seconds without new records.
const PAUSE: Duration = Duration::from_millis(25);
const LONG_PAUSE: Duration = Duration::from_millis(200);
/// Once all programs have ended, the process gives up after this time without an accepted batch.
const PATIENCE: Duration = Duration::from_secs(10);

/// Implements `follow LAUNCH PID [of-tests]`: ships until the process `PID` and all other programs of the launch have ended and are
/// shipped.
pub(crate) fn follow(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let launch = args.next().and_then(|launch| launch.into_string().ok());
    let pid = args.next().and_then(|pid| pid.to_str()?.parse().ok());
    let (Some(launch), Some(pid)) = (launch, pid) else { return ExitCode::from(2) };
    let tests = args.next().filter(|word| word == super::OF_TESTS).map(|_| PassedTests::new(pid));
    let program = Running::of(pid);
    let Ok((mut reserved, reserving)) = std::io::pipe() else { return ExitCode::FAILURE };
    if !detach(&reserving) {
        // The launcher starts the program when this process exits. The program may end at once, so wait until the child has reserved the
        // launch.
        drop(reserving);
        let _ = reserved.read(&mut [0]);
        return ExitCode::SUCCESS;
    }
    // `detach` has already closed its descriptor.
    std::mem::forget(reserved);
    // After an error the records stay in the spool, and the next process that ships the spool sends them.
    let worked = work(&launch, &program, tests, reserving);
    if let Some(launches) = std::env::var_os(super::LAUNCHES) {
        let file = Path::new(&launches).join(pid.to_string());
        let _ = std::fs::rename(&file, file.with_extension("shipped"));
    }
    match worked {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Ships the records of a launch. Drops `reserving` once the launch is reserved for this process.
fn work(launch: &str, program: &Running, tests: Option<PassedTests>, reserving: PipeWriter) -> anyhow::Result<()> {
    let Some(dir) = monitor_spool::dir_of(std::env::var_os("MONITOR_SPOOL_DIR").as_deref()) else { return Ok(()) };
    let spool = Spool::open(&dir)?;
    // Without the reservation, another process that finds a program dead first would send all rows of its tests.
    let _reserved = spool.reserve(launch).ok();
    drop(reserving);
    let post = Post::new()?;
    let mut shipper = Shipper { post, spool, tests, followers: BTreeMap::new(), undecided: BTreeMap::new() };
    let (mut backoff, unsent) = (Backoff::default(), Unsent::of_this_project());
    let (mut news, mut ended, mut next_try) = (Instant::now(), None::<Instant>, Instant::now());
    loop {
        // Checked before the spool is read, so that the last read after the program's end finds all its records.
        let is_over = !program.is_running();
        // Counted from the last accepted batch, because a slow server may need longer than `PATIENCE` for all batches.
        let is_in_vain = is_over && news.max(*ended.get_or_insert_with(Instant::now)).elapsed() > PATIENCE;
        if is_in_vain && next_try > Instant::now() {
            return Ok(());
        }
        let pause = if news.elapsed() > Duration::from_secs(5) { LONG_PAUSE } else { PAUSE };
        if next_try > Instant::now() {
            std::thread::sleep(pause);
            continue;
        }
        let (mut is_busy, mut refusal, mut is_done) = (false, None, true);
        for (worker, life) in shipper.found(launch, is_over)? {
            let (sent, is_whole) = shipper.ship(&worker, life)?;
            is_busy |= sent.is_any;
            is_done &= is_whole && sent.refusal.is_none();
            refusal = refusal.or(sent.refusal);
        }
        if is_over && is_done {
            return Ok(());
        }
        if is_busy {
            news = Instant::now();
            backoff.reset();
        }
        if let Some(refusal) = &refusal {
            unsent.say(refusal);
            next_try = Instant::now() + backoff.after(refusal).unwrap_or_default();
        } else {
            if is_busy {
                unsent.over();
            }
            std::thread::sleep(pause);
        }
    }
}

/// Sends the records of the programs in a launch.
struct Shipper {
    post: Post,
    spool: Spool,
    /// Selects the rows of tests that are left out; `None` if all rows are sent.
    tests: Option<PassedTests>,
    /// Running programs.
    followers: BTreeMap<WorkerId, Follower>,
    /// Ended programs whose rows can't be selected yet, because the tests that started them still run.
    undecided: BTreeMap<WorkerId, Replay>,
}

impl Shipper {
    /// Returns the programs of the launch. The test program comes first, because the rows of programs that it starts depend on its records.
    fn found(&mut self, launch: &str, is_over: bool) -> anyhow::Result<Vec<(WorkerRef, Life)>> {
        let mut found = self.spool.launched(launch)?;
        if let Some(tests) = &mut self.tests {
            found.sort_by_key(|(worker, _)| !tests.is_program(worker));
            match found.first() {
                Some((worker, _)) if tests.is_program(worker) => tests.found_program(),
                _ if is_over => tests.program_is_over(),
                _ => {}
            }
        }
        Ok(found)
    }

    /// Sends the events that a program has written so far. The second value is true if no more events will follow.
    fn ship(&mut self, worker: &WorkerRef, life: Life) -> anyhow::Result<(Sent, bool)> {
        let Self { post, spool, tests, followers, undecided } = self;
        // Checked first: this process keeps the lock of an undecided program's spool, so the program appears to be running.
        let mut replay = match undecided.remove(&worker.id) {
            Some(replay) => replay,
            None if life == Life::Living => {
                if !followers.contains_key(&worker.id) {
                    followers.extend(spool.follow(worker.id)?.map(|follower| (worker.id, follower)));
                }
                let Some(follower) = followers.get_mut(&worker.id) else { return Ok((Sent::default(), false)) };
                let sent = match tests {
                    Some(tests) => post.send_all(&mut FollowerOfTests { follower, tests }),
                    None => post.send_all(follower),
                };
                return Ok((sent, false));
            }
            None => {
                let acknowledged = followers.remove(&worker.id).map_or(0, |follower| follower.acknowledged());
                let claimed = match tests {
                    Some(tests) => spool.claim_of_tests(worker.id, acknowledged, tests)?,
                    None => spool.claim_behind(worker.id, acknowledged)?,
                };
                let Some(replay) = claimed else { return Ok((Sent::default(), true)) };
                replay
            }
        };
        if tests.as_ref().is_some_and(|tests| !replay.decide(tests)) {
            undecided.insert(worker.id, replay);
            return Ok((Sent::default(), false));
        }
        let sent = post.send_all(&mut replay);
        if sent.refusal.is_some() {
            return Ok((sent, false));
        }
        replay.finish()?;
        Ok((Sent { is_any: true, refusal: None }, true))
    }
}

/// A process, identified by id and start time, so that a reused id is not mistaken for it.
struct Running {
    pid: u32,
    start: Option<String>,
}

impl Running {
    fn of(pid: u32) -> Self {
        Self { pid, start: start(pid) }
    }

    fn is_running(&self) -> bool {
        if cfg!(target_os = "linux") { self.start.is_some() && start(self.pid) == self.start } else { exists(self.pid) }
    }
}

/// Returns the start time from `/proc/PID/stat`; `None` if the process has ended, even if it is still a zombie.
fn start(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") { None } else { fields.nth(18).map(str::to_owned) }
}

#[cfg(unix)]
#[allow(unsafe_code, reason = "whether a process is there, only the system can tell")]
fn exists(pid: u32) -> bool {
    // SAFETY: signal 0 is not delivered; `kill` only checks that the process exists.
    unsafe { libc::kill(pid as i32, 0) == 0 }
}

#[cfg(not(unix))]
fn exists(_: u32) -> bool {
    false
}

/// Forks and returns true in the child, which continues in its own session, without a terminal. The child closes all inherited descriptors
/// except the standard streams and `kept`.
#[cfg(unix)]
#[allow(unsafe_code, reason = "a process can't become nobody's child otherwise")]
fn detach(kept: &PipeWriter) -> bool {
    // SAFETY: this program has only one thread at this point, so the child can continue normally.
    match unsafe { libc::fork() } {
        0 => {
            // SAFETY: `setsid` and `close` do not allocate. The closed descriptors belong to the program's caller, which may be waiting for
            // their end.
            unsafe {
                libc::setsid();
                for descriptor in (3..1_024).filter(|descriptor| *descriptor != kept.as_raw_fd()) {
                    libc::close(descriptor);
                }
            }
            true
        }
        _ => false,
    }
}

#[cfg(not(unix))]
fn detach(_: &PipeWriter) -> bool {
    true
}
