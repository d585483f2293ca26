//! Reports without a server: reads a spool into a temporary database.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use monitor_spool::{Found, Life, Spool, SpoolError};
use monitor_store::{Queries, RootKey, RootsQuery, StoreError};
use monitor_store_sqlite::SqliteStore;
use monitor_wire::{Root, State, TreePage, WorkerId};
use tokio_util::sync::CancellationToken;

use super::{Options, ReportError, write};
use crate::adopt::Taker;
use crate::clock::Clock;
use crate::ingest::Ingest;

/// Error of a report without a server.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// The spool can't be read.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No thread could be started.
    #[error("could not start a thread")]
    Thread(#[source] io::Error),
    /// Nothing was recorded.
    #[error("nothing was recorded")]
    Empty,
    /// The file can't be made.
    #[error(transparent)]
    Report(#[from] ReportError),
}

/// Records of a spool in a temporary database.
pub struct Offline {
    store: Arc<SqliteStore>,
    roots: Vec<Root>,
    living: usize,
}

impl Offline {
    /// Moves the records of a spool to a new database in `folder`. `main` is the process id of a program that has stopped recording: the report
    /// shows the tree that it began, and behind it those of the programs that `cargo monitor` has launched, the failed ones first. Without such
    /// trees, it shows the earliest one.
    ///
    /// # Errors
    /// When the spool can't be read, the database can't be written, or nothing was recorded.
    pub fn read(spool: &Path, folder: &Path, main: Option<u32>) -> Result<Self, OfflineError> {
        let spool = Spool::existing(spool)?.ok_or(OfflineError::Empty)?;
        let store = Arc::new(SqliteStore::open(folder)?);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(OfflineError::Thread)?;
        let _entered = runtime.enter();
        let clock = Clock::system();
        let ingest = Arc::new(Ingest::start(store.clone(), |_| {}));
        let taker = Taker { ingest, clock: clock.clone(), stopping: CancellationToken::new() };
        let found = spool.list()?;
        let is_main = |found: &Found| main.is_some() && found.about.as_ref().map(|about| about.worker.pid) == main;
        let (living, ended): (Vec<_>, Vec<_>) = found.iter().partition(|found| found.life == Life::Living);
        for program in ended {
            let id = program.worker_id;
            let replay = if is_main(program) { spool.claim_ended(id, clock.wall_us())? } else { spool.claim(id)? };
            if let Some(mut replay) = replay {
                taker.take(&mut replay);
                replay.finish()?;
            }
        }
        let main = found.iter().find(|found| is_main(found)).map(|found| found.worker_id);
        let launched = launched(&found);
        let has_failed = |root: &Root| [State::FAILED, State::LOST].contains(&root.state);
        let mut roots = store.roots(&RootsQuery { limit: 1_000, ..RootsQuery::default() })?.roots;
        roots.sort_by_key(|root| (main.is_none() || root.worker_id != main, !has_failed(root), root.started_us.or(root.begun_us)));
        let is_shown = |root: &Root| root.worker_id.is_some_and(|worker| main == Some(worker) || launched.contains(&worker));
        if roots.iter().any(is_shown) {
            roots.retain(is_shown);
        } else {
            let earliest = roots.into_iter().min_by_key(|root| root.started_us.or(root.begun_us));
            roots = vec![earliest.ok_or(OfflineError::Empty)?];
        }
        Ok(Self { store, roots, living: living.len() })
    }

    /// Returns the trees of the report, with their processes.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn trees(&self) -> Result<Vec<TreePage>, OfflineError> {
        let tree = |root: &Root| self.store.tree(RootKey::Id(root.root_id), usize::MAX, None).transpose();
        Ok(self.roots.iter().filter_map(tree).collect::<Result<_, _>>()?)
    }

    /// Returns the number of programs that are still recording. Their records are not in the report.
    pub fn living(&self) -> usize {
        self.living
    }

    /// Returns the trees as one HTML file.
    ///
    /// # Errors
    /// When the database can't be read, or the file can't be made.
    pub fn report(&self, options: &Options) -> Result<String, OfflineError> {
        let roots: Vec<_> = self.roots.iter().map(|root| RootKey::Id(root.root_id)).collect();
        write(&*self.store, &roots, options)?.ok_or(OfflineError::Empty)
    }
}

/// The programs that `cargo monitor` has launched: the first program of each launch, of `found` in the order of their starts.
fn launched(found: &[Found]) -> HashSet<WorkerId> {
    let mut launches = HashSet::new();
    let launch_of = |found: &&Found| found.about.as_ref().and_then(|about| about.launch.clone());
    found.iter().filter(|found| launch_of(found).is_some_and(|launch| launches.insert(launch))).map(|found| found.worker_id).collect()
}
