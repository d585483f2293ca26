//! Finds workers that fell silent and processes that are overdue, which no event tells.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::duties::Duty;
use crate::ingest::{Ingest, IngestError};

/// How often they are looked for.
const EVERY: Duration = Duration::from_secs(1);

/// Looks again and again, until it is told to stop. No worker is lost that was last heard of before `since_us`, when the server began, and
/// may not have found it again yet.
pub(crate) async fn run(ingest: &Ingest, clock: &Clock, since_us: u64, duty: &Duty, stopping: &CancellationToken) {
    while stopping.run_until_cancelled(clock.sleep(EVERY)).await.is_some() {
        match look(ingest, clock, since_us).await {
            Ok(()) => duty.ran(Ok(()), EVERY),
            // The writer has stopped, or broke off: to begin anew is all that is left.
            Err(IngestError::Stopped) => return,
            // The writer says so of the disk.
            Err(IngestError::Store(error)) if error.is_passing() => drop(duty.note(Err(error.to_string()), EVERY)),
            Err(error) => duty.ran(Err(format!("could not look for what is overdue: {}", crate::causes(&error))), EVERY),
        }
    }
}

/// Looks once, in the writer's turn.
async fn look(ingest: &Ingest, clock: &Clock, since_us: u64) -> Result<(), IngestError> {
    let (lost, overdue) = (clock.clone(), clock.clone());
    ingest.change(move |store| Ok(((), store.lose_workers(lost.wall_us(), since_us)?))).await?;
    ingest.change(move |store| Ok(((), store.find_overdue(overdue.wall_us())?))).await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use monitor_wire::{Event, WorkerOnline, WorkerRole};
    use tokio::sync::mpsc;

    use super::*;
    use crate::clock::steered::Steered;
    use crate::ingest::Settings;
    use crate::store::memory::{Memory, MemoryStore};
    use crate::support::batch;

    #[tokio::test]
    async fn workers_are_looked_for_as_time_goes_by() {
        let steered = Steered::at(0);
        let (publish, mut published) = mpsc::unbounded_channel();
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
        let looks = tokio::spawn({
            let (ingest, clock, duty, stopping) = (ingest.clone(), steered.clock(), duty.clone(), stopping.clone());
            async move { run(&ingest, &clock, 0, &duty, &stopping).await }
        });
        let mut types = Vec::new();
        while types.last().is_none_or(|last| last != "worker-lost") {
            // As long as nothing is told, another second goes by.
            steered.pass(EVERY.as_micros() as u64);
            let told = tokio::time::timeout(Duration::from_millis(20), published.recv()).await;
            types.extend(
                told.iter().flatten().flat_map(|changes| changes.to_vec()).map(|change| change.message.event.type_name().to_owned()),
            );
        }
        assert_eq!(types, ["worker-online", "worker-lost"]);
        stopping.cancel();
        looks.await.unwrap();
    }
}
