//! Carries out the rules beside ingest: what is due is looked for by a reader, and goes in steps between the writer's transactions.
//!
//! Two loops run side by side. One drops trees and deletes their rows, the other tidies up: sums, words, free space. So a long search for
//! words doesn't keep the first from holding the caps. Where trees come in faster than they go, [`Pace`] gives the first one more and
//! more of the writer's time, and who sends waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::pace::{Pace, Step};
use super::{AgeClock, Retention};
use crate::clock::Clock;
use crate::duties::Duty;
use crate::ingest::{Ingest, IngestError};
use crate::store::{Changes, Drop, Dropped, Place, Shrunk, Store, StoreError, Swept};

/// How often what is due is looked for.
const INTERVAL: Duration = Duration::from_secs(60);
/// How often it is looked whether so much came in that it has to be done earlier.
const GLANCE: Duration = Duration::from_secs(1);
/// Tidying up begins so long after it began before, at the earliest.
const TIDY: Duration = Duration::from_secs(10);
/// Much is so many events, and more than a part of what is kept: one in so many.
const MANY_EVENTS: u64 = 40_000;
const GROWTH: u64 = 5;
/// For the database's size so few trees are dropped at first, and then twice as many each time: it may be that they are not what makes
/// it large.
const FIRST_ROOTS: usize = 10;
/// When so much should be free, it is looked whether a part of it is: one in so many.
const JUDGED_BYTES: u64 = 1 << 20;
const PART: u64 = 10;
/// So many rows of dropped trees are deleted in a transaction: no batch waits long for that.
const ROWS: usize = 4_000;
/// What is unused is looked for when trees went of which as many are left as so many times those: it takes a look at all that is left.
const WORTH: u64 = 4;
/// Without a rule for the age of trees, a worker that is gone is known for so long.
const REMEMBERED: Duration = Duration::from_secs(30 * 86_400);
/// However young trees go, it is known for so long: what it sends once more, after the server was away, must not count twice.
const REMEMBERED_AT_LEAST: Duration = Duration::from_secs(86_400);

/// No search for what is unused so far: the first tree that goes is worth one.
const NEVER: u64 = u64::MAX / 2;

/// Whoever carries out the rules.
pub(crate) struct Keeper {
    retention: Retention,
    store: Arc<dyn Store>,
    ingest: Arc<Ingest>,
    ages: Arc<AgeClock>,
    clock: Clock,
    stopping: CancellationToken,
    pace: Pace,
    /// How large the database was when dropping trees made it hardly smaller, in bytes; 0 if it does.
    stuck_bytes: AtomicU64,
    /// How many trees went since what is unused was looked for; without a last time, as many as there may ever be.
    gone: AtomicU64,
    /// How many processes there are in trees that were dropped for a cap, and of which rows are still there.
    waiting: AtomicU64,
    /// How many processes there were when the caps were last held.
    kept: AtomicU64,
    /// Wakes the loop that drops trees.
    wake: Arc<Notify>,
    /// Wakes the loop that tidies up.
    tidy_due: Notify,
}

/// Why a pass ended early.
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

/// Parts of the server that rules are carried out with.
pub(crate) struct Parts {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) ages: Arc<AgeClock>,
    pub(crate) clock: Clock,
    /// Wakes the loop that drops trees.
    pub(crate) wake: Arc<Notify>,
    pub(crate) stopping: CancellationToken,
}

impl Keeper {
    pub(crate) fn new(retention: Retention, parts: Parts) -> Self {
        let Parts { store, ingest, ages, clock, wake, stopping } = parts;
        let [stuck_bytes, gone, waiting, kept] = [0, NEVER, 0, 0].map(AtomicU64::new);
        let (pace, tidy_due) = (Pace::default(), Notify::new());
        Self { retention, store, ingest, ages, clock, stopping, pace, stuck_bytes, gone, waiting, kept, wake, tidy_due }
    }

