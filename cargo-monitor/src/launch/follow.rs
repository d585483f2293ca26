//! Ships what woven programs of one launch write, while they run and once they are gone.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use monitor_spool::{Backoff, Follower, Life, Spool};
use monitor_wire::WorkerId;

use super::post::{Post, Sent};
use super::unsent::Unsent;

/// Between two looks, while there is something to be seen, and when there was nothing for long.
const PAUSE: Duration = Duration::from_millis(25);
const LONG_PAUSE: Duration = Duration::from_millis(200);
/// Once all programs are gone, a server that doesn't take what they left is tried for so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// `follow LAUNCH PID`: until this process and all others of the launch are gone and shipped.
pub(crate) fn follow(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let launch = args.next().and_then(|launch| launch.into_string().ok());
    let pid = args.next().and_then(|pid| pid.to_str()?.parse().ok());
    let (Some(launch), Some(pid)) = (launch, pid) else { return ExitCode::from(2) };
    let program = Running::of(pid);
    if !detach() {
        return ExitCode::SUCCESS;
    }
    // Whatever goes wrong here waits in the spool for the next one who ships.
    match work(&launch, &program) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn work(launch: &str, program: &Running) -> anyhow::Result<()> {
    let post = Post::new()?;
    let Some(dir) = monitor_spool::dir_of(std::env::var_os("MONITOR_SPOOL_DIR").as_deref()) else { return Ok(()) };
    let spool = Spool::open(&dir)?;
    let (mut followers, mut backoff, unsent) = (BTreeMap::<WorkerId, Follower>::new(), Backoff::default(), Unsent::of_this_project());
    let (mut news, mut ended, mut next_try) = (Instant::now(), None::<Instant>, Instant::now());
    loop {
        // Before anything is looked for: what it made until then is found.
        let is_over = !program.is_running();
        if is_over && ended.get_or_insert_with(Instant::now).elapsed() > PATIENCE && next_try > Instant::now() {
            return Ok(());
        }
        let pause = if news.elapsed() > Duration::from_secs(5) { LONG_PAUSE } else { PAUSE };
        if next_try > Instant::now() {
            std::thread::sleep(pause);
            continue;
        }
        let found = spool.launched(launch)?;
        let (mut is_busy, mut refusal, mut is_done) = (false, None, true);
        for (worker, life) in found {
            let shipped = if life == Life::Living {
                is_done = false;
                if !followers.contains_key(&worker) {
                    followers.extend(spool.follow(worker)?.map(|follower| (worker, follower)));
                }
                followers.get_mut(&worker).map(|follower| post.send_all(follower)).unwrap_or_default()
            } else {
                let acknowledged = followers.remove(&worker).map_or(0, |follower| follower.acknowledged());
                ship_dead(&post, &spool, worker, acknowledged)?
            };
            is_busy |= shipped.is_any;
            is_done &= shipped.refusal.is_none();
            refusal = refusal.or(shipped.refusal);
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

fn ship_dead(post: &Post, spool: &Spool, worker: WorkerId, acknowledged: u64) -> anyhow::Result<Sent> {
    let Some(mut replay) = spool.claim_behind(worker, acknowledged)? else { return Ok(Sent::default()) };
    let sent = post.send_all(&mut replay);
    if sent.refusal.is_some() {
        return Ok(sent);
    }
    replay.finish()?;
    Ok(Sent { is_any: true, refusal: None })
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

/// Whether this is the one that goes on: nobody's child, with no terminal.
#[cfg(unix)]
#[allow(unsafe_code, reason = "a process can't become nobody's child otherwise")]
fn detach() -> bool {
    // SAFETY: this program has one thread here, so that its child has all of it.
    match unsafe { libc::fork() } {
        0 => {
            // SAFETY: it takes no memory. What else was open is the program's, who waits for its end perhaps.
            unsafe {
                libc::setsid();
                for descriptor in 3..1_024 {
                    libc::close(descriptor);
                }
            }
            true
        }
        _ => false,
    }
}

#[cfg(not(unix))]
fn detach() -> bool {
    true
}
