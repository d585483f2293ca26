//! Jobs of the server: scripts that the agent starts on its host by signed orders.
//!
//! ```text
//! orders ─► signature, owner's rules ─► database: accepted ─► claim and start (one thread per run) ─► started, output, ended
//!                                └────► database: ended (refused)
//! reports in the database ─► server
//! ```
//! The server offers an order until it has a report that the order is accepted or has ended. The agent recognises a repeated order by its key, which
//! has a row in the database and a folder that can be created only once.

mod interpreter;
mod orders;
mod output;
mod reports;
mod run;
mod script;
mod signature;
mod store;
mod verdict;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use monitor_api::Client;
use monitor_wire::JobRunKey;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use self::script::Scripts;
use crate::config::Config;
use crate::data::Database;
use crate::error::AgentError;
use crate::job_policy::JobPolicy;
use crate::link::Trouble;

pub use self::signature::pin_job_keys;

/// Requested time that the server waits for orders. The server replies earlier, because each request counts as a heartbeat.
const WAIT: Duration = Duration::from_secs(30);
/// Shortest and longest pause after a failure.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Interval at which old runs are removed.
const TIDY: Duration = Duration::from_secs(60);
/// Maximum time to wait for the sending of reports before orders are fetched again.
const FLUSH: Duration = Duration::from_secs(5);
/// Maximum time to wait for it after a failure: more than the longest pause between two tries to send them.
const FLUSH_AFTER_FAILURE: Duration = Duration::from_secs(12);
/// Stack size of a run's thread.
const STACK: usize = 256 << 10;

/// The jobs of an agent.
#[derive(Debug)]
pub(crate) struct Jobs {
    agent: String,
    /// Path of the program `monitor`, which launches runs.
    monitor: PathBuf,
    /// Folder with the folders of the runs.
    runs: PathBuf,
    scripts: Scripts,
    policy: JobPolicy,
    /// Additional environment variables for launchers.
    env: Vec<(&'static str, OsString)>,
    client: Client,
    runtime: Handle,
    database: Mutex<Database>,
    active: Mutex<Active>,
    /// Signals that there are unsent reports.
    unsent: Notify,
    /// Signals that the server has all reports.
    sent: Notify,
}

/// Runs that this process works on.
#[derive(Debug, Default)]
struct Active {
    /// Runs with a thread.
    followed: BTreeSet<JobRunKey>,
    /// Runs whose scripts are running or being started.
    running: BTreeSet<JobRunKey>,
    /// Runs that are being ended.
    stopping: BTreeSet<JobRunKey>,
}

/// Starts the thread for jobs. It ends with the agent.
pub(crate) fn start(config: &Config) -> Result<(), AgentError> {
    let config = config.clone();
    let database = Database::open(&config.data)?;
    let work = move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        let jobs = Arc::new(Jobs {
            runs: config.data.join("runs"),
            scripts: Scripts::new(&config.data),
            agent: config.name,
            monitor: config.monitor,
            policy: config.jobs,
            env: config.env,
            client: config.job_client,
            runtime: runtime.handle().clone(),
            database: Mutex::new(database),
            active: Mutex::default(),
            unsent: Notify::new(),
            sent: Notify::new(),
        });
        runtime.spawn(jobs.clone().send_reports());
        runtime.block_on(jobs.listen());
    };
    let spawned = std::thread::Builder::new().name("jobs".to_owned()).spawn(work);
    spawned.map(drop).map_err(|source| AgentError::Disk { action: "start a thread for", path: "jobs".into(), source })
}

impl Jobs {
    /// Fetches orders in a loop.
    async fn listen(self: Arc<Self>) {
        if let Err(error) = self.recover() {
            tracing::error!(error = monitor_http::with_causes(&error), "the runs of jobs can't be continued");
        }
        let (mut trouble, mut repeats, mut tidied) = (Trouble::default(), monitor_wire::Backoff::default(), None::<Instant>);
        self.flush(FLUSH).await;
        loop {
            if tidied.is_none_or(|tidied| tidied.elapsed() >= TIDY) {
                tidied = Some(Instant::now());
                self.log_failure(self.tidy());
            }
            self.log_failure(self.start_waiting());
            let asked = Instant::now();
            match self.client.job_orders(&self.agent, WAIT).await {
                Ok(answer) => {
                    trouble.is_over("the server sends orders of jobs again");
                    let is_new = self.take(&answer);
                    self.flush(FLUSH).await;
                    if is_new {
                        repeats.reset();
                    } else if asked.elapsed() < FLUSH {
                        tokio::time::sleep(repeats.next(FIRST_PAUSE, LONGEST_PAUSE)).await;
                    }
                }
                Err(error) => {
                    trouble.wait("the server sends no orders of jobs", &error).await;
                    // The server would order a run again whose acceptance is among these reports.
                    self.flush(FLUSH_AFTER_FAILURE).await;
                }
            }
        }
    }

    /// Waits until the server has all reports, at most for this time.
    async fn flush(&self, most: Duration) {
        let sent = self.sent.notified();
        if self.database().job_reports(1).is_ok_and(|reports| !reports.is_empty()) {
            let _ = tokio::time::timeout(most, sent).await;
        }
    }

    fn database(&self) -> MutexGuard<'_, Database> {
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn active(&self) -> MutexGuard<'_, Active> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn folder(&self, key: &JobRunKey) -> PathBuf {
        self.runs.join(key.run_id())
    }

    fn log_failure(&self, done: Result<(), AgentError>) {
        if let Err(error) = done {
            tracing::error!(
                agent = self.agent,
                error = monitor_http::with_causes(&error),
                "the agent's database refuses a change by a job"
            );
        }
    }
}
