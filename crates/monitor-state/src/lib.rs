//! The pure fold: derives the state of processes, workers and trees from events. No I/O, no clock.
//!
//! The fold keeps a set of facts. Each fact is kept by a rule that is independent of order and repetition, such as the smallest start or
//! the greatest update. Views are derived from the facts on request, so they are independent of the order, too.
#![forbid(unsafe_code)]

mod attempts;
mod compare;
mod facts;
mod fold;
mod order;
mod process;
mod ranges;
mod task;
mod told;
mod view;
mod why;
mod worker;

pub use attempts::{AttemptNow, Earlier, MAX_ATTEMPTS};
pub use compare::{Change, Difference, differences, took_ns};
pub use facts::{Facts, about_worker, is_about_liveness};
pub use fold::Shard;
pub use order::{Node, Order, Placed, order, parents};
pub use process::{Definition, End, MAX_FIELDS, ProcessEvent, ProcessFacts};
pub use ranges::Ranges;
pub use task::{Message, TaskFacts};
pub use told::{Stamp, Told};
pub use view::title;
pub use why::{Failing, MOST_CHILDREN, MOST_ON_PATH, Why, decisive, failing_path};
pub use worker::{Announced, Figures, WorkerFacts, WorkerStatus};
