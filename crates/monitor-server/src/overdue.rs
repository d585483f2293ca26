//! Detects workers that have stopped reporting and processes that are overdue. No event reports either.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::duties::Duty;
use crate::ingest::{Ingest, IngestError};

/// Interval of the checks.
const EVERY: Duration = Duration::from_secs(1);
/// Time without a check, in microseconds, after which the server itself is assumed to have been suspended: its machine slept, or its clock
/// was set ahead.
const STOOD_STILL_US: u64 = 10_000_000;

/// Checks at an interval until the server stops. A worker that was last seen before `since_us`, the start of the server, is not marked as
/// lost, because it may not have reconnected yet. The same applies to a time during which the server was suspended, when no worker could
/// report.
pub(crate) async fn run(ingest: &Ingest, clock: &Clock, since_us: u64, duty: &Duty, stopping: &CancellationToken) {
    let (mut since_us, mut looked_us) = (since_us, since_us);
    while stopping.run_until_cancelled(clock.sleep(EVERY)).await.is_some() {
        let now_us = clock.wall_us();
        if now_us.saturating_sub(looked_us) >= STOOD_STILL_US {
            since_us = now_us;
        }
        looked_us = now_us;
        match look(ingest, clock, now_us, since_us).await {
            Ok(()) => duty.ran(Ok(()), EVERY),
            // The writer thread has stopped or panicked. The duty ends and is restarted.
            Err(IngestError::Stopped) => return,
            // The writer thread logs problems with the disk.
            Err(IngestError::Store(error)) if error.is_passing() => drop(duty.note(Err(error.to_string()), EVERY)),
            Err(error) => duty.ran(Err(format!("could not look for what is overdue: {}", monitor_http::with_causes(&error))), EVERY),
        }
    }
}

/// Checks once, on the writer thread. Lost workers are determined as of the time at which the check began: if the server is suspended
/// before the writer thread executes it, the next check notices that.
async fn look(ingest: &Ingest, clock: &Clock, now_us: u64, since_us: u64) -> Result<(), IngestError> {
    let clock = clock.clone();
    ingest.change(move |store| Ok(((), store.lose_workers(now_us, since_us)?))).await?;
    ingest.change(move |store| Ok(((), store.find_overdue(clock.wall_us())?))).await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use monitor_wire::{Event, WorkerOnline, WorkerRole};
    use tokio::sync::mpsc;

    use super::*;
    use crate::clock::steered::Steered;
    use crate::ingest::Settings;
    use monitor_store::memory::{Memory, MemoryStore};
    use monitor_store::support::batch;

    /// Server with one worker that reports each second, and a running duty.
    struct Looks {
        steered: Steered,
        published: mpsc::UnboundedReceiver<monitor_store::Changes>,
        stopping: CancellationToken,
        task: tokio::task::JoinHandle<()>,
    }

    impl Looks {
        async fn begin() -> Self {
            let steered = Steered::at(0);
            let (publish, published) = mpsc::unbounded_channel();
            let settings = Settings { clock: steered.clock(), ..Settings::default() };
            let store = Arc::new(MemoryStore::open(&Memory::default()));
            let ingest = Arc::new(Ingest::start_with(store, move |changes| drop(publish.send(changes)), settings));
            let online = Event::WorkerOnline(WorkerOnline {
                time_us: 1,
                started_us: 1,
                version: String::new(),
                heartbeat_interval_ms: 1_000,
                registered: Vec::new(),
                role: WorkerRole::PROGRAM,
                capabilities: Vec::new(),
                worker: None,
            });
            ingest.accept(batch('A', 1, vec![online])).await.unwrap();
            let (stopping, duty) = (CancellationToken::new(), Arc::new(Duty::new("overdue", steered.clock())));
            let task = tokio::spawn({
                let (ingest, clock, stopping) = (ingest, steered.clock(), stopping.clone());
                async move { run(&ingest, &clock, 0, &duty, &stopping).await }
            });
            Self { steered, published, stopping, task }
        }

        /// Returns the number of seconds, with one check per second, until a worker is lost, and the published types of events.
        async fn seconds_to_loss(&mut self) -> (usize, Vec<String>) {
            let (mut seconds, mut types) = (0, Vec::new());
            while types.last().is_none_or(|last| last != "worker-lost") {
                // Advance the clock by another second while nothing is published.
                self.steered.pass(EVERY.as_micros() as u64);
                seconds += 1;
                let told = tokio::time::timeout(Duration::from_millis(20), self.published.recv()).await;
                types.extend(
                    told.iter().flatten().flat_map(|changes| changes.to_vec()).map(|change| change.message.event.type_name().to_owned()),
                );
            }
            (seconds, types)
        }

        async fn end(self) {
            self.stopping.cancel();
            self.task.await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_silent_worker_is_lost_as_time_passes() {
        let mut looks = Looks::begin().await;
        assert_eq!(looks.seconds_to_loss().await.1, ["worker-online", "worker-lost"]);
        looks.end().await;
    }

    #[tokio::test]
    async fn after_a_suspension_workers_get_time_to_report_before_they_are_lost() {
        let mut looks = Looks::begin().await;
        looks.steered.pass(3_600_000_000);
        let (seconds, types) = looks.seconds_to_loss().await;
        assert_eq!(types, ["worker-online", "worker-lost"]);
        assert!(seconds >= 2, "two heartbeats are awaited, and not {seconds}");
        looks.end().await;
    }
}
