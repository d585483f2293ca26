//! Semantic checks of events. Their syntax was checked when they were decoded.

use monitor_state::ProcessEvent;
use monitor_store::packed::{Packed, PackedEvent};
use monitor_wire::{Event, MAX_TIME_US};

use super::IngestError;

/// Returns an error for the first invalid event.
pub(super) fn check(batch: &Packed) -> Result<(), IngestError> {
    let end = batch.sequence.checked_add(batch.events.len() as u64);
    if batch.sequence == 0 || end.is_none_or(|end| end > i64::MAX as u64) {
        let message = "events are numbered from 1 to 2^63 - 1".to_owned();
        return Err(IngestError::Event { number: batch.sequence, message });
    }
    for (number, event) in (batch.sequence..).zip(&batch.events) {
        let checked = match event {
            PackedEvent::Started(started) => check_time(started.time_us),
            PackedEvent::Ended(ended) => check_elapsed(ended.elapsed_ns).and_then(|()| check_time(ended.time_us)),
            PackedEvent::Other(event) => check_event(event),
        };
        checked.map_err(|message| IngestError::Event { number, message })?;
    }
    Ok(())
}

fn check_event(event: &Event) -> Result<(), String> {
    if let Event::Unplaced(unplaced) = event {
        return check_event(unplaced.event());
    }
    let time_us = match event {
        Event::WorkerOnline(event) => event.time_us,
        Event::WorkerHeartbeat(event) => event.time_us,
        Event::WorkerOffline(event) => event.time_us,
        Event::WorkerLost(event) | Event::WorkerFound(event) => event.time_us,
        Event::RunSkipped(event) => event.time_us.max(event.due_us).max(event.last_due_us.unwrap_or(0)),
        Event::RunMissed(event) => event.time_us.max(event.first_due_us).max(event.last_due_us),
        Event::BatchTaskChanged(event) => event.time_us.max(event.until_us.unwrap_or(0)),
        Event::AgentDecided(event) => {
            event.time_us.max(event.until_us).max(event.paused_from_us.unwrap_or(0)).max(event.paused_until_us.unwrap_or(0))
        }
        Event::TaskSent(event) => event.eta_us.max(event.expires_us).unwrap_or(0),
        Event::TaskReceived(event) => event.eta_us.max(event.expires_us).unwrap_or(0),
        Event::TaskRetried(event) => event.eta_us.unwrap_or(0),
        _ => 0,
    };
    if let Some(about) = ProcessEvent::of(event) {
        check_time(about.time_us)?;
        if about.attempt == 0 {
            return Err("attempt 0: attempts count from 1".to_owned());
        }
    }
    match event {
        Event::ProcessEnded(event) => check_elapsed(event.elapsed_ns)?,
        Event::TaskSucceeded(event) => check_elapsed(event.runtime_ns)?,
        _ => {}
    }
    check_time(time_us)
}

fn check_elapsed(elapsed_ns: Option<u64>) -> Result<(), String> {
    match elapsed_ns.filter(|elapsed| *elapsed > i64::MAX as u64) {
        Some(elapsed_ns) => Err(format!("elapsed_ns {elapsed_ns}: a duration is at most 2^63 - 1 nanoseconds")),
        None => Ok(()),
    }
}

fn check_time(time_us: u64) -> Result<(), String> {
    if time_us > MAX_TIME_US {
        return Err(format!("time_us {time_us}: a time is at most 2^53 - 1 microseconds after 1970"));
    }
    Ok(())
}
