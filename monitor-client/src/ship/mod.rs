//! From the queue to the server: a thread with its own runtime. The program never waits for it.

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

/// Settings that this program read at its start. A forked child uses the same settings, because another thread of the parent may have been
/// changing the environment at the time of the fork.
static SETTINGS: OnceBox<Settings> = OnceBox::new();
/// Minimum age at which a program without calls begins to send.
const BIDING: Duration = Duration::from_millis(200);

/// True if no memory must be prepared for calls.
static WITHOUT_CALLS: AtomicBool = AtomicBool::new(false);
/// Handle of the shipper, once it has started.
static SHIPPER: Own<Handle> = Own::new();

struct Handle {
    commands: UnboundedSender<Command>,
    /// Id of the process that runs the shipper's thread.
    pid: u32,
    exit_timeout: Duration,
    /// The spool folder where unsent events stay at the end, and the keeper that writes it.
    kept: Option<(Left, &'static SpoolKeeper)>,
}

/// Requests from the program's threads to the shipper. Records are sent through the queue.
#[derive(Debug)]
enum Command {
    /// Send everything recorded, then reply.
    Flush { done: mpsc::Sender<()> },
    /// Drain rings and queue, then reply. Reply immediately if there is no room for the records.
    Gather { done: mpsc::Sender<()> },
    /// Send everything and the offline event after it. Stop at `until`, or as soon as another attempt is pointless. From `late` on, records
    /// in memory are only counted.
    Exit { done: mpsc::Sender<()>, until: Instant, late: Instant },
}

/// Declares, before anything is recorded, that this program records processes of its own and few or no calls of functions. The memory for
/// calls is then not prepared, which saves most of the startup cost, and a program that ends quickly sends everything at once.
///
/// # Examples
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

/// Turns recording on and starts the shipper's thread.
fn begin(settings: &'static Settings) -> std::io::Result<()> {
    let Settings { recording, .. } = settings;
    monitor_core::fold::set_after(recording.fold_after);
    monitor_core::strays::set(recording.strays);
    if let Some(filter) = &recording.filter {
        monitor_core::filter::set(filter);
    }
    monitor_core::switch::set_levels(&recording.events);
    // A program with its own shipper contains few woven calls; a program that weaves calls sets the limit.
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
    // Turn the switch on before the thread starts, so that a thread that ends immediately can turn it off.
    monitor_core::switch::turn_on();
    let ship = move || {
        guard::run(|| {
            if keeper.is_some() && is_without_calls() {
                bide();
            }
            // Prepare the next files first, so that the calls after the first one don't wait for them.
            if let Some(keeper) = keeper {
                keeper.prepare();
            }
            shipper::run(settings, receiver, outbox, keeper, receive);
        });
        fork::asleep();
    };
    std::thread::Builder::new().name("monitor-shipper".to_owned()).spawn(ship).map(drop)
}

/// Waits for a short time, unless many records are made. A program that has ended by then needs no connection of its own: the process that
/// ships its spool sends everything.
fn bide() {
    fork::asleep();
    let begun = Instant::now();
    while begun.elapsed() < BIDING && !queue::is_filling() {
        std::thread::sleep(BIDING / 4);
    }
    fork::awake();
}

/// Reads the settings and logs the problems.
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
    // Waking a shipper whose files the program has closed panics inside tokio.
    let is_asked = catch_unwind(|| shipper.commands.send(Command::Flush { done }).is_ok()).unwrap_or(false);
    if !is_asked {
        return Err(FlushError::Over);
    }
    answer.recv_timeout(timeout).map_err(|error| match error {
        RecvTimeoutError::Timeout => FlushError::TimedOut,
        RecvTimeoutError::Disconnected => FlushError::Over,
    })
}
