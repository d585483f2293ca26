//! From the queue to the server: a thread of its own, with its own runtime, that the program never waits for.

mod adopt;
mod channel;
mod exit;
mod guard;
mod late;
mod leave;
#[cfg(feature = "otlp")]
mod otlp;
mod outbox;
mod post;
mod sender;
mod shipper;
mod spool_slot;
mod switches;
mod to_wire;
mod waiters;
mod worker;

use std::panic::catch_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use monitor_core::keep::{Keeper, Memory};
use monitor_core::own::Own;
use monitor_core::{Context, fork, queue};
use monitor_spool::SpoolKeeper;
use once_cell::race::OnceBox;
use tokio::sync::mpsc::UnboundedSender;

use self::outbox::Outbox;
use self::spool_slot::SpoolSlot;
use crate::flush::FlushError;
use crate::report;
use crate::settings::Settings;

pub use self::leave::{Left, leave};

/// What this program was told at its start. A forked child was told the same, and does not ask again: another thread may
/// have been about to change the environment.
static SETTINGS: OnceBox<Settings> = OnceBox::new();
/// A program without calls that has lived for so long begins to send.
const BIDING: Duration = Duration::from_millis(200);

/// No memory is to be made ready for calls.
static WITHOUT_CALLS: AtomicBool = AtomicBool::new(false);
/// The way to the shipper, once there is one.
static SHIPPER: Own<Handle> = Own::new();

