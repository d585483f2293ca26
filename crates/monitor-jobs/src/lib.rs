//! Decides about jobs, which run scripts on many hosts: the selected hosts, the batches, and what each host does next.
//!
//! The crate is pure. It reads no clock, file, database or network; the caller passes the current time and the hosts' contacts. The server's
//! engine stores the [`Transition`]s and sends the [`Directive`]s.
#![forbid(unsafe_code)]

mod plan;
mod state;

pub use plan::{Contact, Contacts, Directive, Plan, Refusal, Transition, apply, operate, plan, report};
pub use state::{HostRun, JobState, StepState, Target};