    /// Drops what the rules say, at once and every minute, and whenever it is woken or much came in, until it is told to stop.
    pub(crate) async fn keep_dropping(&self, duty: &Duty) {
        loop {
            let (begun, events) = (self.clock.running(), self.ingest.events());
            let elapsed = || self.clock.running().saturating_sub(begun);
            let failed = match self.drop_due().await {
                Ok(()) => None,
                Err(Break::Stopping) => return,
                Err(Break::Failed(problem)) => Some(format!("what is due could not be dropped: {problem}")),
            };
            self.tidy_due.notify_one();
            // What failed is tried again soon: it may be what makes the disk well.
            let interval = if failed.is_none() { INTERVAL } else { elapsed() + GLANCE };
            duty.ran(failed.map_or(Ok(()), Err), interval.saturating_sub(elapsed()));
            while elapsed() < interval && !self.is_much(self.ingest.events() - events) {
                // Nothing but a cap is exceeded by what comes in.
                let pause = if self.retention.has_caps() { GLANCE } else { interval };
                tokio::select! {
                    () = self.stopping.cancelled() => return,
                    () = self.wake.notified() => break,
                    () = self.clock.sleep(pause) => {}
                }
            }
        }
    }

    /// So many new events are worth a look whether a cap is exceeded.
    fn is_much(&self, events: u64) -> bool {
        self.retention.has_caps() && events > MANY_EVENTS.max(self.kept.load(Ordering::Relaxed) / GROWTH)
    }

