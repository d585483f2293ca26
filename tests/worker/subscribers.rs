//! Programs with a monitored `tracing` subscriber, and user code that misbehaves.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use monitor_client::{Process, normal_task, root_task};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::{many, say};

/// A program with its own `tracing` subscriber.
pub(crate) fn traced() {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    many(300);
}

/// The example of docs/guides/existing-program.md without its filter, and a logger in front of the client's logger. Sends its own request to the server.
pub(crate) fn subscriber_shows_all() {
    struct Stderr;

    impl log::Log for Stderr {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }

        fn log(&self, record: &log::Record<'_>) {
            eprintln!("log {}: {}", record.target(), record.args());
        }

        fn flush(&self) {}
    }

    monitor_client::log::Logger::new().over(Stderr).init().expect("no logger was set before");
    log::set_max_level(log::LevelFilter::Trace);
    let shown = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false).with_thread_names(true);
    let subscriber = tracing_subscriber::registry().with(shown).with(monitor_client::tracing::layer());
    tracing::subscriber::set_global_default(subscriber).expect("no subscriber was set before");
    works();
    for _ in 0..5 {
        works_on();
        assert_eq!(monitor_client::flush(Duration::from_secs(60)), Ok(()));
    }
    let url = std::env::var("MONITOR_SERVER_URL").expect("a server");
    let client = reqwest::blocking::Client::new();
    for _ in 0..2 {
        assert!(client.get(format!("{url}/healthz")).send().expect("a server").status().is_success());
    }
}

static FROM_THE_CLIENT: AtomicU64 = AtomicU64::new(0);

/// True if the event comes from the client or one of its libraries.
fn is_of_the_client(event: &tracing::Event<'_>) -> bool {
    ["monitor_client", "hyper", "reqwest", "tokio", "mio"].iter().any(|library| event.metadata().target().starts_with(library))
}

/// Calls a monitored function and starts a process at each event, whatever its level.
struct Records;

impl<S: tracing::Subscriber> Layer<S> for Records {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if is_of_the_client(event) {
            FROM_THE_CLIENT.fetch_add(1, Ordering::SeqCst);
        }
        on_event();
        drop(Process::builder("event").begin());
    }
}

#[normal_task]
fn on_event() {}

/// Prints repeatedly the number of events that the client emitted while it was sending.
pub(crate) fn subscriber_records() {
    tracing_subscriber::registry().with(Records).init();
    works();
    for _ in 0..20 {
        works_on();
        assert_eq!(monitor_client::flush(Duration::from_secs(60)), Ok(()));
    }
    say(&FROM_THE_CLIENT.load(Ordering::SeqCst).to_string());
}

#[root_task]
fn works() {
    tracing::info!("an event of the program's own");
}

#[normal_task]
fn works_on() {}

/// Flushes at each event of the client and its libraries.
struct Flushes;

impl<S: tracing::Subscriber> Layer<S> for Flushes {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if is_of_the_client(event) {
            assert_eq!(monitor_client::flush(Duration::MAX), Err(monitor_client::FlushError::Over), "the shipper would wait for itself");
            FROM_THE_CLIENT.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Prints the number of the client's events that caused a flush.
pub(crate) fn subscriber_flushes() {
    tracing_subscriber::registry().with(Flushes).init();
    works();
    assert_eq!(monitor_client::flush(Duration::from_secs(60)), Ok(()));
    say(&FROM_THE_CLIENT.load(Ordering::SeqCst).to_string());
}

/// Panics at each event.
struct Panics;

impl<S: tracing::Subscriber> Layer<S> for Panics {
    fn on_event(&self, _: &tracing::Event<'_>, _: Context<'_, S>) {
        panic!("no event is welcome");
    }
}

pub(crate) fn subscriber_panics() {
    tracing_subscriber::registry().with(Panics).init();
    many(1);
    assert_eq!(monitor_client::flush(Duration::from_secs(60)), Ok(()));
}

#[derive(Debug)]
struct Panicky;

impl fmt::Display for Panicky {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("no words")
    }
}

impl std::error::Error for Panicky {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        panic!("no source")
    }
}

#[normal_task]
fn fails() -> Result<(), Panicky> {
    Err(Panicky)
}

/// Returns an error that panics when any of its methods is called.
#[root_task("error that panics", "mark")]
fn errors(mark: Panicky) -> bool {
    fails().is_err()
}

pub(crate) fn error_panics() {
    say(&errors(Panicky).to_string());
}
