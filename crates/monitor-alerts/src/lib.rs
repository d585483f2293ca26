//! Alerts as pure words: rules, what they make of signs, and who is told what.
//!
//! Nothing here reads a clock, a file or a database: whoever calls says what time it is.

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
