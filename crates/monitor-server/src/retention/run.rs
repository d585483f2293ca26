//! Applies the retention rules next to ingest. A reader finds the runs that are due, and they are deleted in steps between the writer
//! thread's transactions.
//!
//! Two loops run concurrently. One drops runs and deletes their rows; the other cleans up sums, texts and free space. A long search for
//! unused texts therefore does not delay the first loop, which enforces the caps. If runs arrive faster than they are deleted, [`Pace`]
//! gives the first loop an increasing share of the writer thread's time, and senders wait for it.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use monitor_store::retention::Retention;
use monitor_store::{Budget, Changes, Chore, Intake, Rules, Store, StoreError, Tidied, Turn};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::AgeClock;
use super::pace::{Pace, Step};
use crate::clock::Clock;
use crate::duties::Duty;
use crate::ingest::{Ingest, IngestError};

/// Interval of the passes.
const INTERVAL: Duration = Duration::from_secs(60);
/// Interval after a pass that found a cap exceeded, because new data may exceed it again by a little.
const EXCEEDED: Duration = Duration::from_secs(5);
/// Interval of checking if enough data has arrived to begin a pass early.
const GLANCE: Duration = Duration::from_millis(100);
/// Pause after a failed pass.
const AGAIN: Duration = Duration::from_secs(1);
/// Minimum time between the beginnings of two cleanups.
const TIDY: Duration = Duration::from_secs(10);
/// A pass begins early after as many events as there are stored processes, within the bounds `MANY_EVENTS`, and at least a `GROWTH`th of
/// the stored processes.
const MANY_EVENTS: RangeInclusive<u64> = 4_000..=40_000;
const GROWTH: u64 = 5;

/// Applies the retention rules.
pub(crate) struct Keeper {
    retention: Arc<Retention>,
    store: Arc<dyn Store>,
    ingest: Arc<Ingest>,
    ages: Arc<AgeClock>,
    clock: Clock,
    stopping: CancellationToken,
    pace: Pace,
    /// Number of processes when the caps were last enforced.
    kept: AtomicU64,
    /// Wakes the loop that drops runs.
    wake: Arc<Notify>,
    /// Wakes the loop that cleans up.
    tidy_due: Notify,
}

/// Reason why a pass ended early.
enum Break {
    Stopping,
    Failed(String),
}

impl From<IngestError> for Break {
    fn from(error: IngestError) -> Self {
        if matches!(error, IngestError::Stopped) { Self::Stopping } else { Self::Failed(error.to_string()) }
    }
}

impl From<StoreError> for Break {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Parts of the server that a [`Keeper`] uses.
pub(crate) struct Parts {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) ages: Arc<AgeClock>,
    pub(crate) clock: Clock,
    /// Wakes the loop that drops runs.
    pub(crate) wake: Arc<Notify>,
    pub(crate) stopping: CancellationToken,
}

impl Keeper {
    pub(crate) fn new(retention: Retention, parts: Parts) -> Self {
        let Parts { store, ingest, ages, clock, wake, stopping } = parts;
        let (retention, pace, kept, tidy_due) = (Arc::new(retention), Pace::default(), AtomicU64::new(0), Notify::new());
        Self { retention, store, ingest, ages, clock, stopping, pace, kept, wake, tidy_due }
    }

