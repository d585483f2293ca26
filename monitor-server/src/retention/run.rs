//! Carries out the rules beside ingest: what is due is looked for by a reader, and goes in steps between the writer's transactions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Retention;
use crate::ingest::{Ingest, IngestError};
use crate::server::now_us;
use crate::store::{Changes, Drop, Place, Shrunk, Store, StoreError};

/// How often what is due is looked for.
const INTERVAL: Duration = Duration::from_secs(60);
/// So many trees are dropped in a transaction.
const ROOTS: usize = 250;
/// So many rows of dropped trees are deleted in a transaction: about 5 ms.
const ROWS: usize = 4_000;
/// The writer has at least as many times a step's length for others between two steps.
const SHARE: u32 = 2;

/// Whoever carries out the rules.
struct Keeper<'a> {
    retention: &'a Retention,
    store: &'a Arc<dyn Store>,
    ingest: &'a Ingest,
    stopping: &'a CancellationToken,
}

/// Why a pass ended early.
enum Break {
    Stopping,
    Failed(IngestError),
}

impl From<IngestError> for Break {
    fn from(error: IngestError) -> Self {
        if matches!(error, IngestError::Stopped) { Self::Stopping } else { Self::Failed(error) }
    }
}

impl From<StoreError> for Break {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

/// Keeps to the rules, at once and every minute, and whenever it is woken, until it is told to stop.
pub(crate) async fn run(retention: &Retention, store: &Arc<dyn Store>, ingest: &Ingest, wake: &Notify, stopping: &CancellationToken) {
    let keeper = Keeper { retention, store, ingest, stopping };
    let mut said = String::new();
    loop {
        let problem = match keeper.pass().await {
            Ok(()) => String::new(),
            Err(Break::Stopping) => return,
            Err(Break::Failed(error)) => error.to_string(),
        };
        // The same again is no news.
        if problem != said && !problem.is_empty() {
            tracing::error!("what is due could not be dropped: {problem}");
        }
        said = problem;
        tokio::select! {
            () = stopping.cancelled() => return,
            () = wake.notified() => {}
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

impl Keeper<'_> {
    async fn pass(&self) -> Result<(), Break> {
        let mut dropped = 0;
        let mut place = Place::default();
        loop {
            let (retention, from) = (self.retention.clone(), place);
            let due = self.ask(move |store| store.due(&retention, now_us(), from, ROOTS)).await?;
            for (reason, numbers) in [("age", due.old), ("count", due.surplus)] {
                dropped += self.drop(numbers, reason).await?;
            }
            self.sweep().await?;
            match due.next {
                Some(next) => place = next,
                None => break,
            }
        }
        if let Some(limit) = self.retention.size {
            loop {
                let numbers = self.ask(move |store| store.oldest_beyond(limit, ROOTS)).await?;
                let count = self.drop(numbers, "size").await?;
                self.sweep().await?;
                dropped += count;
                if count == 0 {
                    break;
                }
            }
        }
        self.sweep().await?;
        while self.step(|store| store.trim_sums(now_us())).await? {}
        if dropped > 0 {
            tracing::info!(trees = dropped, "dropped what is no longer kept");
        }
        while self.step(Store::shrink).await? == Shrunk::More {}
        Ok(())
    }

    async fn drop(&self, numbers: Vec<u64>, reason: &'static str) -> Result<usize, Break> {
        if numbers.is_empty() {
            return Ok(0);
        }
        let drop = move |store: &dyn Store| store.drop_roots(&Drop { numbers: &numbers, reason, may_run: false }, now_us());
        self.change(drop).await
    }

    async fn sweep(&self) -> Result<(), Break> {
        while self.step(|store| store.sweep(ROWS)).await? {}
        Ok(())
    }

    async fn step<T: Send + 'static>(&self, step: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static) -> Result<T, Break> {
        self.change(|store| Ok((step(store)?, Changes::none()))).await
    }

    /// Does a step, and then leaves the writer to others.
    async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&dyn Store) -> Result<(T, Changes), StoreError> + Send + 'static,
    ) -> Result<T, Break> {
        let timed = |store: &dyn Store| {
            let begun = Instant::now();
            let (result, changes) = change(store)?;
            Ok(((result, begun.elapsed()), changes))
        };
        let (result, took) = self.ingest.change(timed).await?;
        let pause = self.stopping.run_until_cancelled(tokio::time::sleep(took * SHARE)).await;
        pause.map(|()| result).ok_or(Break::Stopping)
    }

    async fn ask<T: Send + 'static>(&self, ask: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static) -> Result<T, Break> {
        let store = self.store.clone();
        let asked = tokio::task::spawn_blocking(move || ask(&*store)).await;
        Ok(asked.map_err(|_| Break::Stopping)??)
    }
}