struct Handle {
    commands: UnboundedSender<Command>,
    /// Where its thread runs.
    pid: u32,
    exit_timeout: Duration,
    /// What the server has not taken at the end stays for whoever comes next: where, and by whom it is kept.
    kept: Option<(Left, &'static SpoolKeeper)>,
}

/// All that crosses from the program's threads to the shipper, the queue apart.
#[derive(Debug)]
enum Command {
    /// Send what is recorded, then say so.
    Flush { done: mpsc::Sender<()> },
    /// Take all that is recorded out of rings and queue, then say so; or at once if there is no room for it.
    Gather { done: mpsc::Sender<()> },
    /// Send all, and the goodbye behind it. Sending is given up where it is in vain to try on, and `until` then; from `late` on, what is
    /// still in memory is only counted.
    Exit { done: mpsc::Sender<()>, until: Instant, late: Instant },
}

/// Says before anything is recorded that this program records processes of its own and few calls of functions, if any: no memory is made
/// ready for these, which is most of what the beginning costs, and if it ends within a moment all is sent at once.
///
/// ```
/// monitor_client::launcher::without_calls();
/// ```
pub fn without_calls() {
    WITHOUT_CALLS.store(true, Ordering::Relaxed);
}

fn is_without_calls() -> bool {
    WITHOUT_CALLS.load(Ordering::Relaxed)
}

monitor_core::starter!(start);

/// Runs once, at the first monitored call of the program or of a forked child.
fn start() {
    #[cfg(feature = "testing")]
    if crate::testing::is_wanted() {
        return;
    }
    let settings = SETTINGS.get_or_init(|| Box::new(settings()));
    if !settings.recording.enabled {
        return;
    }
    fork::register(|| {
        SHIPPER.forget();
        crate::foreign::forget();
        #[cfg(feature = "tokio")]
        crate::cancel::tasks::forget();
    });
    fork::awake();
    if let Err(error) = begin(settings) {
        fork::asleep();
        monitor_core::switch::turn_off();
        report::warn(&format!("no thread could be started to send what is recorded, nothing is monitored: {error}"));
    }
}

/// Turns recording on, and starts the thread that ships.
fn begin(settings: &'static Settings) -> std::io::Result<()> {
    let Settings { recording, .. } = settings;
    monitor_core::fold::set_after(recording.fold_after);
    monitor_core::strays::set(recording.strays);
    if let Some(filter) = &recording.filter {
        monitor_core::filter::set(filter);
    }
    monitor_core::switch::set_levels(&recording.events);
    // Woven calls are rare where the program ships itself: whoever weaves says so.
    monitor_core::fold::set_below(recording.fold_below.unwrap_or_default());
    let worker = worker::identity();
    let slot = SpoolSlot::begin(recording, &worker).unwrap_or_else(|why| {
        report::warn(&format!("what is recorded can't be kept beyond this program: {why}"));
        None
    });
    let keeper = slot.as_ref().map(SpoolSlot::keeper);
    if let Some(keeper) = keeper.filter(|_| is_without_calls()) {
        keeper.without_calls();
    }
    let receiver = queue::open_with(recording.buffer_bytes, keeper.map_or(&Memory, |keeper| keeper as &dyn Keeper));
    let Some(receiver) = receiver else { return Err(std::io::ErrorKind::AlreadyExists.into()) };
    let worker_id = worker.id;
    let outbox = Outbox::new(worker, slot);
    let (commands, receive) = tokio::sync::mpsc::unbounded_channel();
    let kept = recording.spool_dir.as_deref().zip(keeper).map(|(dir, keeper)| (Left::new(dir, worker_id), keeper));
    SHIPPER.set(Handle { commands, pid: std::process::id(), exit_timeout: recording.exit_timeout, kept });
    exit::register();
    // Before the thread begins, so that one that ends at once has the last word.
    monitor_core::switch::turn_on();
    let ship = move || {
        guard::run(|| {
            if keeper.is_some() && is_without_calls() {
                bide();
            }
            // First of all: the calls that follow the first one are not to wait for it.
            if let Some(keeper) = keeper {
                keeper.prepare();
            }
            shipper::run(settings, receiver, outbox, keeper, receive);
        });
        fork::asleep();
    };
    std::thread::Builder::new().name("monitor-shipper".to_owned()).spawn(ship).map(drop)
}

/// Waits for a moment, unless much is recorded. A program that has ended by then needs no connection of its own: whoever sends what it has
/// left sends all of it.
fn bide() {
    fork::asleep();
    let begun = Instant::now();
    while begun.elapsed() < BIDING && !queue::is_filling() {
        std::thread::sleep(BIDING / 4);
    }
    fork::awake();
}

/// Reads the settings, and says what is wrong with them.
fn settings() -> Settings {
    let (mut settings, problems) = Settings::read(&|name| std::env::var_os(name));
    report::set(settings.recording.log);
    for problem in problems {
        report::warn(&problem);
    }
    if settings.recording.enabled {
        for problem in monitor_spool::settings::unknown(std::env::vars_os().map(|(name, _)| name)) {
            report::warn(&problem);
        }
    }
    if settings.recording.enabled && settings.events_url.scheme() == "https" && !cfg!(feature = "tls") {
        let url = if settings.is_otlp { "MONITOR_OTLP_ENDPOINT" } else { "MONITOR_SERVER_URL" };
        report::warn(&format!(
            "{url} is https, but this program was built without the feature `tls` of monitor-client: nothing is monitored"
        ));
        settings.recording.enabled = false;
    }
    if settings.recording.enabled
        && !cfg!(feature = "otlp")
        && std::env::var_os("MONITOR_OTLP_ENDPOINT").is_some_and(|endpoint| !endpoint.is_empty())
    {
        report::warn(
            "MONITOR_OTLP_ENDPOINT is set, but this program was built without the feature `otlp` of monitor-client: what is recorded goes to the server",
        );
    }
    if settings.recording.enabled {
        monitor_core::warn::set(report::warn);
        if let Some(context) = settings.recording.inherited.and_then(|(root, parent)| Context::new(root.get(), parent.get())) {
            monitor_core::set_inherited(context);
        }
    }
    settings
}

/// See [`crate::flush`].
pub(crate) fn flush(timeout: Duration) -> Result<(), FlushError> {
    let Some(shipper) = SHIPPER.get() else { return Ok(()) };
    if !monitor_core::switch::is_on() || monitor_core::inside::is_inside() {
        return Err(FlushError::Over);
    }
    let (done, answer) = mpsc::channel();
    // To wake a shipper whose files the program has closed is a panic of tokio's.
    let is_asked = catch_unwind(|| shipper.commands.send(Command::Flush { done }).is_ok()).unwrap_or(false);
    if !is_asked {
        return Err(FlushError::Over);
    }
    answer.recv_timeout(timeout).map_err(|error| match error {
        RecvTimeoutError::Timeout => FlushError::TimedOut,
        RecvTimeoutError::Disconnected => FlushError::Over,
    })
}
