//! The bridge between a cluster and a server.
//!
//! Messages become batches in the outbox, which are sent in order. RabbitMQ keeps messages until they are acknowledged, which happens after the server
//! has stored their events. Redis keeps none: events that are sent while the bridge has no connection are missing, and the bridge reports when.
//!
//! The bridge itself is a run named `celery NAME`, with its state and log, and a worker that relays the nodes.

mod again;
mod depths;
mod group_file;
mod inquiry;
mod orders;
mod outbox;
mod send;
mod session;
mod status;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use monitor_api::Client;
use monitor_wire::{Backoff, Event, WorkerHeartbeat, WorkerOffline, WorkerOnline, WorkerRef, WorkerRole};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use self::depths::Sounding;
pub(crate) use self::depths::{MOST_QUEUES, names_of};
use self::group_file::GroupFile;
use self::inquiry::Inquiry;
use self::orders::{METHODS, Orders};
pub use self::outbox::FolderError;
use self::outbox::{Attempts, Outbox};
use self::session::{Changes, Reader, Remembered, Stopped};
use self::status::Status;
use crate::broker::Broker;
use crate::error::BrokerError;
use crate::options::{Arguments, Options};
use crate::translate::Translator;

/// Interval of the bridge's own heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Waits before a new connection to the broker.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(32);

/// Settings of a bridge.
#[derive(Debug, Clone)]
pub struct Bridge {
    /// Name of the cluster.
    pub name: String,
    /// Broker of the cluster.
    pub broker: Broker,
    /// Names that the Celery application has changed.
    pub options: Options,
    /// Tasks whose arguments and results are recorded.
    pub arguments: Arguments,
    /// True to turn on the events of each worker that appears.
    pub enable_events: bool,
    /// Redis server with Celery's results, if known. The bridge reads them for tasks whose last events are missing.
    pub results: Option<Broker>,
    /// Folder for events that wait for the server.
    pub folder: PathBuf,
    /// Maximum time for sending the last events at the end.
    pub patience: Duration,
}

/// The bridge can't start.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// The folder can't be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The broker refuses the bridge.
    #[error(transparent)]
    Broker(#[from] BrokerError),
}

/// Runs a bridge until `stop` is cancelled. While the broker or the server is away, it tries again.
///
/// `client` is a client of the server, with a token of the scope `ingest`. With the scope `read` as well, the bridge finds out what happened to tasks whose
/// events are missing.
///
/// # Errors
/// If the folder can't be used, or the broker refuses the first connection.
pub async fn run(bridge: Bridge, client: Client, stop: CancellationToken) -> Result<(), BridgeError> {
    let worker = own_worker();
    let (acknowledge, receipts) = mpsc::unbounded_channel();
    let outbox = Mutex::new(Outbox::open(&bridge.folder, worker.clone(), acknowledge)?);
    let (attempts, known) = Attempts::open(&bridge.folder)?;
    let secret = outbox::secret(&bridge.folder)?;
    let mut translator = Translator::new(&bridge.name, &METHODS, bridge.arguments.clone());
    for attempt in &known {
        translator.remember(attempt);
    }
    let groups = GroupFile::open(&bridge.folder, |changes| translator.remember_groups(changes))?;
    let remembered = Remembered { attempts, groups };
    let translator = Arc::new(Mutex::new(translator));
    let (finds, found) = mpsc::unbounded_channel();
    let orders = Arc::new(Orders {
        client: client.clone(),
        secret,
        connection: Mutex::new(None),
        translator: translator.clone(),
        cluster: bridge.name.clone(),
        results: bridge.results.clone(),
        finds: finds.clone(),
    });
    let (added, sent, connected) = (Notify::new(), Notify::new(), Notify::new());
    let inquiry = Inquiry {
        client: &client,
        results: bridge.results.as_ref(),
        outbox: &outbox,
        connection: &orders.connection,
        translator: &translator,
        found: finds,
        absent: HashSet::new(),
        cursor: None,
    };
    let (reads, read_depths) = mpsc::unbounded_channel();
    let sounding = Sounding { folder: &bridge.folder, connection: &orders.connection, translator: &translator, read: reads };
    let status = Status::new(&bridge.name, &bridge.broker.to_string());
    let changes = Changes { added: &added, sent: &sent, connected: &connected };
    let mut reader =
        Reader::new(&bridge, &outbox, translator.clone(), remembered, orders.clone(), changes, (receipts, found, read_depths), status);
    let inquiring = async {
        inquiry.keep(&connected).await;
        std::future::pending::<()>().await;
    };
    let sending = send::send(&client, &outbox, &added, &sent);
    let reading = async {
        let result = read(&bridge, &mut reader, &stop).await;
        reader.end(offline());
        result
    };
    tokio::select! {
        result = reading => result?,
        () = sending => unreachable!("the sender never returns"),
        () = inquiring => unreachable!("nothing ends it"),
        () = sounding.keep() => unreachable!("nothing ends it"),
    }
    // The rest stays in the folder, for the next bridge.
    let waits = || outbox.lock().unwrap_or_else(PoisonError::into_inner).waiting() > 0;
    let rest = async {
        while waits() {
            sent.notified().await;
        }
    };
    tokio::select! {
        () = rest => {}
        () = send::send(&client, &outbox, &added, &sent) => {}
        () = tokio::time::sleep(bridge.patience) => tracing::warn!(folder = %bridge.folder.display(), "events wait in the folder: the next bridge sends them"),
    }
    Ok(())
}

/// Reads events, with a new connection after each failure.
async fn read(bridge: &Bridge, reader: &mut Reader<'_>, stop: &CancellationToken) -> Result<(), BridgeError> {
    let mut backoff = Backoff::default();
    let mut is_first = true;
    reader.own(online());
    loop {
        let error = match reader.session(stop).await {
            Ok(Stopped) => return Ok(()),
            Err(error) => error,
        };
        // A refusal at the start is a mistake in the settings. A later one may be temporary, for example while the broker is set up again.
        if is_first && !error.is_temporary() && !reader.has_connected() {
            return Err(error.into());
        }
        is_first = false;
        if reader.take_success() {
            backoff.reset();
        }
        let pause = backoff.next(FIRST_PAUSE, LONGEST_PAUSE);
        reader.is_away(&error, pause);
        if stop.run_until_cancelled(reader.wait(pause)).await.is_none() {
            return Ok(());
        }
        tracing::debug!(broker = %bridge.broker, "connecting again");
    }
}

fn own_worker() -> WorkerRef {
    let id = crate::ids::random_hex().parse().expect("of 128 random bits one is set");
    let hostname = gethostname::gethostname().to_string_lossy().into_owned();
    WorkerRef { id, hostname, pid: std::process::id(), program: "monitor-celery".to_owned() }
}

fn online() -> Event {
    let now_us = monitor_spool::now_us();
    Event::WorkerOnline(WorkerOnline {
        time_us: now_us,
        started_us: now_us,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        heartbeat_interval_ms: HEARTBEAT.as_millis() as u64,
        registered: Vec::new(),
        role: WorkerRole::BRIDGE,
        capabilities: Vec::new(),
        worker: None,
    })
}

fn heartbeat() -> Event {
    Event::WorkerHeartbeat(WorkerHeartbeat { time_us: monitor_spool::now_us(), ..WorkerHeartbeat::default() })
}

fn offline() -> Event {
    Event::WorkerOffline(WorkerOffline { time_us: monitor_spool::now_us(), worker: None })
}
