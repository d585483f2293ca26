//! From the queue to the server: a thread of its own, with its own runtime, that the program never waits for.

mod backoff;
mod exit;
mod outbox;
mod post;
mod shipper;
mod to_wire;
mod worker;

use std::sync::mpsc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use monitor_core::Context;
use once_cell::sync::OnceCell;
use tokio::sync::mpsc::UnboundedSender;

use crate::report;
use crate::settings::Settings;

/// The way to the shipper, once there is one.
static SHIPPER: OnceCell<UnboundedSender<Command>> = OnceCell::new();

/// All that crosses from the program's threads to the shipper, the queue apart.
enum Command {
    /// Send what is recorded, then say so.
    Flush { done: mpsc::Sender<()> },
    /// The same, and the goodbye behind it; give up where trying on is in vain.
    Exit { done: mpsc::Sender<()> },
}

monitor_core::starter!(start);

/// Runs once, at the first monitored call of the program.
fn start() {
    let (settings, problems) = Settings::read(|name| std::env::var_os(name));
    if settings.log_to_stderr {
        report::to_stderr();
    }
    for problem in problems {
        report::warn(&problem);
    }
    if !settings.enabled {
        return;
    }
    if settings.events_url.scheme() == "https" && !cfg!(feature = "tls") {
        report::warn(
            "MONITOR_SERVER_URL is https, but this program was built without the feature `tls` of monitor-client: nothing is monitored",
        );
        return;
    }
    let Some(receiver) = monitor_core::queue::open(settings.buffer_bytes) else { return };
    if let Some(context) = settings.inherited.and_then(|(root, parent)| Context::new(root.get(), parent.get())) {
        monitor_core::set_inherited(context);
    }
    monitor_core::warn::set(report::warn);
    let (sender, commands) = tokio::sync::mpsc::unbounded_channel();
    let exit_timeout = settings.exit_timeout;
    let shipper = std::thread::Builder::new().name("monitor-shipper".to_owned()).spawn(move || shipper::run(&settings, receiver, commands));
    if let Err(error) = shipper {
        report::warn(&format!("no thread could be started to send what is recorded, nothing is monitored: {error}"));
        return;
    }
    if SHIPPER.set(sender).is_ok() {
        exit::register(exit_timeout);
        monitor_core::switch::turn_on();
    }
}

/// See [`crate::flush`].
pub(crate) fn flush(timeout: Duration) -> bool {
    let Some(shipper) = SHIPPER.get() else { return true };
    let (done, answer) = mpsc::channel();
    shipper.send(Command::Flush { done }).is_ok() && answer.recv_timeout(timeout).is_ok()
}

fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}
