//! All duties of a server, in starting order.

use std::sync::Arc;

use monitor_store::Store;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::adopt::{self, Taker};
use crate::alerts::Alerts;
use crate::clock::Clock;
use crate::commands::Commands;
use crate::config::Config;
use crate::duties::Duties;
use crate::forward::{self, Target};
use crate::heartbeats;
use crate::http::{Room, Tls, revoked};
use crate::ingest::Ingest;
use crate::jobs::Jobs;
use crate::overdue;
use crate::retention::{self, AgeClock, Keeper};
#[cfg(target_os = "linux")]
use crate::watchdog;

/// Parts of the server that duties use.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) access: Arc<Access>,
    pub(crate) ages: Arc<AgeClock>,
    pub(crate) room: Arc<Room>,
    pub(crate) tls: Option<Tls>,
    pub(crate) alerts: Arc<Alerts>,
    pub(crate) commands: Arc<Commands>,
    pub(crate) jobs: Arc<Jobs>,
    pub(crate) target: Option<Target>,
    /// Wakes the duty that deletes dropped runs.
    pub(crate) wake: Arc<Notify>,
    pub(crate) clock: Clock,
    pub(crate) stopping: CancellationToken,
}

/// Starts all duties.
pub(crate) fn begin(duties: &mut Duties, parts: &Arc<Parts>) {
    let Parts { config, store, ingest, clock, stopping, .. } = &**parts;
    if let Some(spool) = config.spool_dir.clone() {
        let (interval, taker) = (config.spool_interval, Taker { ingest: ingest.clone(), clock: clock.clone(), stopping: stopping.clone() });
        duties.begin("spool", move |duty| {
            let (spool, taker) = (spool.clone(), taker.clone());
            async move { adopt::run(&spool, interval, &taker, &duty).await }
        });
    }
    keep(duties, parts);
    let (of_duty, since_us) = (parts.clone(), clock.wall_us());
    duties.begin("overdue", move |duty| {
        let parts = of_duty.clone();
        async move { overdue::run(&parts.ingest, &parts.clock, since_us, &duty, &parts.stopping).await }
    });
    heartbeats::begin(duties, heartbeats::Parts { store: store.clone(), ingest: ingest.clone(), clock: clock.clone() }, stopping);
    let of_duty = parts.clone();
    duties.begin("rights", move |duty| {
        let parts = of_duty.clone();
        async move { revoked::watch(&parts.access, &parts.room, &parts.clock, &duty, &parts.stopping).await }
    });
    parts.alerts.begin(duties);
    let commands = parts.commands.clone();
    duties.begin("commands", move |duty| {
        let commands = commands.clone();
        async move { commands.expire(&duty).await }
    });
    let jobs = parts.jobs.clone();
    duties.begin("jobs", move |duty| {
        let jobs = jobs.clone();
        async move { jobs.run(&duty).await }
    });
    if config.hosts_file.is_some() {
        let jobs = parts.jobs.clone();
        duties.begin("hosts", move |duty| {
            let jobs = jobs.clone();
            async move { jobs.watch_hosts(&duty).await }
        });
    }
    let jobs = parts.jobs.clone();
    duties.begin("callbacks", move |duty| {
        let jobs = jobs.clone();
        async move { jobs.call_back(&duty).await }
    });
    let of_forward = forward::Parts { store: store.clone(), ingest: ingest.clone(), clock: clock.clone(), stopping: stopping.clone() };
    forward::begin(duties, parts.target.clone(), of_forward);
    if let Some(tls) = parts.tls.clone() {
        let of_duty = parts.clone();
        duties.begin("certificate", move |duty| {
            let (tls, parts) = (tls.clone(), of_duty.clone());
            async move { tls.watch(parts.config.tls_interval, &parts.clock, &duty, &parts.stopping).await }
        });
    }
    #[cfg(target_os = "linux")]
    if watchdog::is_asked() {
        let of_duty = parts.clone();
        duties.begin("systemd", move |duty| {
            let parts = of_duty.clone();
            async move { watchdog::run(&parts.ingest, parts.store.clone(), &parts.clock, &duty, &parts.stopping).await }
        });
    }
}

/// Starts the duties that apply the retention rules and that clean up.
fn keep(duties: &mut Duties, parts: &Parts) {
    let retention = parts.config.keeps();
    tracing::info!("{}", if retention.keeps_all() { "keeps all runs".to_owned() } else { format!("keeps {retention}") });
    let of_keeper = retention::Parts {
        store: parts.store.clone(),
        ingest: parts.ingest.clone(),
        ages: parts.ages.clone(),
        clock: parts.clock.clone(),
        wake: parts.wake.clone(),
        stopping: parts.stopping.clone(),
    };
    let keeper = Arc::new(Keeper::new(retention, of_keeper));
    let tidy = keeper.clone();
    duties.begin("retention", move |duty| {
        let keeper = keeper.clone();
        async move { keeper.keep_dropping(&duty).await }
    });
    duties.begin("tidying", move |duty| {
        let keeper = tidy.clone();
        async move { keeper.keep_tidy(&duty).await }
    });
}
