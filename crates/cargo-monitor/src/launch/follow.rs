//! Ships what woven programs of one launch write, while they run and once they are gone.

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

/// Between two looks, while there is something to be seen, and when there was nothing for long.
const PAUSE: Duration = Duration::from_millis(25);
const LONG_PAUSE: Duration = Duration::from_millis(200);
/// Once all programs are gone, a server that takes nothing of what they left is tried for so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// `follow LAUNCH PID [of-tests]`: until this process and all others of the launch are gone and shipped.
pub(crate) fn follow(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let launch = args.next().and_then(|launch| launch.into_string().ok());
    let pid = args.next().and_then(|pid| pid.to_str()?.parse().ok());
    let (Some(launch), Some(pid)) = (launch, pid) else { return ExitCode::from(2) };
    let tests = args.next().filter(|word| word == super::OF_TESTS).map(|_| PassedTests::new(pid));
    let program = Running::of(pid);
    let Ok((mut reserved, reserving)) = std::io::pipe() else { return ExitCode::FAILURE };
    if !detach(&reserving) {
        // The program starts once this process has ended. It may be over at once, and is to be reserved by then.
        drop(reserving);
        let _ = reserved.read(&mut [0]);
        return ExitCode::SUCCESS;
    }
    // Its descriptor is closed already.
    std::mem::forget(reserved);
    // Whatever goes wrong here waits in the spool for the next one who ships.
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

/// `reserving` is closed once the launch is reserved for this process.
fn work(launch: &str, program: &Running, tests: Option<PassedTests>, reserving: PipeWriter) -> anyhow::Result<()> {
    let Some(dir) = monitor_spool::dir_of(std::env::var_os("MONITOR_SPOOL_DIR").as_deref()) else { return Ok(()) };
    let spool = Spool::open(&dir)?;
    // Otherwise whoever finds a program dead before this process does sends all rows of its tests.
    let _reserved = spool.reserve(launch).ok();
    drop(reserving);
    let post = Post::new()?;
    let mut shipper = Shipper { post, spool, tests, followers: BTreeMap::new(), undecided: BTreeMap::new() };
    let (mut backoff, unsent) = (Backoff::default(), Unsent::of_this_project());
    let (mut news, mut ended, mut next_try) = (Instant::now(), None::<Instant>, Instant::now());
    loop {
        // Before anything is looked for: what it made until then is found.
        let is_over = !program.is_running();
        // A slow server may take longer than that for all of it.
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

/// Sends what the programs of one launch write.
struct Shipper {
    post: Post,
    spool: Spool,
    /// Decides which rows of tests are left out; none if all rows are sent.
    tests: Option<PassedTests>,
    /// Programs that run.
    followers: BTreeMap<WorkerId, Follower>,
    /// Programs that have ended, but not the tests that started them.
    undecided: BTreeMap<WorkerId, Replay>,
}

impl Shipper {
    /// The programs of the launch, the program of tests first: the programs that it starts wait for what it has written.
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

    /// Sends the events that a program has written by now. The second value is true if no more will follow.
    fn ship(&mut self, worker: &WorkerRef, life: Life) -> anyhow::Result<(Sent, bool)> {
        let Self { post, spool, tests, followers, undecided } = self;
        // The spool of an undecided program looks as if the program lived, because this process has its lock.
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

/// A process, told apart from a later one of its number.
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

/// When it began, unless it has ended and only its number is left.
fn start(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") { None } else { fields.nth(18).map(str::to_owned) }
}

#[cfg(unix)]
#[allow(unsafe_code, reason = "whether a process is there, only the system can tell")]
fn exists(pid: u32) -> bool {
    // SAFETY: signal 0 is none.
    unsafe { libc::kill(pid as i32, 0) == 0 }
}

#[cfg(not(unix))]
fn exists(_: u32) -> bool {
    false
}

/// Whether this is the one that goes on: nobody's child, with no terminal, and with no other descriptors than those of a program and `kept`.
#[cfg(unix)]
#[allow(unsafe_code, reason = "a process can't become nobody's child otherwise")]
fn detach(kept: &PipeWriter) -> bool {
    // SAFETY: this program has one thread here, so that its child has all of it.
    match unsafe { libc::fork() } {
        0 => {
            // SAFETY: it takes no memory. What else was open is the program's, who waits for its end perhaps.
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