    /// Drops runs by the rules: at once, every minute, when it is woken, and when much data has arrived. Returns when the server stops.
    pub(crate) async fn keep_dropping(&self, duty: &Duty) {
        loop {
            let (begun, events) = (self.clock.running(), self.ingest.events());
            let elapsed = || self.clock.running().saturating_sub(begun);
            let (interval, result) = match self.drop_due().await {
                Ok(dropped) if dropped > 0 && self.retention.has_caps() => (elapsed() + EXCEEDED, Ok(())),
                Ok(_) => (INTERVAL, Ok(())),
                Err(Break::Stopping) => return,
                // A failed pass is tried again soon, because deleting may be what frees the disk.
                Err(Break::Failed(problem)) => (elapsed() + AGAIN, Err(format!("what is due could not be dropped: {problem}"))),
            };
            self.tidy_due.notify_one();
            duty.ran(result, interval.saturating_sub(elapsed()));
            while elapsed() < interval && !self.is_much(self.ingest.events() - events) {
                // New data can exceed only a cap, so without caps there is nothing to check.
                let pause = if self.retention.has_caps() { GLANCE } else { interval };
                tokio::select! {
                    () = self.stopping.cancelled() => return,
                    () = self.wake.notified() => break,
                    () = self.clock.sleep(pause) => {}
                }
            }
        }
    }

    /// True if this number of new events justifies checking the caps.
    fn is_much(&self, events: u64) -> bool {
        let kept = self.kept.load(Ordering::Relaxed);
        self.retention.has_caps() && events > kept.clamp(*MANY_EVENTS.start(), *MANY_EVENTS.end()).max(kept / GROWTH)
    }

