//! Decides about jobs, which run scripts on many hosts: the selected hosts, the batches, and what each host does next.
//!
//! The crate is pure. It reads no clock, file, database or network; the caller passes the current time and the hosts' contacts. The server's
//! engine stores the [`Transition`]s and sends the [`Directive`]s.
#![forbid(unsafe_code)]

mod apply;
mod callback;
mod check;
mod draft;
mod messages;
mod operate;
mod plan;
mod preview;
mod report;
mod rolling;
mod rules;
mod state;
mod tags;
mod targets;

pub use apply::apply;
pub use callback::callback;
pub use check::{MOST_SCRIPT_BYTES, MOST_STEPS, MOST_TIMEOUT_S, check, timeout_s};
pub use messages::{Level, Message, messages};
pub use operate::{Refusal, operate};
pub use plan::{CONTACT_US, Contact, Contacts, Directive, HEARTBEAT_US, ORDER_TTL_US, Plan, Transition, plan};
pub use preview::preview;
pub use report::report;
pub use rolling::batch_sizes;
pub use rules::{JobRule, RuleAction, Verdict, judge};
pub use state::{HostRun, JobState, StepState, Target};
pub use tags::TagConditions;
pub use targets::{Inventory, MOST_TARGETS, check_saved, select};
