//! Rules that hold from the first task on. One that is written under the same name takes its place.

use super::{On, Rule, Times, To};
use crate::cause::{Cause, Severity};

/// The rules that hold without being written.
pub fn builtin() -> Vec<Rule> {
    use Cause::{Channel, Deleted, Disk, Drops, Failed, Late, Lost, Missed, Notified, Settings, Skipped, Slow, Timeout, Unknown};
    let rule = |name: &str, causes: &[Cause], times: u32, to: To| Rule {
        name: name.to_owned(),
        on: On { cause: causes.to_vec(), ..On::default() },
        times: Times::InARow(times),
        severity: None,
        to: Some(vec![to]),
        repeat: None,
        escalate: Vec::new(),
        quiet: None,
        then: None,
        is_builtin: true,
    };
    vec![
        rule("failed", &[Failed], 1, To::Owner),
        rule("timeout", &[Timeout], 1, To::Owner),
        rule("missed", &[Missed], 1, To::Owner),
        rule("unknown", &[Unknown], 1, To::Admins),
        rule("late", &[Late], 1, To::Owner),
        rule("skipped", &[Skipped], 3, To::Owner),
        rule("deleted", &[Deleted], 1, To::Owner),
        rule("notified", &[Notified], 1, To::Owner),
        rule("slow", &[Slow], 1, To::Owner),
        rule("lost", &[Lost], 1, To::Owner),
        rule("server", &[Drops, Disk, Channel, Settings], 1, To::Admins),
    ]
}

impl Cause {
    /// Severity of alerts of this cause if the rule says none.
    pub fn severity(self) -> Severity {
        match self {
            Self::Unknown | Self::Disk => Severity::Critical,
            Self::Late | Self::Slow | Self::Fast => Severity::Info,
            _ => Severity::Warning,
        }
    }
}
