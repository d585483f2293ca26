//! Decides about alerts: which signs fire a rule, when an alert ends, and which recipients are notified through which channel.
//!
//! The crate is pure. It reads no clock, file or database; the caller passes the current time.

mod alert;
mod cause;
mod channel;
mod message;
mod replay;
mod rule;
mod settings;
mod sign;
mod state;
mod step;

pub use alert::{Alert, AlertState, Decision, Hush, HushKind, Note, Target};
pub use cause::{Cause, Severity};
pub use channel::{Channel, ChannelKind, Language, MailTls};
pub use message::{Message, MessageKind};
pub use monitor_tasks::definition::{Mistake, Variable};
pub use replay::{Replayed, replay};
pub use rule::{Escalation, Follow, On, Pattern, QuietHours, Rule, Times, To, builtin};
pub use settings::Settings;
pub use sign::{Facts, GoodRun, PublishedChange, Relief, Sign, Subject, SubjectKind, What};
pub use state::{Changed, Common, Entry, Group, Key, Live, Rate, State};
pub use step::{Order, Step, World, acknowledge, resolve, rules, step};