    /// Tidies up after each look at what is due, until it is told to stop.
    pub(crate) async fn keep_tidy(&self, duty: &Duty) {
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => return,
                () = self.tidy_due.notified() => {}
                // A file that a reader kept from being cut is what the disk is short of.
                () = self.clock.sleep(GLANCE), if self.ingest.trouble().is_some() => {}
            }
            let begun = self.clock.running();
            let result = match self.tidy().await {
                Ok(()) => Ok(()),
                Err(Break::Stopping) => return,
                Err(Break::Failed(problem)) => Err(format!("could not tidy up: {problem}")),
            };
            duty.ran(result, INTERVAL + TIDY);
            // Not as often as the caps are looked at, unless the disk is short of what is free.
            let tidied = self.clock.running().saturating_sub(begun);
            let rest = if self.ingest.trouble().is_some() { GLANCE } else { TIDY.saturating_sub(tidied) };
            tokio::select! {
                () = self.stopping.cancelled() => return,
                () = self.clock.sleep(rest) => {}
            }
        }
    }

    /// Drops what the rules say, and deletes it.
    async fn drop_due(&self) -> Result<(), Break> {
        self.pace.begin();
        let (mut dropped, mut place) = (0, Place::default());
        loop {
            let (retention, from, most, now_us) = (self.retention.clone(), place, self.pace.trees(), self.ages.now_us());
            let due = self.ask(move |store| store.due(&retention, now_us, from, most)).await?;
            for (reason, numbers) in [("age", due.old), ("count", due.surplus)] {
                dropped += self.drop(numbers, reason).await?;
            }
            self.sweep().await?;
            self.look(dropped).await?;
            match due.next {
                Some(next) => place = next,
                None => break,
            }
        }
        if let Some(limit) = self.retention.size {
            dropped += self.keep_size(limit).await?;
        }
        self.sweep().await?;
        self.kept.store(self.processes().await?, Ordering::Relaxed);
        self.pace.end(dropped);
        Ok(())
    }

    /// How many processes there are in trees that are kept.
    async fn processes(&self) -> Result<u64, Break> {
        self.ask(|store| Ok(store.status()?.processes.total())).await
    }

    /// Looks whether a cap is exceeded more and more.
    async fn look(&self, dropped: usize) -> Result<(), Break> {
        if self.retention.has_caps() && self.pace.is_time() {
            let held = self.processes().await? + self.waiting.load(Ordering::Relaxed);
            self.pace.look(held, dropped);
        }
        Ok(())
    }

    /// Deletes what is too old beside trees, and what nothing refers to any more; gives space back.
    async fn tidy(&self) -> Result<(), Break> {
        let now_us = self.ages.now_us();
        while self.step(move |store| store.trim_sums(now_us)).await? {}
        while self.step(move |store| store.trim_events(now_us)).await? {}
        if let Some(age) = self.retention.longest() {
            let heard_before_us = now_us.saturating_sub(age.as_micros() as u64);
            let mut after = Some(0);
            while let Some(place) = after {
                after = self.step(move |store| store.trim_unknown(heard_before_us, place)).await?;
            }
        }
        self.drop_unused().await?;
        while self.step(Store::shrink).await? == Shrunk::More {}
        Ok(())
    }

    /// Drops the oldest trees while the database is larger than this, as long as that makes it smaller.
    async fn keep_size(&self, limit: u64) -> Result<usize, Break> {
        let (mut dropped, mut most) = (0, FIRST_ROOTS);
        let (mut expected, mut freed) = (0, 0);
        loop {
            let beyond = self.ask(move |store| store.oldest_beyond(limit, most)).await?;
            let stuck = self.stuck_bytes.load(Ordering::Relaxed);
            if beyond.numbers.is_empty() || (stuck > 0 && beyond.used_bytes < stuck.saturating_add(limit / PART)) {
                return Ok(dropped);
            }
            if self.pace.is_time() {
                self.pace.look(beyond.used_bytes, dropped);
            }
            let count = self.drop(beyond.numbers, "size").await?;
            freed += self.sweep().await?;
            dropped += count;
            expected += beyond.bytes;
            if count == 0 {
                return Ok(dropped);
            }
            if expected >= JUDGED_BYTES && freed < expected / PART {
                self.stuck_bytes.store(beyond.used_bytes, Ordering::Relaxed);
                tracing::warn!(
                    used_bytes = beyond.used_bytes,
                    limit_bytes = limit,
                    "the database stays larger than `retention-size`: what makes it large is not trees but what stays of them (words, \
                     sums, workers), so no more are dropped for its size; allow it more"
                );
                return Ok(dropped);
            }
            self.stuck_bytes.store(0, Ordering::Relaxed);
            most = (2 * most).min(self.pace.trees());
        }
    }

    async fn drop(&self, numbers: Vec<u64>, reason: &'static str) -> Result<usize, Break> {
        if numbers.is_empty() {
            return Ok(0);
        }
        let clock = self.clock.clone();
        let drop = move |store: &dyn Store| store.drop_roots(&Drop { numbers: &numbers, reason, may_run: false }, clock.wall_us());
        let Dropped { trees, processes } = self.change(self.pace.step(), drop).await?;
        self.waiting.fetch_add(processes, Ordering::Relaxed);
        Ok(trees)
    }

    /// Deletes what is left of dropped trees; how many bytes are free for it.
    async fn sweep(&self) -> Result<u64, Break> {
        let mut freed = 0;
        loop {
            let step = self.pace.step();
            let swept = self.change(step, move |store| Ok((sweep_for(store, step.time)?, Changes::none()))).await?;
            freed += swept.freed_bytes;
            self.gone.fetch_add(swept.trees, Ordering::Relaxed);
            // What was asked for, or was left by a server before, is not counted.
            let waiting = self.waiting.load(Ordering::Relaxed);
            self.waiting.store(if swept.is_more { waiting.saturating_sub(swept.processes) } else { 0 }, Ordering::Relaxed);
            if !swept.is_more {
                return Ok(freed);
            }
            self.look(0).await?;
        }
    }

    /// Deletes the words that only dropped trees had, and the workers that only they knew, once that is worth a look at all there is.
    async fn drop_unused(&self) -> Result<(), Break> {
        let gone = self.gone.load(Ordering::Relaxed);
        if gone == 0 || gone == NEVER || gone.saturating_mul(WORTH) < self.ask(|store| Ok(store.status()?.roots.total())).await? {
            return Ok(());
        }
        let mut unused = self.step(Store::begin_unused).await?;
        let mut is_more = true;
        while is_more {
            let looked = self.ask(move |store| Ok((store.find_unused(&mut unused)?, unused)));
            (is_more, unused) = self.stopping.run_until_cancelled(looked).await.ok_or(Break::Stopping)??;
        }
        let remembered = self.retention.longest().unwrap_or(REMEMBERED).max(REMEMBERED_AT_LEAST);
        let heard_before_us = self.ages.now_us().saturating_sub(remembered.as_micros() as u64);
        is_more = true;
        while is_more {
            let dropped = self.step(move |store| Ok((store.drop_unused(&mut unused, heard_before_us)?, unused)));
            (is_more, unused) = dropped.await?;
        }
        self.gone.fetch_sub(gone, Ordering::Relaxed);
        Ok(())
    }

    async fn step<T: Send + 'static>(&self, step: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static) -> Result<T, Break> {
        self.change(Step::GENTLE, |store| Ok((step(store)?, Changes::none()))).await
    }

    /// Does a step, and then leaves the writer to others.
    async fn change<T: Send + 'static>(
        &self,
        step: Step,
        change: impl FnOnce(&dyn Store) -> Result<(T, Changes), StoreError> + Send + 'static,
    ) -> Result<T, Break> {
        let timed = |store: &dyn Store| {
            let begun = Instant::now();
            let (result, changes) = change(store)?;
            Ok(((result, begun.elapsed()), changes))
        };
        let (result, took) = self.ingest.change(timed).await?;
        let pause = self.stopping.run_until_cancelled(self.clock.sleep(step.pause(took))).await;
        pause.map(|()| result).ok_or(Break::Stopping)
    }

    async fn ask<T: Send + 'static>(&self, ask: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static) -> Result<T, Break> {
        let store = self.store.clone();
        let asked = tokio::task::spawn_blocking(move || ask(&*store)).await;
        // One look that broke off is not the last.
        let broken = |error: tokio::task::JoinError| {
            if error.is_panic() { Break::Failed("a look at the database broke off".to_owned()) } else { Break::Stopping }
        };
        Ok(asked.map_err(broken)??)
    }
}

