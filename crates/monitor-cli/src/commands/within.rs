//! Sends events about the process that started this command: `monitor notify`, `monitor progress` and `monitor publish` inside a run.

use std::time::Duration;

use anyhow::Context as _;
use monitor_api::Client;
use monitor_spool::{About, ClockSample, LAYOUT, Meta, Parcel, Spool};
use monitor_wire::{Batch, Event, ProcessId, RootId, WorkerId, WorkerRef};
use serde_json::{Value, json};

use crate::client::Connection;
use crate::text::now_us;

/// Maximum time to wait for the server. After it, the events are left in the spool.
const PATIENCE: Duration = Duration::from_secs(2);
/// The event, and the end of the worker.
const EVENTS: u64 = 2;
/// Maximum size of the records in the spool.
const SPOOL_BYTES: u64 = 4 << 20;

/// The process that this command belongs to.
#[derive(Debug)]
pub(crate) struct Within {
    root: RootId,
    process: ProcessId,
}

impl Within {
    /// Reads the process from the environment.
    pub(crate) fn find() -> anyhow::Result<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let both = variable("MONITOR_ROOT_ID").zip(variable("MONITOR_PARENT_ID"));
        let (root, process) = both.context(
            "this belongs to no run: MONITOR_ROOT_ID and MONITOR_PARENT_ID are not set, as they are in runs of tasks and below `monitor run`",
        )?;
        let root = root.parse().ok().with_context(|| format!("MONITOR_ROOT_ID: {root:?} is no id"))?;
        let process = process.parse().ok().with_context(|| format!("MONITOR_PARENT_ID: {process:?} is no id"))?;
        Ok(Self { root, process })
    }

    /// Sends an event of the process with this type and these fields. If the server is unreachable, the event is left in the spool.
    pub(crate) fn tell(&self, connection: &Connection, event_type: &str, fields: Value) -> anyhow::Result<()> {
        let mut event = json!({ "type": event_type, "root_id": self.root, "id": self.process, "time_us": now_us() });
        if let (Value::Object(event), Value::Object(fields)) = (&mut event, fields) {
            event.extend(fields.into_iter().filter(|(_, value)| !value.is_null()));
        }
        // This program is a worker for a single batch, so it reports its end at once.
        let events = json!([event, { "type": "worker-offline", "time_us": now_us() }]);
        let json = events.to_string();
        let events: Vec<Event> = serde_json::from_value(events).context("the event is not valid")?;
        let worker = worker()?;
        let batch = Batch { version: 1, worker: worker.clone(), sequence: 1, sent_us: now_us(), dropped: Vec::new(), lost: false, events };
        let client: &Client = connection.client()?;
        let Err(refused) = connection.wait(client.events(&batch).patience(PATIENCE).send()) else { return Ok(()) };
        spool(&worker, json.as_bytes()).with_context(|| refused.to_string())
    }
}

fn worker() -> anyhow::Result<WorkerRef> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).context("there are no random numbers")?;
    let id = WorkerId::new(u128::from_le_bytes(bytes) | 1).context("there are no random numbers")?;
    let hostname = gethostname::gethostname().to_string_lossy().into_owned();
    Ok(WorkerRef { id, hostname, pid: std::process::id(), program: "monitor".to_owned() })
}

/// Leaves events in the spool. The next program or server that ships the spool sends them.
fn spool(worker: &WorkerRef, json: &[u8]) -> anyhow::Result<()> {
    let setting = std::env::var_os("MONITOR_SPOOL_DIR");
    let folder = monitor_spool::dir_of(setting.as_deref()).context("it is lost: there is no spool")?;
    let about = About::this(worker.clone(), env!("CARGO_PKG_VERSION"), now_us());
    let clock = ClockSample { ticks: 0, wall_ns: now_us() * 1_000, is_counter: false };
    let mut begun = Spool::open(&folder)?.begin(&about, std::iter::empty(), LAYOUT, clock, SPOOL_BYTES)?;
    begun.journal.append(&Parcel::plain(1, EVENTS, json), &Meta::default())?;
    begun.program.advance(EVENTS + 1, 0);
    Ok(())
}
