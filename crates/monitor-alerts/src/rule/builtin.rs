//! Built-in rules. A written rule of the same name replaces the built-in one.

use super::{On, Rule, Times, To};
use crate::cause::{Cause, Severity};

/// Returns the built-in rules.
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
    /// Returns the severity of alerts with this cause if the rule does not set one.
    pub fn severity(self) -> Severity {
        match self {
            Self::Unknown | Self::Disk => Severity::Critical,
            Self::Late | Self::Slow | Self::Fast => Severity::Info,
            _ => Severity::Warning,
        }
    }
}