    /// Cleans up after each pass of the other loop, until the server stops.
    pub(crate) async fn keep_tidy(&self, duty: &Duty) {
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => return,
                () = self.tidy_due.notified() => {}
                // On a full disk, cleanup is tried often: a reader may have prevented the file from being truncated.
                () = self.clock.sleep(AGAIN), if self.ingest.trouble().is_some() => {}
            }
            let begun = self.clock.running();
            let result = match self.tidy().await {
                Ok(()) => Ok(()),
                Err(Break::Stopping) => return,
                Err(Break::Failed(problem)) => Err(format!("could not tidy up: {problem}")),
            };
            duty.ran(result, INTERVAL + TIDY);
            // Cleanup is less frequent than checks of the caps, unless the disk lacks free space.
            let tidied = self.clock.running().saturating_sub(begun);
            let rest = if self.ingest.trouble().is_some() { AGAIN } else { TIDY.saturating_sub(tidied) };
            tokio::select! {
                () = self.stopping.cancelled() => return,
                () = self.clock.sleep(rest) => {}
            }
        }
    }

    /// Drops runs by the rules and deletes their rows. Returns the number of dropped runs.
    async fn drop_due(&self) -> Result<usize, Break> {
        self.pace.begin();
        let (mut turn, mut dropped) = (Some(Turn::Look), 0);
        while let Some(next) = turn {
            let tidied = self.step(Chore::Trees, next, self.pace.step()).await?;
            (turn, dropped) = (tidied.more, dropped + tidied.dropped);
            // Checks if the excess over a cap grows.
            if self.retention.has_caps() && self.pace.is_time() {
                self.pace.look(self.processes().await? + tidied.left, dropped);
            }
        }
        self.kept.store(self.processes().await?, Ordering::Relaxed);
        self.pace.end(dropped);
        Ok(dropped)
    }

    /// Returns the number of processes in stored runs.
    async fn processes(&self) -> Result<u64, Break> {
        let store = self.store.clone();
        self.look(move || Ok(store.status()?.processes.total())).await
    }

    /// Deletes old data outside of runs and data that nothing refers to, and returns free space to the file system.
    async fn tidy(&self) -> Result<(), Break> {
        let mut turn = Some(Turn::Look);
        while let Some(next) = turn {
            turn = self.step(Chore::Rest, next, Step::GENTLE).await?.more;
        }
        Ok(())
    }

    /// Executes a step of a chore. A step that changes something runs on the writer thread, followed by a pause for other work.
    async fn step(&self, chore: Chore, turn: Turn, step: Step) -> Result<Tidied, Break> {
        let budget = Budget { turn, time: step.time, trees: self.pace.trees() };
        let (store, retention) = (self.store.clone(), self.retention.clone());
        let (aged_us, now_us) = (self.ages.now_us(), self.clock.wall_us());
        let tidy = move || store.tidy(chore, &Rules { retention: &retention, aged_us, now_us }, budget);
        if turn == Turn::Look {
            return self.stopping.run_until_cancelled(self.look(tidy)).await.ok_or(Break::Stopping)?;
        }
        let timed = move |_: &dyn Intake| {
            let begun = Instant::now();
            let mut tidied = tidy()?;
            let changes = std::mem::replace(&mut tidied.changes, Changes::none());
            Ok(((tidied, begun.elapsed()), changes))
        };
        let (tidied, took) = self.ingest.change(timed).await?;
        let pause = self.stopping.run_until_cancelled(self.clock.sleep(step.pause(took))).await;
        pause.map(|()| tidied).ok_or(Break::Stopping)
    }

    /// Reads from the store without the writer thread.
    async fn look<T: Send + 'static>(&self, look: impl FnOnce() -> Result<T, StoreError> + Send + 'static) -> Result<T, Break> {
        // A read that panicked is a failure of this pass. The loop continues.
        let broken = |error: tokio::task::JoinError| {
            if error.is_panic() { Break::Failed("a look at the database broke off".to_owned()) } else { Break::Stopping }
        };
        Ok(tokio::task::spawn_blocking(look).await.map_err(broken)??)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use monitor_wire::{Batch, Event, UnknownEvent};

    use super::*;
    use crate::clock::steered::Steered;
    use monitor_store::RootsQuery;
    use monitor_store::support::script::parse;
    use monitor_store::support::{batch, worker};
    use monitor_store_sqlite::SqliteStore;

    fn keeper(retention: Retention, folder: &Path, store: &Arc<dyn Store>, ingest: &Arc<Ingest>) -> Keeper {
        let ages = Arc::new(AgeClock::open(folder, None, Clock::system()));
        let (store, ingest, clock) = (store.clone(), ingest.clone(), Clock::system());
        Keeper::new(retention, Parts { store, ingest, ages, clock, wake: Arc::default(), stopping: CancellationToken::new() })
    }

    async fn pass(keeper: &Keeper) -> Result<(), Break> {
        keeper.drop_due().await?;
        keeper.tidy().await
    }

    fn number_of_roots(store: &Arc<dyn Store>) -> usize {
        store.roots(&RootsQuery { limit: 10_000, ..RootsQuery::default() }).unwrap().roots.len()
    }

    fn append(store: &Arc<dyn Store>, batch: Batch) {
        store.append(&[Arc::new(batch.into())], Clock::system().wall_us()).unwrap();
    }

    fn unknown(letter: char, count: u64) -> Batch {
        let event = |number: u64| {
            let fields = [("type".to_owned(), "odd".into()), ("n".to_owned(), number.to_string().repeat(20_000).into())];
            Event::Unknown(UnknownEvent { event_type: "odd".to_owned(), fields: fields.into() })
        };
        batch(letter, 1, (100..100 + count).map(event).collect())
    }

    #[tokio::test]
    async fn a_panic_during_a_check_is_an_error_and_not_a_stop() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(folder.path()).unwrap());
        let ingest = Arc::new(Ingest::start(store.clone(), |_| {}));
        let retention = Retention::default();
        let keeper = keeper(retention, folder.path(), &store, &ingest);
        let broken = keeper.look(|| -> Result<(), StoreError> { panic!("as it happens") }).await;
        assert!(matches!(broken, Err(Break::Failed(problem)) if problem.contains("broke off")));
        assert!(pass(&keeper).await.is_ok());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn trees_stay_when_they_are_not_what_makes_the_database_large() {
        const TREES: u64 = 1_000;
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(folder.path()).unwrap());
        append(&store, unknown('B', 100));
        let lines: Vec<_> =
            (1..=TREES).map(|id| format!("started {id} root={}\nended {id} root={} ok", id % 250 + 1, id % 250 + 1)).collect();
        let batches = parse(&lines.join("\n"));
        append(&store, Batch { events: batches.iter().flat_map(|batch| batch.events.clone()).collect(), ..batches[0].clone() });
        let ingest = Arc::new(Ingest::start(store.clone(), |_| {}));
        let retention = Retention { rules: Vec::new(), size: Some(1 << 20) };
        let keeper = keeper(retention, folder.path(), &store, &ingest);
        for _ in 0..3 {
            assert!(pass(&keeper).await.is_ok());
        }
        assert!(number_of_roots(&store) > 100, "{} trees are left", number_of_roots(&store));
        // When these events are old enough, they are deleted.
        let age = Retention::new(Vec::new(), Some(Duration::from_micros(1)), None, None, None);
        let keeper = Keeper { retention: Arc::new(age), ..keeper };
        assert!(pass(&keeper).await.is_ok());
        let status = store.status().unwrap();
        assert_eq!(status.unknown_events["odd"], 100, "they are still counted");
        assert!(status.database_bytes < 1 << 20, "{status:?}");
        append(&store, unknown('B', 100));
        assert_eq!(store.status().unwrap().unknown_events["odd"], 100, "what it sends once more is known for a day");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn texts_and_workers_are_deleted_with_their_last_tree() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(folder.path()).unwrap());
        let lines: Vec<_> = (1..=50).map(|id| format!("started {id} root={id} batch=mark_{id}\nended {id} root={id} ok")).collect();
        let batches = parse(&format!("online A\n{}\noffline A", lines.join("\n")));
        append(&store, Batch { events: batches.iter().flat_map(|batch| batch.events.clone()).collect(), ..batches[0].clone() });
        let words = || -> i64 {
            let connection = rusqlite::Connection::open(folder.path().join("monitor.db")).unwrap();
            connection.query_row("SELECT count(*) FROM text WHERE value LIKE 'mark%'", [], |row| row.get(0)).unwrap()
        };
        assert_eq!(words(), 50);
        let ingest = Arc::new(Ingest::start(store.clone(), |_| {}));
        let retention = Retention::new(Vec::new(), Some(Duration::from_micros(1)), None, None, None);
        let keeper = keeper(retention, folder.path(), &store, &ingest);
        assert!(pass(&keeper).await.is_ok());
        // The newest text keeps its key.
        assert!(words() <= 1, "{} words are left", words());
        assert!(store.worker(worker('A')).unwrap().is_some(), "the last of all, too");
        assert_eq!(number_of_roots(&store), 0);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_cap_exceeded_right_after_a_pass_is_enforced_within_a_minute() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(folder.path()).unwrap());
        let ingest = Arc::new(Ingest::start(store.clone(), |_| {}));
        let append_trees = |ids: std::ops::Range<u64>, letter: char| {
            let lines: Vec<_> =
                ids.map(|id| format!("{letter}: started {id} root={id} name=job\n{letter}: ended {id} root={id} ok")).collect();
            let batches = parse(&lines.join("\n"));
            append(&store, Batch { events: batches.iter().flat_map(|batch| batch.events.clone()).collect(), ..batches[0].clone() });
        };
        append_trees(1..31, 'A');
        let (steered, stopping) = (Steered::at(1_000_000), CancellationToken::new());
        let retention = Retention::new(Vec::new(), None, None, Some(10), None);
        let keeper = Keeper { clock: steered.clock(), stopping: stopping.clone(), ..keeper(retention, folder.path(), &store, &ingest) };
        let duty = Duty::new("retention", steered.clock());
        let running = tokio::spawn(async move { keeper.keep_dropping(&duty).await });
        // The test advances the clock, because a step pauses to leave the writer thread to others.
        let kept_in_time = async || {
            for _ in 0..2_900 {
                if number_of_roots(&store) == 10 {
                    return true;
                }
                steered.pass(20_000);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            false
        };
        assert!(kept_in_time().await);
        append_trees(31..36, 'B');
        assert_eq!(number_of_roots(&store), 15);
        assert!(kept_in_time().await, "it is done within a minute of the server's clock");
        stopping.cancel();
        running.await.unwrap();
    }
}
