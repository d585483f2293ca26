//! Levels of reporting that operators have set, permanently or for a duration: events by kind and name, and log lines.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use monitor_core::levels::{Levels, MOST_RULES, Rule};
use monitor_core::{Level, set_log_level, switch};
use monitor_wire::LOG_LEVELS;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::timeout_at;

use crate::control::Timed;

/// Current levels with their ends.
pub(super) struct Switches {
    said: RefCell<Said>,
    /// Notified when the next end may be earlier than before.
    changed: Notify,
}

struct Said {
    /// In insertion order, with the end of temporary rules.
    rules: Vec<(Rule, Option<Instant>)>,
    /// One of [`LOG_LEVELS`].
    log_level: Timed<&'static str>,
    /// Time until which the program counts as watched.
    watched: Option<Instant>,
}

impl Switches {
    /// Creates the initial state: the given levels, and all log lines.
    pub(super) fn new(events: &Levels) -> Self {
        let rules = events.0.iter().map(|rule| (rule.clone(), None)).collect();
        let said = RefCell::new(Said { rules, log_level: Timed::new(LOG_LEVELS[LOG_LEVELS.len() - 1]), watched: None });
        said.borrow_mut().set_log_level();
        Self { said, changed: Notify::new() }
    }

    /// Sets the level of new processes that match a rule. When a temporary rule ends, the permanent rules apply again.
    pub(super) fn set_events(&self, rule: Rule, hold: Option<Duration>) -> Result<(), String> {
        let now = Instant::now();
        let mut said = self.said.borrow_mut();
        said.forget(now);
        // The last matching rule applies, so rules that the new rule covers are removed, except permanent rules that
        // apply again after a temporary rule.
        let is_covered = |old: &Rule| rule.is_of_all() || (&old.kind, &old.name) == (&rule.kind, &rule.name);
        said.rules.retain(|(old, until)| !is_covered(old) || (hold.is_some() && until.is_none()));
        if said.rules.len() >= MOST_RULES {
            return Err(format!("there are levels for {MOST_RULES} kinds and names, which is all that there may be"));
        }
        said.rules.push((rule, hold.map(|hold| now + hold)));
        said.set_events();
        self.changed.notify_one();
        Ok(())
    }

    /// Sets the least severe level of log lines to send, out of [`LOG_LEVELS`].
    pub(super) fn set_log_level(&self, level: &'static str, hold: Option<Duration>) {
        let mut said = self.said.borrow_mut();
        said.log_level.set(level, hold, Instant::now());
        said.set_log_level();
        self.changed.notify_one();
    }

    /// Marks the program as watched for a duration.
    pub(super) fn watch(&self, hold: Duration) {
        let mut said = self.said.borrow_mut();
        if said.watched.replace(Instant::now() + hold).is_none() {
            switch::set_watched(true);
        }
        self.changed.notify_one();
    }

    /// Adds the current levels to an answer.
    pub(super) fn show(&self, conf: &mut Value) {
        let now = Instant::now();
        let mut said = self.said.borrow_mut();
        said.forget(now);
        conf["events"] = said.events().to_string().into();
        conf["watched"] = said.watched.is_some().into();
        conf["log_level"] = (*said.log_level.get(now)).into();
    }

    /// Restores the permanent levels when temporary levels end.
    pub(super) async fn run(&self) {
        loop {
            let next = self.said.borrow().next_end();
            match next {
                Some(next) => drop(timeout_at(next.into(), self.changed.notified()).await),
                None => self.changed.notified().await,
            }
            self.said.borrow_mut().forget(Instant::now());
        }
    }
}

impl Said {
    /// Removes rules and levels that have ended.
    fn forget(&mut self, now: Instant) {
        let is_over = |until: Option<Instant>| until.is_some_and(|until| now >= until);
        if self.rules.iter().any(|(_, until)| is_over(*until)) {
            self.rules.retain(|(_, until)| !is_over(*until));
            self.set_events();
        }
        if is_over(self.log_level.until()) {
            self.set_log_level();
        }
        if self.watched.take_if(|until| now >= *until).is_some() {
            switch::set_watched(false);
        }
    }

    fn next_end(&self) -> Option<Instant> {
        self.rules.iter().filter_map(|(_, until)| *until).chain(self.log_level.until()).chain(self.watched).min()
    }

    fn events(&self) -> Levels {
        Levels(self.rules.iter().map(|(rule, _)| rule.clone()).collect())
    }

    fn set_events(&self) {
        switch::set_levels(&self.events());
    }

    fn set_log_level(&mut self) {
        let level = *self.log_level.get(Instant::now());
        set_log_level(LEVELS.into_iter().find(|known| known.as_str() == level));
    }
}

const LEVELS: [Level; 5] = [Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace];

#[cfg(test)]
mod tests {
    use monitor_core::levels::EventLevel;
    use monitor_wire::EVENT_LEVELS;

    use super::*;

    #[test]
    fn levels_have_the_same_names_on_the_wire() {
        assert_eq!(EventLevel::NAMES, EVENT_LEVELS);
        assert_eq!(["off"].into_iter().chain(LEVELS.map(Level::as_str)).collect::<Vec<_>>(), LOG_LEVELS);
    }

    #[test]
    fn permanent_rules_return_after_temporary_rules() {
        let start = Instant::now();
        let hold = |seconds| Some(Duration::from_secs(seconds));
        let switches = Switches::new(&"roots,span:off".parse().unwrap());
        let say = |rule: &str, hold| switches.set_events(rule.parse().unwrap(), hold);
        let after = |seconds| {
            switches.said.borrow_mut().forget(start + Duration::from_secs(seconds));
            switches.said.borrow().events().to_string()
        };
        say("span:all", hold(100)).unwrap();
        say("off", hold(200)).unwrap();
        assert_eq!(after(0), "roots,span:off,off", "of what holds for a while the last one holds");
        say("render*=all", None).unwrap();
        assert_eq!(after(0), "roots,span:off,off,render*=all");
        assert_eq!(after(201), "roots,span:off,render*=all");
        say("span:roots", None).unwrap();
        assert_eq!(after(201), "roots,render*=all,span:roots");
        say("all", None).unwrap();
        assert_eq!((after(201).as_str(), switches.said.borrow().next_end()), ("all", None));
        for n in 1..MOST_RULES {
            say(&format!("n{n}=off"), None).unwrap();
        }
        assert!(say("more=off", None).is_err() && say("n1=all", None).is_ok());
    }

    #[test]
    fn watching_ends_some_time_after_the_last_renewal() {
        let start = Instant::now();
        let switches = Switches::new(&"watched".parse().unwrap());
        let is_watched = |seconds| {
            switches.said.borrow_mut().forget(start + Duration::from_secs(seconds));
            switches.said.borrow().watched.is_some()
        };
        assert!(!is_watched(0));
        switches.watch(Duration::from_secs(60));
        assert!(is_watched(59));
        switches.watch(Duration::from_secs(120));
        assert!(is_watched(119) && switches.said.borrow().next_end().is_some());
        assert!(!is_watched(121) && switches.said.borrow().next_end().is_none());
    }
}
