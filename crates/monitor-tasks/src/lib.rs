//! Decides about batch tasks: time rules, definitions of tasks, and the plan of what to start now.
//!
//! The crate is pure. It reads no clock, file or database; the caller passes the current time.

pub mod book;
pub mod crontab;
pub mod definition;
pub mod exit;
pub mod explain;
pub mod ledger;
mod near;
pub mod plan;
pub mod policy;
pub mod reading;
mod reason;
pub mod rehearse;
pub mod rule;
pub mod run;
mod simulate;
pub mod zone;

pub use book::{Book, Paused, Place, Task};
pub use definition::{Definition, Mistake};
pub use ledger::{Ledger, Outcome, Run, State, TaskLedger};
pub use plan::{Action, Clock, Dues, Now, Plan, Reason, plan};
pub use policy::Policy;
pub use reason::EndReason;
pub use rule::{Rule, RuleError};
pub use run::{RunId, Trigger};
