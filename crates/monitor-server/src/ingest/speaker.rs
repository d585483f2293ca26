//! Senders that may report the decisions of agents. A definition claims a task's name, and a decision is valid until a later one. Therefore
//! both are accepted from that agent alone, and only with a time that is not in the future.
//!
//! Reports about the state of a worker are accepted from every sender, and the latest one counts. A report dated far in the future would
//! count permanently, so its time is limited to a minute ahead of the server.

use monitor_store::MOST_AHEAD_US;
use monitor_store::packed::{Packed, PackedEvent};
use monitor_wire::Event;

use super::IngestError;

/// Agents that a sender may report for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Speaker {
    /// No agent.
    Program,
    /// The agent of this name.
    Agent(String),
    /// All agents.
    Admin,
}

impl Speaker {
    fn speaks_for(&self, agent: Option<&str>) -> bool {
        match self {
            Self::Program => false,
            Self::Agent(name) => agent == Some(name),
            Self::Admin => true,
        }
    }
}

/// Returns an error for the first event that this sender may not report, or whose time is ahead of the server.
pub(super) fn check(speaker: &Speaker, batch: &Packed, now_us: u64) -> Result<(), IngestError> {
    for (number, event) in (batch.sequence..).zip(&batch.events) {
        let PackedEvent::Other(event) = event else { continue };
        let (agent, time_us) = match &**event {
            Event::BatchTaskChanged(of) => (of.agent.as_deref(), of.time_us),
            Event::AgentDecided(of) => (Some(&*of.agent), of.time_us.max(of.until_us)),
            Event::RunSkipped(of) => (Some(&*of.agent), of.time_us),
            Event::RunMissed(of) => (Some(&*of.agent), of.time_us),
            _ => continue,
        };
        let event_type = event.type_name().to_owned();
        if !speaker.speaks_for(agent) {
            return Err(IngestError::OtherAgent { number, event_type, agent: agent.map(str::to_owned) });
        }
        if time_us > now_us.saturating_add(MOST_AHEAD_US) {
            return Err(IngestError::Ahead { number, event_type, time_us, server_time_us: now_us });
        }
    }
    Ok(())
}

/// Limits the times in reports about workers to a minute ahead of the server. The order of a worker's reports stays the same.
pub(super) fn limit_times(batch: &mut Packed, now_us: u64) {
    let most_us = now_us.saturating_add(MOST_AHEAD_US);
    for event in &mut batch.events {
        let PackedEvent::Other(event) = event else { continue };
        let time_us = match &mut **event {
            Event::WorkerOnline(of) => &mut of.time_us,
            Event::WorkerHeartbeat(of) => &mut of.time_us,
            Event::WorkerOffline(of) => &mut of.time_us,
            _ => continue,
        };
        *time_us = most_us.min(*time_us);
    }
}