/// Deletes rows of dropped trees for about so long, at least once.
fn sweep_for(store: &dyn Store, time: Duration) -> Result<Swept, StoreError> {
    let (begun, mut all) = (Instant::now(), Swept::default());
    loop {
        let Swept { is_more, trees, processes, freed_bytes } = store.sweep(ROWS)?;
        all = Swept { is_more, trees: all.trees + trees, processes: all.processes + processes, freed_bytes: all.freed_bytes + freed_bytes };
        if !is_more || begun.elapsed() >= time {
            return Ok(all);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use monitor_wire::{Batch, Event, UnknownEvent};

    use super::*;
    use crate::store::{RootsQuery, SqliteStore};
    use crate::support::script::parse;
    use crate::support::{batch, worker};

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
    async fn a_look_that_breaks_off_is_no_stop() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(folder.path()).unwrap());
        let ingest = Arc::new(Ingest::start(store.clone(), |_| {}));
        let retention = Retention::default();
        let keeper = keeper(retention, folder.path(), &store, &ingest);
        let broken = keeper.ask(|_| -> Result<(), StoreError> { panic!("as it happens") }).await;
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
        // Once these events are old, they go.
        let age = Retention::new(Vec::new(), Some(Duration::from_micros(1)), None, None, None);
        let keeper = Keeper { retention: age, ..keeper };
        assert!(pass(&keeper).await.is_ok());
        let status = store.status().unwrap();
        assert_eq!(status.unknown_events["odd"], 100, "they are still counted");
        assert!(status.database_bytes < 1 << 20, "{status:?}");
        append(&store, unknown('B', 100));
        assert_eq!(store.status().unwrap().unknown_events["odd"], 100, "what it sends once more is known for a day");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn words_and_workers_go_with_the_trees_that_had_them() {
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
        // The last word of all keeps its key.
        assert!(words() <= 1, "{} words are left", words());
        assert!(store.worker(worker('A')).unwrap().is_some(), "the last of all, too");
        assert_eq!(number_of_roots(&store), 0);
    }
}
